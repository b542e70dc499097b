package segment

import (
	"cmp"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log/aborted"
)

const (
	// IndexInterval is about how many bytes lie between two index entries: reading walks that many bytes of headers.
	IndexInterval = 32 << 10
	// SequenceStride bounds how many appends of the whole log lie between an index entry and the next batch without one,
	// so that the append which wrote an offset is found by looking at that many entries of the commit index.
	SequenceStride = 4096
	// writeBuffer is how much small batches gather before they are written.
	writeBuffer = 256 << 10
	// maxSegment keeps file positions in 32 bits.
	maxSegment = 1 << 31
)

// Options say where a Store is.
type Options struct {
	FS  vfs.FS
	Dir string
	// SegmentSize is the size at which a file is left for the next. Default 256 MiB.
	SegmentSize limit.Bytes
	// AbortedPerFile is aborted.Options' SlotsPerFile.
	AbortedPerFile int
}

// State is what of a Store was synced: all that a snapshot needs to keep of it.
type State struct {
	Segments []SegmentState
	// End is the offset after the last record.
	End int64
	// Cleaned is the offset up to which the records were compacted.
	Cleaned int64
	Aborted aborted.State
}

// SegmentState is the state of one file.
type SegmentState struct {
	Base         int64 // first offset
	Size         int64 // bytes of batches
	Indexed      int64 // index entries
	MaxTimestamp int64 // of all batches
	Sequence     uint64
	// Last is the sequence of the last append, Created the commit time of the first one; 0: not known.
	Last    uint64
	Created int64 // Unix nanoseconds
	// Generation is how often cleaning has written the file anew.
	Generation int64
}

// Place is where a batch stands.
type Place struct {
	Base     int64 // of its segment
	Position uint32
}

// Store is the files of one partition. Append, Flush, Sync, State and Remove are called by one goroutine at a time;
// reading is safe beside them and sees what was flushed.
type Store struct {
	opts     Options
	buffer   []byte // batches appended and not yet written
	size     int64  // of the last segment, buffer included
	end      int64  // offset after the last appended batch
	newFiles bool   // directory entries to sync
	dirty    []*file
	aborted  *aborted.Index

	mu struct {
		sync.RWMutex
		segments []*file
		end      int64 // offset after the last flushed batch
		cleaned  int64
		sealed   bool // the next append begins a new file
	}
}

// Open opens the partition at a State: its files must be there and as long as the State says (errs.Corrupt), but are not
// read. The zero State is a partition without records, and touches no file.
func Open(opts Options, state State) (*Store, error) {
	if opts.SegmentSize == 0 {
		opts.SegmentSize = 256 * limit.MiB
	}
	s := &Store{opts: opts, end: state.End}
	s.mu.end, s.mu.cleaned = state.End, state.Cleaned
	for _, st := range state.Segments {
		f := newFile(&s.opts, st)
		stat, err := opts.FS.Stat(f.name())
		if err != nil {
			return nil, errs.New(errs.Corrupt, "segment %s is missing: %w", f.name(), err)
		}
		if stat.Size() < st.Size {
			return nil, errs.New(errs.Corrupt, "segment %s is damaged in bytes %d to %d: they are missing", f.name(), stat.Size(), st.Size)
		}
		s.mu.segments = append(s.mu.segments, f)
		s.size = st.Size
	}
	var err error
	s.aborted, err = aborted.Open(aborted.Options{FS: opts.FS, Dir: opts.Dir, SlotsPerFile: opts.AbortedPerFile}, state.Aborted)
	return s, err
}

// Aborted is the index of the aborted transactions that ended in the Store. It is synced, closed and removed with it.
func (s *Store) Aborted() *aborted.Index { return s.aborted }

// Batch is what Append is told of the batches it writes: they stay together in one segment.
type Batch struct {
	Bytes        []byte // one or more record batches
	Base         int64
	Records      int32
	MaxTimestamp int64
	Sequence     uint64 // of the append
	Time         int64  // its commit time, Unix nanoseconds
	// MaxBytes and MaxAge are when the partition begins a new file; 0: Options.SegmentSize, never.
	MaxBytes int64
	MaxAge   time.Duration
}

// Append puts batches behind the last ones. They can be read after Flush.
func (s *Store) Append(b Batch) (Place, error) {
	f := s.current()
	if f == nil || s.full(f, &b) {
		var err error
		if f, err = s.roll(b); err != nil {
			return Place{}, err
		}
	}
	if err := f.load(); err != nil {
		return Place{}, err
	}
	place := Place{f.state.Base, uint32(s.size)}
	if err := s.put(b.Bytes); err != nil {
		return Place{}, err
	}
	f.index(b, place.Position)
	s.size += int64(len(b.Bytes))
	s.end = b.Base + int64(b.Records)
	return place, nil
}

// full reports whether a file is to be left before b.
func (s *Store) full(f *file, b *Batch) bool {
	room := cmp.Or(b.MaxBytes, int64(s.opts.SegmentSize))
	old := b.MaxAge > 0 && f.state.Created != 0 && b.Time-f.state.Created >= int64(b.MaxAge)
	return s.size > 0 && (s.mu.sealed || old || f.state.Generation > 0 || s.size+int64(len(b.Bytes)) > min(room, maxSegment))
}

