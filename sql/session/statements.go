package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/sql/txn"
	"github.com/miracledb/miracledb/views/catalog"
)

// compiledWrite holds the compiled expressions of a writing statement.
type compiledWrite struct {
	source    plan.Node        // finds the rows
	defaults  []expr.Evaluator // per column; nil: NULL or given
	conflict  *onConflict
	set       []expr.Evaluator
	returning []expr.Evaluator
	// recheck is the condition of an UPDATE or DELETE whose source is a filter over the table: READ COMMITTED checks it
	// again on a row that changed while its lock was waited for. simple is false when the source is something else.
	recheck expr.Predicate
	simple  bool
}

func (p *prepared) compiled(make func() (*compiledWrite, error)) (*compiledWrite, error) {
	p.once.Lock()
	defer p.once.Unlock()
	if p.once.write == nil {
		w, err := make()
		if err != nil {
			return nil, err
		}
		p.once.write = w
	}
	return p.once.write, nil
}

func compileDefaults(exprs []expr.Expr) ([]expr.Evaluator, error) {
	fs := make([]expr.Evaluator, len(exprs))
	for i, e := range exprs {
		if e == nil {
			continue
		}
		f, err := expr.Compile(e)
		if err != nil {
			return nil, err
		}
		fs[i] = f
	}
	return fs, nil
}

// each runs a plan and calls fn with every row.
func (s *Session) each(ctx context.Context, p *prepared, n plan.Node, args []row.Value, fn func(row.Row) error) error {
	rs, err := s.open(ctx, p, n, args)
	if err != nil {
		return err
	}
	for {
		batch, err := rs.Next(ctx)
		if err == io.EOF {
			return rs.Close()
		}
		if err != nil {
			return errors.Join(err, rs.Close())
		}
		for _, r := range batch {
			if err := fn(r); err != nil {
				_ = rs.Close()
				return err
			}
		}
	}
}

// returned collects what RETURNING gives.
type returned struct {
	fs   []expr.Evaluator
	ectx *expr.Ctx
	rows []row.Row
}

func (r *returned) add(in row.Row) error {
	if r.fs == nil {
		return nil
	}
	out := make(row.Row, len(r.fs))
	for i, f := range r.fs {
		v, err := f(r.ectx, in)
		if err != nil {
			return err
		}
		out[i] = v
	}
	r.rows = append(r.rows, out)
	return nil
}

func (r *returned) result(p *prepared, tag string) *result {
	res := &result{tag: tag, columns: p.columns}
	if r.fs != nil {
		res.rows = &list{r.rows}
	}
	return res
}

func (s *Session) insert(ctx context.Context, p *prepared, st *plan.Insert, args []row.Value) (*result, error) {
	c, err := p.compiled(func() (*compiledWrite, error) {
		c := &compiledWrite{source: bound(st.With, st.Source)}
		var err1, err2, err3 error
		c.defaults, err1 = compileDefaults(st.Defaults)
		c.conflict, err2 = compileConflict(st.Conflict)
		if st.Returning != nil {
			c.returning, err3 = compileReturning(st.Returning)
		}
		return c, errors.Join(err1, err2, err3)
	})
	if err != nil {
		return nil, err
	}
	ectx := s.expression(args)
	w, err := s.writer(st.Table, ectx)
	if err != nil {
		return nil, err
	}
	ret := &returned{fs: c.returning, ectx: ectx}
	n := int64(0)
	// The source is read whole before the first write, so that INSERT ... SELECT from the same table ends.
	source, err := s.collect(ctx, p, c.source, args)
	if err != nil {
		return nil, err
	}
	for _, in := range source {
		r, err := w.assemble(st.Columns, c.defaults, in)
		if err != nil {
			return nil, err
		}
		if r, err = w.insert(ctx, r, c.conflict); err != nil {
			return nil, err
		}
		if r == nil {
			continue
		}
		n++
		if err := ret.add(r); err != nil {
			return nil, err
		}
	}
	return ret.result(p, "INSERT 0 "+strconv.FormatInt(n, 10)), nil
}

