package txn

import (
	"context"
	"sync"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/views/catalog"
)

// Rows are the newest applied rows of the heap, as bytes.
type Rows interface {
	Get(rel delta.RelationID, key []byte) (row []byte, found bool, err error)
	// GetIndex finds the primary key of an entry of a unique index.
	GetIndex(index delta.RelationID, entry []byte) (key []byte, found bool, err error)
}

// Options are what a Sequencer needs.
type Options struct {
	Log  log.Log
	Rows Rows
	// Applied waits until the heap has applied position p.
	Applied func(ctx context.Context, p log.Position) error
	// Codec gives a record codec of one version of a table, for the caller alone.
	Codec func(*catalog.Relation) (*ingest.Codec, error)
}

// Sequencer orders the commits of one node.
type Sequencer struct {
	o  Options
	mu struct {
		sync.Mutex
		locks   lockTable
		pending map[Resource]pendingRow // rows appended and not yet applied
		queue   []pendingRef            // the same, in order of position
		written map[delta.RelationID]log.Position
		defined map[delta.RelationID]uint64 // the last version of each relation defined since the start
		nextTx  uint64
	}
}

type pendingRow struct {
	row []byte // nil: deleted, or (for an index entry) free
	pos log.Position
}

type pendingRef struct {
	res Resource
	pos log.Position
}

// New makes a sequencer.
func New(o Options) *Sequencer {
	s := &Sequencer{o: o}
	s.mu.locks.locks = map[Resource]*lock{}
	s.mu.pending = map[Resource]pendingRow{}
	s.mu.written = map[delta.RelationID]log.Position{}
	s.mu.defined = map[delta.RelationID]uint64{}
	return s
}

// Change is one row's change: Old is nil for an insert, New for a delete. Key is the heap key of the row.
type Change struct {
	Relation *catalog.Relation
	Key      []byte
	Old, New row.Row
}

// partitions is the number of a topic's partitions; one that this very append creates has one.
func (s *Sequencer) partitions(id log.TopicID) int32 {
	if t, ok := s.o.Log.TopicByID(id); ok {
		return t.Partitions
	}
	return 1
}

// Newest gives the row that the next writer builds on, pending or applied, without locking it.
func (s *Sequencer) Newest(rel delta.RelationID, key []byte) (encoded []byte, found bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newest(Resource{rel, string(key)})
}

// Pending is the Position at which a row's pending change will be in the heap; zero when there is none.
func (s *Sequencer) Pending(rel delta.RelationID, key []byte) log.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.pending[Resource{rel, string(key)}].pos
}

// newest gives the row of res that the next writer builds on: pending before applied. The caller holds mu.
func (s *Sequencer) newest(res Resource) ([]byte, bool, error) {
	if p, ok := s.mu.pending[res]; ok {
		return p.row, p.row != nil, nil
	}
	return s.o.Rows.Get(res.ID, []byte(res.Key))
}

// newestEntry gives the primary key that a unique index's entry leads to. The caller holds mu.
func (s *Sequencer) newestEntry(res Resource) ([]byte, bool, error) {
	if p, ok := s.mu.pending[res]; ok {
		return p.row, p.row != nil, nil
	}
	return s.o.Rows.GetIndex(res.ID, []byte(res.Key))
}

// redefined gives the first relation of cs of which a newer version is in the log: what was made for the old one does
// not fit behind it. The caller holds mu.
func (s *Sequencer) redefined(cs []Change) *catalog.Relation {
	var last *catalog.Relation
	for i := range cs {
		if r := cs[i].Relation; r != last {
			if last = r; r.Version < s.mu.defined[r.ID] {
				return r
			}
		}
	}
	return nil
}

// await makes changed rows pending at pos and forgets those that the heap has. The caller holds mu.
func (s *Sequencer) await(res Resource, row []byte, pos log.Position) {
	s.mu.pending[res] = pendingRow{row, pos}
	s.mu.queue = append(s.mu.queue, pendingRef{res, pos})
}

// Applied tells that the heap has applied every append up to p: pending rows up to it are dropped.
func (s *Sequencer) Applied(p log.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := 0
	for ; i < len(s.mu.queue) && !p.Less(s.mu.queue[i].pos); i++ {
		ref := s.mu.queue[i]
		if s.mu.pending[ref.res].pos == ref.pos {
			delete(s.mu.pending, ref.res)
		}
	}
	if i == len(s.mu.queue) {
		s.mu.queue = s.mu.queue[:0]
	} else {
		s.mu.queue = s.mu.queue[i:]
	}
}

