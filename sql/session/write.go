package session

import (
	"bytes"
	"context"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/sql/txn"
	"github.com/miracledb/miracledb/views/catalog"
)

// writer changes rows of one table inside the session's transaction.
type writer struct {
	s      *Session
	tx     *txn.Tx
	rel    *catalog.Relation
	ectx   *expr.Ctx
	checks []ingest.Check
	wait   time.Duration
}

func (s *Session) writer(rel *catalog.Relation, ectx *expr.Ctx) (*writer, error) {
	tx := s.begin()
	if s.readOnly {
		return nil, errs.SQL("25006", "cannot change %q in a read-only transaction", rel.Name)
	}
	switch rel.Kind {
	case catalog.Table, catalog.Stream:
	case catalog.System:
		return nil, rel.System()
	default:
		return nil, errs.SQL("42809", "cannot change %s %q", rel.Kind, rel.Name).
			WithDetail("Its rows are computed from other relations.")
	}
	checks, err := s.db.plans.checks(rel)
	return &writer{s: s, tx: tx, rel: rel, ectx: ectx, checks: checks, wait: s.lockTimeout()}, err
}

func (s *Session) lockTimeout() time.Duration {
	v, _ := s.settings.get("lock_timeout")
	d, _ := parseDuration(v)
	return d
}

// current locks a row and gives its newest version.
func (w *writer) current(ctx context.Context, key []byte) (row.Row, bool, error) {
	encoded, own, ok, err := w.tx.Lock(ctx, w.rel.ID, key, w.wait)
	if err != nil || !ok || own != nil {
		return own, ok, err
	}
	r, err := ingest.DecodeRow(w.rel, encoded)
	return r, true, err
}

// validate checks what a new row must keep by itself.
func (w *writer) validate(r row.Row) error {
	for i := range w.rel.Columns {
		c := &w.rel.Columns[i]
		if c.NotNull && r[i].IsNull() {
			return &errs.Error{Kind: errs.Constraint, State: "23502", Schema: w.rel.Schema, Table: w.rel.Name, Column: c.Name,
				Message: "null value in column \"" + c.Name + "\" of relation \"" + w.rel.Name + "\" violates not-null constraint",
				Detail:  "Failing row contains " + w.describe(r) + "."}
		}
	}
	for _, check := range w.checks {
		ok, err := check.Holds(r)
		if err != nil {
			return err
		}
		if !ok {
			return &errs.Error{Kind: errs.Constraint, State: "23514", Schema: w.rel.Schema, Table: w.rel.Name, Constraint: check.Name,
				Message: "new row for relation \"" + w.rel.Name + "\" violates check constraint \"" + check.Name + "\"",
				Detail:  "Failing row contains " + w.describe(r) + "."}
		}
	}
	for i := range w.rel.ForeignKeys {
		fk := &w.rel.ForeignKeys[i]
		ok, err := ingest.Refers(seenRows{w.s}, w.s.snapshot(), fk, r)
		if err != nil {
			return err
		}
		if !ok {
			return &errs.Error{Kind: errs.Constraint, State: "23503", Schema: w.rel.Schema, Table: w.rel.Name, Constraint: fk.Name,
				Message: "insert or update on table \"" + w.rel.Name + "\" violates foreign key constraint \"" + fk.Name + "\""}
		}
	}
	return nil
}

// describe prints a row as PostgreSQL's error details do.
func (w *writer) describe(r row.Row) string {
	b := []byte{'('}
	for i, v := range r {
		if w.rel.Columns[i].Hidden {
			continue
		}
		if len(b) > 1 {
			b = append(b, ", "...)
		}
		if v.IsNull() {
			b = append(b, "null"...)
			continue
		}
		text := row.AppendText(nil, w.rel.Columns[i].Type, v)
		if len(text) > 64 {
			text = append(text[:64:64], "..."...)
		}
		b = append(b, text...)
	}
	return string(append(b, ')'))
}

