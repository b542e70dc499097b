package columnar

import (
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// counted frees something when its last holder lets go.
type counted struct {
	refs     atomic.Int64
	obsolete atomic.Bool         // no manifest names it any more
	free     func(obsolete bool) // called once
}

func (c *counted) retain() { c.refs.Add(1) }

func (c *counted) release() {
	if c.refs.Add(-1) == 0 {
		c.free(c.obsolete.Load())
	}
}

// deadRows is a bitmap that one goroutine changes and that views hold unchanging copies of, which share memory with it
// until it changes.
type deadRows struct {
	rows   *roaring.Bitmap // nil: none
	shared *roaring.Bitmap // the newest copy; nil: rows changed since
}

func (d *deadRows) add(row uint32) {
	if d.rows == nil {
		d.rows = roaring.New()
		d.rows.SetCopyOnWrite(true)
	}
	d.rows.Add(row)
	d.shared = nil
}

func (d *deadRows) has(row uint32) bool { return d.rows != nil && d.rows.Contains(row) }

func (d *deadRows) count() int64 {
	if d.rows == nil {
		return 0
	}
	return int64(d.rows.GetCardinality())
}

// share gives an unchanging copy; nil: no row is dead. Who holds it must only read, never clone it.
func (d *deadRows) share() *roaring.Bitmap {
	if d.rows != nil && d.shared == nil {
		d.shared = d.rows.Clone()
	}
	return d.shared
}

// segment is one immutable Parquet file with its key file.
type segment struct {
	counted
	number   uint64
	schema   *arrow.Schema
	rows     int64
	data     fileSum
	keys     *fileSum
	path     string
	keyPath  string
	index    *keyIndex
	verified atomic.Bool // data was found equal to its sum in this run of the program, or written in it
}

// placed is a segment in the state that the applier works on.
type placed struct {
	*segment
	dead deadRows
}

// relation is what the applier works on. Guarded by Store.apply.
type relation struct {
	id     delta.RelationID
	keyed  bool
	schema *arrow.Schema

	segments []*placed
	frozen   []*tail // being flushed, oldest first
	tail     *tail   // nil until the first row after a flush

	live    int64
	changed bool // since it was last published
	dirty   bool // since the state that saved lists: its rows are lost by a crash

	// saved is the manifest's entry; its Position says up to where ticks are skipped after a restart.
	saved manifestRelation
}

// tails gives all tails with rows.
func (r *relation) tails() []*tail {
	all := append([]*tail(nil), r.frozen...)
	if r.tail != nil {
		all = append(all, r.tail)
	}
	return all
}

func (r *relation) memory() (n int64) {
	for _, t := range r.tails() {
		n += t.memory
	}
	return n
}

// kill marks the live row of a key dead, if there is one.
func (r *relation) kill(h keyHash) bool {
	tails := r.tails()
	for i := len(tails) - 1; i >= 0; i-- {
		t := tails[i]
		if row, ok := t.keys[h]; ok {
			delete(t.keys, h)
			t.dead.add(row)
			r.live--
			return true
		}
	}
	for i := len(r.segments) - 1; i >= 0; i-- {
		s := r.segments[i]
		if row, ok := s.index.find(h); ok && !s.dead.has(row) {
			s.dead.add(row)
			r.live--
			return true
		}
	}
	return false
}

// checkSchema says whether rows of schema may follow those of r: the same columns, or more of them at the end. Names may
// differ.
func (r *relation) checkSchema(schema *arrow.Schema) (wider bool, err error) {
	old := r.schema
	if schema.NumFields() < old.NumFields() {
		return false, errs.New(errs.Unsupported, "columnar: relation %d has %d columns, rows with %d cannot follow", r.id, old.NumFields(), schema.NumFields())
	}
	same := schema.NumFields() == old.NumFields()
	for i, f := range old.Fields() {
		g := schema.Field(i)
		if !arrow.TypeEqual(f.Type, g.Type) {
			return false, errs.New(errs.Unsupported, "columnar: column %q of relation %d is %v, rows with %v cannot follow", f.Name, r.id, f.Type, g.Type)
		}
		same = same && f.Name == g.Name && f.Nullable == g.Nullable
	}
	for _, f := range schema.Fields()[old.NumFields():] {
		if _, has := f.Metadata.GetValue(row.BeforeKey); !f.Nullable && !has && r.live > 0 {
			return false, errs.New(errs.Unsupported, "columnar: NOT NULL column %q cannot be added to relation %d, which has rows", f.Name, r.id)
		}
	}
	return !same, nil
}