// collect runs a plan and keeps its rows.
func (s *Session) collect(ctx context.Context, p *prepared, n plan.Node, args []row.Value) ([]row.Row, error) {
	var all []row.Row
	err := s.each(ctx, p, n, args, func(r row.Row) error {
		all = append(all, append(row.Row(nil), r...))
		return nil
	})
	return all, err
}

// assemble makes a whole row from the columns given and the defaults of the others.
func (w *writer) assemble(columns []int, defaults []expr.Evaluator, in row.Row) (row.Row, error) {
	r := make(row.Row, len(w.rel.Columns))
	given := make([]bool, len(r))
	for i, col := range columns {
		r[col], given[col] = in[i], true
	}
	for col, f := range defaults {
		if f == nil || given[col] {
			continue
		}
		v, err := f(w.ectx, nil)
		if err != nil {
			return nil, err
		}
		r[col] = v
	}
	if i := w.rowID(); i >= 0 && r[i].IsNull() {
		r[i] = ingest.NewRowID()
	}
	return r, nil
}

// rowID is the index of the hidden key column of a table without a primary key, -1 when there is none.
func (w *writer) rowID() int {
	return slices.IndexFunc(w.rel.Columns, func(c catalog.Column) bool { return c.Hidden && c.Name == ingest.RowID })
}

// fill inserts the rows of a query (CREATE TABLE AS).
func (s *Session) fill(ctx context.Context, w *writer, p *prepared, query plan.Node, args []row.Value) (n int64, err error) {
	rowID := w.rowID()
	err = s.each(ctx, p, query, args, func(in row.Row) error {
		r := make(row.Row, len(w.rel.Columns))
		j := 0
		for i := range r {
			if i == rowID {
				r[i] = ingest.NewRowID()
				continue
			}
			r[i] = in[j]
			j++
		}
		n++
		_, err := w.insert(ctx, r, nil)
		return err
	})
	return n, err
}

func (s *Session) update(ctx context.Context, p *prepared, st *plan.Update, args []row.Value) (*result, error) {
	c, err := p.compiled(func() (*compiledWrite, error) {
		c := &compiledWrite{}
		source, sets := computed(st.Source, st.Set)
		for _, set := range sets {
			f, err := expr.Compile(set)
			if err != nil {
				return nil, err
			}
			c.set = append(c.set, f)
		}
		return c, c.compileFound(st.With, source, st.Returning)
	})
	if err != nil {
		return nil, err
	}
	return s.change(ctx, p, c, st.Table, args, func(w *writer, key []byte, now, source row.Row) (row.Row, error) {
		in := append(append(row.Row{}, now...), source[len(st.Table.Columns):]...)
		next := append(row.Row{}, now...)
		for i, set := range st.Set {
			v, err := c.set[i](w.ectx, in)
			if err != nil {
				return nil, err
			}
			next[set.Column] = v
		}
		return next, w.update(ctx, key, now, next)
	})
}

func (s *Session) delete(ctx context.Context, p *prepared, st *plan.Delete, args []row.Value) (*result, error) {
	c, err := p.compiled(func() (*compiledWrite, error) {
		c := &compiledWrite{}
		return c, c.compileFound(st.With, st.Source, st.Returning)
	})
	if err != nil {
		return nil, err
	}
	return s.change(ctx, p, c, st.Table, args, func(w *writer, key []byte, now, _ row.Row) (row.Row, error) {
		return now, w.delete(key, now)
	})
}

// change is UPDATE and DELETE: fn changes a row that was found, whose newest version is now, and gives the one that RETURNING
// sees.
func (s *Session) change(ctx context.Context, p *prepared, c *compiledWrite, table *catalog.Relation, args []row.Value,
	fn func(w *writer, key []byte, now, source row.Row) (row.Row, error)) (*result, error) {
	w, err := s.writer(table, s.expression(args))
	if err != nil {
		return nil, err
	}
	ret := &returned{fs: c.returning, ectx: w.ectx}
	width := len(table.Columns)
	n, err := s.found(ctx, p, w, c, args, func(key []byte, now, source row.Row) error {
		r, err := fn(w, key, now, source)
		if err != nil {
			return err
		}
		return ret.add(append(r[:width:width], source[width:]...))
	})
	if err != nil {
		return nil, err
	}
	return ret.result(p, p.plan.Tag()+" "+strconv.FormatInt(n, 10)), nil
}

