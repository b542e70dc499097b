package columnar

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
)

// maxSegmentRows bounds a segment: rows are numbered by uint32, and rewriting one must stay cheap.
const maxSegmentRows = 16 << 20

// Change is what a tick does to one relation. Deletes come first, then Rows.
type Change struct {
	Relation delta.RelationID
	// Rows are appended; nil: none. The store keeps the record: its memory must be Go's (memory.DefaultAllocator). Its
	// schema makes the relation, or is that of it, or adds nullable columns at the end.
	Rows arrow.Record
	// Keys has the key of each row of a keyed relation: the row takes the place of the one with its key. nil for a
	// relation without keys.
	Keys [][]byte
	// Deletes has the keys whose rows go; missing ones are no error.
	Deletes [][]byte
	// Drop removes the relation and all its rows; nothing else may be set.
	Drop bool
}

// Apply makes the changes of the appends up to pos visible, all at once. A tick at or below Position is skipped, and
// so is the part for a relation that has it from before a restart. Errors: Invalid when a tick goes across the Position
// of a relation during replay (see Positions); Unsupported for a schema that cannot follow; Unavailable when there is no
// descriptor or space for the files, then the same tick is to be given again, or when a tail file that is begun cannot be
// written, then the store is Stopped: reopen it.
func (s *Store) Apply(pos delta.Position, changes ...Change) error {
	full, err := s.applyTick(pos, changes)
	if err != nil || !full {
		return err
	}
	// Twice the budget: Run is behind or not running.
	return s.flush(false)
}

