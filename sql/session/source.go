package session

import (
	"context"
	"errors"
	"sort"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/exec"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/sql/pgcatalog"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/sql/txn"
	"github.com/miracledb/miracledb/views"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/heap"
	"github.com/miracledb/miracledb/views/version"
)

type relationID = delta.RelationID

// source is what the row executor reads in one statement: a version, or the newest applied rows of tables, with the
// transaction's own changes over both.
type source struct {
	s *Session
	// held is the version that the statement reads; nil: the newest rows of tables.
	held *views.Held[*version.Version]
	// newest pins the tables' rows once something was scanned, so that one statement sees one state.
	newest *heap.Snapshot
	// single says that the statement reads one relation once: it needs no pin.
	single bool
}

var _ exec.Source = (*source)(nil)

func (s *source) close() error {
	var err error
	if s.newest != nil {
		err = s.newest.Close()
		s.newest = nil
	}
	if s.held != nil {
		err = errors.Join(err, s.held.Release())
		s.held = nil
	}
	return err
}

// reader gives the heap that holds a relation's rows.
func (s *source) reader(rel *catalog.Relation) (heap.Reader, error) {
	switch {
	case rel.Kind == catalog.MaterializedView:
		if s.held == nil {
			return nil, errs.New(errs.Internal, "view %q is read without a version", rel.Name)
		}
		return s.held.Value.Views, nil
	case s.held != nil:
		return s.held.Value.Tables, nil
	case s.newest != nil:
		return s.newest, nil
	case s.single:
		return s.s.db.o.Tables, nil
	}
	var err error
	s.newest, err = s.s.db.o.Tables.Snapshot()
	return s.newest, err
}

// heap is the row executor's source over the heap that holds a relation's rows. With a lock it reads the newest rows: what
// was there before the lock was granted does not count.
func (s *source) heap(rel *catalog.Relation, lock plan.LockStrength) (*exec.HeapSource, error) {
	if lock != plan.NoLock {
		return &exec.HeapSource{Reader: s.s.db.o.Tables, Lock: s.lock}, nil
	}
	r, err := s.reader(rel)
	return &exec.HeapSource{Reader: r}, err
}

// Get reads one row by its primary key.
func (s *source) Get(ctx context.Context, rel *catalog.Relation, key []row.Value, want []int, lock plan.LockStrength) (row.Row, bool, error) {
	h, err := s.heap(rel, lock)
	if err != nil {
		return nil, false, err
	}
	s.s.read(rel)
	if tx := s.s.tx; tx != nil {
		if tx.Dirty() {
			k := exec.AppendRowKey(nil, rel, key)
			if r, changed := tx.Own(rel.ID, k); changed {
				return r, r != nil, nil
			}
		}
	}
	return h.Get(ctx, rel, key, want, lock)
}

// lock takes a row's lock and waits until its newest version is in the heap; a transaction with a snapshot refuses a row
// that has changed since.
func (s *source) lock(ctx context.Context, rel *catalog.Relation, key []byte, _ plan.LockStrength) error {
	encoded, own, found, err := s.s.begin().Lock(ctx, rel.ID, key, s.s.lockTimeout())
	if err != nil || own != nil {
		return err
	}
	if s.held != nil {
		before, had, err := s.held.Value.Tables.Get(rel.ID, key)
		if err != nil {
			return err
		}
		if had != found || string(before) != string(encoded) {
			return errChanged
		}
	}
	return s.s.db.o.Applied(ctx, s.s.db.o.Sequencer.Pending(rel.ID, key))
}

// Scan reads the rows within a request's bounds.
func (s *source) Scan(ctx context.Context, q *exec.ScanRequest) (exec.Iterator, error) {
	rel := q.Relation
	s.s.read(rel)
	switch rel.Kind {
	case catalog.System:
		rows, err := pgcatalog.Rows(&environment{s.s}, rel)
		return &rowsIterator{rows: rows}, err
	case catalog.Raw:
		return newRawIterator(ctx, s.s.db.o.Log, rel)
	case catalog.Stream:
		return s.stream(ctx, q)
	}
	h, err := s.heap(rel, q.Lock)
	if err != nil {
		return nil, err
	}
	if s.s.tx != nil {
		if own := s.s.tx.Changed(rel.ID); len(own) > 0 {
			return s.merge(ctx, h, q, own)
		}
	}
	return h.Scan(ctx, q)
}

// rowsIterator yields rows that are at hand.
type rowsIterator struct{ rows []row.Row }

func (l *rowsIterator) Next() ([]row.Row, error) {
	rows := l.rows
	l.rows = nil
	return rows, nil
}

func (l *rowsIterator) Close() error { return nil }