// bound puts WITH in front of a statement's source.
func bound(with []*plan.Binding, source plan.Node) plan.Node {
	if len(with) == 0 {
		return source
	}
	return &plan.With{Bindings: with, Body: source}
}

// computed gives the source and the expressions over it that UPDATE assigns. What has a subquery is computed by the
// source, beside the row: only the executor runs plans.
func computed(source plan.Node, set []plan.SetColumn) (plan.Node, []expr.Expr) {
	list := make([]expr.Expr, len(set))
	inSource := false
	for i, s := range set {
		list[i] = s.Expr
		inSource = inSource || hasSubquery(s.Expr)
	}
	if !inSource {
		return source, list
	}
	cols := source.Columns()
	p := &plan.Project{Input: source}
	add := func(c plan.Column, e expr.Expr) expr.Expr {
		p.Cols, p.Exprs = append(p.Cols, c), append(p.Exprs, e)
		return &expr.Column{Index: len(p.Exprs) - 1, Typ: e.Type(), Name: c.Name}
	}
	for i, c := range cols {
		add(c, &expr.Column{Index: i, Typ: c.Type, Name: c.Name})
	}
	for i, e := range list {
		list[i] = add(plan.Column{Name: "set", Type: e.Type()}, e)
	}
	return p, list
}

func hasSubquery(e expr.Expr) bool {
	found := false
	expr.Walk(e, func(e expr.Expr) bool {
		_, is := e.(*expr.Subquery)
		found = found || is
		return !found
	})
	return found
}

// compileReturning compiles RETURNING.
func compileReturning(list []expr.Expr) ([]expr.Evaluator, error) {
	for _, e := range list {
		if hasSubquery(e) {
			return nil, errs.SQL("0A000", "subqueries in RETURNING are not supported").
				WithHint("Put the statement into WITH ... RETURNING and query that.")
		}
	}
	return expr.CompileAll(list)
}

// compileFound compiles what UPDATE and DELETE share.
func (c *compiledWrite) compileFound(with []*plan.Binding, source plan.Node, returning []expr.Expr) error {
	c.source = bound(with, source)
	var conds []expr.Expr
	n := source
	for {
		f, ok := n.(*plan.Filter)
		if !ok {
			break
		}
		conds = append(conds, f.Cond)
		n = f.Input
	}
	_, c.simple = n.(*plan.Scan)
	for _, cond := range conds {
		c.simple = c.simple && !hasSubquery(cond)
	}
	if c.simple && len(conds) > 0 {
		var err error
		if c.recheck, err = expr.CompilePredicate(&expr.And{Args: conds}); err != nil {
			return err
		}
	}
	if returning == nil {
		return nil
	}
	var err error
	c.returning, err = compileReturning(returning)
	return err
}

// errChanged makes a statement start again: a row that it found was changed while it waited for the row's lock, and its
// condition is not one that can be checked on that row alone.
var errChanged = errs.SQL("40001", "could not serialize access due to concurrent update")

// found locks each row that the source yields, once, and calls fn with its newest version. A row that changed since the
// source saw it is checked again (READ COMMITTED) or ends the transaction (40001).
func (s *Session) found(ctx context.Context, p *prepared, w *writer, c *compiledWrite, args []row.Value, fn func(key []byte, now, source row.Row) error) (n int64, err error) {
	if !w.rel.Keyed() {
		return 0, errs.SQL("0A000", "cannot change rows of append-only relation %q", w.rel.Name)
	}
	s.tx.Savepoint("\x00statement")
	defer func() { _ = s.tx.Release("\x00statement") }()
	for attempt := 0; ; attempt++ {
		n, err = s.foundOnce(ctx, p, w, c, args, fn)
		if err != errChanged || w.tx.Isolation != txn.ReadCommitted || attempt == 10 {
			return n, err
		}
		// The locks taken stay, so each attempt waits for fewer rows.
		if err := s.tx.RollbackTo("\x00statement"); err != nil {
			return 0, err
		}
	}
}

