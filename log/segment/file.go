package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log/record"
)

const (
	indexMagic      = "MDBSIDX\n"
	indexVersion    = 1
	indexHeaderSize = 32
	indexEntrySize  = 32
	noTimestamp     = math.MinInt64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// indexEntry points at a batch.
type indexEntry struct {
	position  uint32
	offset    int64
	maxBefore int64 // highest timestamp of the batches before it in the file, noTimestamp: none
	sequence  uint64
}

// file is one segment: a file of batches and one of index entries.
type file struct {
	opts  *Options
	state SegmentState // Indexed: entries written to the index file; Size: when it was opened
	// refs counts the Store and the readers: the last one to let go closes the files.
	refs atomic.Int32

	// Of the appending goroutine:
	dirty        bool
	maxTimestamp int64 // of all batches appended
	last         uint64

	// What readers see, guarded by the Store's mutex:
	flushed   int64
	published int64 // maxTimestamp of what is flushed
	sequence  uint64

	// entries is the index; its loading and growth are guarded by mu.
	mu      sync.Mutex
	loaded  bool
	entries []indexEntry
	open    struct{ data, index vfs.File }
}

func newFile(opts *Options, st SegmentState) *file {
	f := &file{opts: opts, state: st, flushed: st.Size, maxTimestamp: st.MaxTimestamp, published: st.MaxTimestamp, last: st.Last, sequence: st.Last}
	f.refs.Store(1)
	return f
}

func (f *file) name() string      { return f.path("log") }
func (f *file) indexName() string { return f.path("index") }

func (f *file) path(suffix string) string {
	name := fmt.Sprintf("%020d.%s", f.state.Base, suffix)
	if f.state.Generation > 0 {
		name = fmt.Sprintf("%020d-%d.%s", f.state.Base, f.state.Generation, suffix)
	}
	return f.opts.FS.PathJoin(f.opts.Dir, name)
}

// release lets go of the file: of one that the Store has given up, the last reader closes it.
func (f *file) release() error {
	if f.refs.Add(-1) == 0 {
		return f.close()
	}
	return nil
}

// remove deletes what the Store has given up.
func (f *file) remove() error {
	for _, name := range []string{f.name(), f.indexName()} {
		if err := f.opts.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("segment: remove: %w", err)
		}
	}
	return nil
}

// data is the open file of batches.
func (f *file) data() (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dataLocked()
}

func (f *file) dataLocked() (vfs.File, error) {
	if f.open.data == nil {
		data, err := f.opts.FS.OpenReadWrite(f.name(), vfs.WriteCategory)
		if err != nil {
			return nil, err
		}
		f.open.data = data
	}
	return f.open.data, nil
}

func (f *file) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var first error
	for _, o := range []*vfs.File{&f.open.data, &f.open.index} {
		if *o != nil {
			if err := (*o).Close(); first == nil {
				first = err
			}
			*o = nil
		}
	}
	return first
}

// index notes a batch that stands at position, when it is time for an entry. The index is loaded.
func (f *file) index(b Batch, position uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.entries)
	if n == 0 || position-f.entries[n-1].position >= IndexInterval || b.Sequence-f.entries[n-1].sequence >= SequenceStride {
		f.entries = append(f.entries, indexEntry{position, b.Base, f.maxTimestamp, b.Sequence})
	}
	f.maxTimestamp, f.last = max(f.maxTimestamp, b.MaxTimestamp), b.Sequence
}

func (f *file) publish(size int64) { f.flushed, f.published, f.sequence = size, f.maxTimestamp, f.last }

// sync writes the index entries that are not on the disk and makes both files durable.
func (f *file) sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err := f.dataLocked()
	if err != nil {
		return fmt.Errorf("segment %s: %w", f.name(), err)
	}
	if err := data.SyncData(); err != nil {
		return errs.New(errs.Unavailable, "segment %s: sync failed, restart to recover: %w", f.name(), err)
	}
	if f.state.Indexed < int64(len(f.entries)) {
		if err := f.writeIndexLocked(); err != nil {
			return err
		}
	}
	f.dirty = false
	return nil
}

func (f *file) writeIndexLocked() error {
	if f.open.index == nil {
		index, err := f.opts.FS.OpenReadWrite(f.indexName(), vfs.WriteCategory)
		if err != nil {
			return fmt.Errorf("segment %s: %w", f.indexName(), err)
		}
		f.open.index = index
	}
	var p []byte
	at := indexHeaderSize + f.state.Indexed*indexEntrySize
	if f.state.Indexed == 0 {
		at = 0
		p = encodeIndexHeader(f.state.Base)
	}
	for _, e := range f.entries[f.state.Indexed:] {
		p = e.append(p)
	}
	if _, err := f.open.index.WriteAt(p, at); err != nil {
		return fmt.Errorf("segment %s: write: %w", f.indexName(), err)
	}
	if err := f.open.index.SyncData(); err != nil {
		return errs.New(errs.Unavailable, "segment %s: sync failed, restart to recover: %w", f.indexName(), err)
	}
	f.state.Indexed = int64(len(f.entries))
	return nil
}

