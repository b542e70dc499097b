package heap

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/views"
)

var _ views.Store = (*Store)(nil)

// Options says where the store is and what it may take.
type Options struct {
	FS  vfs.FS // nil: the operating system's
	Dir string

	Cache    limit.Bytes // block cache, memtables come on top; 0: 64 MiB
	MemTable limit.Bytes // size of one memtable; 0: 64 MiB
	// UndoBatch is how many undo records are written between two removals of those below the floor; 0: 100,000.
	UndoBatch int

	// Fatal is called, from any goroutine, when Pebble cannot go on (its MANIFEST could not be synced, say): the process
	// must stop and recover from the log (DESIGN rule 2). It must not return. nil: panic.
	Fatal func(error)
}

func (o *Options) defaults() {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Cache == 0 {
		o.Cache = 64 * limit.MiB
	}
	if o.MemTable == 0 {
		o.MemTable = 64 * limit.MiB
	}
	if o.UndoBatch == 0 {
		o.UndoBatch = 100_000
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
}

// Store is an open heap. One goroutine uses Begin and its Batch; everything else may be called from any.
type Store struct {
	opts  Options
	db    *pebble.DB
	ended chan struct{} // closed when the store closes

	writing atomic.Bool // a batch is open

	mu struct {
		sync.RWMutex
		position delta.Position
		stats    map[delta.RelationID]Stats
		// wanted is the floor last asked for, floor the one whose removal was committed.
		wanted, floor delta.Position
		failed        error // of a commit: the state in memory is no longer known to be that on disk
		background    error // last error of a flush or compaction; cleared by a flush that succeeds
		failures      int   // of flushes and compactions
	}

	// What the applier alone touches.
	undoRelations map[delta.RelationID]struct{} // have undo records above floor
	undoWritten   int                           // since the last removal
}

// Open opens the store in opts.Dir, creating it when there is none. Errors: Corrupt when what is there is damaged or of
// a later format.
func Open(opts Options) (*Store, error) {
	opts.defaults()
	s := &Store{opts: opts, ended: make(chan struct{}), undoRelations: map[delta.RelationID]struct{}{}}
	s.mu.stats = map[delta.RelationID]Stats{}
	db, err := pebble.Open(opts.Dir, s.pebbleOptions())
	if err != nil {
		return nil, wrap("open "+opts.Dir, err)
	}
	s.db = db
	if err := s.load(); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                 vfs.Patient(s.opts.FS, s.ended),
		DisableWAL:         true, // the log is the WAL
		FormatMajorVersion: pebble.FormatNewest,
		// Pebble takes its memtables out of the cache: without this a cache as big as a memtable caches nothing.
		CacheSize:                   int64(s.opts.Cache + 2*s.opts.MemTable),
		MemTableSize:                uint64(s.opts.MemTable),
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                500,
		CompactionConcurrencyRange:  func() (int, int) { return 1, max(1, runtime.GOMAXPROCS(0)/2) },
		Logger:                      logger{s.opts.Fatal},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				s.mu.Lock()
				s.mu.background = err
				s.mu.failures++
				s.mu.Unlock()
				time.Sleep(backgroundPause) // Pebble tries again at once, for ever
			},
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				s.mu.Lock()
				s.mu.background = errs.New(errs.Corrupt, "heap: %s: %v", i.Path, i.Details)
				s.mu.Unlock()
			},
		},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].BlockSize = 16 << 10
		o.Levels[i].IndexBlockSize = 256 << 10 // one level of index in every table: a point read seeks in one block less
	}
	return o
}

// load reads what the store knows of itself.
func (s *Store) load() error {
	format, found, err := s.get(nil, metaFormat)
	if err != nil {
		return err
	}
	if !found {
		// The format record needs no flush of its own: without it there is no Position and the store is empty.
		return wrap("create", s.db.Set(metaFormat, []byte{formatVersion}, pebble.NoSync))
	}
	if len(format) != 1 || format[0] != formatVersion {
		return errs.New(errs.Corrupt, "heap: %s has format %x, this program reads %d", s.opts.Dir, format, formatVersion)
	}
	for key, p := range map[string]*delta.Position{string(metaPosition): &s.mu.position, string(metaFloor): &s.mu.floor} {
		b, found, err := s.get(nil, []byte(key))
		if err != nil {
			return err
		}
		if found {
			if *p, err = delta.DecodePosition(b); err != nil {
				return err
			}
		}
	}
	s.mu.wanted = s.mu.floor
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: metaStats, UpperBound: []byte{spaceMeta, 's' + 1}})
	if err != nil {
		return wrap("open", err)
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		id, err := relationOf(it.Key()[1:])
		if err != nil {
			return err
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return wrap("open", err)
		}
		if s.mu.stats[id], err = decodeStats(v); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return wrap("open", err)
	}
	return s.loadUndoRelations()
}

