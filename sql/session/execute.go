package session

import (
	"context"
	"fmt"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
	"github.com/miracledb/miracledb/sql/plan"
)

// Execute runs a prepared statement: see sql.Session.
func (s *Session) Execute(ctx context.Context, p sql.Prepared, args []row.Value) (sql.Result, error) {
	pr, ok := p.(*prepared)
	if !ok {
		return nil, errs.New(errs.Internal, "a prepared statement of another kind: %T", p)
	}
	if s.failed && !pr.EndsBlock() {
		return nil, errs.SQL("25P02", "current transaction is aborted, commands ignored until end of transaction block")
	}
	if len(args) != len(pr.params) {
		return nil, errs.SQL("08P01", "bind message supplies %d parameters, but prepared statement requires %d", len(args), len(pr.params))
	}
	// A plan is as old as its catalog: DDL since then makes it anew, with the result it had promised.
	if pr.stale(s) {
		fresh, err := s.prepare(ctx, pr.statement, pr.params)
		if err != nil {
			s.fail()
			return nil, err
		}
		if !sameColumns(fresh.columns, pr.columns) {
			s.fail()
			return nil, errs.SQL("0A000", "cached plan must not change result type")
		}
		pr = fresh
	}
	if s.tx != nil {
		if err := s.tx.Fits(pr.catalog); err != nil {
			s.fail()
			return nil, err
		}
	}
	ctx, done := s.watch(ctx, pr.statement.Text())
	r, err := s.execute(ctx, pr, args)
	if err != nil {
		err = s.reason(ctx, err)
		done()
		s.fail()
		return nil, err
	}
	finish := r.finish
	r.finish = func(err error) {
		if finish != nil {
			finish(err)
		}
		if err != nil {
			s.fail()
		}
		done()
	}
	if r.rows == nil && r.copy == nil {
		r.end(nil)
		return r, nil
	}
	r.rows = &watched{rows: r.rows, s: s, ctx: ctx}
	return r, nil
}

// watched gives a statement's rows under the statement's own context, so that Cancel and statement_timeout reach it.
type watched struct {
	rows
	s   *Session
	ctx context.Context
}

func (w *watched) Next(context.Context) ([]row.Row, error) {
	if w.rows == nil {
		return nil, errs.New(errs.Internal, "a COPY has no rows to read")
	}
	b, err := w.rows.Next(w.ctx)
	return b, w.s.reason(w.ctx, err)
}

func (w *watched) Close() error {
	if w.rows == nil {
		return nil
	}
	return w.rows.Close()
}

// reason replaces the error of a statement whose context ended by why it did: a cancel, a timeout.
func (s *Session) reason(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		if cause := context.Cause(ctx); cause != nil && errs.KindOf(cause) != errs.Internal {
			return cause
		}
		return errs.SQL("57014", "canceling statement due to user request")
	}
	return err
}

// tidy: long: one line per kind of statement; splitting the table would hide it.
func (s *Session) execute(ctx context.Context, p *prepared, args []row.Value) (*result, error) {
	switch st := p.plan.(type) {
	case *plan.Select:
		return s.query(ctx, p, args)
	case *plan.Insert:
		return s.insert(ctx, p, st, args)
	case *plan.Update:
		return s.update(ctx, p, st, args)
	case *plan.Delete:
		return s.delete(ctx, p, st, args)
	case *plan.Copy:
		return s.copy(ctx, p, st, args)
	case *plan.Transaction:
		return s.transaction(ctx, st)
	case *plan.CreateRelation:
		return s.create(ctx, p, st, args)
	case *plan.CreateIndex:
		return s.done(p, s.createIndex(ctx, st))
	case *plan.Drop:
		return s.done(p, s.drop(ctx, st))
	case *plan.Alter:
		return s.done(p, s.alter(ctx, st))
	case *plan.CreateSchema:
		return s.done(p, s.createSchema(ctx, st))
	case *plan.Comment:
		return s.done(p, s.comment(ctx, st))
	case *plan.Truncate:
		return s.done(p, s.truncate(ctx, st, args))
	case *plan.Set:
		return s.done(p, s.set(st))
	case *plan.Show:
		return s.show(st)
	case *plan.Explain:
		return s.explain(ctx, p, st, args)
	case *plan.Prepare:
		return s.done(p, s.prepareNamed(ctx, st))
	case *plan.Execute:
		return s.executeNamed(ctx, st, args)
	case *plan.Deallocate:
		return s.done(p, s.deallocate(st))
	case *plan.DeclareCursor:
		return s.done(p, s.declare(ctx, st, args))
	case *plan.Fetch:
		return s.fetch(ctx, st)
	case *plan.CloseCursor:
		return s.done(p, s.closeCursor(st))
	case *plan.Refresh:
		// A view follows by itself: refreshed means that it has seen everything acknowledged until now.
		s.seen = s.db.o.Log.End()
		return s.done(p, s.awaitVersion(ctx))
	case *plan.Lock:
		return s.done(p, s.lockTables(ctx, st))
	case *plan.Discard:
		return s.done(p, s.discard(st))
	case *plan.Utility:
		return command(st.Tag()), nil
	}
	return nil, errs.SQL("0A000", "%s is not supported", p.plan.Tag())
}

