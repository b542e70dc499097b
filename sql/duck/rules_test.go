package duck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// samples are values of each type that meet the edges.
var samples = map[string][]string{
	"bool":      {"t", "f"},
	"int2":      {"0", "1", "-1", "7", "-7", "32767", "-32768", "100"},
	"int4":      {"0", "1", "-1", "2", "7", "-7", "2147483647", "-2147483648", "46341"},
	"int8":      {"0", "1", "-1", "7", "-7", "9223372036854775807", "-9223372036854775808", "3037000500"},
	"oid":       {"0", "1", "4294967295"},
	"float4":    {"0", "-0", "1", "-2.5", "3.5", "1e30", "1e-30", "NaN", "Infinity", "-Infinity", "0.1"},
	"float8":    {"0", "-0", "1", "-2.5", "3.5", "0.5", "1.5", "1e300", "1e-300", "NaN", "Infinity", "-Infinity", "0.1", "123456.789", "4"},
	"numeric":   {"0.00", "1.00", "-1.00", "0.50", "1.50", "-2.50", "12345.67", "-0.01", "9999999999999.99", "3.00", "7.25"},
	"text":      {"", "a", "abc", "ABC", "aXbXc", "a_c", "a%c", "100%", "héllo", "a\\b", "  x  ", "ab\ncd", "xaby", "-5", "forest green", "zz top"},
	"name":      {"", "abc", "Pg", "a"},
	"bpchar":    {"", "a", "a   ", "abc ", "ABC", "100%"},
	"bytea":     {`\x`, `\x00`, `\x00ff`, `\x616263`},
	"uuid":      {"00000000-0000-0000-0000-000000000000", "f1234567-89ab-cdef-0123-456789abcdef", "7fffffff-ffff-ffff-ffff-ffffffffffff"},
	"date":      {"1970-01-01", "1969-12-31", "2000-02-29", "2024-12-30", "1900-03-01", "2001-01-31", "infinity", "-infinity", "1998-12-01"},
	"time":      {"00:00:00", "23:59:59.999999", "12:34:56.5"},
	"timestamp": {"1970-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2000-02-29 12:34:56.789", "2024-12-30 23:00:00", "2001-01-31 00:00:01", "infinity", "-infinity"},
	"timestamptz": {"1970-01-01 00:00:00+00", "1969-12-31 23:59:59.999999+00", "2000-02-29 12:34:56.789+00", "2024-12-30 23:00:00+00",
		"2001-03-31 00:00:01+00", "infinity", "-infinity"},
	"interval": {"0", "1 day", "1 month", "30 days", "24:00:00", "-1 month", "1 year 2 months 3 days 04:05:06.7", "-00:00:01"},
}

// second are better samples for a second argument of some functions.
var second = map[string][]string{
	"~~": {"a%", "%b%", "a_c", "100%", "100\\%", "%", "", "_%", "h_llo", "%\n%", "%green%"}, "!~~": {"a%", "%b%c", "a\\_c"},
	"~": {"^a", "b+", "c$", "a.c", "[abc]x", "(a|b)c?", "^-5$"}, "!~": {"^a", "b"},
	"substring": {"1", "2", "3"}, "substr": {"1", "2"}, "left": {"0", "1", "3"}, "right": {"0", "2"},
	"round": {"0", "1", "2", "3"}, "replace": {"X", "a", "ab"},
}

var units = []string{"year", "month", "day", "hour", "minute", "second", "milliseconds", "microseconds", "quarter", "week", "decade", "dow", "isodow",
	"doy", "isoyear", "epoch"}

func typeOfSample(name string) row.Type {
	if name == "numeric" {
		return row.NumericType(15, 2)
	}
	t, ok := row.TypeByName(name)
	if !ok {
		panic(name)
	}
	t.Mod = 0
	return t
}

func lookup(t *testing.T, sig string) (*expr.Func, []string) {
	name, rest, _ := strings.Cut(sig, "(")
	rest = strings.TrimSuffix(rest, ")")
	var names []string
	var oids []row.OID
	if rest != "" {
		names = strings.Split(rest, ",")
	}
	for _, n := range names {
		info, ok := row.TypeByName(n)
		if !ok {
			t.Fatal(sig)
		}
		if n == "bpchar" {
			info = row.T(row.BPChar)
		}
		oids = append(oids, info.OID)
	}
	f := expr.Lookup(name, oids...)
	if f == nil && len(oids) == 1 {
		f = expr.Lookup(name, 0, oids[0])
	}
	return f, names
}

// scalarCase is an expression over a row of arguments.
type scalarCase struct {
	name string
	e    expr.Expr
	cols []row.Column
	rows []row.Row
}

