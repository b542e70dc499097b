package commits

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
)

const (
	// thinShare: a file is written anew when no more than one in so many of its slots stay.
	thinShare = 2
	// thinFiles small neighbours become one file, whatever stays of them.
	thinFiles = 8
	// thinBuffer is how much of a new file is written at once.
	thinBuffer = 1 << 20
)

// readThinned is Read in a file that has lost slots.
func (x *Index) readThinned(f *file, st FileState, sequence uint64, n int) ([]Commit, error) {
	var fault error
	at := sort.Search(int(st.Slots), func(i int) bool {
		if fault != nil {
			return true
		}
		var got []Commit
		if got, fault = x.readSlots(f, st, int64(i), 1); fault != nil {
			return true
		}
		return got[0].Position.Sequence > sequence
	}) - 1
	if fault != nil {
		return nil, fault
	}
	if at < 0 {
		return nil, x.damage(f, 0, fileHeaderSize, SlotSize, errs.New(errs.Corrupt, "the first slot is behind sequence %d", sequence))
	}
	slots, err := x.readSlots(f, st, int64(at), int(min(int64(n)+1, st.Slots-int64(at))))
	if err != nil {
		return nil, err
	}
	out := make([]Commit, 0, n)
	for s := sequence; len(out) < n; s++ {
		if len(slots) > 1 && slots[1].Position.Sequence <= s {
			slots = slots[1:]
		}
		c := slots[0]
		if c.Position.Sequence != s {
			c = Commit{Position: c.Position, Term: c.Term, Index: c.Index, Time: c.Time, Thinned: true}
			c.Position.Sequence = s
		}
		out = append(out, c)
	}
	return out, nil
}

// Thinned is a file that is to stand in the place of others.
type Thinned struct {
	old []*file
	new *file
}

// Retired are files that an Index has given up: they may go once no snapshot names them.
type Retired struct {
	index *Index
	files []*file
}

// Remove deletes the files.
func (r Retired) Remove() error {
	for _, f := range r.files {
		if err := r.index.remove(f); err != nil {
			return err
		}
	}
	return nil
}

func (x *Index) remove(f *file) error {
	for which := range f.data {
		if which == 1 && f.state.Overflow == 0 {
			continue
		}
		if err := x.opts.FS.Remove(x.name(f, which)); err != nil {
			return fmt.Errorf("commit index: remove: %w", err)
		}
	}
	return nil
}

// Thin writes a full file, or a few small ones, anew with the slots that keep holds: those of the file that has the
// append with sequence from, and of its neighbours as long as they make one file. It gives nil when there is little to
// win, and where to go on: at the sequence next, 0 at the last file. The new file is durable when Thin returns, and the
// Index's only after Replace. Any goroutine may call it, one at a time.
//
// The first append of a file and of an epoch stay whatever keep says: from them on Read knows the ones that have left.
func (x *Index) Thin(from uint64, keep func(Commit) (bool, error)) (_ *Thinned, next uint64, err error) {
	t := &Thinned{}
	if t.old, next = x.group(from); len(t.old) == 0 {
		return nil, 0, nil
	}
	defer func() {
		for _, f := range t.old {
			_ = f.release() // of reading only
		}
	}()
	var kept []bool // by slot of the old files
	staying, epoch := 0, uint32(0)
	err = x.walk(t.old, func(c Commit) error {
		stays, err := true, error(nil)
		if len(kept) > 0 && c.Position.Epoch == epoch {
			stays, err = keep(c)
		}
		if stays {
			staying++
		}
		kept, epoch = append(kept, stays), c.Position.Epoch
		return err
	})
	if err != nil || staying*thinShare > len(kept) && len(t.old) < thinFiles {
		return nil, next, err
	}
	st := FileState{First: t.old[0].state.First}
	for _, f := range t.old {
		st.Generation = max(st.Generation, f.state.Generation+1)
	}
	t.new = newFile(st)
	if err := x.writeThinned(t, kept); err != nil {
		return nil, next, errors.Join(err, t.new.release(), x.remove(t.new))
	}
	return t, next, nil
}

// group gives the closed files of one Thin, and where the next one begins.
func (x *Index) group(from uint64) (files []*file, next uint64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	i := max(0, sort.Search(len(x.mu.files), func(i int) bool { return x.mu.files[i].state.First > from })-1)
	slots, overflow := int64(0), int64(0)
	for ; i+1 < len(x.mu.files); i++ { // the last one is still written
		f := x.mu.files[i]
		slots, overflow = slots+f.state.Slots, overflow+f.state.Overflow
		if len(files) > 0 && (slots > int64(x.opts.SlotsPerFile) || overflow > maxOverflow) {
			return files, f.state.First
		}
		f.refs.Add(1)
		files = append(files, f)
	}
	return files, 0
}

