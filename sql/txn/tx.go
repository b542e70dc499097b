package txn

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/views/catalog"
)

// Isolation is a transaction's isolation level.
type Isolation uint8

// The levels. READ UNCOMMITTED is READ COMMITTED, as in PostgreSQL.
const (
	ReadCommitted Isolation = iota
	RepeatableRead
	Serializable
)

// Tx is one transaction. Its methods are called by one goroutine.
type Tx struct {
	ID        uint64
	seq       *Sequencer
	Isolation Isolation
	// Snapshot is where a REPEATABLE READ or SERIALIZABLE transaction reads; zero for READ COMMITTED.
	Snapshot log.Position

	changes    []Change
	size       int64            // see Size
	latest     map[Resource]int // index of the last change of a row
	records    []*catalog.Record
	savepoints []savepoint
	fits       *catalog.Snapshot         // see Fits
	claims     map[Resource][]byte       // unique index entries taken by changes
	claimed    []claim                   // what the claims were before, for savepoints
	reads      map[delta.RelationID]bool // relations read, for SERIALIZABLE

	held   []Resource // guarded by the sequencer
	waits  *waiter    // guarded by the sequencer
	doomed error      // guarded by the sequencer
}

type savepoint struct {
	name    string
	changes []Change
	records int
	claimed int
	size    int64
}

// claim is what a unique index entry belonged to before a change of this transaction took it.
type claim struct {
	entry Resource
	key   []byte
	had   bool
}

// Begin starts a transaction.
func (s *Sequencer) Begin(iso Isolation) *Tx {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.nextTx++
	return &Tx{ID: s.mu.nextTx, seq: s, Isolation: iso, latest: map[Resource]int{}, reads: map[delta.RelationID]bool{}}
}

// doom makes the next step of tx fail with err. The caller holds the sequencer's mutex.
func (tx *Tx) doom(err error) {
	if tx.doomed == nil {
		tx.doomed = err
	}
}

// Read notes that tx has read a relation; SERIALIZABLE validates it at commit.
func (tx *Tx) Read(rel delta.RelationID) {
	if tx.Isolation == Serializable {
		tx.reads[rel] = true
	}
}

// Lock takes the lock of one row, waiting for its holder, and gives the newest version of the row: pending before
// applied, this transaction's own first. timeout 0 waits as long as ctx; a negative one not at all (NOWAIT, 55P03).
func (tx *Tx) Lock(ctx context.Context, rel delta.RelationID, key []byte, timeout time.Duration) (encoded []byte, own row.Row, ok bool, err error) {
	res := Resource{rel, string(key)}
	if err := tx.lock(ctx, res, timeout); err != nil {
		return nil, nil, false, err
	}
	if i, has := tx.latest[res]; has {
		c := tx.changes[i]
		return nil, c.New, c.New != nil, nil
	}
	tx.seq.mu.Lock()
	defer tx.seq.mu.Unlock()
	encoded, ok, err = tx.seq.newest(res)
	return encoded, nil, ok, err
}

// LockEntry takes the lock of a unique index's entry and gives the primary key it leads to.
func (tx *Tx) LockEntry(ctx context.Context, index delta.RelationID, entry []byte, timeout time.Duration) (key []byte, ok bool, err error) {
	res := Resource{index, string(entry)}
	if err := tx.lock(ctx, res, timeout); err != nil {
		return nil, false, err
	}
	tx.seq.mu.Lock()
	defer tx.seq.mu.Unlock()
	return tx.seq.newestEntry(res)
}

// LockRelation takes the lock of a whole relation against other transactions' DDL (0: of the catalog).
func (tx *Tx) LockRelation(ctx context.Context, rel delta.RelationID, timeout time.Duration) error {
	return tx.lock(ctx, Resource{ID: rel}, timeout)
}

func (tx *Tx) lock(ctx context.Context, res Resource, timeout time.Duration) error {
	s := tx.seq
	s.mu.Lock()
	if tx.doomed != nil {
		s.mu.Unlock()
		return tx.doomed
	}
	w, err := s.mu.locks.acquire(tx, res)
	if w != nil && timeout < 0 {
		s.mu.locks.abandon(w)
		w, err = nil, errs.SQL("55P03", "could not obtain lock on row")
	}
	s.mu.Unlock()
	if w == nil {
		return err
	}
	var expired <-chan time.Time
	if timeout > 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-w.granted:
		s.mu.Lock()
		defer s.mu.Unlock()
		return tx.doomed
	case <-expired:
		err = errs.SQL("55P03", "canceling statement due to lock timeout")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.locks.abandon(w)
	return err
}

// Write notes a row's change; the caller holds the row's lock.
func (tx *Tx) Write(c Change) {
	if c.Relation.Keyed() {
		tx.latest[Resource{c.Relation.ID, string(c.Key)}] = len(tx.changes)
	}
	tx.changes = append(tx.changes, c)
	tx.size += int64(len(c.Key))
	for _, v := range c.New {
		tx.size += valueSize
		if v.Kind() == row.KindText || v.Kind() == row.KindBytes {
			tx.size += int64(len(v.Str()))
		}
	}
}