// loadUndoRelations finds the relations that have undo records, one seek each.
func (s *Store) loadUndoRelations() error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceUndo}, UpperBound: []byte{spaceUndo + 1}})
	if err != nil {
		return wrap("open", err)
	}
	defer it.Close()
	for ok := it.First(); ok; {
		id, err := relationOf(it.Key())
		if err != nil {
			return err
		}
		s.undoRelations[id] = struct{}{}
		_, next := bounds(spaceUndo, id, nil, nil)
		ok = it.SeekGE(next)
	}
	return wrap("open", it.Error())
}

// Position is that of the last committed batch.
func (s *Store) Position() delta.Position {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.position
}

// DurablePosition is the Position the store would open at after a power cut now.
func (s *Store) DurablePosition() delta.Position {
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: metaPosition, UpperBound: []byte{spaceMeta, 'p' + 1}, OnlyReadGuaranteedDurable: true,
	})
	if err != nil {
		return delta.Position{}
	}
	defer it.Close()
	if !it.First() {
		return delta.Position{} // none, or unreadable: replay from the start is always right
	}
	p, err := delta.DecodePosition(it.Value())
	if err != nil {
		return delta.Position{}
	}
	return p
}

// Flush makes every committed batch durable. It gives up on a disk that refuses flushTries times: what was not flushed comes
// from the log again.
func (s *Store) Flush() error {
	done, err := s.db.AsyncFlush()
	if err != nil {
		return wrap("flush", err)
	}
	s.mu.RLock()
	before := s.mu.failures
	s.mu.RUnlock()
	ticker := time.NewTicker(backgroundPause)
	defer ticker.Stop()
	for flushed := false; !flushed; {
		select {
		case <-done:
			flushed = true
		case <-ticker.C:
			s.mu.RLock()
			failures, cause := s.mu.failures-before, s.mu.background
			s.mu.RUnlock()
			if failures >= flushTries {
				return wrap("flush", cause)
			}
		}
	}
	s.mu.Lock()
	if !errs.Is(s.mu.background, errs.Corrupt) {
		s.mu.background = nil
	}
	s.mu.Unlock()
	return nil
}

// Close flushes and closes. Snapshots, iterators and batches must be closed before.
func (s *Store) Close() error {
	close(s.ended)
	err := s.Flush()
	if cerr := s.db.Close(); err == nil {
		err = wrap("close", cerr)
	}
	return err
}

// Err gives the last error of a flush or compaction in the background, such as a full disk; nil when all is well.
func (s *Store) Err() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.mu.failed != nil {
		return s.mu.failed
	}
	return wrap("background work", s.mu.background)
}

// Stats gives what is counted of a relation.
func (s *Store) Stats(rel delta.RelationID) Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.stats[rel]
}

// Checkpoint writes a copy of the durable state to dir, which must not exist, on the same file system: tables are
// hard-linked. It flushes first, so the copy stands at least at the Position of before the call. For backup.
func (s *Store) Checkpoint(dir string) error {
	if err := s.Flush(); err != nil {
		return err
	}
	return wrap("checkpoint", s.db.Checkpoint(dir))
}

// wrap gives Pebble's errors a kind and the operation.
func wrap(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errs.KindOf(err) != errs.Internal:
		return err
	case pebble.IsCorruptionError(err):
		return errs.New(errs.Corrupt, "heap: %s: %w", op, err)
	}
	return errs.New(errs.Internal, "heap: %s: %w", op, err)
}

// backgroundPause is between two tries of a flush or compaction that fails, on a full disk say.
const backgroundPause = 200 * time.Millisecond

// flushTries is after how many failures in a row Flush gives up.
const flushTries = 10

// logger drops Pebble's chatter (its errors come back from calls or through the EventListener) and makes its fatal
// errors ours.
type logger struct{ fatal func(error) }

func (logger) Infof(string, ...any)  {}
func (logger) Errorf(string, ...any) {}
func (l logger) Fatalf(format string, args ...any) {
	l.fatal(errs.New(errs.Internal, "heap: %s", fmt.Sprintf(format, args...)))
}