func (s *Store) applyTick(pos delta.Position, changes []Change) (full bool, err error) {
	a := &s.apply
	a.Lock()
	defer a.Unlock()
	if a.failed != nil {
		return false, a.failed
	}
	if !a.position.Less(pos) {
		s.measure()
		return s.full(), nil // maybe it is given again because its flush failed
	}
	for i := range changes {
		if err := s.check(pos, &changes[i]); err != nil {
			return false, err
		}
	}
	tails, err := s.newTails(pos, changes)
	if err != nil {
		return false, err
	}
	defer tails.release()
	for i := range changes {
		if err := s.change(pos, &changes[i], tails); err != nil {
			a.failed = err
			return false, err
		}
	}
	a.position = pos
	s.publish()
	if kick := s.measure(); kick || a.memory >= int64(s.opts.AllTails) {
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
	return s.full(), nil
}

// measure takes what the tails hold, and says that one of them is due for a flush. Caller holds apply.
func (s *Store) measure() (due bool) {
	s.apply.memory = 0
	for _, r := range s.apply.relations {
		m := r.memory()
		s.apply.memory += m
		due = due || len(r.frozen) == 0 && m >= int64(s.opts.RelationTail)
	}
	return due
}

// full says that the tails held twice their budget when they were measured last. Caller holds apply.
func (s *Store) full() bool { return s.apply.memory >= 2*int64(s.opts.AllTails) }

// newTails are the tails that a tick begins, by relation, made before anything is changed: there may be no descriptor for them.
type newTails map[delta.RelationID]*tail

func (s *Store) newTails(pos delta.Position, changes []Change) (newTails, error) {
	tails := newTails{}
	for i := range changes {
		c := &changes[i]
		if c.Rows == nil || tails[c.Relation] != nil || pos.Compare(s.stands(c.Relation)) <= 0 {
			continue
		}
		r := s.apply.relations[c.Relation]
		if r == nil || r.tail == nil {
			if c.Rows.NumRows() == 0 {
				continue
			}
		} else if r.schema.Equal(c.Rows.Schema()) {
			continue
		}
		t, err := newTail(s.fs, s.tailPath(c.Relation), c.Rows.Schema(), c.Keys != nil)
		if err != nil {
			tails.release()
			return nil, err
		}
		tails[c.Relation] = t
	}
	return tails, nil
}

// take gives the tail of a relation to its new owner; one is made where the tick changes a relation twice.
func (n newTails) take(s *Store, r *relation) (*tail, error) {
	t := n[r.id]
	if t == nil || !t.schema.Equal(r.schema) {
		return newTail(s.fs, s.tailPath(r.id), r.schema, r.keyed)
	}
	delete(n, r.id)
	return t, nil
}

// release removes those that nobody took.
func (n newTails) release() {
	for _, t := range n {
		t.release()
	}
}

// stands gives the Position that a relation had at Open.
func (s *Store) stands(id delta.RelationID) delta.Position {
	if r, ok := s.apply.relations[id]; ok && r.saved.Schemas != nil {
		return r.saved.Position
	}
	return s.apply.durable
}

// check finds every fault of a change before anything is changed.
func (s *Store) check(pos delta.Position, c *Change) error {
	if at := s.stands(c.Relation); s.apply.position.Less(at) && at.Less(pos) {
		return errs.New(errs.Invalid, "columnar: the tick from %v to %v goes across %v, where relation %d stands", s.apply.position, pos, at, c.Relation)
	}
	if c.Drop && (c.Rows != nil || c.Deletes != nil) {
		return errs.New(errs.Invalid, "columnar: relation %d is dropped and changed", c.Relation)
	}
	r := s.apply.relations[c.Relation]
	if c.Rows != nil {
		if c.Keys != nil && int64(len(c.Keys)) != c.Rows.NumRows() {
			return errs.New(errs.Invalid, "columnar: %d keys for %d rows of relation %d", len(c.Keys), c.Rows.NumRows(), c.Relation)
		}
		if r == nil {
			_, err := parquetSchema(c.Rows.Schema())
			return err
		}
		if r.keyed != (c.Keys != nil) {
			return errs.New(errs.Invalid, "columnar: relation %d: keyed is %v", c.Relation, r.keyed)
		}
		if !r.schema.Equal(c.Rows.Schema()) {
			if _, err := parquetSchema(c.Rows.Schema()); err != nil {
				return err
			}
			_, err := r.checkSchema(c.Rows.Schema())
			return err
		}
	}
	return nil
}

func (s *Store) change(pos delta.Position, c *Change, tails newTails) error {
	if pos.Compare(s.stands(c.Relation)) <= 0 {
		return nil // has it from before the restart
	}
	r := s.apply.relations[c.Relation]
	if c.Drop {
		if r != nil {
			s.drop(r)
		}
		return nil
	}
	if r == nil {
		if c.Rows == nil {
			return nil
		}
		r = &relation{id: c.Relation, keyed: c.Keys != nil, schema: c.Rows.Schema()}
		s.apply.relations[r.id] = r
	}
	r.changed, r.dirty = true, true
	for _, key := range c.Deletes {
		r.kill(hashKey(s.apply.seed, key))
	}
	if c.Rows == nil {
		return nil
	}
	if !r.schema.Equal(c.Rows.Schema()) {
		if err := s.widen(r, c.Rows.Schema(), tails); err != nil {
			return err
		}
	}
	if c.Rows.NumRows() == 0 {
		return nil
	}
	if r.tail == nil {
		t, err := tails.take(s, r)
		if err != nil {
			return err
		}
		r.tail = t
	}
	first := uint32(r.tail.rows())
	for i, key := range c.Keys {
		h := hashKey(s.apply.seed, key)
		r.kill(h) // of this very tick, too: a key's last version stays
		r.tail.keys[h] = first + uint32(i)
		r.tail.hashes = append(r.tail.hashes, h)
		r.live++
	}
	if !r.keyed {
		r.live += c.Rows.NumRows()
	} else {
		r.tail.memory += c.Rows.NumRows() * 64 // hashes and map
	}
	return r.tail.append(c.Rows)
}

func (s *Store) widen(r *relation, schema *arrow.Schema, tails newTails) error {
	r.schema = schema
	if r.tail == nil {
		return nil
	}
	t, err := tails.take(s, r)
	if err != nil {
		return err
	}
	if err := r.tail.widenInto(t); err != nil {
		t.release()
		return err
	}
	r.tail.release()
	r.tail = t
	return nil
}

func (s *Store) drop(r *relation) {
	delete(s.apply.relations, r.id)
	for _, g := range r.segments {
		s.apply.garbage = append(s.apply.garbage, &g.counted)
	}
	if d := r.saved.Deleted; d != nil {
		s.apply.garbage = append(s.apply.garbage, s.obsoleteFile(s.deletedPath(r.id, d.Number)))
	}
	for _, t := range r.tails() {
		t.release()
	}
}

// obsoleteFile is a file that goes when the next manifest is durable.
func (s *Store) obsoleteFile(path string) *counted {
	c := &counted{free: func(obsolete bool) {
		if obsolete {
			s.fs.Remove(path)
		}
	}}
	c.refs.Store(1)
	return c
}

func (s *Store) tailPath(rel delta.RelationID) string {
	return s.fs.PathJoin(s.opts.TailDir, fmt.Sprintf("r%d-%d.tail", rel, s.newFile()))
}

// newFile gives a number that no file had. Caller holds apply.
func (s *Store) newFile() uint64 {
	s.apply.nextFile++
	return s.apply.nextFile - 1
}
