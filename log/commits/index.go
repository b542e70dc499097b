package commits

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
)

const (
	// slotsPerFile bounds a file of slots to 12 MiB; maxOverflow keeps places in the overflow file in 32 bits.
	slotsPerFile = 1 << 17
	maxOverflow  = 1 << 30
	// readPiece is how many slots are read at once.
	readPiece = 256
)

// Options say where an Index is.
type Options struct {
	FS  vfs.FS
	Dir string
	// SlotsPerFile is for tests; 0: the default.
	SlotsPerFile int
}

// State is what of an Index was synced.
type State struct {
	Files []FileState
}

// FileState is the state of one file pair.
type FileState struct {
	First    uint64 // sequence of the first slot
	Slots    int64
	Overflow int64 // bytes
	// Generation counts how often the file was thinned; 0: it has a slot for every append.
	Generation int64
}

// Index is open for appending. Append, Flush, Sync and State are called by one goroutine at a time; reading is safe
// beside them and sees what was flushed.
type Index struct {
	opts     Options
	slots    []byte // not yet written
	overflow []byte
	dirty    []*file
	newFiles bool

	mu struct {
		sync.RWMutex
		files []*file
	}
}

type file struct {
	state FileState // flushed
	dirty bool

	// refs counts the Index and the readers: the last one to let go closes the files.
	refs atomic.Int32
	open sync.Mutex
	data [2]vfs.File // slots, overflow
}

func newFile(st FileState) *file {
	f := &file{state: st}
	f.refs.Store(1)
	return f
}

// release lets go of the file.
func (f *file) release() error {
	if f.refs.Add(-1) > 0 {
		return nil
	}
	f.open.Lock()
	defer f.open.Unlock()
	var first error
	for which, data := range f.data {
		if data != nil {
			if err := data.Close(); first == nil {
				first = err
			}
			f.data[which] = nil
		}
	}
	return first
}

func (x *Index) name(f *file, which int) string {
	generation := ""
	if f.state.Generation > 0 {
		generation = fmt.Sprintf("-%d", f.state.Generation)
	}
	return x.opts.FS.PathJoin(x.opts.Dir, fmt.Sprintf("%020d%s.%s", f.state.First, generation, [...]string{"commits", "more"}[which]))
}

// Open opens the index at a State: its files must be there and as long as it says (errs.Corrupt).
func Open(opts Options, state State) (*Index, error) {
	if opts.SlotsPerFile == 0 {
		opts.SlotsPerFile = slotsPerFile
	}
	x := &Index{opts: opts}
	for _, st := range state.Files {
		f := newFile(st)
		for which, want := range [...]int64{fileHeaderSize + st.Slots*SlotSize, st.Overflow} {
			if want == 0 {
				continue
			}
			stat, err := opts.FS.Stat(x.name(f, which))
			if err != nil {
				return nil, errs.New(errs.Corrupt, "commit index %s is missing: %w", x.name(f, which), err)
			}
			if stat.Size() < want {
				return nil, errs.New(errs.Corrupt, "commit index %s is damaged in bytes %d to %d: they are missing", x.name(f, which), stat.Size(), want)
			}
		}
		x.mu.files = append(x.mu.files, f)
	}
	return x, nil
}

// Append adds the next append: sequences are dense. It can be read after Flush.
func (x *Index) Append(c Commit) error {
	f := x.current()
	if f == nil || x.pending(f) >= int64(x.opts.SlotsPerFile) || f.state.Overflow+int64(len(x.overflow)) >= maxOverflow {
		if err := x.roll(c.Position.Sequence); err != nil {
			return err
		}
		f = x.current()
	}
	if want := f.state.First + uint64(x.pending(f)); c.Position.Sequence != want {
		return errs.New(errs.Internal, "commit index: sequence %d after %d", c.Position.Sequence, want-1)
	}
	x.slots = appendSlot(x.slots, c, uint32(f.state.Overflow+int64(len(x.overflow))))
	if len(c.Refs) > 1 {
		x.overflow = appendOverflow(x.overflow, c.Refs[1:])
	}
	return nil
}

func (x *Index) pending(f *file) int64 { return f.state.Slots + int64(len(x.slots)/SlotSize) }

// Flush lets readers see everything appended.
func (x *Index) Flush() error {
	f := x.current()
	if f == nil || len(x.slots) == 0 {
		return nil
	}
	if len(x.overflow) > 0 {
		x.newFiles = x.newFiles || f.state.Overflow == 0
		if err := x.write(f, 1, x.overflow, f.state.Overflow); err != nil {
			return err
		}
	}
	if err := x.write(f, 0, x.slots, fileHeaderSize+f.state.Slots*SlotSize); err != nil {
		return err
	}
	x.mu.Lock()
	f.state.Slots += int64(len(x.slots) / SlotSize)
	f.state.Overflow += int64(len(x.overflow))
	x.mu.Unlock()
	x.slots, x.overflow = x.slots[:0], x.overflow[:0]
	return nil
}

