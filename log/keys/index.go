package keys

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
)

const (
	memTable = 8 * limit.MiB
	cache    = 16 * limit.MiB
	// flushRetry is between two tries of a flush that failed, on a full disk say.
	flushRetry = 200 * time.Millisecond
)

// Name stands for a key.
type Name [sha256.Size]byte

// NameOf gives the name of a key.
func NameOf(key []byte) Name { return sha256.Sum256(key) }

// Entry is one record with a key.
type Entry struct {
	Offset int64
	// Producer is who wrote it in a transaction, -1: outside of any.
	Producer int64
}

// Mark says that the entries of a partition are complete, and up to where those that are of no more use were removed.
type Mark struct{ Start, Clean int64 }

// Options say where an Index is.
type Options struct {
	FS  vfs.FS
	Dir string
	// Fatal is called with a fault after which the process must end and recover; it must not return. nil: panic.
	Fatal func(error)
	// ReadOnly changes nothing in the files.
	ReadOnly bool
}

// Index is open. All of it may be used by any goroutine.
type Index struct {
	db *pebble.DB

	mu struct {
		sync.Mutex
		background error // of the last flush that failed
	}
}

// Open opens the index, or makes an empty one. Errors: Corrupt, Unsupported (a newer format).
func Open(o Options) (*Index, error) {
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	x := &Index{}
	var err error
	if x.db, err = pebble.Open(o.Dir, x.pebbleOptions(o)); err != nil {
		return nil, wrap("open", err)
	}
	if err := x.checkFormat(o.ReadOnly); err != nil {
		x.db.Close()
		return nil, err
	}
	return x, nil
}

func (x *Index) pebbleOptions(o Options) *pebble.Options {
	return &pebble.Options{
		FS:                         o.FS,
		DisableWAL:                 true,
		ReadOnly:                   o.ReadOnly,
		FormatMajorVersion:         pebble.FormatNewest,
		CacheSize:                  int64(cache + 2*memTable),
		MemTableSize:               uint64(memTable),
		MaxOpenFiles:               100,
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
		Logger:                     logger{o.Fatal},
		EventListener: &pebble.EventListener{
			DataCorruption: func(pebble.DataCorruptionInfo) {}, // whoever reads it gets the error; else it would be fatal
			BackgroundError: func(err error) {
				x.failed(err)
				time.Sleep(flushRetry) // Pebble tries again at once, for ever
			},
			FlushEnd: func(i pebble.FlushInfo) {
				if i.Err == nil {
					x.failed(nil)
				}
			},
		},
	}
}

func (x *Index) failed(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.background = err
}

func (x *Index) checkFormat(readOnly bool) error {
	value, closer, err := x.db.Get([]byte{spaceFormat})
	if err == pebble.ErrNotFound {
		if readOnly {
			return nil // nothing was flushed yet
		}
		return wrap("create", x.db.Set([]byte{spaceFormat}, []byte{version}, pebble.NoSync))
	}
	if err != nil {
		return wrap("open", err)
	}
	defer closer.Close()
	if len(value) != 1 || value[0] != version {
		return errs.New(errs.Unsupported, "key index: format version %x is newer than this program", value)
	}
	return nil
}

// Batch gathers entries that are seen together.
type Batch struct{ b *pebble.Batch }

// Batch begins one.
func (x *Index) Batch() *Batch { return &Batch{x.db.NewBatch()} }

// Add adds an entry.
func (b *Batch) Add(p log.Partition, name Name, e Entry) error {
	return wrap("add", b.b.Set(entryKey(p, name, e.Offset), entryValue(e), nil))
}

// Size is the bytes gathered.
func (b *Batch) Size() int { return b.b.Len() }

// Commit lets readers see the entries; they are durable at the next Sync. The batch is used up.
func (b *Batch) Commit() error { return wrap("commit", b.b.Commit(pebble.NoSync)) }

// Newest gives the entries of a key below an offset, the newest first.
func (x *Index) Newest(p log.Partition, name Name, below int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: entryKey(p, name, 0), UpperBound: entryKey(p, name, max(below, 0))})
		if err != nil {
			yield(Entry{}, wrap("read", err))
			return
		}
		defer it.Close()
		for ok := it.Last(); ok; ok = it.Prev() {
			e, err := decodeEntry(it.Key(), it.Value())
			if !yield(e, err) || err != nil {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(Entry{}, wrap("read", err))
		}
	}
}