// Admit is the admission hook of a table's topic: a produced batch is an upsert in the order of all writes. With
// refuse, a record that does not decode fails the batch (log.RecordError) instead of standing in t__rejected. Batches of Kafka
// transactions take their place in the order when they are committed (AdmitTxn), and are refused now.
func (s *Sequencer) Admit(rel func() *catalog.Relation) log.AdmissionHook {
	return func(ctx context.Context, a log.Append, submit func(log.Append) (*log.Ticket, error)) (*log.Ticket, error) {
		r := rel()
		transactional := ofTransaction(a)
		if r == nil || r.Kind != catalog.Table || transactional && r.Options["on_fault"] != "refuse" {
			return submit(a)
		}
		codec, err := s.o.Codec(r)
		if err != nil {
			return nil, err
		}
		// Attachments stand only for appends of a single batch: what Kafka clients send to one partition at once.
		var rows *ingest.Decoded
		var changes []ingest.Change
		for i := range a.Batches {
			d, err := codec.Decode(a.Batches[i].Batch, ingest.Place{Topic: r.Topic, Partition: a.Batches[i].Partition.Index})
			if err != nil {
				return nil, err
			}
			if f := d.FirstFault(); f != nil && r.Options["on_fault"] == "refuse" {
				return nil, errs.New(errs.Constraint, "%q refuses the record: %w", r.Name, &log.RecordError{Index: int(f.Index), Message: f.Reason})
			}
			rows = d
			changes = append(changes, d.Changes...)
		}
		if transactional {
			return submit(a)
		}
		if len(a.Batches) == 1 && codec.Final(rows) {
			a.Attachment = rows
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.Version < s.mu.defined[r.ID] {
			a.Attachment = nil // decoded when it is applied, with the definition then in force
		}
		t, err := submit(a)
		if err != nil || t.Duplicate || rows == nil {
			return t, err
		}
		s.produced(r, changes, t.Position)
		go func() {
			if t.Wait(context.Background()) != nil {
				s.refused(t.Position)
			}
		}()
		return t, nil
	}
}

// ofTransaction reports whether an append has batches of a Kafka transaction: then all are.
func ofTransaction(a log.Append) bool {
	for i := range a.Batches {
		if b, err := record.ParseHeader(a.Batches[i].Batch); err == nil && b.Transactional() {
			return true
		}
	}
	return false
}

// refused forgets the rows of an append that did not come to be: nobody may build on them.
func (s *Sequencer) refused(pos log.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ref := range s.mu.queue {
		if ref.pos == pos && s.mu.pending[ref.res].pos == pos {
			delete(s.mu.pending, ref.res)
		}
	}
}

// produced makes changes pending that a foreign writer has appended at pos. The caller holds mu.
func (s *Sequencer) produced(r *catalog.Relation, changes []ingest.Change, pos log.Position) {
	for i := range changes {
		c := &changes[i]
		if c.Generated {
			continue // its key is known when it is applied; nobody else can mean it
		}
		res := Resource{r.ID, string(c.Key)}
		if tx := s.mu.locks.owner(res); tx != nil {
			tx.doom(errs.SQL("40001", "could not serialize access: a row of %q was replaced by a produced record", r.Name).
				WithHint("Retry the transaction."))
		}
		s.await(res, c.Encoded, pos)
	}
	s.mu.written[r.ID] = pos
}

// AdmitTxn is the hook of the Kafka transactions that commit records of tables: all of them take their place in the order
// of all writes at once.
func (s *Sequencer) AdmitTxn(table func(log.TopicID) *catalog.Relation) log.TxnHook {
	return func(ctx context.Context, batches []log.PartitionBatch, submit func() (*log.Ticket, error)) (*log.Ticket, error) {
		type write struct {
			table   *catalog.Relation
			changes []ingest.Change
		}
		var writes []write
		codecs := map[log.TopicID]*ingest.Codec{}
		for _, b := range batches {
			r := table(b.Partition.Topic)
			if r == nil || r.Kind != catalog.Table {
				continue
			}
			codec := codecs[r.Topic]
			if codec == nil {
				var err error
				if codec, err = s.o.Codec(r); err != nil {
					return nil, err
				}
				codecs[r.Topic] = codec
			}
			d, err := codec.Decode(b.Batch, ingest.Place{Topic: r.Topic, Partition: b.Partition.Index})
			if err != nil {
				return nil, err
			}
			writes = append(writes, write{r, d.Changes})
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		t, err := submit()
		if err != nil || t.Position.IsZero() { // ended before: a retry
			return t, err
		}
		for _, w := range writes {
			s.produced(w.table, w.changes, t.Position)
		}
		return t, nil
	}
}
