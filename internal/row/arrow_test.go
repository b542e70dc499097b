package row

import (
	"math"
	"testing"
)

// everyType is a schema with one column of each type and rows of hard values, the text forms of which come out as they are
// written here.
func everyType(t testing.TB) (*Schema, []Row) {
	cols := []struct {
		typ    Type
		values [3]string
	}{
		{T(Bool), [3]string{"t", "f", "t"}},
		{T(Int2), [3]string{"-32768", "32767", "0"}},
		{T(Int4), [3]string{"-2147483648", "2147483647", "1"}},
		{T(Int8), [3]string{"-9223372036854775808", "9223372036854775807", "2"}},
		{T(Oid), [3]string{"0", "4294967295", "7"}},
		{T(Float4), [3]string{"1.1", "-Infinity", "NaN"}},
		{T(Float8), [3]string{"0.1", "Infinity", "1e-300"}},
		{T(Numeric), [3]string{"1.500", "NaN", "-123456789012345678901234567890.000000000000000000001"}},
		{NumericType(38, 10), [3]string{"1.5000000000", "NaN", "-1234567890123456789012345678.0000000001"}},
		{NumericType(5, 2), [3]string{"-999.99", "NaN", "0.01"}},
		{NumericType(3, 5), [3]string{"0.00999", "-0.00001", "0.00000"}},
		{T(Text), [3]string{"", "ä\"\\", "x"}},
		{T(VarChar), [3]string{"a", "b", "c"}},
		{T(JSON), [3]string{`{"b":1, "a": 2}`, "[]", "null"}},
		{T(JSONB), [3]string{`{"a": 2, "b": 1.50}`, "[]", "null"}},
		{T(Bytea), [3]string{`\x`, `\x00ff`, `\x41`}},
		{T(UUID), [3]string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff", "12345678-9abc-def0-1234-56789abcdef0"}},
		{T(Date), [3]string{"infinity", "0044-03-15 BC", "2001-01-01"}},
		{T(Time), [3]string{"00:00:00", "24:00:00", "12:34:56.789"}},
		{T(TimeTZ), [3]string{"12:00:00+02", "00:00:00-05:30", "01:02:03.000004+00"}},
		{T(Timestamp), [3]string{"infinity", "-infinity", "1999-12-31 23:59:59.999999"}},
		{T(TimestampTZ), [3]string{"2000-01-01 00:00:00+00", "infinity", "0001-01-01 00:00:00+00 BC"}},
		{T(Interval), [3]string{"1 year 2 mons -3 days +04:05:06.7", "-00:00:01", "00:00:00"}},
		{T(Int4).Array(), [3]string{"{}", "{1,NULL,-3}", "{{1,2},{3,4}}"}},
		{T(Text).Array(), [3]string{`{"",NULL,"NULL","a,b"}`, `{"\"\\"}`, "{x}"}},
	}
	s := &Schema{}
	rows := make([]Row, 5)
	for _, c := range cols {
		s.Columns = append(s.Columns, Column{Name: c.typ.String(), Type: c.typ})
		for i, text := range c.values {
			v, err := ParseText(c.typ, text)
			if err != nil {
				t.Fatalf("%s %q: %v", c.typ, text, err)
			}
			if got := v.Text(c.typ); got != text {
				t.Errorf("%s %q prints as %q", c.typ, text, got)
			}
			rows[i] = append(rows[i], v)
		}
		rows[3] = append(rows[3], Null)
		rows[4] = append(rows[4], Null)
	}
	return s, rows
}

func sameRow(t *testing.T, form string, s *Schema, want, got Row) {
	t.Helper()
	for c, col := range s.Columns {
		w, g := want[c].Text(col.Type), got[c].Text(col.Type)
		if want[c].Kind() != got[c].Kind() || w != g {
			t.Errorf("%s: %s: got %q (%d), want %q (%d)", form, col.Type, g, got[c].Kind(), w, want[c].Kind())
		}
	}
}

func TestArrowKeepsEveryValue(t *testing.T) {
	s, rows := everyType(t)
	b := NewBuilder(nil, s)
	defer b.Release()
	for range 2 { // the builder is used again after a record
		for _, r := range rows {
			b.AppendRow(r)
		}
		rec := b.NewRecord()
		for i, got := range AppendRecord(nil, rec, s) {
			sameRow(t, "arrow", s, rows[i], got)
		}
		back, ok := FromArrowSchema(rec.Schema())
		if !ok {
			t.Fatal("schema has no PostgreSQL form")
		}
		for i, c := range back.Columns {
			if c != s.Columns[i] {
				t.Errorf("column %v came back as %v", s.Columns[i], c)
			}
		}
		for i := range rows {
			b.AppendFrom(rec, i)
		}
		again := b.NewRecord()
		for i, got := range AppendRecord(nil, again, s) {
			sameRow(t, "copy", s, rows[i], got)
		}
		rec.Release()
		again.Release()
	}
}

func TestIntervalBeyondArrowIsEqual(t *testing.T) {
	v := NewInterval(1, 2, math.MaxInt64)
	x := monthDayNano(v)
	if got := NewInterval(x.Months, x.Days, x.Nanoseconds/1000); Compare(v, got) != 0 {
		t.Errorf("%s became %s", v.Text(T(Interval)), got.Text(T(Interval)))
	}
}
