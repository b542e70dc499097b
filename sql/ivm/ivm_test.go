package ivm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/exec"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// The test's relations: two tables and a stream of the same columns.
var testColumns = []catalog.Column{
	{Name: "id", Type: row.T(row.Int8), NotNull: true}, {Name: "k", Type: row.T(row.Text)}, {Name: "v", Type: row.T(row.Int4)},
	{Name: "d", Type: row.NumericType(10, 2)}, {Name: "n", Type: row.T(row.Numeric)}, {Name: "f", Type: row.T(row.Float8)},
	{Name: "ts", Type: row.T(row.Timestamp)}, {Name: "b", Type: row.T(row.Bool)}, {Name: "c", Type: row.T(row.BPChar).WithTypMod(8)},
	{Name: "iv", Type: row.T(row.Interval)},
}

func relation(id delta.RelationID, name string, kind catalog.Kind) *catalog.Relation {
	r := &catalog.Relation{ID: id, Name: name, Kind: kind, Columns: testColumns}
	if kind == catalog.Table {
		r.Key = []int{0}
	}
	return r
}

var (
	tableL  = relation(1, "l", catalog.Table)
	tableR  = relation(2, "r", catalog.Table)
	streamS = relation(3, "s", catalog.Stream)
)

// relations are the relations' rows: exec's Source and the oracle's input.
type relations map[delta.RelationID][]row.Row

func (rs relations) Get(context.Context, *catalog.Relation, []row.Value, []int, plan.LockStrength) (row.Row, bool, error) {
	panic("the plans of this test have no access by key")
}

func (rs relations) Scan(_ context.Context, r *exec.ScanRequest) (exec.Iterator, error) {
	if r.Equal != nil || r.Low != nil || r.High != nil {
		return nil, fmt.Errorf("bounds are not for this test")
	}
	return &rowsOnce{rs[r.Relation.ID]}, nil
}

type rowsOnce struct{ rows []row.Row }

func (r *rowsOnce) Next() ([]row.Row, error) {
	rows := r.rows
	r.rows = nil
	return rows, nil
}
func (r *rowsOnce) Close() error { return nil }

// answer runs a plan with the row executor.
func answer(ctx context.Context, n plan.Node, rs relations, yield func(row.Row) error) error {
	rows, err := exec.Run(ctx, n, rs, &expr.Ctx{})
	if err != nil {
		return err
	}
	defer rows.Close()
	for {
		batch, err := rows.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, r := range batch {
			if err := yield(r); err != nil {
				return err
			}
		}
	}
}

// bag is rows as text with their counts.
type bag map[string]int64

func (b bag) add(r row.Row, cols []plan.Column, w int64) {
	var f []string
	for i, v := range r {
		t := cols[i].Type
		switch {
		case v.IsNull():
			f = append(f, "∅")
		case v.Kind() == row.KindFloat: // the last bit may follow the order of addition
			f = append(f, fmt.Sprintf("%.12g", v.Float()))
		case v.Kind() == row.KindNumeric || v.Kind() == row.KindInterval || t.OID == row.BPChar:
			// Which of several equal spellings a group or an extreme shows is not said in SQL.
			f = append(f, fmt.Sprintf("%x", row.AppendKey(nil, t, v, false)))
		default:
			f = append(f, v.Text(t))
		}
	}
	s := strings.Join(f, " | ")
	if b[s] += w; b[s] == 0 {
		delete(b, s)
	}
}

func (b bag) String() string {
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(b)) {
		lines = append(lines, fmt.Sprintf("%s  x%d", k, b[k]))
	}
	return strings.Join(lines, "\n")
}

func randomRow(rng *rand.Rand, id int64) row.Row {
	null := func(v row.Value) row.Value {
		if rng.IntN(6) == 0 {
			return row.Null
		}
		return v
	}
	v := rng.Int64N(7)
	return row.Row{row.NewInt(id), null(row.NewText(string(rune('a' + rng.IntN(4))))), null(row.NewInt(v)), null(row.NewNumeric(v*50, 2)),
		null(row.NewNumeric(v*int64(math.Pow10(rng.IntN(3))), int32(rng.IntN(3)))), null(row.NewFloat(float64(v) / 4)),
		null(row.NewTimestamp(v * 1_700_000_000)), null(row.NewBool(v%2 == 0)),
		null(row.NewText(fmt.Sprintf("%-4s", strings.Repeat("x", int(v%3))))), null(row.NewInterval(int32(v%2), int32(30*(1-v%2)), 0))}
}

func record(rel *catalog.Relation, rows []row.Row) arrow.Record {
	b := row.NewBuilder(nil, rel.RowSchema())
	for _, r := range rows {
		b.AppendRow(r)
	}
	return b.NewRecord()
}

// tick is one step of a history: the deltas, and the state after it.
type tick struct {
	rows    map[delta.RelationID][]row.Row
	weights map[delta.RelationID][]int64
	after   relations
}