func (x *Index) write(f *file, which int, p []byte, at int64) error {
	data, err := x.file(f, which)
	if err == nil {
		_, err = data.WriteAt(p, at)
	}
	if err != nil {
		return fmt.Errorf("commit index %s: write: %w", x.name(f, which), err)
	}
	if !f.dirty {
		f.dirty = true
		x.dirty = append(x.dirty, f)
	}
	return nil
}

// Sync makes everything flushed durable. Its error is final for the caller.
func (x *Index) Sync() error {
	for _, f := range x.dirty {
		f.open.Lock()
		files := f.data
		f.open.Unlock()
		for which, data := range files {
			if data == nil {
				continue
			}
			if err := data.SyncData(); err != nil {
				return errs.New(errs.Unavailable, "commit index %s: sync failed, restart to recover: %w", x.name(f, which), err)
			}
		}
		f.dirty = false
	}
	x.dirty = x.dirty[:0]
	if x.newFiles {
		if err := vfs.SyncDir(x.opts.FS, x.opts.Dir); err != nil {
			return fmt.Errorf("commit index: %w", err)
		}
		x.newFiles = false
	}
	return nil
}

// State is what the last Sync made durable, when it is called right after it.
func (x *Index) State() State {
	var s State
	for _, f := range x.mu.files {
		s.Files = append(s.Files, f.state)
	}
	return s
}

// Close closes the files.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var first error
	for _, f := range x.mu.files {
		if err := f.release(); first == nil {
			first = err
		}
	}
	x.mu.files = nil
	return first
}

func (x *Index) current() *file {
	if n := len(x.mu.files); n > 0 {
		return x.mu.files[n-1]
	}
	return nil
}

func (x *Index) roll(first uint64) error {
	if err := x.Flush(); err != nil {
		return err
	}
	if err := x.opts.FS.MkdirAll(x.opts.Dir, 0o755); err != nil {
		return fmt.Errorf("commit index: %w", err)
	}
	f := newFile(FileState{First: first})
	if err := x.write(f, 0, encodeFileHeader(first), 0); err != nil {
		_ = f.release() // it is made again
		return err
	}
	x.newFiles = true
	x.mu.Lock()
	x.mu.files = append(x.mu.files, f)
	x.mu.Unlock()
	return nil
}

func (x *Index) file(f *file, which int) (vfs.File, error) {
	f.open.Lock()
	defer f.open.Unlock()
	if f.data[which] == nil {
		data, err := x.opts.FS.OpenReadWrite(x.name(f, which), vfs.WriteCategory)
		if err != nil {
			return nil, err
		}
		f.data[which] = data
	}
	return f.data[which], nil
}

// Bounds gives the first sequence kept and the one after the last; equal when there is none.
func (x *Index) Bounds() (first, next uint64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if len(x.mu.files) == 0 {
		return 0, 0
	}
	last := x.mu.files[len(x.mu.files)-1].state
	return x.mu.files[0].state.First, last.First + uint64(last.Slots)
}

// Read gives up to n appends from sequence on, fewer at the end of a file. Of one that has left it tells the Position, and
// the time, term and index of the last one before that is there.
func (x *Index) Read(sequence uint64, n int) ([]Commit, error) {
	f, st, end := x.find(sequence)
	if f == nil {
		return nil, nil
	}
	defer f.release()
	n = int(min(uint64(n), end-sequence))
	if st.Generation == 0 {
		return x.readSlots(f, st, int64(sequence-st.First), n)
	}
	return x.readThinned(f, st, sequence, n)
}