// duplicate is the 23505 of a key.
func (w *writer) duplicate(name string, columns []int, r row.Row) error {
	var names, values []byte
	for n, i := range columns {
		if n > 0 {
			names, values = append(names, ", "...), append(values, ", "...)
		}
		names = append(names, w.rel.Columns[i].Name...)
		values = row.AppendText(values, w.rel.Columns[i].Type, r[i])
	}
	return &errs.Error{Kind: errs.Constraint, State: "23505", Schema: w.rel.Schema, Table: w.rel.Name, Constraint: name,
		Message: "duplicate key value violates unique constraint \"" + name + "\"",
		Detail:  "Key (" + string(names) + ")=(" + string(values) + ") already exists."}
}

// taken looks whether another row than the one at key has r's entry in one of the unique indexes, locking the entries. It
// gives the index and the other row's key.
func (w *writer) taken(ctx context.Context, r row.Row, key []byte) (*catalog.Index, []byte, error) {
	for i := range w.rel.Indexes {
		x := &w.rel.Indexes[i]
		if !x.Unique {
			continue
		}
		entry, ok := ingest.EntryKey(w.rel, x, r)
		if !ok {
			continue
		}
		other, found, err := w.tx.LockEntry(ctx, x.ID, entry, w.wait)
		if err != nil {
			return nil, nil, err
		}
		if own, has := w.tx.Claimed(x.ID, entry); has {
			other, found = own, true
		}
		if found && !bytes.Equal(other, key) {
			holds, err := w.holds(x, other, entry)
			if err != nil {
				return nil, nil, err
			}
			if holds {
				return x, other, nil
			}
		}
		w.tx.Claim(x.ID, entry, key)
	}
	return nil, nil, nil
}

// holds reports whether the row at key, as it will be, has the entry.
func (w *writer) holds(x *catalog.Index, key, entry []byte) (bool, error) {
	r, changed := w.tx.Own(w.rel.ID, key)
	if !changed {
		encoded, found, err := w.s.db.o.Sequencer.Newest(w.rel.ID, key)
		if err != nil || !found {
			return false, err
		}
		if r, err = ingest.DecodeRow(w.rel, encoded); err != nil {
			return false, err
		}
	}
	if r == nil {
		return false, nil
	}
	have, ok := ingest.EntryKey(w.rel, x, r)
	return ok && bytes.Equal(have, entry), nil
}

// write notes a change with the transaction, whose changes are held in memory until it ends.
func (w *writer) write(c txn.Change) error {
	w.tx.Write(c)
	if limit := w.s.db.o.MaxTransaction; w.tx.Size() > int64(limit) {
		return errs.SQL("53200", "the transaction has changed more than %v of rows", limit).
			WithHint("Commit in parts: COPY or INSERT fewer rows at a time.")
	}
	return nil
}

// insert adds a row; conflict says what to do when its key is there (nil: 23505). It gives the row as it is afterwards, nil
// when nothing was done.
func (w *writer) insert(ctx context.Context, r row.Row, conflict *onConflict) (row.Row, error) {
	if err := w.validate(r); err != nil {
		return nil, err
	}
	if !w.rel.Keyed() {
		return r, w.write(txn.Change{Relation: w.rel, New: r})
	}
	key := ingest.HeapKey(nil, w.rel, r)
	old, exists, err := w.current(ctx, key)
	if err != nil {
		return nil, err
	}
	if exists {
		if conflict == nil || !conflict.takes(w.rel.Key) {
			return nil, w.duplicate(w.rel.KeyName, w.rel.Key, r)
		}
		return conflict.resolve(ctx, w, key, old, r)
	}
	x, other, err := w.taken(ctx, r, key)
	if err != nil {
		return nil, err
	}
	if x != nil {
		if conflict == nil || !conflict.takes(x.Columns) {
			return nil, w.duplicate(x.Name, x.Columns, r)
		}
		old, exists, err := w.current(ctx, other)
		if err != nil || !exists {
			return nil, err
		}
		return conflict.resolve(ctx, w, other, old, r)
	}
	return r, w.write(txn.Change{Relation: w.rel, Key: key, New: r})
}

