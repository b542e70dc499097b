package aborted

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
)

const (
	// slotsPerFile bounds a file to 2.5 MiB: what is forgotten leaves the disk by files.
	slotsPerFile = 1 << 16
	// stride is how many slots are read at once, and have one fence in memory.
	stride = 128
	suffix = ".aborted"
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
	// Forgotten is the offset below which the transactions that ended are forgotten.
	Forgotten int64
	Files     []FileState
}

// FileState is the state of one file.
type FileState struct {
	First int64 // the marker of its first transaction
	Slots int64
}

// Index is open for appending. Append, Forget, Sync and State are called by one goroutine at a time; reading is safe beside
// them.
type Index struct {
	opts     Options
	dirty    []*file
	newFiles bool // directory entries to sync

	mu struct {
		sync.RWMutex
		forgotten int64
		files     []*file
		closed    bool
	}
}

type file struct {
	name  string
	state FileState
	last  int64 // the marker of its last transaction; -1: not known, it was not appended to

	// mu guards what readers, who share the Index's mutex, find out; open the handle.
	mu      sync.Mutex
	checked bool    // the header
	fences  []fence // of the whole strides that were read so far, in order

	open sync.Mutex
	data vfs.File
}

// fence is what is known of the slots of one stride.
type fence struct {
	last   int64 // the marker of the last one
	first  int64 // the lowest first offset
	stable int64 // of the last one
}

func (x *Index) file(st FileState) *file {
	return &file{name: x.opts.FS.PathJoin(x.opts.Dir, fmt.Sprintf("%020d%s", st.First, suffix)), state: st, last: -1}
}

// Open opens the index at a State: its files must be there and as long as it says (errs.Corrupt), but are not read. The zero
// State touches no file.
func Open(opts Options, state State) (*Index, error) {
	if opts.SlotsPerFile == 0 {
		opts.SlotsPerFile = slotsPerFile
	}
	x := &Index{opts: opts}
	x.mu.forgotten = state.Forgotten
	for _, st := range state.Files {
		f := x.file(st)
		stat, err := opts.FS.Stat(f.name)
		if err != nil {
			return nil, errs.New(errs.Corrupt, "aborted transactions %s: the file is missing: %w", f.name, err)
		}
		if want := headerSize + st.Slots*SlotSize; stat.Size() < want {
			return nil, errs.New(errs.Corrupt, "aborted transactions %s is damaged in bytes %d to %d: they are missing", f.name, stat.Size(), want)
		}
		x.mu.files = append(x.mu.files, f)
	}
	return x, nil
}

