package segment

import (
	"fmt"
	"slices"
	"strings"
)

// Info is what retention and cleaning ask of one file.
type Info struct {
	Base, Next   int64 // first offset, and that of the next file, or the end
	Size         int64
	MaxTimestamp int64 // ms; the lowest number when there is none
	Created      int64 // Unix nanoseconds; 0: not known
	Last         uint64
	Generation   int64
	// Closed is set when nothing will be appended to the file.
	Closed bool
}

// Segments tells of the files, oldest first, and up to which offset they were cleaned.
func (s *Store) Segments() (infos []Info, cleaned int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i, f := range s.mu.segments {
		one := Info{Base: f.state.Base, Next: s.mu.end, Size: f.flushed, MaxTimestamp: f.published, Created: f.state.Created,
			Last: f.sequence, Generation: f.state.Generation}
		if i+1 == len(s.mu.segments) {
			one.Closed = s.mu.sealed
		} else {
			one.Next, one.Closed = s.mu.segments[i+1].state.Base, true
		}
		infos = append(infos, one)
	}
	return infos, s.mu.cleaned
}

// Whole is the first offset from which on cleaning has removed nothing.
func (s *Store) Whole() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	next := s.mu.end
	for i := len(s.mu.segments) - 1; i >= 0; i-- {
		if s.mu.segments[i].state.Generation > 0 {
			return next
		}
		next = s.mu.segments[i].state.Base
	}
	return 0
}

// Seal makes the next append begin a new file, so that the last one can be cleaned. It belongs to the appending goroutine,
// which has flushed.
func (s *Store) Seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.sealed = s.size > 0
}

// Retired are files that a Store has given up: they may go once no snapshot names them.
type Retired []*file

// Remove deletes the files.
func (r Retired) Remove() error {
	for _, f := range r {
		if err := f.remove(); err != nil {
			return err
		}
	}
	return nil
}

// Retire gives up the files whose records are all below start and of appends up to sequence last. It belongs to the
// appending goroutine, which has flushed.
func (s *Store) Retire(start int64, last uint64) Retired {
	s.mu.Lock()
	n := 0
	for n < len(s.mu.segments) {
		next := s.end
		if n+1 < len(s.mu.segments) {
			next = s.mu.segments[n+1].state.Base
		}
		if next > start || s.mu.segments[n].sequence > last {
			break
		}
		n++
	}
	gone := slices.Clone(s.mu.segments[:n])
	s.mu.segments = slices.Clone(s.mu.segments[n:])
	if len(s.mu.segments) == 0 {
		s.size = 0
	}
	s.mu.Unlock()
	s.forget(gone)
	return gone
}

// forget lets go of files that are no longer the Store's.
func (s *Store) forget(gone Retired) {
	if len(gone) == 0 {
		return
	}
	s.dirty = slices.DeleteFunc(s.dirty, func(f *file) bool { return slices.Contains(gone, f) })
	for _, f := range gone {
		f.release()
	}
}

// Sweep deletes the files that the Store does not name: left by a crash between a snapshot and the removal of what it had
// given up, or written after it.
func (s *Store) Sweep() error {
	names, err := s.opts.FS.List(s.opts.Dir)
	if err != nil {
		return fmt.Errorf("segment: %w", err)
	}
	known := map[string]bool{}
	for _, f := range s.mu.segments {
		known[s.opts.FS.PathBase(f.name())], known[s.opts.FS.PathBase(f.indexName())] = true, true
	}
	for _, name := range names {
		if known[name] || !strings.HasSuffix(name, ".log") && !strings.HasSuffix(name, ".index") {
			continue
		}
		if err := s.opts.FS.Remove(s.opts.FS.PathJoin(s.opts.Dir, name)); err != nil {
			return fmt.Errorf("segment: remove: %w", err)
		}
	}
	return s.aborted.Sweep()
}