// load reads the index. It fails only where there are no file descriptors for it.
func (f *file) load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loadLocked()
}

// loadLocked reads the index at its first use. It is derived from the batches: when it does not hold, it is made again
// from them, less exact in its sequences.
func (f *file) loadLocked() error {
	if f.loaded {
		return nil
	}
	err := f.readIndexLocked()
	if err != nil && !vfs.Scarce(err) {
		err = f.rebuildLocked()
	}
	if vfs.Scarce(err) {
		return fmt.Errorf("segment %s: %w", f.indexName(), err)
	}
	f.loaded = true
	return nil
}

func (f *file) readIndexLocked() error {
	index, err := f.opts.FS.Open(f.indexName())
	if err != nil {
		return err
	}
	defer index.Close()
	p := make([]byte, indexHeaderSize+f.state.Indexed*indexEntrySize)
	if _, err := index.ReadAt(p, 0); err != nil && err != io.EOF {
		return err
	}
	entries, err := decodeIndex(p, f.state.Base)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if i > 0 && (e.position <= entries[i-1].position || e.offset <= entries[i-1].offset) || int64(e.position) >= f.state.Size {
			at := indexHeaderSize + i*indexEntrySize
			return errs.New(errs.Corrupt, "bytes %d to %d: entry %d is out of order", at, at+indexEntrySize, i)
		}
	}
	f.entries = entries
	return nil
}

// rebuildLocked walks the headers of the batches. Damage in them ends it: reading past its last entry finds the damage.
func (f *file) rebuildLocked() error {
	f.entries = f.entries[:0]
	f.state.Indexed = 0
	data, err := f.dataLocked()
	if err != nil {
		return err
	}
	highest := int64(noTimestamp)
	header := make([]byte, record.HeaderSize)
	for at := int64(0); at < f.state.Size; {
		if _, err := data.ReadAt(header, at); err != nil {
			return err
		}
		b, err := record.ParseHeader(header)
		if err != nil {
			return err
		}
		if n := len(f.entries); n == 0 || at-int64(f.entries[n-1].position) >= IndexInterval {
			f.entries = append(f.entries, indexEntry{uint32(at), b.BaseOffset, highest, f.state.Sequence})
		}
		highest = max(highest, b.MaxTimestamp)
		at += record.Size(header)
	}
	return nil
}

// search gives the last entry for which before holds, from the first on; the file's beginning when there is none, or no index
// for now.
func (f *file) search(before func(indexEntry) bool) indexEntry {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.loadLocked() // without it every batch before is walked over
	i := sort.Search(len(f.entries), func(i int) bool { return !before(f.entries[i]) }) - 1
	if i < 0 {
		return indexEntry{offset: f.state.Base, maxBefore: noTimestamp, sequence: f.state.Sequence}
	}
	return f.entries[i]
}

func encodeIndexHeader(base int64) []byte {
	p := make([]byte, indexHeaderSize)
	be := binary.BigEndian
	copy(p, indexMagic)
	be.PutUint32(p[8:], indexVersion)
	be.PutUint64(p[16:], uint64(base))
	be.PutUint32(p[12:], crc32.Checksum(p[16:], castagnoli))
	return p
}

func (e indexEntry) append(p []byte) []byte {
	at := len(p)
	p = append(p, make([]byte, indexEntrySize)...)
	q := p[at:]
	be := binary.BigEndian
	be.PutUint32(q[4:], e.position)
	be.PutUint64(q[8:], uint64(e.offset))
	be.PutUint64(q[16:], uint64(e.maxBefore))
	be.PutUint64(q[24:], e.sequence)
	be.PutUint32(q, crc32.Checksum(q[4:], castagnoli))
	return p
}

// decodeIndex reads an index file: a header and whole entries.
func decodeIndex(p []byte, base int64) ([]indexEntry, error) {
	be := binary.BigEndian
	if len(p) < indexHeaderSize || string(p[:8]) != indexMagic || be.Uint32(p[8:]) != indexVersion ||
		be.Uint32(p[12:]) != crc32.Checksum(p[16:indexHeaderSize], castagnoli) || int64(be.Uint64(p[16:])) != base {
		return nil, errs.New(errs.Corrupt, "bytes 0 to %d: no index header of segment %d", indexHeaderSize, base)
	}
	p = p[indexHeaderSize:]
	entries := make([]indexEntry, 0, len(p)/indexEntrySize)
	for ; len(p) >= indexEntrySize; p = p[indexEntrySize:] {
		if be.Uint32(p) != crc32.Checksum(p[4:indexEntrySize], castagnoli) {
			at := indexHeaderSize + len(entries)*indexEntrySize
			return nil, errs.New(errs.Corrupt, "bytes %d to %d: index entry %d fails its CRC", at, at+indexEntrySize, len(entries))
		}
		entries = append(entries, indexEntry{be.Uint32(p[4:]), int64(be.Uint64(p[8:])), int64(be.Uint64(p[16:])), be.Uint64(p[24:])})
	}
	return entries, nil
}