// update replaces the row at key, whose newest version is old.
func (w *writer) update(ctx context.Context, key []byte, old, r row.Row) error {
	if err := w.validate(r); err != nil {
		return err
	}
	next := ingest.HeapKey(nil, w.rel, r)
	if !bytes.Equal(next, key) {
		if err := w.unreferenced(old); err != nil {
			return err
		}
		_, exists, err := w.current(ctx, next)
		if err != nil {
			return err
		}
		if exists {
			return w.duplicate(w.rel.KeyName, w.rel.Key, r)
		}
		if err := w.write(txn.Change{Relation: w.rel, Key: key, Old: old}); err != nil {
			return err
		}
		old = nil
	}
	x, _, err := w.taken(ctx, r, next)
	if err != nil {
		return err
	}
	if x != nil {
		return w.duplicate(x.Name, x.Columns, r)
	}
	return w.write(txn.Change{Relation: w.rel, Key: next, Old: old, New: r})
}

// delete removes the row at key, whose newest version is old.
func (w *writer) delete(key []byte, old row.Row) error {
	if err := w.unreferenced(old); err != nil {
		return err
	}
	return w.write(txn.Change{Relation: w.rel, Key: key, Old: old})
}

// unreferenced fails when a row of another table refers to r.
func (w *writer) unreferenced(r row.Row) error {
	for _, child := range w.s.snapshot().Relations() {
		for i := range child.ForeignKeys {
			fk := &child.ForeignKeys[i]
			if fk.Table != w.rel.ID {
				continue
			}
			refers, err := w.s.refers(child, fk, r)
			if err != nil {
				return err
			}
			if refers {
				return &errs.Error{Kind: errs.Constraint, State: "23503", Schema: w.rel.Schema, Table: child.Name, Constraint: fk.Name,
					Message: "update or delete on table \"" + w.rel.Name + "\" violates foreign key constraint \"" + fk.Name +
						"\" on table \"" + child.Name + "\""}
			}
		}
	}
	return nil
}

// refers looks for a row of child that refers to parent by fk: in the transaction's own rows, then in the heap.
func (s *Session) refers(child *catalog.Relation, fk *catalog.ForeignKey, parent row.Row) (bool, error) {
	matches := func(r row.Row) bool {
		for n, i := range fk.Columns {
			v := parent[fk.Referred[n]]
			if r[i].IsNull() || row.CompareTyped(child.Columns[i].Type, r[i], v) != 0 {
				return false
			}
		}
		return true
	}
	for _, c := range s.tx.Changed(child.ID) {
		if c.New != nil && matches(c.New) {
			return true, nil
		}
	}
	it := s.db.o.Tables.Scan(child.ID, nil, nil, false)
	defer func() { _ = it.Close() }()
	for it.Next() {
		if _, changed := s.tx.Own(child.ID, it.Key()); changed {
			continue
		}
		r, err := ingest.DecodeRow(child, it.Value())
		if err != nil {
			return false, err
		}
		if matches(r) {
			return true, nil
		}
	}
	return false, it.Err()
}

// onConflict is INSERT ... ON CONFLICT, compiled.
type onConflict struct {
	st    *plan.OnConflict
	set   []expr.Evaluator
	where expr.Predicate
}

func compileConflict(st *plan.OnConflict) (*onConflict, error) {
	if st == nil {
		return nil, nil
	}
	c := &onConflict{st: st}
	for _, set := range st.Set {
		f, err := expr.Compile(set.Expr)
		if err != nil {
			return nil, err
		}
		c.set = append(c.set, f)
	}
	if st.Where != nil {
		var err error
		if c.where, err = expr.CompilePredicate(st.Where); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// takes reports whether a conflict on these columns is the one that the clause names.
func (c *onConflict) takes(columns []int) bool {
	if c.st.Columns == nil {
		return true
	}
	if len(c.st.Columns) != len(columns) {
		return false
	}
	has := map[int]bool{}
	for _, i := range columns {
		has[i] = true
	}
	for _, i := range c.st.Columns {
		if !has[i] {
			return false
		}
	}
	return true
}

func (c *onConflict) resolve(ctx context.Context, w *writer, key []byte, old, excluded row.Row) (row.Row, error) {
	if c.st.Nothing {
		return nil, nil
	}
	both := append(append(row.Row{}, old...), excluded...)
	if c.where != nil {
		ok, err := c.where(w.ectx, both)
		if err != nil || !ok {
			return nil, err
		}
	}
	next := append(row.Row{}, old...)
	for i, set := range c.st.Set {
		v, err := c.set[i](w.ectx, both)
		if err != nil {
			return nil, err
		}
		next[set.Column] = v
	}
	return next, w.update(ctx, key, old, next)
}
