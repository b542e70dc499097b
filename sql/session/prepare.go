package session

import (
	"context"
	"strings"
	"sync"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// prepared is a checked statement. It is shared by sessions and not changed once made, but for what is filled in once.
type prepared struct {
	statement *parse.Statement
	plan      plan.Statement
	params    []row.Type
	columns   []sql.Column
	catalog   *catalog.Snapshot // what it was planned against
	path      string

	once struct {
		sync.Mutex
		route *route         // of a Select, or of the query of another statement
		write *compiledWrite // of INSERT, UPDATE, DELETE, COPY FROM
	}
}

var _ sql.Prepared = (*prepared)(nil)

func (p *prepared) Params() []row.Type       { return p.params }
func (p *prepared) Columns() []sql.Column    { return p.columns }
func (p *prepared) Statement() sql.Statement { return p.statement }
func (p *prepared) EndsBlock() bool          { return p.statement.EndsBlock() }

// stale reports whether the plan was made for another catalog than the session's next statement sees.
func (p *prepared) stale(s *Session) bool {
	path, _ := s.settings.get("search_path")
	return p.catalog != s.snapshot() || p.path != path
}

// Prepare checks and plans a statement.
func (s *Session) Prepare(ctx context.Context, st sql.Statement, types []row.Type) (sql.Prepared, error) {
	ps, ok := st.(*parse.Statement)
	if !ok {
		return nil, errs.New(errs.Internal, "a statement of another kind: %T", st)
	}
	if s.failed && !st.EndsBlock() {
		return nil, errs.SQL("25P02", "current transaction is aborted, commands ignored until end of transaction block")
	}
	p, err := s.prepare(ctx, ps, types)
	if err != nil {
		s.fail()
		return nil, err
	}
	return p, nil
}

func (s *Session) prepare(_ context.Context, st *parse.Statement, types []row.Type) (*prepared, error) {
	path, _ := s.settings.get("search_path")
	key := planKey{text: st.Text(), path: path, types: typesKey(types)}
	snap := s.snapshot()
	if p := s.db.plans.get(key, snap); p != nil {
		return p, nil
	}
	checked, params, err := plan.Analyze(st, plan.Options{Catalog: snap, SearchPath: s.settings.searchPath(), ParamTypes: types})
	if err != nil {
		return nil, err
	}
	p := &prepared{statement: st, plan: checked, params: params, catalog: snap, path: path}
	p.columns = s.resultColumns(checked)
	if s.overlay == nil {
		s.db.plans.put(key, p)
	}
	return p, nil
}

// resultColumns describes what a statement returns; nil: no rows.
func (s *Session) resultColumns(st plan.Statement) []sql.Column {
	var cols []plan.Column
	switch st := st.(type) {
	case *plan.Select:
		cols = st.Query.Columns()
		if cols == nil {
			return []sql.Column{}
		}
	case *plan.Insert:
		cols = st.ReturningCols
	case *plan.Update:
		cols = st.ReturningCols
	case *plan.Delete:
		cols = st.ReturningCols
	case *plan.Explain:
		return []sql.Column{{Name: "QUERY PLAN", Type: row.T(row.Text)}}
	case *plan.Show:
		r, err := s.show(st)
		if err != nil {
			return nil
		}
		return r.columns
	case *plan.Execute:
		if p := s.statements[st.Name]; p != nil {
			return p.columns
		}
	case *plan.Fetch:
		if c := s.cursors[st.Name]; c != nil && !st.Move {
			return c.columns
		}
	}
	if cols == nil {
		return nil
	}
	out := make([]sql.Column, len(cols))
	for i, c := range cols {
		out[i] = sql.Column{Name: c.Name, Type: c.Type, Table: c.Relation, Attribute: c.Attribute}
	}
	return out
}

// planCache keeps checked statements by text, so that the hot path neither parses nor plans; and the compiled CHECK
// constraints of relations.
type planCache struct {
	mu struct {
		sync.Mutex
		plans   map[planKey]*prepared
		checked map[*catalog.Relation][]ingest.Check
	}
}

type planKey struct{ text, path, types string }

// planCacheSize bounds the cache: about what an application of a few hundred statements uses, several times over.
const planCacheSize = 4096

func newPlanCache() *planCache {
	c := &planCache{}
	c.mu.plans = map[planKey]*prepared{}
	c.mu.checked = map[*catalog.Relation][]ingest.Check{}
	return c
}

func typesKey(types []row.Type) string {
	if len(types) == 0 {
		return ""
	}
	var b strings.Builder
	for _, t := range types {
		b.WriteString(t.String())
		b.WriteByte(',')
	}
	return b.String()
}

func (c *planCache) get(key planKey, snap *catalog.Snapshot) *prepared {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.mu.plans[key]; p != nil && p.catalog == snap {
		return p
	}
	return nil
}

func (c *planCache) put(key planKey, p *prepared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.mu.plans) >= planCacheSize {
		clear(c.mu.plans) // rare: statements with literals in their text; the next ones fill it again
	}
	c.mu.plans[key] = p
}