func (s *Session) foundOnce(ctx context.Context, p *prepared, w *writer, c *compiledWrite, args []row.Value,
	fn func(key []byte, now, source row.Row) error) (n int64, err error) {
	rows, err := s.collect(ctx, p, c.source, args)
	if err != nil {
		return 0, err
	}
	done := make(map[string]bool, len(rows))
	for _, r := range rows {
		key := ingest.HeapKey(nil, w.rel, r)
		if done[string(key)] {
			continue
		}
		done[string(key)] = true
		now, ok, err := s.relock(ctx, w, c, key, r)
		if err != nil {
			return n, err
		}
		if !ok {
			continue
		}
		n++
		if err := fn(key, now, r); err != nil {
			return n, err
		}
	}
	return n, nil
}

// relock locks a row that a source found and gives its newest version; ok is false when it is gone or no longer meant.
func (s *Session) relock(ctx context.Context, w *writer, c *compiledWrite, key []byte, seen row.Row) (row.Row, bool, error) {
	now, exists, err := w.current(ctx, key)
	if err != nil {
		return nil, false, err
	}
	width := len(w.rel.Columns)
	if exists && bytes.Equal(row.EncodeRow(nil, now), row.EncodeRow(nil, seen[:width])) {
		return now, true, nil
	}
	switch {
	case w.tx.Isolation != txn.ReadCommitted:
		return nil, false, errChanged
	case !exists:
		return nil, false, nil
	case !c.simple:
		return nil, false, errChanged
	case c.recheck == nil:
		return now, true, nil
	}
	ok, err := c.recheck(w.ectx, now)
	return now, ok, err
}

func (s *Session) truncate(ctx context.Context, st *plan.Truncate, args []row.Value) error {
	for _, rel := range st.Tables {
		w, err := s.writer(rel, s.expression(args))
		if err != nil {
			return err
		}
		if !rel.Keyed() {
			return errs.SQL("0A000", "cannot truncate append-only relation %q: its topic keeps its records", rel.Name)
		}
		scan := &plan.Scan{Relation: rel}
		for i, c := range rel.Columns {
			scan.Cols = append(scan.Cols, plan.Column{Name: c.Name, Type: c.Type, Relation: uint32(rel.ID), Attribute: int16(i + 1)})
		}
		rows, err := s.collect(ctx, nil, scan, args)
		if err != nil {
			return err
		}
		for _, r := range rows {
			key := ingest.HeapKey(nil, rel, r)
			now, ok, err := w.current(ctx, key)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := w.delete(key, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Session) copy(ctx context.Context, p *prepared, st *plan.Copy, args []row.Value) (*result, error) {
	format, err := copyFormat(st)
	if err != nil {
		return nil, err
	}
	if !st.From {
		r, err := s.queryNode(ctx, p, st.Query, args)
		if err != nil {
			return nil, err
		}
		r.word = "COPY"
		r.copy = &sql.Copy{Format: format, Columns: r.columns}
		return r, nil
	}
	defaults, err := compileDefaults(st.Defaults)
	if err != nil {
		return nil, err
	}
	w, err := s.writer(st.Table, s.expression(args))
	if err != nil {
		return nil, err
	}
	r := &result{}
	columns := make([]sql.Column, len(st.Columns))
	for i, col := range st.Columns {
		c := st.Table.Columns[col]
		columns[i] = sql.Column{Name: c.Name, Type: c.Type, Table: uint32(st.Table.ID), Attribute: int16(col + 1)}
	}
	n := int64(0)
	r.copy = &sql.Copy{In: true, Format: format, Columns: columns,
		Write: func(ctx context.Context, rows []row.Row) error {
			for _, in := range rows {
				full, err := w.assemble(st.Columns, defaults, in)
				if err != nil {
					return err
				}
				if _, err := w.insert(ctx, full, nil); err != nil {
					return err
				}
				n++
			}
			return nil
		},
		Done: func(context.Context) error {
			r.tag = "COPY " + strconv.FormatInt(n, 10)
			r.end(nil)
			return nil
		},
		Fail: func(err error) { r.end(err) },
	}
	return r, nil
}
