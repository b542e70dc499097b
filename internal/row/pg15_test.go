package row

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/miracledb/miracledb/internal/errs"
)

// lines calls f with each line of a golden file that testdata/pg15_generate.py wrote from PostgreSQL 15.
func lines(t *testing.T, file string, f func(line []byte)) {
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	s := bufio.NewScanner(in)
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		f(s.Bytes())
	}
}

// TestTextAndBinaryArePostgres holds input, output, errors and the binary format against PostgreSQL's own answers.
func TestTextAndBinaryArePostgres(t *testing.T) {
	n := 0
	lines(t, "testdata/pg15_text.jsonl", func(line []byte) {
		n++
		var c [6]*string
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		typ, ok := TypeByName(*c[0])
		if !ok {
			t.Errorf("no type %s", *c[0])
			return
		}
		from := typ
		if typ.OID != Interval {
			from.Mod = 0 // a cast reads the literal first and then fits it
		}
		in := *c[1]
		v, err := ParseText(from, in)
		if err == nil {
			v, err = ApplyTypmod(typ, v, true)
		}
		if c[2] == nil {
			var e *errs.Error
			switch {
			case err == nil:
				t.Errorf("%s %q: got %q, want error %s %s", typ, in, v.Text(typ), *c[3], *c[4])
			case !errors.As(err, &e) || e.State != *c[3] || e.Message != *c[4]:
				t.Errorf("%s %q: got error %v (%s), want %s %s", typ, in, err, e.State, *c[3], *c[4])
			}
			return
		}
		if err != nil {
			t.Errorf("%s %q: %v, want %q", typ, in, err, *c[2])
			return
		}
		got := v.Text(typ)
		if got != *c[2] {
			t.Errorf("%s %q: got %q, want %q", typ, in, got, *c[2])
		}
		bin := AppendBinary(nil, typ, v)
		if hex.EncodeToString(bin) != *c[5] {
			t.Errorf("%s %q: binary %x, want %s", typ, in, bin, *c[5])
		}
		want, _ := hex.DecodeString(*c[5])
		back, err := ParseBinary(T(typ.OID), want)
		if err != nil || back.Text(typ) != *c[2] {
			t.Errorf("%s %q: from binary %q %v", typ, in, back.Text(typ), err)
		}
		checkForms(t, typ, v)
	})
	if n < 2000 {
		t.Errorf("only %d cases", n)
	}
}

// checkForms holds the row and key codecs against the value.
func checkForms(t *testing.T, typ Type, v Value) {
	t.Helper()
	text := v.Text(typ)
	r, n, err := DecodeRow(EncodeRow(nil, Row{v, Null, v}), nil, nil)
	if err != nil || n != 3 || r[0].Text(typ) != text || r[2].Text(typ) != text || r[0].Kind() != v.Kind() {
		t.Errorf("%s %q: row came back as %v %v", typ, text, r, err)
	}
	for _, desc := range []bool{false, true} {
		key := AppendKey(nil, typ, v, desc)
		back, rest, err := DecodeKey(append(key, 7), typ, desc)
		if errs.Is(err, errs.Unsupported) {
			continue
		}
		if err != nil || len(rest) != 1 || CompareTyped(typ, back, v) != 0 {
			t.Errorf("%s %q: key came back as %q, %d left, %v", typ, text, back.Text(typ), len(rest), err)
		}
	}
	if HashTyped(typ, v) != HashTyped(typ, r[0]) {
		t.Errorf("%s %q: hash is not stable", typ, text)
	}
}

// TestOrderIsPostgres holds Compare, keys and hashes against ORDER BY.
func TestOrderIsPostgres(t *testing.T) {
	lines(t, "testdata/pg15_order.jsonl", func(line []byte) {
		var c [2]json.RawMessage
		var name string
		var groups [][]string
		if json.Unmarshal(line, &c) != nil || json.Unmarshal(c[0], &name) != nil || json.Unmarshal(c[1], &groups) != nil {
			t.Fatal(string(line))
		}
		typ, _ := TypeByName(name)
		var values []Value
		var rank []int
		for i, g := range groups {
			for _, s := range g {
				v, err := ParseText(typ, s)
				if err != nil {
					t.Fatal(err)
				}
				values, rank = append(values, v), append(rank, i)
			}
		}
		values, rank = append(values, Null), append(rank, len(groups))
		sign := func(n int) int { return max(-1, min(1, n)) }
		for i, a := range values {
			for j, b := range values {
				want := sign(rank[i] - rank[j])
				if got := CompareTyped(typ, a, b); got != want {
					t.Errorf("%s: %q <=> %q is %d, want %d", typ, a.Text(typ), b.Text(typ), got, want)
				}
				x, y := string(AppendKey(nil, typ, a, false)), string(AppendKey(nil, typ, b, false))
				if got := compareStrings(x, y); got != want {
					t.Errorf("%s: key %q <=> %q is %d, want %d", typ, a.Text(typ), b.Text(typ), got, want)
				}
				x, y = string(AppendKey(nil, typ, a, true)), string(AppendKey(nil, typ, b, true))
				if got := compareStrings(y, x); got != want {
					t.Errorf("%s: descending key %q <=> %q is %d, want %d", typ, a.Text(typ), b.Text(typ), got, want)
				}
				if want == 0 && HashTyped(typ, a) != HashTyped(typ, b) {
					t.Errorf("%s: equal %q and %q hash apart", typ, a.Text(typ), b.Text(typ))
				}
			}
		}
	})
}

func compareStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
