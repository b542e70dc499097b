package duck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

func TestMain(m *testing.M) {
	if ChildMain() {
		return
	}
	os.Exit(m.Run())
}

// start runs an engine for the test. Memory is small, so that a mistake hurts the child and not the machine.
func start(t testing.TB, o Options) *Engine {
	t.Helper()
	if o.MemoryLimit == 0 {
		o.MemoryLimit, o.ChildLimit = 512*limit.MiB, 1536*limit.MiB
	}
	if o.TempDir == "" {
		o.TempDir = t.TempDir()
	}
	o.Threads = 2
	e, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// sqlText makes a Translated of plain SQL, whose columns have the given types; %s stands for the scan of a relation's
// columns.
func sqlText(text string, scans []Scan, types ...row.OID) *Translated {
	t := &Translated{Scans: scans, Fragments: []string{text}}
	if len(scans) > 0 {
		t.Fragments = splitScans(text)
	}
	for _, s := range scans {
		for len(t.Relations) <= s.Relation {
			t.Relations = append(t.Relations, &catalog.Relation{})
		}
	}
	for i, oid := range types {
		t.Fields = append(t.Fields, Field{Type: row.T(oid), Column: i, Scale: -1})
	}
	return t
}

func splitScans(text string) []string {
	var parts []string
	for {
		i := 0
		for i+1 < len(text) && text[i:i+2] != "%s" {
			i++
		}
		if i+1 >= len(text) {
			return append(parts, text)
		}
		parts, text = append(parts, text[:i]), text[i+2:]
	}
}

// all runs a query and gives its rows as text.
func all(ctx context.Context, e *Engine, tr *Translated, sources ...*Source) ([]string, error) {
	r, err := e.Query(ctx, tr, sources)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []string
	for {
		rows, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		for _, rw := range rows {
			out = append(out, rowText(tr, rw))
		}
	}
}

func rowText(tr *Translated, rw row.Row) string {
	var b []byte
	for i, v := range rw {
		if i > 0 {
			b = append(b, '|')
		}
		if v.IsNull() {
			b = append(b, "NULL"...)
			continue
		}
		b = row.AppendText(b, tr.Fields[i].Type, v)
	}
	return string(b)
}

func TestTypes(t *testing.T) {
	e := start(t, Options{})
	for _, c := range []struct {
		sql  string
		oid  row.OID
		want string
	}{
		{"1::int", row.Int4, "1"},
		{"(-5)::smallint", row.Int2, "-5"},
		{"9223372036854775807", row.Int8, "9223372036854775807"},
		{"true", row.Bool, "t"},
		{"1.5::float", row.Float4, "1.5"},
		{"0.1::double", row.Float8, "0.1"},
		{"12.340::decimal(9,3)", row.Numeric, "12.340"},
		{"-0.01::decimal(4,2)", row.Numeric, "-0.01"},
		{"-12345678901234567890123.45::decimal(38,2)", row.Numeric, "-12345678901234567890123.45"},
		{"sum(x)::hugeint from (values (9223372036854775807), (1)) v(x)", row.Numeric, "9223372036854775808"},
		{"'häé'", row.Text, "häé"},
		{"repeat('x', 40)", row.Text, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
		{"'\\x01\\xff'::blob", row.Bytea, "\\x01ff"},
		{"date '2024-02-29'", row.Date, "2024-02-29"},
		{"date '1969-12-31'", row.Date, "1969-12-31"},
		{"date '-infinity'", row.Date, "-infinity"},
		{"timestamp 'infinity'", row.Timestamp, "infinity"},
		{"time '12:34:56.789'", row.Time, "12:34:56.789"},
		{"timestamp '2024-02-29 01:02:03.4'", row.Timestamp, "2024-02-29 01:02:03.4"},
		{"timestamptz '2024-02-29 01:02:03+02'", row.TimestampTZ, "2024-02-28 23:02:03+00"},
		{"interval '1 year 2 months -3 days 4 hours'", row.Interval, "1 year 2 mons -3 days +04:00:00"},
		{"uuid '01234567-89ab-cdef-0123-456789abcdef'", row.UUID, "01234567-89ab-cdef-0123-456789abcdef"},
		{"null::int", row.Int4, "NULL"},
		{"cast(cast('\\x01\\x23\\x45\\x67\\x89\\xab\\xcd\\xef\\x01\\x23\\x45\\x67\\x89\\xab\\xcd\\xef' as blob) as uuid)", row.UUID, "01234567-89ab-cdef-0123-456789abcdef"},
	} {
		got, err := all(context.Background(), e, sqlText("select "+c.sql, nil, c.oid))
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: got %q, want %q", c.sql, got, c.want)
		}
	}
}

func TestStreamAndClose(t *testing.T) {
	e := start(t, Options{})
	tr := sqlText("select i, i * 2 from range(1000000) t(i)", nil, row.Int8, row.Int8)
	r, err := e.Query(context.Background(), tr, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, sum := 0, int64(0)
	for {
		rows, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range rows {
			n++
			sum += v[1].Int() - v[0].Int()
		}
	}
	if n != 1000000 || sum != 499999500000 {
		t.Errorf("%d rows, sum %d", n, sum)
	}
	// Readers that go away early leave the engine usable, many more times than there are slots.
	for i := range 200 {
		r, err := e.Query(context.Background(), sqlText("select i from range(100000000) t(i)", nil, row.Int8), nil)
		if err != nil {
			t.Fatal(i, err)
		}
		if _, err := r.Next(); err != nil {
			t.Fatal(i, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if e.Starts() != 1 {
		t.Errorf("%d children", e.Starts())
	}
}

func TestSmallQueryLatency(t *testing.T) {
	e := start(t, Options{})
	tr := sqlText("select 1", nil, row.Int4)
	best := time.Hour
	for range 200 {
		began := time.Now()
		if _, err := all(context.Background(), e, tr); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	t.Logf("select 1: %v", best)
}

func TestSandbox(t *testing.T) {
	secret := t.TempDir() + "/secret.csv"
	if err := os.WriteFile(secret, []byte("a\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := start(t, Options{Directories: []string{t.TempDir()}})
	for _, sql := range []string{
		fmt.Sprintf("select * from read_csv('%s')", secret),
		"select * from read_text('/etc/passwd')",
		fmt.Sprintf("select * from '%s'", secret),
		"create table t (a int)",
		"set threads = 1",
		"copy (select 1) to '/tmp/x.csv'",
		"select 1; select 2",
		"attach '/tmp/x.db'",
	} {
		if _, err := all(context.Background(), e, sqlText(sql, nil, row.Text)); err == nil {
			t.Errorf("%s: no error", sql)
		}
	}
	if e.Starts() != 1 {
		t.Errorf("%d children", e.Starts())
	}
}