func randomTicks(rng *rand.Rand, n, most int) []tick {
	live := relations{}
	var ticks []tick
	nextID := int64(0)
	for range n {
		t := tick{rows: map[delta.RelationID][]row.Row{}, weights: map[delta.RelationID][]int64{}, after: relations{}}
		change := func(rel *catalog.Relation, r row.Row, w int64) {
			t.rows[rel.ID], t.weights[rel.ID] = append(t.rows[rel.ID], r), append(t.weights[rel.ID], w)
		}
		for _, rel := range []*catalog.Relation{tableL, tableR, streamS} {
			for range rng.IntN(most) {
				rows := live[rel.ID]
				nextID++
				fresh := randomRow(rng, nextID)
				if rel.Kind == catalog.Table && len(rows) > 0 && rng.IntN(2) == 0 {
					i := rng.IntN(len(rows))
					change(rel, rows[i], -1)
					if rng.IntN(2) == 0 { // an update keeps the id
						fresh[0] = rows[i][0]
						live[rel.ID] = append(slices.Delete(slices.Clone(rows), i, i+1), fresh)
						change(rel, fresh, 1)
					} else {
						live[rel.ID] = slices.Delete(slices.Clone(rows), i, i+1)
					}
					continue
				}
				live[rel.ID] = append(slices.Clone(rows), fresh)
				change(rel, fresh, 1)
			}
		}
		maps.Copy(t.after, live)
		ticks = append(ticks, t)
	}
	return ticks
}

// check runs a plan over a history cut every so many ticks and compares with the row executor after each.
func check(t *testing.T, n plan.Node, want Class, ticks []tick, every int, restarts bool) {
	t.Helper()
	var now relations
	compile := func() *Program {
		p, err := Compile(n, Options{View: 50, Recompute: func(ctx context.Context, n plan.Node, _ delta.Position, yield func(row.Row) error) error {
			return answer(ctx, n, now, yield)
		}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := compile()
	if p.Class != want {
		t.Fatalf("class %s (%s), want %s", p.Class, p.Reason, want)
	}
	schema := &row.Schema{}
	for _, c := range p.Output {
		schema.Columns = append(schema.Columns, row.Column{Name: c.Name, Type: c.Type})
	}
	if !row.ArrowSchema(schema).Equal(p.Schema) {
		t.Fatalf("schema %v, want %v", p.Schema, row.ArrowSchema(schema))
	}
	view := bag{}
	for at := 0; at < len(ticks); at += every {
		last := min(at+every, len(ticks)) - 1
		inputs := map[delta.RelationID]delta.Delta{}
		for _, rel := range []*catalog.Relation{tableL, tableR, streamS} {
			var rows []row.Row
			var weights []int64
			for _, tk := range ticks[at : last+1] {
				rows, weights = append(rows, tk.rows[rel.ID]...), append(weights, tk.weights[rel.ID]...)
			}
			if rel.Kind == catalog.Stream {
				weights = nil
			}
			if len(rows) > 0 {
				inputs[rel.ID] = delta.Delta{Relation: rel.ID, Rows: record(rel, rows), Weights: weights}
			}
		}
		now = ticks[last].after
		out, err := p.Circuit.Step(context.Background(), inputs, delta.Position{Epoch: 1, Sequence: uint64(last + 1)})
		if err != nil {
			t.Fatal(err)
		}
		if out.Rows != nil {
			if !out.Rows.Schema().Equal(p.Schema) {
				t.Fatalf("a delta's schema is %v, want %v", out.Rows.Schema(), p.Schema)
			}
			for i := range out.Len() {
				view.add(row.RowAt(out.Rows, i, schema, nil), p.Output, out.Weight(i))
			}
		}
		expected := bag{}
		if err := answer(context.Background(), n, now, func(r row.Row) error { expected.add(r, n.Columns(), 1); return nil }); err != nil {
			t.Fatal(err)
		}
		if view.String() != expected.String() {
			t.Fatalf("every %d, tick %d: view\n%v\nwant\n%v\n%s", every, last, view, expected, Explain(p))
		}
		checkKey(t, p, view)
		if restarts {
			var b bytes.Buffer
			if err := p.Circuit.Checkpoint(&b); err != nil {
				t.Fatal(err)
			}
			p = compile()
			if err := p.Circuit.Restore(&b); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkKey: no two rows of the view have the same key.
func checkKey(t *testing.T, p *Program, view bag) {
	t.Helper()
	if p.Key == nil {
		return
	}
	seen := map[string]bool{}
	for s, n := range view {
		f := strings.Split(s, " | ")
		key := ""
		for _, k := range p.Key {
			key += f[k] + "|"
		}
		if seen[key] || n != 1 {
			t.Fatalf("key %v does not name a row: %s", p.Key, s)
		}
		seen[key] = true
	}
}

func TestViewsEqualRowExecutor(t *testing.T) {
	for name, q := range testPlans() {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(2) {
				ticks := randomTicks(rand.New(rand.NewPCG(seed, 5)), 20, 10)
				for _, every := range []int{1, 4, 20} {
					check(t, q.node, q.class, ticks, every, seed%2 == 1)
				}
			}
		})
	}
}

func TestPlanChangeRefusesCheckpoint(t *testing.T) {
	plans := testPlans()
	p, err := Compile(plans["aggregate"].node, Options{View: 9})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.Circuit.Checkpoint(&b); err != nil {
		t.Fatal(err)
	}
	for name, q := range plans {
		o, err := Compile(q.node, Options{View: 9, Recompute: func(context.Context, plan.Node, delta.Position, func(row.Row) error) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Circuit.Restore(bytes.NewReader(b.Bytes())); (err == nil) != (name == "aggregate") {
			t.Errorf("%s takes the checkpoint of another plan: %v", name, err)
		}
	}
}
