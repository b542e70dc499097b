package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql/duck"
	"github.com/miracledb/miracledb/sql/exec"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/sql/txn"
	"github.com/miracledb/miracledb/views"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/version"
)

// fewRows is how many rows a query may have to look at for the row executor to be the faster one: below it, the analytical
// engine's fixed cost of about 0.2 ms and the making of column images weigh more than its speed.
const fewRows = 5000

// route is how a plan is run, as far as it does not depend on the moment.
type route struct {
	node      plan.Node // what it was asked for
	optimized plan.Node
	row       *exec.Prepared
	// relations are those that the plan reads, subqueries included.
	relations []*catalog.Relation
	// point says that every relation is reached by key: the row executor needs no estimate.
	point bool
	// single says that one relation is read, once.
	single bool
	// views, columns and rowOnly say whether materialized views, streams, and relations that only the row executor
	// reads are among the relations.
	views, columns, rowOnly bool
}

func (s *Session) route(p *prepared, n plan.Node) (*route, error) {
	if p != nil {
		p.once.Lock()
		defer p.once.Unlock()
		if p.once.route != nil && p.once.route.node == n {
			return p.once.route, nil
		}
	}
	r := &route{node: n, optimized: plan.Optimize(n), point: true}
	var err error
	if r.row, err = exec.Prepare(r.optimized); err != nil {
		return nil, err
	}
	for _, read := range r.row.Reads() {
		r.point = r.point && read.Few
		rel := read.Relation
		if slices.Contains(r.relations, rel) {
			continue
		}
		r.relations = append(r.relations, rel)
		switch rel.Kind {
		case catalog.MaterializedView:
			r.views = true
		case catalog.Stream:
			r.columns = true
		case catalog.System, catalog.Raw, catalog.Rejected:
			r.rowOnly = true
		}
	}
	r.single = len(r.row.Reads()) == 1
	if p != nil {
		p.once.route = r
	}
	return r, nil
}

// choice is a route at one moment: which executor, and why.
type choice struct {
	analytic   bool
	reason     string
	translated *duck.Translated
}

func (s *Session) choose(r *route, args []row.Value) (choice, error) {
	forced, _ := s.settings.get("miracledb.route")
	switch {
	case forced == "row":
		return choice{reason: "SET miracledb.route = row"}, nil
	case r.point && len(r.relations) > 0 && forced != "analytic":
		return choice{reason: "every relation is reached by its key"}, nil
	case r.rowOnly:
		return choice{reason: "system catalogs, raw topics and rejected records are read row by row"}, nil
	case s.db.o.Engine == nil:
		return choice{reason: "there is no analytical engine"}, nil
	case s.tx != nil && s.dirty(r):
		return choice{reason: "the transaction has changed a relation that the query reads"}, nil
	}
	total := int64(0)
	for _, rel := range r.relations {
		total += s.db.estimate(rel)
	}
	if total < fewRows && forced != "analytic" {
		return choice{reason: fmt.Sprintf("about %d rows to look at", total)}, nil
	}
	ectx := s.expression(args)
	t, err := duck.Translate(r.optimized, duck.Context{Params: args, Now: ectx.Now, StatementTime: ectx.StatementTime, Location: ectx.Location})
	var no *duck.Unsupported
	if errors.As(err, &no) {
		if forced == "analytic" {
			return choice{}, errs.SQL("0A000", "the analytical engine cannot answer this: %s", no.Reason)
		}
		return choice{reason: no.Reason}, nil
	}
	return choice{analytic: true, reason: fmt.Sprintf("about %d rows to look at", total), translated: t}, err
}

func (s *Session) dirty(r *route) bool {
	for _, rel := range r.relations {
		if len(s.tx.Changed(rel.ID)) > 0 {
			return true
		}
	}
	return false
}

// estimate is about how many rows a relation has.
func (d *Database) estimate(rel *catalog.Relation) int64 {
	switch rel.Kind {
	case catalog.Table:
		return d.o.Tables.Stats(rel.ID).Rows
	case catalog.MaterializedView:
		return d.o.Views.Stats(rel.ID).Rows
	case catalog.Stream:
		if h, err := d.o.Versions.Acquire(context.Background(), log.Position{}); err == nil {
			defer func() { _ = h.Release() }()
			if r, ok := h.Value.Columnar.Relation(rel.ID); ok {
				return r.Rows
			}
		}
	}
	return 0
}

// size is about how many bytes a relation's rows take.
func (d *Database) size(rel *catalog.Relation) int64 {
	switch rel.Kind {
	case catalog.Table, catalog.Rejected:
		return d.o.Tables.Stats(rel.ID).Bytes
	case catalog.MaterializedView:
		return d.o.Views.Stats(rel.ID).Bytes
	case catalog.Stream:
		if h, err := d.o.Versions.Acquire(context.Background(), log.Position{}); err == nil {
			defer func() { _ = h.Release() }()
			if r, ok := h.Value.Columnar.Relation(rel.ID); ok {
				n := int64(0)
				for _, seg := range r.Segments {
					n += seg.Bytes
				}
				for _, t := range r.Tails {
					n += t.Bytes
				}
				return n
			}
		}
	}
	return 0
}

// query runs a SELECT.
func (s *Session) query(ctx context.Context, p *prepared, args []row.Value) (*result, error) {
	st, ok := p.plan.(*plan.Select)
	if !ok {
		return nil, errs.New(errs.Internal, "%s is not a query", p.plan.Tag())
	}
	rs, err := s.open(ctx, p, st.Query, args)
	if err != nil {
		return nil, err
	}
	return &result{columns: p.columns, rows: rs, word: "SELECT"}, nil
}

