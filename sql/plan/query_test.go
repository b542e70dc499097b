package plan_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql/exec"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// memory is an exec.Source over rows in memory.
type memory map[delta.RelationID][]row.Row

func (m memory) Get(_ context.Context, rel *catalog.Relation, key []row.Value, _ []int, _ plan.LockStrength) (row.Row, bool, error) {
	for _, r := range m[rel.ID] {
		same := true
		for i, k := range rel.Key {
			same = same && row.Compare(r[k], key[i]) == 0
		}
		if same {
			return r, true, nil
		}
	}
	return nil, false, nil
}

func (m memory) Scan(_ context.Context, s *exec.ScanRequest) (exec.Iterator, error) {
	var rows []row.Row
	for _, r := range m[s.Relation.ID] {
		if s.Within(r) {
			rows = append(rows, r)
		}
	}
	if s.Ordered {
		key := func(r row.Row) (k []byte) {
			for _, i := range s.Key() {
				k = row.AppendKey(k, s.Relation.Columns[i].Type, r[i], false)
			}
			return k
		}
		slices.SortStableFunc(rows, func(a, b row.Row) int { return bytes.Compare(key(a), key(b)) })
		if s.Reverse {
			slices.Reverse(rows)
		}
	}
	return &list{rows}, nil
}

type list struct{ rows []row.Row }

func (l *list) Next() ([]row.Row, error) {
	n := min(len(l.rows), 7)
	out := l.rows[:n]
	l.rows = l.rows[n:]
	return out, nil
}

func (l *list) Close() error { return nil }

// world is the same schema and rows in PostgreSQL and here.
type world struct {
	conn *pgx.Conn
	cat  *catalog.Catalog
	rows memory
}

var path = []string{"public"}