// valueSize is about what a value takes beside its text.
const valueSize = 40

// Size is about how many bytes of keys and values the changes hold; what they take in memory until the commit is over is
// a few times that.
func (tx *Tx) Size() int64 { return tx.size }

// Define notes catalog records to be appended with the data. Rows written before them get the columns they add.
func (tx *Tx) Define(rs ...*catalog.Record) error {
	for _, r := range rs {
		if err := tx.widen(r); err != nil {
			return err
		}
	}
	tx.records = append(tx.records, rs...)
	return nil
}

// widen brings the changes of the defined relation to its new definition. Savepoints keep the changes as they were.
func (tx *Tx) widen(r *catalog.Record) (err error) {
	if r.Relation == nil || !slices.ContainsFunc(tx.changes, func(c Change) bool { return c.Relation.ID == r.ID }) {
		return nil
	}
	tx.changes = slices.Clone(tx.changes)
	for i := range tx.changes {
		c := &tx.changes[i]
		if c.Relation.ID != r.ID {
			continue
		}
		c.Relation = r.Relation
		if c.Old, err = ingest.Widen(r.Relation, slices.Clip(c.Old)); err != nil {
			return err
		}
		if c.New, err = ingest.Widen(r.Relation, slices.Clip(c.New)); err != nil {
			return err
		}
	}
	return nil
}

// Fits fails with 40001 when tx has written to a relation that has a newer definition in snap, against which its next
// statement is planned.
func (tx *Tx) Fits(snap *catalog.Snapshot) error {
	if tx.fits == snap {
		return nil
	}
	for i := range tx.changes {
		if r := tx.changes[i].Relation; (i == 0 || r != tx.changes[i-1].Relation) && r.Version < snap.Version(r.ID) {
			return redefinedError(r)
		}
	}
	tx.fits = snap
	return nil
}

func redefinedError(r *catalog.Relation) error {
	return errs.SQL("40001", "relation %q was changed concurrently", r.Name).WithHint("Retry the transaction.")
}

// Records are the catalog records noted so far.
func (tx *Tx) Records() []*catalog.Record { return tx.records }

// Own gives this transaction's version of a row; changed is false when it has none.
func (tx *Tx) Own(rel delta.RelationID, key []byte) (r row.Row, changed bool) {
	i, ok := tx.latest[Resource{rel, string(key)}]
	if !ok {
		return nil, false
	}
	return tx.changes[i].New, true
}

// Claim notes that the row at key takes an entry of a unique index; the caller holds the entry's lock. Claimed gives the
// key that claimed it last: the caller looks whether that row still has the entry.
func (tx *Tx) Claim(index delta.RelationID, entry, key []byte) {
	if tx.claims == nil {
		tx.claims = map[Resource][]byte{}
	}
	res := Resource{index, string(entry)}
	before, had := tx.claims[res]
	tx.claimed = append(tx.claimed, claim{res, before, had})
	tx.claims[res] = key
}

// Claimed: see Claim.
func (tx *Tx) Claimed(index delta.RelationID, entry []byte) ([]byte, bool) {
	key, ok := tx.claims[Resource{index, string(entry)}]
	return key, ok
}

// Changed gives this transaction's last change of every row of a keyed relation that it changed, and every row that it
// appended to one without a key.
func (tx *Tx) Changed(rel delta.RelationID) []Change {
	var cs []Change
	for i, c := range tx.changes {
		if c.Relation.ID == rel && (!c.Relation.Keyed() || tx.latest[Resource{rel, string(c.Key)}] == i) {
			cs = append(cs, c)
		}
	}
	return cs
}

// Dirty reports whether there is something to commit.
func (tx *Tx) Dirty() bool { return len(tx.changes)+len(tx.records) > 0 }

// Savepoint marks a place to come back to.
func (tx *Tx) Savepoint(name string) {
	tx.savepoints = append(tx.savepoints, savepoint{name, tx.changes, len(tx.records), len(tx.claimed), tx.size})
}

// HasSavepoint reports whether there is a place to come back to.
func (tx *Tx) HasSavepoint() bool { return len(tx.savepoints) > 0 }

// RollbackTo undoes what came after the savepoint, which stays; locks stay too. Release forgets it and later ones.
func (tx *Tx) RollbackTo(name string) error {
	i, err := tx.find(name)
	if err != nil {
		return err
	}
	sp := tx.savepoints[i]
	tx.savepoints = tx.savepoints[:i+1]
	tx.changes, tx.records, tx.size = sp.changes, tx.records[:sp.records], sp.size
	for _, c := range slices.Backward(tx.claimed[sp.claimed:]) {
		if c.had {
			tx.claims[c.entry] = c.key
		} else {
			delete(tx.claims, c.entry)
		}
	}
	tx.claimed = tx.claimed[:sp.claimed]
	clear(tx.latest)
	for j, c := range tx.changes {
		if c.Relation.Keyed() {
			tx.latest[Resource{c.Relation.ID, string(c.Key)}] = j
		}
	}
	return nil
}