// TestRules holds every entry of the allow-list against the row executor's functions, which are held against PostgreSQL.
func TestRules(t *testing.T) {
	e := start(t, Options{})
	var sigs []string
	for s := range rules {
		sigs = append(sigs, s)
	}
	slices.Sort(sigs)
	rng := rand.New(rand.NewPCG(1, 2))
	unknown := 0
	for _, sig := range sigs {
		f, names := lookup(t, sig)
		if f == nil {
			t.Errorf("%s: there is no such function", sig)
			continue
		}
		// With columns as arguments, and then with every argument behind the first a constant.
		given := 0
		for variant := range 7 {
			c := ruleCase(t, f, names, variant, rng)
			n, err := compare(t, e, c)
			if err != nil {
				var u *Unsupported
				if !errors.As(err, &u) {
					t.Errorf("%s: %v", c.name, err)
				}
			}
			given += n
			if len(names) < 2 {
				break
			}
		}
		if given == 0 {
			t.Errorf("%s: never answered", sig)
			unknown++
		}
	}
	t.Logf("%d rules", len(sigs))
}

func ruleCase(t *testing.T, f *expr.Func, names []string, variant int, rng *rand.Rand) scalarCase {
	c := scalarCase{name: fmt.Sprintf("%s(%s)", f.Name, strings.Join(names, ","))}
	call := &expr.Call{Func: f, Typ: row.T(f.Ret)}
	values := make([][]string, len(names))
	for i, n := range names {
		values[i] = samples[n]
		if i > 0 {
			if s, ok := second[f.Name]; ok && (n == "text" || n == "int4") {
				values[i] = s
			}
		}
		typ := typeOfSample(n)
		unit := i == 0 && n == "text" && (strings.HasPrefix(f.Name, "date_") || f.Name == "extract")
		if unit {
			values[i] = units
		}
		if unit || variant > 0 && (i > 0 && !strings.HasPrefix(f.Name, "date_") && f.Name != "extract" || i == 0 && f.Name == "time_bucket" || i == 0 && f.Name == "date_bin") {
			text := values[i][(variant+i)%len(values[i])]
			v, err := row.ParseText(typ, text)
			if err != nil {
				t.Fatal(err)
			}
			c.name += fmt.Sprintf(" $%d=%q", i+1, text)
			call.Args = append(call.Args, &expr.Const{Value: v, Typ: typ})
			continue
		}
		call.Args = append(call.Args, &expr.Column{Index: len(c.cols), Typ: typ})
		c.cols = append(c.cols, row.Column{Name: "a" + strconv.Itoa(i), Type: typ})
	}
	c.e = call
	args := make([][]string, 0, len(c.cols))
	for _, col := range c.cols {
		i, _ := strconv.Atoi(col.Name[1:])
		args = append(args, values[i])
	}
	for range 30 {
		var r row.Row
		for i, a := range args {
			if rng.IntN(10) == 0 {
				r = append(r, row.Null)
				continue
			}
			v, err := row.ParseText(c.cols[i].Type, a[rng.IntN(len(a))])
			if err != nil {
				t.Fatal(err)
			}
			r = append(r, v)
		}
		c.rows = append(c.rows, r)
	}
	return c
}

// compare evaluates a case in both; it gives the number of rows that DuckDB answered.
func compare(t *testing.T, e *Engine, c scalarCase) (answered int, err error) {
	eval, err := expr.Compile(c.e)
	if err != nil {
		return 0, err
	}
	ctx := &expr.Ctx{Now: testTime, StatementTime: testTime, Location: time.UTC}
	var good []row.Row
	var want []string
	for _, r := range c.rows {
		v, err := eval(ctx, r)
		if err != nil {
			if err := mustFail(e, c, r, err); err != nil {
				t.Errorf("%s of %s: %v", c.name, show(c, r), err)
			}
			continue
		}
		good, want = append(good, r), append(want, shown(c.e.Type(), v))
	}
	if len(good) == 0 {
		return 0, nil
	}
	got, err := runCase(e, c, good)
	var u *Unsupported
	if errors.As(err, &u) && !strings.Contains(u.Reason, "function") && len(good) > 1 && strings.Contains(err.Error(), " ") {
		// One value may be beyond DuckDB: the rest are asked one by one.
		if _, err := Translate(planOf(c), testContext); err != nil {
			return 0, err
		}
		for i, r := range good {
			one, err := runCase(e, c, []row.Row{r})
			if errors.As(err, &u) {
				continue
			}
			if err != nil || one[0] != want[i] {
				t.Errorf("%s of %s: got %q, %v, want %q", c.name, show(c, r), one, err, want[i])
			}
			answered++
		}
		return answered, nil
	}
	if err != nil {
		return 0, err
	}
	for i := range good {
		if got[i] != want[i] {
			t.Errorf("%s of %s: got %q, want %q", c.name, show(c, good[i]), got[i], want[i])
		}
	}
	return len(good), nil
}