func (s *Store) put(p []byte) error {
	large := len(p) >= writeBuffer/4
	if large || len(s.buffer)+len(p) > writeBuffer {
		if err := s.flushBuffer(); err != nil {
			return err
		}
	}
	if large {
		return s.write(p, s.size)
	}
	s.buffer = append(s.buffer, p...)
	return nil
}

func (s *Store) flushBuffer() error {
	if len(s.buffer) == 0 {
		return nil
	}
	if err := s.write(s.buffer, s.size-int64(len(s.buffer))); err != nil {
		return err
	}
	s.buffer = s.buffer[:0]
	return nil
}

func (s *Store) write(p []byte, at int64) error {
	f := s.current()
	data, err := f.data()
	if err == nil {
		_, err = data.WriteAt(p, at)
	}
	if err != nil {
		return fmt.Errorf("segment %s: write: %w", f.name(), err)
	}
	if !f.dirty {
		f.dirty = true
		s.dirty = append(s.dirty, f)
	}
	return nil
}

// Flush lets readers see everything appended.
func (s *Store) Flush() error {
	if len(s.mu.segments) == 0 {
		return nil
	}
	if err := s.flushBuffer(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current().publish(s.size)
	s.mu.end = s.end
	return nil
}

// Sync makes everything flushed durable, index included. Its error is final for the caller.
func (s *Store) Sync() error {
	for _, f := range s.dirty {
		if err := f.sync(); err != nil {
			return err
		}
	}
	s.dirty = s.dirty[:0]
	if s.newFiles {
		if err := vfs.SyncDir(s.opts.FS, s.opts.Dir); err != nil {
			return fmt.Errorf("segment: %w", err)
		}
		s.newFiles = false
	}
	return s.aborted.Sync()
}

// Dirty reports whether Sync has something to do.
func (s *Store) Dirty() bool { return len(s.dirty) > 0 || s.newFiles || s.aborted.Dirty() }

// State is what the last Sync made durable, when it is called right after it.
func (s *Store) State() State {
	st := State{End: s.mu.end, Cleaned: s.mu.cleaned, Aborted: s.aborted.State()}
	for _, f := range s.mu.segments {
		one := f.state
		one.Size, one.MaxTimestamp, one.Last = f.flushed, f.published, f.sequence
		st.Segments = append(st.Segments, one)
	}
	return st
}

// End is the offset after the last record that can be read.
func (s *Store) End() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.end
}

// Close closes the files. Remove closes and deletes them.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first error
	for _, f := range s.mu.segments {
		if err := f.release(); first == nil {
			first = err
		}
	}
	s.mu.segments = nil
	if err := s.aborted.Close(); first == nil {
		first = err
	}
	return first
}

// Remove deletes the partition's directory.
func (s *Store) Remove() error {
	if err := s.Close(); err != nil {
		return err
	}
	if err := s.opts.FS.RemoveAll(s.opts.Dir); err != nil {
		return fmt.Errorf("segment: remove %s: %w", s.opts.Dir, err)
	}
	return nil
}

func (s *Store) current() *file {
	if n := len(s.mu.segments); n > 0 {
		return s.mu.segments[n-1]
	}
	return nil
}

// roll begins the file whose first batch is b.
func (s *Store) roll(b Batch) (*file, error) {
	fs := s.opts.FS
	if s.current() == nil {
		if err := fs.MkdirAll(s.opts.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("segment: %w", err)
		}
	} else if err := s.Flush(); err != nil {
		return nil, err
	}
	f := newFile(&s.opts, SegmentState{Base: b.Base, Sequence: b.Sequence, Created: b.Time, MaxTimestamp: noTimestamp})
	f.loaded = true
	// The file may be left from before a crash: it is written over, not emptied.
	data, err := fs.OpenReadWrite(f.name(), vfs.WriteCategory)
	if err != nil {
		return nil, fmt.Errorf("segment: create: %w", err)
	}
	f.open.data = data
	s.newFiles = true
	s.mu.Lock()
	s.mu.segments, s.mu.sealed = append(s.mu.segments, f), false
	s.mu.Unlock()
	s.size = 0
	return f, nil
}

// find gives the segment that holds offset, nil when none does. The caller releases it.
func (s *Store) find(offset int64) (f *file, size int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i := sort.Search(len(s.mu.segments), func(i int) bool { return s.mu.segments[i].state.Base > offset }) - 1
	if i < 0 || offset >= s.mu.end {
		return nil, 0
	}
	f = s.mu.segments[i]
	f.refs.Add(1)
	return f, f.flushed
}

// after gives the first offset of the segment behind the one that holds offset; ok is false when it is the last.
func (s *Store) after(offset int64) (base int64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i := sort.Search(len(s.mu.segments), func(i int) bool { return s.mu.segments[i].state.Base > offset })
	if i == len(s.mu.segments) {
		return 0, false
	}
	return s.mu.segments[i].state.Base, true
}