// Built lists the partitions whose entries are complete.
func (x *Index) Built() (map[log.Partition]Mark, error) {
	out := map[log.Partition]Mark{}
	err := x.scan(nil, []byte{spaceMark}, []byte{spaceMark + 1}, func(key, value []byte) error {
		p, mark, err := decodeMark(key, value)
		out[p] = mark
		return err
	})
	return out, err
}

// SetBuilt says that the entries of a partition are complete.
func (x *Index) SetBuilt(p log.Partition, m Mark) error {
	return wrap("mark", x.db.Set(markKey(p), markValue(m), pebble.NoSync))
}

// Drop removes everything of a partition.
func (x *Index) Drop(p log.Partition) error {
	b := x.db.NewBatch()
	if err := b.Delete(markKey(p), nil); err != nil {
		return wrap("drop", err)
	}
	first := partitionKey(spaceEntry, p)
	if err := b.DeleteRange(first, after(first), nil); err != nil {
		return wrap("drop", err)
	}
	return wrap("drop", b.Commit(pebble.NoSync))
}

// trimBatch is the bytes of removals in memory.
const trimBatch = 1 << 20

// Trim removes the entries below start, and of those below clean the ones whose records compaction has removed: what took no
// effect and, where it goes by keys, all but the last one of each key. stop is asked now and then and ends it with its error.
func (x *Index) Trim(p log.Partition, start, clean int64, byKeys bool, took func(Entry) bool, stop func() error) error {
	b := x.db.NewBatch()
	drop := func(key []byte) error {
		if err := b.Delete(key, nil); err != nil || b.Len() < trimBatch {
			return err
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			return err
		}
		b = x.db.NewBatch()
		return nil
	}
	first := partitionKey(spaceEntry, p)
	var last []byte // the newest entry below clean of the key at hand
	err := x.scan(stop, first, after(first), func(key, value []byte) error {
		e, err := decodeEntry(key, value)
		switch {
		case err != nil:
			return err
		case e.Offset < start, e.Offset < clean && !took(e):
			return drop(key)
		case e.Offset >= clean, !byKeys:
			return nil
		}
		if bytes.HasPrefix(last, key[:entrySize-8]) {
			if err := drop(last); err != nil {
				return err
			}
		}
		last = append(last[:0], key...)
		return nil
	})
	if err == nil {
		err = b.Set(markKey(p), markValue(Mark{start, clean}), nil)
	}
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	return wrap("trim", err)
}

// Check reads everything: every block is checked by its checksum.
func (x *Index) Check() error {
	return x.scan(nil, []byte{0}, []byte{math.MaxUint8}, func(key, value []byte) error {
		var err error
		switch key[0] {
		case spaceEntry:
			_, err = decodeEntry(key, value)
		case spaceMark:
			_, _, err = decodeMark(key, value)
		}
		return err
	})
}

func (x *Index) scan(stop func() error, lower, upper []byte, visit func(key, value []byte) error) error {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return wrap("read", err)
	}
	defer it.Close()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; stop != nil && n%1024 == 0 {
			if err := stop(); err != nil {
				return err
			}
		}
		if err := visit(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return wrap("read", it.Error())
}

// Sync makes everything committed durable. It gives the fault when the disk does not take it, after which it may be
// called again.
func (x *Index) Sync() error {
	done, err := x.db.AsyncFlush()
	if err != nil {
		return wrap("flush", err)
	}
	retry := time.NewTicker(flushRetry)
	defer retry.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-retry.C:
		}
		x.mu.Lock()
		err := x.mu.background
		x.mu.Unlock()
		if err != nil {
			return fmt.Errorf("key index: flush: %w", err)
		}
	}
}

// Close closes the files. What was not synced is lost, and is added again by a replay.
func (x *Index) Close() error { return wrap("close", x.db.Close()) }

func wrap(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errs.KindOf(err) != errs.Internal:
		return err
	case pebble.IsCorruptionError(err):
		return errs.New(errs.Corrupt, "key index: %s: %w", op, err).
			WithHint("No record is lost. Stop the server and remove the directory keys of the log: it is built anew from the records.")
	}
	return fmt.Errorf("key index: %s: %w", op, err)
}

// logger drops Pebble's chatter and makes its fatal errors ours.
type logger struct{ fatal func(error) }

func (logger) Infof(string, ...any)  {}
func (logger) Errorf(string, ...any) {}
func (l logger) Fatalf(format string, args ...any) {
	l.fatal(errs.New(errs.Internal, "key index: %s", fmt.Sprintf(format, args...)))
}