// queryNode runs a query that is part of another statement.
func (s *Session) queryNode(ctx context.Context, p *prepared, n plan.Node, args []row.Value) (*result, error) {
	rs, err := s.open(ctx, p, n, args)
	if err != nil {
		return nil, err
	}
	return &result{columns: s.resultColumns(&plan.Select{Query: n}), rows: rs, word: "SELECT"}, nil
}

// open starts a plan on the route that fits.
func (s *Session) open(ctx context.Context, p *prepared, n plan.Node, args []row.Value) (rows, error) {
	r, err := s.route(p, n)
	if err != nil {
		return nil, err
	}
	c, err := s.choose(r, args)
	if err != nil {
		return nil, err
	}
	if c.analytic {
		rs, err := s.analytic(ctx, r, c.translated)
		var no *duck.Unsupported
		if !errors.As(err, &no) {
			return rs, err
		}
		// A value that DuckDB's numbers cannot hold was met before the first row: the row executor answers.
	}
	return s.byRow(ctx, r, args)
}

// byRow runs a route in the row executor.
func (s *Session) byRow(ctx context.Context, r *route, args []row.Value) (rows, error) {
	src := &source{s: s, single: r.single}
	var err error
	if src.held, err = s.version(ctx, r); err != nil {
		return nil, err
	}
	rs, err := r.row.Run(ctx, src, s.expression(args), exec.Options{Modify: s.modify})
	if err != nil {
		return nil, errors.Join(err, src.close())
	}
	return &rowRows{rs, src}, nil
}

// version gives the version that a statement must read; nil when the newest rows of tables will do: with miracledb.read = latest
// once they have everything that was durable when the statement began.
func (s *Session) version(ctx context.Context, r *route) (*views.Held[*version.Version], error) {
	if s.tx != nil && s.block && s.tx.Isolation != txn.ReadCommitted {
		if s.pinned == nil {
			h, err := s.db.o.Versions.Acquire(ctx, s.db.o.Log.End())
			if err != nil {
				return nil, err
			}
			s.pinned, s.tx.Snapshot = h, h.Value.At
		}
		return s.pinned.Retain(), nil
	}
	if !r.views && !r.columns {
		if s.latest() {
			return nil, s.db.o.Applied(ctx, s.db.o.Log.End())
		}
		return nil, nil
	}
	h, err := s.acquire(ctx, r.views)
	if err != nil {
		return nil, err
	}
	if err := following(h.Value, r.relations); err != nil {
		return nil, errors.Join(err, h.Release())
	}
	return h, nil
}

// acquire waits for a version: with views in it one at or after what this session has written or read, else one at or
// after everything that was durable when the statement began.
func (s *Session) acquire(ctx context.Context, withViews bool) (*views.Held[*version.Version], error) {
	at := s.seen
	if !withViews || s.latest() {
		at = s.db.o.Log.End()
	}
	// What the statement was planned against may be newer than what the session has read.
	if p := s.db.o.Catalog.Current().Position(); at.Less(p) {
		at = p
	}
	h, err := s.db.o.Versions.Acquire(ctx, at)
	if err == nil && s.seen.Less(h.Value.At) {
		s.seen = h.Value.At
	}
	return h, err
}

// latest reports whether reads wait for what others have been told is durable.
func (s *Session) latest() bool {
	mode, _ := s.settings.get("miracledb.read")
	return mode == "latest"
}

// following fails when a view that is read has stopped: its rows are old, and nobody would see that.
func following(v *version.Version, relations []*catalog.Relation) error {
	for _, rel := range relations {
		if err := v.Broken[rel.ID]; err != nil {
			return errs.SQL("55000", "materialized view %q has stopped following its query", rel.Name).WithDetail("%v", err).
				WithHint("Drop it, or mend the data and create it again.")
		}
	}
	return nil
}

// awaitVersion waits until views have seen what this session has.
func (s *Session) awaitVersion(ctx context.Context) error {
	h, err := s.db.o.Versions.Acquire(ctx, s.seen)
	if err != nil {
		return err
	}
	return h.Release()
}

// rowRows are the row executor's rows; closing them lets the source go.
type rowRows struct {
	rows exec.Rows
	src  *source
}

func (r *rowRows) Next(context.Context) ([]row.Row, error) { return r.rows.Next() }

func (r *rowRows) Close() error { return errors.Join(r.rows.Close(), r.src.close()) }

// analyticRows are the analytical engine's rows; closing them lets the version go.
type analyticRows struct {
	rows *duck.Rows
	held *views.Held[*version.Version]
}

func (r *analyticRows) Next(context.Context) ([]row.Row, error) {
	rows, err := r.rows.Next()
	if err == nil && len(rows) == 0 {
		return nil, io.EOF
	}
	return rows, err
}

func (r *analyticRows) Close() error { return errors.Join(r.rows.Close(), r.held.Release()) }

// modify runs a data-modifying common table expression.
func (s *Session) modify(ctx context.Context, st plan.Statement) ([]row.Row, error) {
	p := &prepared{plan: st, columns: s.resultColumns(st)}
	r, err := s.execute(ctx, p, nil)
	if err != nil {
		return nil, err
	}
	var all []row.Row
	for {
		batch, err := r.Next(ctx)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, batch...)
	}
}