var testTime = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

var testContext = Context{Now: testTime, StatementTime: testTime}

// mustFail: an error of the row executor is the same error here, or none of ours to give.
func mustFail(e *Engine, c scalarCase, r row.Row, want error) error {
	got, err := runCase(e, c, []row.Row{r})
	var u *Unsupported
	var w, g *errs.Error
	if errors.As(err, &u) {
		return nil
	}
	if !errors.As(want, &w) || !errors.As(err, &g) || w.State != g.State || w.Message != g.Message {
		return fmt.Errorf("got %q, %v, want %v", got, err, want)
	}
	return nil
}

func planOf(c scalarCase) plan.Node {
	rel := &catalog.Relation{Name: "t", Kind: catalog.Table}
	scan := &plan.Scan{Relation: rel}
	for _, col := range c.cols {
		rel.Columns = append(rel.Columns, catalog.Column{Name: col.Name, Type: col.Type})
		scan.Cols = append(scan.Cols, plan.Column{Name: col.Name, Type: col.Type})
	}
	return &plan.Project{Output: plan.Output{Cols: []plan.Column{{Name: "v", Type: c.e.Type()}}}, Input: scan, Exprs: []expr.Expr{c.e}}
}

func runCase(e *Engine, c scalarCase, rows []row.Row) ([]string, error) {
	tr, err := Translate(planOf(c), testContext)
	if err != nil {
		return nil, err
	}
	return runOver(e, tr, c.cols, rows)
}

func runOver(e *Engine, tr *Translated, cols []row.Column, rows []row.Row) ([]string, error) {
	var sources []*Source
	for range tr.Relations {
		if len(cols) == 0 {
			// A row without columns cannot be sent: any column gives the count.
			one := []row.Column{{Name: "one", Type: row.T(row.Bool)}}
			ones := slices.Repeat([]row.Row{{row.NewBool(true)}}, len(rows))
			sources = append(sources, &Source{Inline: []Inline{{Records: []arrow.Record{recordOf(one, ones)}}}})
			continue
		}
		sources = append(sources, &Source{Name: "t", Columns: cols, Inline: []Inline{{Records: []arrow.Record{recordOf(cols, rows)}}}})
	}
	r, err := e.Query(context.Background(), tr, sources)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []string
	for {
		rs, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		for _, v := range rs {
			var parts []string
			for i := range v {
				parts = append(parts, shown(tr.Fields[i].Type, v[i]))
			}
			out = append(out, strings.Join(parts, "|"))
		}
	}
}

func shown(t row.Type, v row.Value) string {
	if v.IsNull() {
		return "NULL"
	}
	return string(row.AppendText(nil, t, v))
}

func show(c scalarCase, r row.Row) string {
	var parts []string
	for i, v := range r {
		parts = append(parts, shown(c.cols[i].Type, v))
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// TestCasts holds every cast that Translate takes against the row executor's.
func TestCasts(t *testing.T) {
	e := start(t, Options{})
	rng := rand.New(rand.NewPCG(3, 4))
	var names []string
	for n := range samples {
		names = append(names, n)
	}
	slices.Sort(names)
	targets := []row.Type{row.NumericType(10, 1), row.NumericType(30, 4), row.T(row.Numeric), row.T(row.VarChar), row.T(row.VarChar).WithTypMod(6), row.T(row.BPChar).WithTypMod(7)}
	for _, n := range names {
		if n != "numeric" {
			targets = append(targets, typeOfSample(n))
		}
	}
	taken := 0
	for _, from := range names {
		for _, to := range targets {
			if !expr.CanCast(typeOfSample(from).OID, to.OID, expr.Explicit) && typeOfSample(from).OID != to.OID {
				continue
			}
			c := scalarCase{name: fmt.Sprintf("cast(%s as %s)", from, to), cols: []row.Column{{Name: "a", Type: typeOfSample(from)}}}
			c.e = &expr.Cast{Arg: &expr.Column{Typ: typeOfSample(from)}, To: to, Context: expr.Explicit}
			for range 40 {
				v, err := row.ParseText(c.cols[0].Type, samples[from][rng.IntN(len(samples[from]))])
				if err != nil {
					t.Fatal(err)
				}
				c.rows = append(c.rows, row.Row{v})
			}
			c.rows = append(c.rows, row.Row{row.Null})
			n, err := compare(t, e, c)
			var u *Unsupported
			if err != nil && !errors.As(err, &u) {
				t.Errorf("%s: %v", c.name, err)
			}
			if n > 0 {
				taken++
			}
		}
	}
	t.Logf("%d casts are taken", taken)
}