// merge puts the transaction's own rows in the place of those that they replace.
func (s *source) merge(ctx context.Context, h *exec.HeapSource, q *exec.ScanRequest, own []txn.Change) (exec.Iterator, error) {
	all := *q
	all.Columns = nil // a row's key is needed to know whether it was changed
	it, err := h.Scan(ctx, &all)
	if err != nil {
		return nil, err
	}
	m := &merged{it: it, rel: q.Relation, own: make(map[string]bool, len(own))}
	var added []row.Row
	for _, c := range own {
		m.own[string(c.Key)] = true
		if c.New != nil && q.Within(c.New) {
			added = append(added, c.New)
		}
	}
	if !q.Ordered {
		return &chained{first: &rowsIterator{added}, second: m}, nil
	}
	// The order must hold over both: such a scan is small or reads all anyway.
	defer func() { _ = m.Close() }()
	for {
		batch, err := m.Next()
		if err != nil {
			return nil, err
		}
		if len(batch) == 0 {
			break
		}
		added = append(added, batch...)
	}
	keys := q.Key()
	sort.SliceStable(added, func(i, j int) bool {
		a, b := orderKey(q.Relation, keys, added[i]), orderKey(q.Relation, keys, added[j])
		if q.Reverse {
			return a > b
		}
		return a < b
	})
	return &rowsIterator{added}, nil
}

// merged yields the rows that the transaction did not change.
type merged struct {
	it    exec.Iterator
	rel   *catalog.Relation
	own   map[string]bool
	key   []byte
	batch []row.Row
}

func (m *merged) Next() ([]row.Row, error) {
	for {
		rows, err := m.it.Next()
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		m.batch = m.batch[:0]
		for _, r := range rows {
			m.key = ingest.HeapKey(m.key[:0], m.rel, r)
			if !m.own[string(m.key)] {
				m.batch = append(m.batch, r)
			}
		}
		if len(m.batch) > 0 {
			return m.batch, nil
		}
	}
}

func (m *merged) Close() error { return m.it.Close() }

func orderKey(rel *catalog.Relation, columns []int, r row.Row) string {
	var k []byte
	for _, i := range columns {
		k = row.AppendKey(k, rel.Columns[i].Type, r[i], false)
	}
	return string(k)
}

// chained yields one iterator's rows, then another's.
type chained struct {
	first  *rowsIterator
	second exec.Iterator
}

func (c *chained) Next() ([]row.Row, error) {
	if rows, _ := c.first.Next(); len(rows) > 0 {
		return rows, nil
	}
	return c.second.Next()
}

func (c *chained) Close() error { return c.second.Close() }

// stream reads an append-only relation from the columnar store, and the transaction's own rows.
func (s *source) stream(ctx context.Context, q *exec.ScanRequest) (exec.Iterator, error) {
	if s.held == nil {
		return nil, errs.New(errs.Internal, "stream %q is read without a version", q.Relation.Name)
	}
	it := newColumnIterator(ctx, s.held.Retain(), q.Relation, q.Columns)
	if s.s.tx != nil {
		if own := s.s.tx.Changed(q.Relation.ID); len(own) > 0 {
			added := make([]row.Row, len(own))
			for i, c := range own {
				added[i] = c.New
			}
			return &chained{first: &rowsIterator{added}, second: it}, nil
		}
	}
	return it, nil
}

// columnIterator turns the columnar store's records into rows. The store pushes; a goroutine stands between, ended by
// Close.
type columnIterator struct {
	records chan arrow.Record
	failed  chan error
	cancel  context.CancelFunc
	schema  *row.Schema
	columns []int
	width   int
	ended   bool
}

func newColumnIterator(ctx context.Context, held *views.Held[*version.Version], rel *catalog.Relation, columns []int) *columnIterator {
	ctx, cancel := context.WithCancel(ctx)
	schema := rel.RowSchema()
	c := &columnIterator{records: make(chan arrow.Record, 2), failed: make(chan error, 1), cancel: cancel, schema: schema,
		columns: columns, width: len(schema.Columns)}
	if columns != nil {
		c.schema = &row.Schema{}
		for _, i := range columns {
			c.schema.Columns = append(c.schema.Columns, schema.Columns[i])
		}
	}
	go func() {
		defer close(c.records)
		var err error
		r, ok := held.Value.Columnar.Relation(rel.ID)
		if !ok {
			c.failed <- held.Release()
			return
		}
		err = r.Read(ctx, columns, func(rec arrow.Record) error {
			rec.Retain()
			select {
			case c.records <- rec:
				return nil
			case <-ctx.Done():
				rec.Release()
				return ctx.Err()
			}
		})
		c.failed <- errors.Join(err, held.Release())
	}()
	return c
}

func (c *columnIterator) Next() ([]row.Row, error) {
	for rec := range c.records {
		n := int(rec.NumRows())
		if n == 0 {
			rec.Release()
			continue
		}
		rows := make([]row.Row, n)
		for i := range rows {
			r := row.RowAt(rec, i, c.schema, nil)
			if c.columns != nil {
				wide := make(row.Row, c.width)
				for j, col := range c.columns {
					wide[col] = r[j]
				}
				r = wide
			}
			rows[i] = r
		}
		rec.Release()
		return rows, nil
	}
	if c.ended {
		return nil, nil
	}
	c.ended = true
	return nil, <-c.failed
}

// Close ends the reading goroutine and waits for it.
func (c *columnIterator) Close() error {
	c.cancel()
	for rec := range c.records {
		rec.Release()
	}
	if !c.ended {
		c.ended = true
		if err := <-c.failed; err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}