// Append adds transactions in the order of their markers, behind the ones that are there. Readers see them when it returns; n
// is how many were added, fewer than all with an error.
func (x *Index) Append(txns []Txn) (n int, err error) {
	for n < len(txns) {
		f := x.current()
		if f == nil || f.state.Slots >= int64(x.opts.SlotsPerFile) {
			if f, err = x.roll(txns[n].Last); err != nil {
				return n, err
			}
		}
		piece := txns[n:min(len(txns), n+x.opts.SlotsPerFile-int(f.state.Slots))]
		if err := x.write(f, piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

func (x *Index) current() *file {
	if n := len(x.mu.files); n > 0 {
		return x.mu.files[n-1]
	}
	return nil
}

// roll begins the file whose first marker stands at an offset.
func (x *Index) roll(first int64) (*file, error) {
	f := x.file(FileState{First: first})
	if err := x.opts.FS.MkdirAll(x.opts.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("aborted transactions: %w", err)
	}
	// The file may be left from before a crash: it is written over, not emptied.
	data, err := x.opts.FS.OpenReadWrite(f.name, vfs.WriteCategory)
	if err != nil {
		return nil, fmt.Errorf("aborted transactions: create: %w", err)
	}
	if _, err := data.WriteAt(encodeHeader(first), 0); err != nil {
		data.Close()
		return nil, fmt.Errorf("aborted transactions %s: write: %w", f.name, err)
	}
	f.data, x.newFiles = data, true
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.files = append(x.mu.files, f)
	return f, nil
}

func (x *Index) write(f *file, txns []Txn) error {
	p := make([]byte, 0, len(txns)*SlotSize)
	for i := range txns {
		p = txns[i].append(p)
	}
	data, err := f.opened(x.opts.FS)
	if err == nil {
		_, err = data.WriteAt(p, headerSize+f.state.Slots*SlotSize)
	}
	if err != nil {
		return fmt.Errorf("aborted transactions %s: write: %w", f.name, err)
	}
	if !slices.Contains(x.dirty, f) {
		x.dirty = append(x.dirty, f)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	f.state.Slots += int64(len(txns))
	f.last = txns[len(txns)-1].Last
	return nil
}

// Sync makes everything appended durable. Its error is final for the caller.
func (x *Index) Sync() error {
	for _, f := range x.dirty {
		data, err := f.opened(x.opts.FS)
		if err != nil {
			return fmt.Errorf("aborted transactions %s: %w", f.name, err)
		}
		if err := data.SyncData(); err != nil {
			return errs.New(errs.Unavailable, "aborted transactions %s: sync failed, restart to recover: %w", f.name, err)
		}
	}
	x.dirty = x.dirty[:0]
	if x.newFiles {
		if err := vfs.SyncDir(x.opts.FS, x.opts.Dir); err != nil {
			return fmt.Errorf("aborted transactions: %w", err)
		}
		x.newFiles = false
	}
	return nil
}

// Dirty reports whether Sync has something to do.
func (x *Index) Dirty() bool { return len(x.dirty) > 0 || x.newFiles }

// State is what the last Sync made durable, when it is called right after it.
func (x *Index) State() State {
	st := State{Forgotten: x.mu.forgotten}
	for _, f := range x.mu.files {
		if f.state.Slots > 0 {
			st.Files = append(st.Files, f.state)
		}
	}
	return st
}

// Retired are files that an Index has given up: they may go once no snapshot names them.
type Retired []retired

type retired struct {
	fs   vfs.FS
	name string
}

// Remove deletes the files.
func (r Retired) Remove() error {
	for _, f := range r {
		if err := f.fs.Remove(f.name); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return fmt.Errorf("aborted transactions: remove: %w", err)
		}
	}
	return nil
}

// Forget lets the transactions go that ended below an offset, and gives up the files that hold no others. One that cannot be
// read stays until all behind it is forgotten.
func (x *Index) Forget(below int64) (gone Retired) {
	if below <= x.mu.forgotten {
		return nil
	}
	n := 0
	for i := range x.mu.files {
		if last, err := x.lastOf(i); err == nil && last < below {
			n = i + 1
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.forgotten = below
	for _, f := range x.mu.files[:n] {
		gone = append(gone, retired{x.opts.FS, f.name})
		_ = f.close() // nothing of it is needed
	}
	x.dirty = slices.DeleteFunc(x.dirty, func(f *file) bool { return slices.Contains(x.mu.files[:n], f) })
	x.mu.files = slices.Clone(x.mu.files[n:])
	return gone
}

// lastOf gives a marker that no transaction of the i-th file ended behind: its last, or the first of the next file.
func (x *Index) lastOf(i int) (int64, error) {
	f := x.mu.files[i]
	switch {
	case f.last >= 0 || f.state.Slots == 0:
		return f.last, nil
	case i+1 < len(x.mu.files):
		return x.mu.files[i+1].state.First, nil
	}
	var r strideReader
	txns, err := r.read(x, f, int((f.state.Slots-1)/stride))
	if err != nil {
		return 0, err
	}
	f.last = txns[len(txns)-1].Last
	return f.last, nil
}

// Sweep deletes the files that the Index does not name: left by a crash, or written after the State that it was opened at.
func (x *Index) Sweep() error {
	names, err := x.opts.FS.List(x.opts.Dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("aborted transactions: %w", err)
	}
	for _, name := range names {
		path := x.opts.FS.PathJoin(x.opts.Dir, name)
		if !strings.HasSuffix(name, suffix) || slices.ContainsFunc(x.mu.files, func(f *file) bool { return f.name == path }) {
			continue
		}
		if err := x.opts.FS.Remove(path); err != nil {
			return fmt.Errorf("aborted transactions: remove: %w", err)
		}
	}
	return nil
}

// Close closes the files.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.closed = true
	var first error
	for _, f := range x.mu.files {
		if err := f.close(); first == nil {
			first = err
		}
	}
	x.mu.files = nil
	return first
}

// opened is the open file of slots.
func (f *file) opened(fs vfs.FS) (vfs.File, error) {
	f.open.Lock()
	defer f.open.Unlock()
	if f.data == nil {
		data, err := fs.OpenReadWrite(f.name, vfs.WriteCategory)
		if err != nil {
			return nil, err
		}
		f.data = data
	}
	return f.data, nil
}

func (f *file) close() error {
	f.open.Lock()
	defer f.open.Unlock()
	if f.data == nil {
		return nil
	}
	err := f.data.Close()
	f.data = nil
	return err
}