// checks compiles the CHECK constraints of a relation.
func (c *planCache) checks(rel *catalog.Relation) ([]ingest.Check, error) {
	if len(rel.Checks) == 0 {
		return nil, nil
	}
	c.mu.Lock()
	cs, ok := c.mu.checked[rel]
	c.mu.Unlock()
	if ok {
		return cs, nil
	}
	cs, err := Checks(rel)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.mu.checked) >= planCacheSize {
		clear(c.mu.checked)
	}
	c.mu.checked[rel] = cs
	return cs, nil
}

// Checks compiles the CHECK constraints of a relation.
func Checks(rel *catalog.Relation) ([]ingest.Check, error) {
	cs := make([]ingest.Check, len(rel.Checks))
	for i, check := range rel.Checks {
		e, err := plan.AnalyzeExpr(check.Expr, rel)
		if err != nil {
			return nil, err
		}
		f, err := expr.Compile(e)
		if err != nil {
			return nil, err
		}
		ectx := &expr.Ctx{}
		cs[i] = ingest.Check{Name: check.Name, Holds: func(r row.Row) (bool, error) {
			v, err := f(ectx, r)
			return v.IsNull() || v.Bool(), err // NULL passes a CHECK
		}}
	}
	return cs, nil
}

// prepareNamed is SQL's PREPARE.
func (s *Session) prepareNamed(ctx context.Context, st *plan.Prepare) error {
	if _, ok := s.statements[st.Name]; ok {
		return errs.SQL("42P05", "prepared statement %q already exists", st.Name)
	}
	list, err := parse.Parse(st.Text)
	if err != nil {
		return err
	}
	if len(list) != 1 {
		return errs.SQL("42601", "PREPARE takes one statement")
	}
	p, err := s.prepare(ctx, list[0], st.Types)
	if err == nil {
		s.statements[st.Name] = p
	}
	return err
}

func (s *Session) executeNamed(ctx context.Context, st *plan.Execute, args []row.Value) (*result, error) {
	p := s.statements[st.Name]
	if p == nil {
		return nil, errs.SQL("26000", "prepared statement %q does not exist", st.Name)
	}
	if len(st.Args) != len(p.params) {
		return nil, errs.SQL("42601", "wrong number of parameters for prepared statement %q", st.Name).
			WithDetail("Expected %d parameters but got %d.", len(p.params), len(st.Args))
	}
	values := make([]row.Value, len(st.Args))
	for i, a := range st.Args {
		cast := a
		if a.Type().OID != p.params[i].OID {
			cast = &expr.Cast{Arg: a, To: p.params[i], Context: expr.Assignment}
		}
		f, err := expr.Compile(cast)
		if err != nil {
			return nil, err
		}
		if values[i], err = f(s.expression(args), nil); err != nil {
			return nil, err
		}
	}
	if p.stale(s) {
		fresh, err := s.prepare(ctx, p.statement, p.params)
		if err != nil {
			return nil, err
		}
		p = fresh
	}
	return s.execute(ctx, p, values)
}

func (s *Session) deallocate(st *plan.Deallocate) error {
	if st.Name == "" {
		clear(s.statements)
		return nil
	}
	if _, ok := s.statements[st.Name]; !ok {
		return errs.SQL("26000", "prepared statement %q does not exist", st.Name)
	}
	delete(s.statements, st.Name)
	return nil
}
