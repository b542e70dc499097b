package segment

import (
	"errors"
	"fmt"
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log/record"
)

// scanPiece is how much of a file is read at once when all of it is read.
const scanPiece = 1 << 20

// Scan calls visit with every batch of the closed file that begins at base, checked, in order. The bytes are visit's until
// it returns.
func (s *Store) Scan(base int64, visit func(record.Batch) error) error {
	f, size := s.find(base)
	if f == nil || f.state.Base != base {
		return errs.New(errs.NotFound, "segment %s: no file begins at offset %d", s.opts.Dir, base)
	}
	defer f.release()
	return f.scan(size, visit)
}

func (f *file) scan(size int64, visit func(record.Batch) error) error {
	var p []byte
	for at := int64(0); at < size; {
		var err error
		if p, err = f.readAt(p, at, min(scanPiece, size-at)); err != nil {
			return err
		}
		if _, n, err := f.batchAt(p, at, size); err != nil {
			return err
		} else if n > int64(len(p)) {
			if p, err = f.readAt(p, at, n); err != nil {
				return err
			}
		}
		for rest := p; len(rest) >= record.HeaderSize && record.Size(rest) <= int64(len(rest)); {
			b, next, err := record.Parse(rest)
			if err != nil {
				return f.damage(at, at+int64(len(rest)), err)
			}
			if err := visit(b); err != nil {
				return err
			}
			at += int64(len(b.Bytes))
			rest = next
		}
	}
	return nil
}

// Rewritten is a file that is to stand in the place of others.
type Rewritten struct {
	old []*file
	new *file
}

// Rewrite writes the closed files that begin at the bases anew as one file: edit gives what is left of each batch, nil:
// nothing. The file is durable when Rewrite returns, and the Store's only after Replace. Any goroutine may call it, one at
// a time.
func (s *Store) Rewrite(bases []int64, edit func(record.Batch) ([]byte, error)) (_ *Rewritten, err error) {
	r := &Rewritten{}
	defer func() {
		for _, f := range r.old {
			f.release()
		}
		if err != nil && r.new != nil {
			err = errors.Join(err, r.new.close(), r.new.remove())
		}
	}()
	st := SegmentState{MaxTimestamp: noTimestamp}
	for i, base := range bases {
		f, _ := s.find(base)
		if f == nil {
			return nil, errs.New(errs.NotFound, "segment %s: no file begins at offset %d", s.opts.Dir, base)
		}
		r.old = append(r.old, f)
		if i == 0 {
			st.Base, st.Sequence, st.Created = f.state.Base, f.state.Sequence, f.state.Created
		}
		st.Last, st.Generation = f.sequence, max(st.Generation, f.state.Generation+1)
	}
	r.new = newFile(&s.opts, st)
	r.new.loaded = true
	data, err := s.opts.FS.Create(r.new.name(), vfs.WriteCategory)
	if err != nil {
		return nil, fmt.Errorf("segment: create: %w", err)
	}
	if err := data.Close(); err != nil {
		return nil, fmt.Errorf("segment: create: %w", err)
	}
	w := rewriting{file: r.new}
	for _, f := range r.old {
		err := f.scan(f.flushed, func(b record.Batch) error {
			p, err := edit(b)
			if err != nil || len(p) == 0 {
				return err
			}
			return w.add(p, f.search(func(e indexEntry) bool { return e.offset <= b.BaseOffset }).sequence)
		})
		if err != nil {
			return nil, err
		}
	}
	return r, w.finish(s)
}

type rewriting struct {
	file   *file
	buffer []byte
	size   int64
}

func (w *rewriting) add(p []byte, sequence uint64) error {
	b, err := record.ParseHeader(p)
	if err != nil {
		return err
	}
	if w.size+int64(len(p)) > maxSegment {
		return errs.New(errs.Limit, "segment %s: over %d bytes after cleaning", w.file.name(), int64(maxSegment))
	}
	last := w.file.last
	w.file.index(Batch{Base: b.BaseOffset, MaxTimestamp: b.MaxTimestamp, Sequence: sequence}, uint32(w.size))
	w.file.last = last // that of the files before, whatever is left of them
	w.buffer = append(w.buffer, p...)
	w.size += int64(len(p))
	if len(w.buffer) >= scanPiece {
		return w.flush()
	}
	return nil
}

func (w *rewriting) flush() error {
	data, err := w.file.data()
	if err == nil {
		_, err = data.WriteAt(w.buffer, w.size-int64(len(w.buffer)))
	}
	if err != nil {
		return fmt.Errorf("segment %s: write: %w", w.file.name(), err)
	}
	w.buffer = w.buffer[:0]
	return nil
}

// finish makes the file, its index and their names durable.
func (w *rewriting) finish(s *Store) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.file.publish(w.size)
	w.file.state.Size = w.size
	if err := w.file.sync(); err != nil {
		return err
	}
	if len(w.file.entries) == 0 {
		w.file.mu.Lock()
		err := w.file.writeIndexLocked() // the header alone
		w.file.mu.Unlock()
		if err != nil {
			return err
		}
	}
	if err := vfs.SyncDir(s.opts.FS, s.opts.Dir); err != nil {
		return fmt.Errorf("segment: %w", err)
	}
	return nil
}

// Replace puts the file in the place of the ones that it was made of, and gives those; cleaned is the offset up to which
// the partition is clean. When any of them has gone meanwhile ok is false, and the file itself is given up. It belongs to the
// appending goroutine.
func (s *Store) Replace(r *Rewritten, cleaned int64) (gone Retired, ok bool) {
	s.mu.Lock()
	at := slices.Index(s.mu.segments, r.old[0])
	if at < 0 || at+len(r.old) > len(s.mu.segments) || !slices.Equal(s.mu.segments[at:at+len(r.old)], r.old) {
		s.mu.Unlock()
		return r.GiveUp(), false
	}
	s.mu.segments = slices.Concat(s.mu.segments[:at], []*file{r.new}, s.mu.segments[at+len(r.old):])
	s.mu.cleaned = max(s.mu.cleaned, cleaned)
	if s.mu.segments[len(s.mu.segments)-1] == r.new {
		s.size = r.new.flushed
	}
	s.mu.Unlock()
	s.forget(r.old)
	return r.old, true
}

// GiveUp gives up the file that was to stand in the place of others.
func (r *Rewritten) GiveUp() Retired {
	r.new.release()
	return Retired{r.new}
}
