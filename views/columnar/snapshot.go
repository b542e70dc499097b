package columnar

import (
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/views"
)

var _ views.Snapshot = (*Snapshot)(nil)

// Snapshot is all relations at one Position. It is safe for several goroutines; what it names stays until Close.
type Snapshot struct {
	store  *Store
	v      *version
	closed atomic.Bool
}

// Snapshot gives the newest state. Errors: Unavailable while the ticks since before a restart are being replayed.
func (s *Store) Snapshot() (*Snapshot, error) {
	v := s.published.acquire()
	if v == nil || !v.readable {
		v.release()
		return nil, errs.New(errs.Unavailable, "the column store is not ready: it is reading the log since the last start")
	}
	return &Snapshot{store: s, v: v}, nil
}

// Position says what the snapshot has seen.
func (s *Snapshot) Position() delta.Position { return s.v.position }

// Close gives up the files that the snapshot names.
func (s *Snapshot) Close() error {
	if !s.closed.Swap(true) {
		s.v.release()
	}
	return nil
}

// Relation gives a relation; false: it has had no rows.
func (s *Snapshot) Relation(id delta.RelationID) (*Relation, bool) {
	r, ok := s.v.relations[id]
	return r, ok
}

// Relations gives the ids of all relations, in no order.
func (s *Snapshot) Relations() []delta.RelationID {
	ids := make([]delta.RelationID, 0, len(s.v.relations))
	for id := range s.v.relations {
		ids = append(ids, id)
	}
	return ids
}

// Relation is one relation of a snapshot, unchanging and valid until the snapshot is closed. Its rows are those of the
// segments and tails that are not dead, and those of Open.
type Relation struct {
	ID     delta.RelationID
	Schema *arrow.Schema
	Keyed  bool
	Rows   int64 // living ones
	// Segments and Tails are in the order in which their rows came, oldest first. There is mostly one tail, or none;
	// while a flush runs also the one being flushed.
	Segments []Segment
	Tails    []Tail

	counted
	store    *Store
	open     []arrow.Record
	openAt   int64 // the tail row number of the first open row
	openDead *roaring.Bitmap

	openOnce sync.Once
	openRec  arrow.Record
	openErr  error
}

// Segment is a Parquet file. Only read Deleted: it shares memory with others, and even a Clone changes it.
type Segment struct {
	Path    string
	Rows    int64 // dead ones among them
	Bytes   int64
	Deleted *roaring.Bitmap // row numbers in the file; nil: no row is dead
	// Schema is that of the file: the first columns of the relation's. Columns added since are null in its rows; columns
	// renamed since have their old name.
	Schema *arrow.Schema

	segment *segment
}

// Tail is a file with an Arrow IPC stream: the schema, then messages of at most 2,048 rows; Bytes of it are the
// snapshot's. Only read Deleted.
type Tail struct {
	Path    string
	Bytes   int64
	Rows    int64           // dead ones among them
	Deleted *roaring.Bitmap // row numbers in the file, and of rows after Rows; nil: no row is dead
	// Batches are the same rows in this process's memory.
	Batches []arrow.Record
	Schema  *arrow.Schema
}

// Open gives the newest rows, fewer than 2,048, which are in no file; dead ones are left out. The record is shared: it is
// not to be released.
func (r *Relation) Open() (arrow.Record, error) {
	r.openOnce.Do(func() {
		if len(r.open) == 0 {
			r.openRec = emptyRecord(r.Schema)
			return
		}
		rec, err := concatenate(r.Schema, r.open)
		if err == nil {
			rec, err = living(rec, r.openAt, r.openDead)
		}
		r.openRec, r.openErr = rec, err
	})
	return r.openRec, r.openErr
}

// version is the published state of all relations after a tick.
type version struct {
	counted
	position  delta.Position
	readable  bool
	relations map[delta.RelationID]*Relation
}

func (v *version) release() {
	if v != nil {
		v.counted.release()
	}
}

// published holds the newest version.
type published struct {
	mu struct {
		sync.Mutex
		v *version
	}
}

// acquire gives the newest version, retained; nil after replace(nil).
func (p *published) acquire() *version {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.v != nil {
		p.mu.v.retain()
	}
	return p.mu.v
}

func (p *published) replace(v *version) {
	p.mu.Lock()
	old := p.mu.v
	p.mu.v = v
	p.mu.Unlock()
	old.release()
}

// publish makes the applier's state the newest version. Relations that did not change are shared with the version
// before. Caller holds apply.
func (s *Store) publish() {
	a := &s.apply
	old := s.published.acquire()
	defer old.release()
	v := &version{position: a.position, readable: !a.position.Less(a.readable), relations: make(map[delta.RelationID]*Relation, len(a.relations))}
	for id, r := range a.relations {
		if !r.changed && old != nil && old.relations[id] != nil {
			v.relations[id] = old.relations[id]
			v.relations[id].retain()
			continue
		}
		v.relations[id] = s.view(r)
		r.changed = false
	}
	v.refs.Store(1)
	v.free = func(bool) {
		for _, r := range v.relations {
			r.release()
		}
	}
	s.published.replace(v)
}

// view makes the unchanging form of a relation.
func (s *Store) view(r *relation) *Relation {
	w := &Relation{ID: r.id, Schema: r.schema, Keyed: r.keyed, Rows: r.live, store: s}
	var held []*counted
	for _, g := range r.segments {
		w.Segments = append(w.Segments, Segment{
			Path: g.path, Rows: g.rows, Bytes: g.data.Bytes, Deleted: g.dead.share(), Schema: g.schema, segment: g.segment,
		})
		held = append(held, &g.counted)
	}
	for _, t := range r.tails() {
		dead := t.dead.share()
		if t == r.tail {
			w.open, w.openAt, w.openDead = t.open, t.sealedRows, dead
		}
		held = append(held, &t.counted)
		if t.sealedRows > 0 {
			w.Tails = append(w.Tails, Tail{Path: t.path, Bytes: t.bytes, Rows: t.sealedRows, Deleted: dead, Batches: t.sealed, Schema: t.schema})
		}
	}
	for _, c := range held {
		c.retain()
	}
	w.refs.Store(1)
	w.free = func(bool) {
		for _, c := range held {
			c.release()
		}
	}
	return w
}