func (s *Session) done(p *prepared, err error) (*result, error) {
	if err != nil {
		return nil, err
	}
	return command(p.plan.Tag()), nil
}

func (s *Session) transaction(ctx context.Context, st *plan.Transaction) (*result, error) {
	switch st.Kind {
	case plan.Begin:
		return s.beginBlock(st)
	case plan.Commit:
		if !s.block {
			s.warn("25P01", "there is no transaction in progress")
			return command("COMMIT"), nil
		}
		if s.failed {
			s.endTx(false)
			return command("ROLLBACK"), nil
		}
		s.block = false
		return command("COMMIT"), s.commit(ctx)
	case plan.Rollback:
		if !s.block {
			s.warn("25P01", "there is no transaction in progress")
		}
		s.endTx(false)
		return command("ROLLBACK"), nil
	}
	if !s.block {
		return nil, errs.SQL("25P01", "%s can only be used in transaction blocks", st.Tag())
	}
	switch st.Kind {
	case plan.Savepoint:
		s.tx.Savepoint(st.Name)
	case plan.ReleaseSavepoint:
		return command(st.Tag()), s.tx.Release(st.Name)
	case plan.RollbackTo:
		if err := s.tx.RollbackTo(st.Name); err != nil {
			return nil, err
		}
		s.failed = false
		return command(st.Tag()), s.rebuildOverlay()
	}
	return command(st.Tag()), nil
}

// rebuildOverlay makes the transaction's catalog again from the definitions that are left.
func (s *Session) rebuildOverlay() error {
	s.overlay = nil
	for _, r := range s.tx.Records() {
		next, err := s.snapshot().With(r)
		if err != nil {
			return err
		}
		s.overlay = next
	}
	return nil
}

func (s *Session) beginBlock(st *plan.Transaction) (*result, error) {
	if s.block {
		s.warn("25001", "there is already a transaction in progress")
		return command("BEGIN"), nil
	}
	tx := s.begin()
	s.block = true
	if st.Isolation != "" {
		tx.Isolation = isolation(st.Isolation)
		if err := s.settings.set("transaction_isolation", st.Isolation, true, false); err != nil {
			return nil, err
		}
	}
	if st.ReadOnly != nil {
		s.readOnly = *st.ReadOnly
	}
	return command("BEGIN"), nil
}

func (s *Session) set(st *plan.Set) error {
	if st.Name == "" {
		s.settings.resetAll()
		return nil
	}
	switch lower(st.Name) {
	case "transaction_isolation":
		if s.tx != nil {
			if s.tx.Dirty() || s.pinned != nil {
				return errs.SQL("25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query")
			}
			s.tx.Isolation = isolation(st.Value)
		}
	case "transaction_read_only":
		s.readOnly = st.Value == "on" || st.Value == "true"
	}
	if err := s.settings.set(st.Name, st.Value, st.Local, st.Default); err != nil || st.Next == nil {
		return err
	}
	return s.set(st.Next)
}

func (s *Session) show(st *plan.Show) (*result, error) {
	if strings.EqualFold(st.Name, "all") {
		var lines [][]string
		for _, d := range settingList {
			v, _ := s.settings.get(d.name)
			lines = append(lines, []string{d.name, v, ""})
		}
		return texts("SHOW", []string{"name", "setting", "description"}, lines), nil
	}
	name := lower(st.Name)
	switch name {
	case "time zone":
		name = "timezone"
	case "transaction isolation level":
		name = "transaction_isolation"
	}
	v, ok := s.settings.get(name)
	if !ok {
		return nil, errs.SQL("42704", "unrecognized configuration parameter %q", st.Name)
	}
	if name == "transaction_isolation" && s.tx != nil {
		v = [...]string{"read committed", "repeatable read", "serializable"}[s.tx.Isolation]
	}
	title := name
	if d := settingByName[name]; d != nil {
		title = d.name
	}
	return texts("SHOW", []string{title}, [][]string{{v}}), nil
}

func (s *Session) discard(st *plan.Discard) error {
	if strings.EqualFold(st.What, "all") {
		if s.block {
			return errs.SQL("25001", "DISCARD ALL cannot run inside a transaction block")
		}
		s.closeCursors(true)
		s.settings.resetAll()
		s.db.advisory.release(s, false)
	}
	clear(s.statements)
	return nil
}

func (s *Session) lockTables(ctx context.Context, st *plan.Lock) error {
	if !s.block {
		return errs.SQL("25P01", "LOCK TABLE can only be used in transaction blocks")
	}
	for _, rel := range st.Tables {
		if err := s.begin().LockRelation(ctx, rel.ID, s.lockTimeout()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) create(ctx context.Context, p *prepared, st *plan.CreateRelation, args []row.Value) (*result, error) {
	rel, made, err := s.createRelation(ctx, st)
	if err != nil || !made || !st.Fill || !st.WithData {
		return command(st.Tag()), err
	}
	w, err := s.writer(rel, s.expression(args))
	if err != nil {
		return nil, err
	}
	n, err := s.fill(ctx, w, p, st.Query, args)
	return command(fmt.Sprintf("SELECT %d", n)), err
}

func sameColumns(a, b []sql.Column) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || a[i].Type.OID != b[i].Type.OID {
			return false
		}
	}
	return true
}