// Release forgets a savepoint and those after it.
func (tx *Tx) Release(name string) error {
	i, err := tx.find(name)
	if err == nil {
		tx.savepoints = tx.savepoints[:i]
	}
	return err
}

func (tx *Tx) find(name string) (int, error) {
	for i := len(tx.savepoints) - 1; i >= 0; i-- {
		if tx.savepoints[i].name == name {
			return i, nil
		}
	}
	return 0, errs.SQL("3B001", "savepoint %q does not exist", name)
}

// Rollback lets go of everything. It may be called again.
func (tx *Tx) Rollback() {
	tx.seq.mu.Lock()
	defer tx.seq.mu.Unlock()
	tx.seq.mu.locks.release(tx)
	tx.changes, tx.records = nil, nil
}

// Commit appends the changes as one atomic append, waits until it is durable and applied to the heap, and returns its
// Position; zero when there was nothing to write. Once the append has been submitted the wait is not cut short by ctx:
// an answer "cancelled" would be a lie. Errors: 40001, those of log.Submit, 08007 when the outcome is not known.
func (tx *Tx) Commit(ctx context.Context, now time.Time) (log.Position, error) {
	if !tx.Dirty() {
		tx.Rollback()
		return log.Position{}, nil
	}
	a, decoded, err := tx.encode(now)
	if err != nil {
		tx.Rollback()
		return log.Position{}, err
	}
	t, err := tx.submit(ctx, a, decoded)
	if err != nil {
		return log.Position{}, err
	}
	wait := context.WithoutCancel(ctx)
	if err := t.Wait(wait); err != nil {
		tx.seq.refused(t.Position)
		if errs.Is(err, errs.Unavailable) { // nothing was written
			return log.Position{}, err
		}
		return log.Position{}, &errs.Error{Kind: errs.Unknown, State: "08007", Message: "the outcome of the commit is not known", Err: err}
	}
	return t.Position, tx.seq.o.Applied(wait, t.Position)
}

// encode turns the changes into record batches, one per partition, and their typed form beside them.
func (tx *Tx) encode(now time.Time) (log.Append, *ingest.Decoded, error) {
	a := log.Append{Txn: tx.ID}
	enc := ingest.NewEncoder(now, tx.seq.partitions, len(tx.changes))
	for _, r := range tx.records {
		if err := enc.Catalog(r); err != nil {
			return a, nil, err
		}
	}
	// Only a row's last version in the transaction is an event.
	for i, c := range tx.changes {
		if c.Relation.Keyed() && tx.latest[Resource{c.Relation.ID, string(c.Key)}] != i {
			continue
		}
		if err := enc.Row(c.Relation, c.Key, c.Old, c.New); err != nil {
			return a, nil, err
		}
	}
	batches, decoded, err := enc.Finish()
	a.Batches, a.Attachment = batches, decoded
	return a, decoded, err
}

func (tx *Tx) submit(ctx context.Context, a log.Append, decoded *ingest.Decoded) (*log.Ticket, error) {
	s := tx.seq
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.mu.locks.release(tx)
	if tx.doomed != nil {
		return nil, tx.doomed
	}
	for rel := range tx.reads {
		if tx.Snapshot.Less(s.mu.written[rel]) {
			return nil, errs.SQL("40001", "could not serialize access due to read/write dependencies among transactions").
				WithHint("The transaction might succeed if retried.")
		}
	}
	if rel := s.redefined(tx.changes); rel != nil {
		return nil, redefinedError(rel)
	}
	t, err := s.o.Log.Submit(ctx, a)
	if err != nil {
		return nil, err
	}
	for _, r := range tx.records {
		s.mu.defined[r.ID] = r.Version
	}
	for i := range decoded.Changes {
		c := &decoded.Changes[i]
		if !c.Relation.Keyed() {
			continue
		}
		s.await(Resource{c.Relation.ID, string(c.Key)}, c.Encoded, t.Position)
		s.mu.written[c.Relation.ID] = t.Position
	}
	if err := tx.awaitEntries(decoded, t.Position); err != nil {
		return nil, err
	}
	return t, nil
}

// awaitEntries makes the unique index entries of the changed rows pending. The
// caller holds the sequencer's mutex.
func (tx *Tx) awaitEntries(decoded *ingest.Decoded, pos log.Position) error {
	for i := range decoded.Changes {
		c := &decoded.Changes[i]
		for j := range c.Relation.Indexes {
			x := &c.Relation.Indexes[j]
			if !x.Unique || c.Row == nil {
				continue
			}
			if entry, ok := ingest.EntryKey(c.Relation, x, c.Row); ok {
				tx.seq.await(Resource{x.ID, string(entry)}, bytes.Clone(c.Key), pos)
			}
		}
	}
	return nil
}