// readSlots gives the appends of n slots from the one with index i on.
func (x *Index) readSlots(f *file, st FileState, i int64, n int) ([]Commit, error) {
	at := fileHeaderSize + i*SlotSize
	p, err := x.readAt(f, 0, at, int64(n)*SlotSize)
	if err != nil {
		return nil, err
	}
	out := make([]Commit, 0, n)
	for k := range n {
		c, refs, more, err := decodeSlot(p[k*SlotSize:])
		if err == nil && !st.fits(i+int64(k), c.Position.Sequence) {
			err = errs.New(errs.Corrupt, "the slot is of sequence %d", c.Position.Sequence)
		}
		if err != nil {
			return nil, x.damage(f, 0, at+int64(k)*SlotSize, SlotSize, err)
		}
		if refs > 1 {
			if c.Refs, err = x.readOverflow(f, st, int64(more), int64(refs), c.Refs); err != nil {
				return nil, err
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// fits reports whether the slot with index i may be of that sequence.
func (st *FileState) fits(i int64, sequence uint64) bool {
	if st.Generation > 0 && i > 0 {
		return sequence >= st.First+uint64(i)
	}
	return sequence == st.First+uint64(i)
}

func (x *Index) readOverflow(f *file, st FileState, at, refs int64, out []Ref) ([]Ref, error) {
	size := int64(overflowSize(int(refs)))
	if at+size > st.Overflow {
		return nil, x.damage(f, 1, at, size, io.ErrUnexpectedEOF)
	}
	q, err := x.readAt(f, 1, at, size)
	if err != nil {
		return nil, err
	}
	if out, err = decodeOverflow(q, out); err != nil {
		return nil, x.damage(f, 1, at, size, err)
	}
	return out, nil
}

// AtTime gives the last append at or before t; ok is false when the first one kept is after it.
func (x *Index) AtTime(t time.Time) (c Commit, ok bool, err error) {
	first, next := x.Bounds()
	n := sort.Search(int(next-first), func(i int) bool {
		if err != nil {
			return true
		}
		var got []Commit
		if got, err = x.Read(first+uint64(i), 1); err != nil || len(got) == 0 {
			return true
		}
		return got[0].Time.After(t)
	})
	if err != nil || n == 0 {
		return Commit{}, false, err
	}
	got, err := x.Read(first+uint64(n)-1, 1)
	if err != nil {
		return Commit{}, false, err
	}
	return got[0], true, nil
}

// LastFor gives the last append from sequence on that wrote to p at or below offset, looking at count appends; passed is
// set when one that wrote behind offset was met.
func (x *Index) LastFor(p log.Partition, offset int64, sequence uint64, count int) (found Commit, ok, passed bool, err error) {
	for count > 0 {
		got, err := x.Read(sequence, min(count, readPiece))
		if err != nil {
			return Commit{}, false, false, err
		}
		if len(got) == 0 {
			break
		}
		for _, c := range got {
			for _, r := range c.Refs {
				if r.Partition != p {
					continue
				}
				if r.Base > offset {
					return found, ok, true, nil
				}
				found, ok = c, true
			}
		}
		sequence += uint64(len(got))
		count -= len(got)
	}
	return found, ok, false, nil
}

// Check reads every slot and calls found with each piece of damage and visit with each append, those that have left too.
func (x *Index) Check(found func(error), visit func(Commit)) {
	x.mu.RLock()
	files := slices.Clone(x.mu.files)
	for _, f := range files {
		f.refs.Add(1)
	}
	x.mu.RUnlock()
	defer func() {
		for _, f := range files {
			f.release()
		}
	}()
	for _, f := range files {
		header, err := x.readAt(f, 0, 0, fileHeaderSize)
		if err != nil || !validFileHeader(header, f.state.First) {
			found(x.damage(f, 0, 0, fileHeaderSize, errs.New(errs.Corrupt, "the header is not valid")))
		}
	}
	first, next := x.Bounds()
	for s := first; s < next; {
		got, err := x.Read(s, readPiece)
		if err != nil || len(got) == 0 {
			if got, err = x.Read(s, 1); err != nil {
				found(err)
				s++
				continue
			}
		}
		for _, c := range got {
			visit(c)
		}
		s += uint64(max(len(got), 1))
	}
}

// find gives the file that has the append with a sequence, and the sequence after its last; the caller releases it. nil:
// there is none.
func (x *Index) find(sequence uint64) (f *file, st FileState, end uint64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	i := sort.Search(len(x.mu.files), func(i int) bool { return x.mu.files[i].state.First > sequence }) - 1
	if i < 0 {
		return nil, FileState{}, 0
	}
	f, end = x.mu.files[i], x.endLocked(i)
	if sequence >= end {
		return nil, FileState{}, 0
	}
	f.refs.Add(1)
	return f, f.state, end
}

// endLocked gives the sequence after the last of the file with index i.
func (x *Index) endLocked(i int) uint64 {
	if i+1 < len(x.mu.files) {
		return x.mu.files[i+1].state.First
	}
	return x.mu.files[i].state.First + uint64(x.mu.files[i].state.Slots)
}

func (x *Index) readAt(f *file, which int, at, n int64) ([]byte, error) {
	data, err := x.file(f, which)
	if vfs.Scarce(err) {
		return nil, errs.New(errs.Unavailable, "commit index %s: %w", x.name(f, which), err)
	}
	if err != nil {
		return nil, errs.New(errs.Corrupt, "commit index %s: %w", x.name(f, which), err)
	}
	p := make([]byte, n)
	if got, err := data.ReadAt(p, at); err != nil && (err != io.EOF || int64(got) < n) {
		return nil, x.damage(f, which, at, n, err)
	}
	return p, nil
}

func (x *Index) damage(f *file, which int, at, n int64, cause error) error {
	return errs.New(errs.Corrupt, "commit index %s is damaged in bytes %d to %d: %w", x.name(f, which), at, at+n, cause)
}