// walk visits the appends that files have slots for.
func (x *Index) walk(files []*file, visit func(Commit) error) error {
	for _, f := range files {
		for i := int64(0); i < f.state.Slots; {
			got, err := x.readSlots(f, f.state, i, int(min(readPiece, f.state.Slots-i)))
			if err != nil {
				return err
			}
			for _, c := range got {
				if err := visit(c); err != nil {
					return err
				}
			}
			i += int64(len(got))
		}
	}
	return nil
}

// writeThinned writes the slots that stay, and makes the file and its name durable.
func (x *Index) writeThinned(t *Thinned, kept []bool) error {
	w := thinWriter{index: x, file: t.new}
	w.buffer[0] = encodeFileHeader(t.new.state.First)
	i := 0
	err := x.walk(t.old, func(c Commit) error {
		i++
		if !kept[i-1] {
			return nil
		}
		return w.add(c)
	})
	if err == nil {
		err = w.finish()
	}
	return err
}

// thinWriter writes both parts of a new file.
type thinWriter struct {
	index   *Index
	file    *file
	buffer  [2][]byte
	written [2]int64
}

func (w *thinWriter) add(c Commit) error {
	w.buffer[0] = appendSlot(w.buffer[0], c, uint32(w.written[1]+int64(len(w.buffer[1]))))
	w.file.state.Slots++
	if len(c.Refs) > 1 {
		w.buffer[1] = appendOverflow(w.buffer[1], c.Refs[1:])
	}
	for which, p := range w.buffer {
		if len(p) >= thinBuffer {
			if err := w.flush(which); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *thinWriter) flush(which int) error {
	data, err := w.index.file(w.file, which)
	if err == nil {
		_, err = data.WriteAt(w.buffer[which], w.written[which])
	}
	if err != nil {
		return fmt.Errorf("commit index %s: write: %w", w.index.name(w.file, which), err)
	}
	w.written[which] += int64(len(w.buffer[which]))
	w.buffer[which] = w.buffer[which][:0]
	return nil
}

func (w *thinWriter) finish() error {
	for which := range w.buffer {
		if len(w.buffer[which]) > 0 {
			if err := w.flush(which); err != nil {
				return err
			}
		}
		if data := w.file.data[which]; data != nil {
			if err := data.SyncData(); err != nil {
				return fmt.Errorf("commit index %s: sync: %w", w.index.name(w.file, which), err)
			}
		}
	}
	w.file.state.Overflow = w.written[1]
	if err := vfs.SyncDir(w.index.opts.FS, w.index.opts.Dir); err != nil {
		return fmt.Errorf("commit index: %w", err)
	}
	return nil
}

// Replace puts the file in the place of the ones that it was made of, and gives those. It belongs to the appending
// goroutine.
func (x *Index) Replace(t *Thinned) Retired {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := slices.Index(x.mu.files, t.old[0])
	x.mu.files = slices.Concat(x.mu.files[:at], []*file{t.new}, x.mu.files[at+len(t.old):])
	x.dirty = slices.DeleteFunc(x.dirty, func(f *file) bool { return slices.Contains(t.old, f) })
	for _, f := range t.old {
		f.release()
	}
	return Retired{x, t.old}
}

// Sweep deletes the files that the Index does not name: left by a crash between a snapshot and the removal of what it had
// given up, or written after it.
func (x *Index) Sweep() error {
	names, err := x.opts.FS.List(x.opts.Dir)
	if err != nil {
		return fmt.Errorf("commit index: %w", err)
	}
	known := map[string]bool{}
	for _, f := range x.mu.files {
		known[x.opts.FS.PathBase(x.name(f, 0))], known[x.opts.FS.PathBase(x.name(f, 1))] = true, true
	}
	for _, name := range names {
		if known[name] || !strings.HasSuffix(name, ".commits") && !strings.HasSuffix(name, ".more") {
			continue
		}
		if err := x.opts.FS.Remove(x.opts.FS.PathJoin(x.opts.Dir, name)); err != nil {
			return fmt.Errorf("commit index: remove: %w", err)
		}
	}
	return nil
}