func (w *world) options() plan.Options {
	return plan.Options{Catalog: w.cat.Current(), SearchPath: path}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dsn := os.Getenv("MIRACLEDB_TEST_POSTGRES")
	if dsn == "" {
		dsn = testenv.Postgres(t)
	}
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	w := &world{conn: conn, cat: catalog.New(), rows: memory{}}
	for id, name := range []string{"public", "other"} {
		w.record(t, &catalog.Record{ID: delta.RelationID(20000 + id), Version: 1, Namespace: &catalog.Namespace{ID: delta.RelationID(20000 + id), Name: name}})
	}
	text, err := os.ReadFile("testdata/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(context.Background(), "drop schema if exists public cascade; drop schema if exists other cascade; create schema public; set timezone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(context.Background(), string(text)); err != nil {
		t.Fatal(err)
	}
	sts, err := parse.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range sts {
		if st.Tree.GetInsertStmt() == nil && st.Tree.GetCreateSchemaStmt() == nil {
			w.create(t, st)
		}
	}
	return w
}

func (w *world) record(t *testing.T, r *catalog.Record) {
	t.Helper()
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r, err = catalog.DecodeRecord(b); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.cat.Apply(r, log.Position{Sequence: uint64(len(w.rows) + 1)}); err != nil {
		t.Fatal(err)
	}
}

// create makes a relation here and reads its rows from PostgreSQL.
func (w *world) create(t *testing.T, st *parse.Statement) {
	t.Helper()
	s, _, err := plan.Analyze(st, w.options())
	if err != nil {
		t.Fatalf("%s: %v", st.Text(), err)
	}
	r := s.(*plan.CreateRelation).Relation
	id := w.cat.Current().NextID()
	w.record(t, &catalog.Record{ID: id, Version: 1, Relation: r})
	w.rows[id] = nil
	if r.Kind != catalog.Table {
		return
	}
	var names []string
	for _, c := range r.Columns {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	results, err := w.conn.PgConn().Exec(context.Background(), fmt.Sprintf("select %s from %s.%s", strings.Join(names, ", "), r.Schema, r.Name)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for n, fields := range results[0].Rows {
		out := make(row.Row, len(r.Columns))
		for i, c := range r.Columns {
			switch {
			case c.Hidden:
				out[i] = row.NewText(fmt.Sprint(n))
			case fields[i] != nil:
				if out[i], err = row.ParseText(c.Type, string(fields[i])); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.rows[id] = append(w.rows[id], out)
	}
}

// answer is what a query gives: its columns and rows, or its error, as lines.
type answer []string

func failure(state string, position int, message, detail, hint string) answer {
	out := answer{fmt.Sprintf("ERROR %s at %d: %s", state, position, message)}
	if detail != "" {
		out = append(out, "DETAIL: "+detail)
	}
	if hint != "" {
		out = append(out, "HINT: "+hint)
	}
	return out
}

func (w *world) theirs(sql string, ordered bool) answer {
	result := w.conn.PgConn().Exec(context.Background(), sql)
	var fields []pgconn.FieldDescription
	var values [][][]byte
	for result.NextResult() {
		reader := result.ResultReader()
		fields = reader.FieldDescriptions()
		values = reader.Read().Rows
	}
	err := result.Close()
	var e *pgconn.PgError
	switch {
	case errors.As(err, &e):
		return failure(e.Code, int(e.Position), e.Message, e.Detail, e.Hint)
	case err != nil:
		return answer{err.Error()}
	}
	var cols []plan.Column
	for _, f := range fields {
		t := row.T(row.OID(f.DataTypeOID)).WithTypMod(f.TypeModifier)
		if t.String() == "???" { // a table's row type, which is a record here
			t = row.T(row.Record)
		}
		cols = append(cols, plan.Column{Name: f.Name, Type: t})
	}
	var rows []string
	for _, r := range values {
		var fields []string
		for _, v := range r {
			if v == nil {
				fields = append(fields, "NULL")
			} else {
				fields = append(fields, string(v))
			}
		}
		rows = append(rows, strings.Join(fields, "|"))
	}
	return table(cols, rows, ordered)
}

func table(cols []plan.Column, rows []string, ordered bool) answer {
	var head []string
	for _, c := range cols {
		head = append(head, c.Name+" "+c.Type.String())
	}
	if !ordered {
		slices.Sort(rows)
	}
	return append(answer{strings.Join(head, ", ")}, rows...)
}

func ourError(err error) answer {
	var e *errs.Error
	if errors.As(err, &e) {
		return failure(e.State, e.Position, e.Message, e.Detail, e.Hint)
	}
	return answer{err.Error()}
}

// analyze gives the plan of a query.
func (w *world) analyze(sql string) (n plan.Node, err error) {
	sts, err := parse.Parse(sql)
	if err != nil {
		return nil, err
	}
	s, _, err := plan.Analyze(sts[0], w.options())
	if err != nil {
		return nil, err
	}
	q, ok := s.(*plan.Select)
	if !ok {
		return nil, fmt.Errorf("a %T", s)
	}
	return q.Query, nil
}

// runTimeout is what one query may take here; tooSlow is the answer of one that takes more.
const (
	runTimeout = 5 * time.Second
	tooSlow    = "ERROR 57014 too slow"
)

func (w *world) run(n plan.Node, ordered bool) (out answer) {
	defer func() {
		if r := recover(); r != nil {
			out = answer{fmt.Sprint("PANIC ", r)}
		}
	}()
	p, err := exec.Prepare(n)
	if err != nil {
		return ourError(err)
	}
	now := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	result, err := p.All(ctx, w.rows, &expr.Ctx{Now: now, StatementTime: now, Location: time.UTC}, exec.Options{})
	if ctx.Err() != nil {
		return answer{tooSlow}
	}
	if err != nil {
		return ourError(err)
	}
	var rows []string
	for _, r := range result {
		var fields []string
		for i, v := range r {
			if v.IsNull() {
				fields = append(fields, "NULL")
			} else {
				fields = append(fields, v.Text(n.Columns()[i].Type))
			}
		}
		rows = append(rows, strings.Join(fields, "|"))
	}
	return table(n.Columns(), rows, ordered)
}

// compare reports the first line in which two answers differ.
func compare(t *testing.T, what, sql string, ours, theirs answer, n plan.Node) {
	t.Helper()
	for i := range max(len(ours), len(theirs)) {
		if i >= len(ours) || i >= len(theirs) || ours[i] != theirs[i] {
			text := ""
			if n != nil {
				text = "\n" + plan.Format(n)
			}
			t.Errorf("%s%s\n   %d lines, postgres %d; at line %d:\n   ours     %q\n   postgres %q%s", what, sql, len(ours), len(theirs), i,
				ours[min(i, len(ours)):min(i+2, len(ours))], theirs[min(i, len(theirs)):min(i+2, len(theirs))], text)
			return
		}
	}
}

// TestQueriesAgainstPostgres runs each line of testdata/queries.txt here, as analyzed and as optimized, and in PostgreSQL:
// columns, rows and errors must be the same. Rows count in their order where the query has an ORDER BY. A line that starts
// with ! is one in which we differ, as the comment above it says; one with ~ fails as analyzed, where a condition is
// computed above what it guards.
func TestQueriesAgainstPostgres(t *testing.T) {
	w := newWorld(t)
	text, err := os.ReadFile("testdata/queries.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		sql := strings.TrimSpace(line)
		if sql == "" || sql[0] == '#' || sql[0] == '!' {
			continue
		}
		sql, lazy := strings.CutPrefix(sql, "~ ")
		n++
		sts, err := parse.Parse(sql)
		ordered := err == nil && len(sts[0].Tree.GetSelectStmt().GetSortClause()) > 0
		theirs := w.theirs(sql, ordered)
		node, err := w.analyze(sql)
		if err != nil {
			compare(t, "", sql, ourError(err), theirs, nil)
			continue
		}
		ours := w.run(node, ordered)
		if !lazy {
			compare(t, "", sql, ours, theirs, node)
		}
		optimized := plan.Optimize(node)
		if got := w.run(optimized, ordered); lazy || !slices.Equal(got, ours) {
			compare(t, "optimized: ", sql, got, theirs, optimized)
		}
		joins := plan.Decorrelate(optimized)
		if got := w.run(joins, ordered); lazy || !slices.Equal(got, ours) {
			compare(t, "decorrelated: ", sql, got, theirs, joins)
		}
	}
	if n < 300 {
		t.Errorf("only %d queries", n)
	}
}

var rewrite = flag.Bool("rewrite", false, "write testdata/plans.txt anew")

// TestPlans compares the optimized plans of testdata/plans.txt: a query, ----, its plan, an empty line.
func TestPlans(t *testing.T) {
	w := newWorld(t)
	text, err := os.ReadFile("testdata/plans.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		sql, want, _ := strings.Cut(block, "\n----\n")
		n, err := w.analyze(sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		before := plan.Format(n)
		got := strings.TrimSpace(plan.Format(plan.Optimize(n)))
		if after := plan.Format(n); after != before {
			t.Errorf("%s: Optimize changed its input:\n%s\nto\n%s", sql, before, after)
		}
		if got != strings.TrimSpace(want) && !*rewrite {
			t.Errorf("%s\n%s\nwant\n%s", sql, got, want)
		}
		fmt.Fprintf(&out, "%s\n----\n%s\n\n", sql, got)
	}
	if *rewrite {
		if err := os.WriteFile("testdata/plans.txt", []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
