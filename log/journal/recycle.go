package journal

import (
	"fmt"
	"sync"
)

// released holds the files that no recovery needs any more, oldest first.
type released struct {
	sync.Mutex
	first  uint64 // the oldest file that recovery needs
	spares []uint64
}

func (r *released) take() (number uint64, ok bool) {
	r.Lock()
	defer r.Unlock()
	if len(r.spares) == 0 {
		return 0, false
	}
	number = r.spares[0]
	r.spares = r.spares[1:]
	return number, true
}

// Release says that recovery will start at p or later: the files before it may be used again. It may be called while
// another goroutine writes.
func (j *Journal) Release(p Place) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for ; j.mu.first < p.File; j.mu.first++ {
		j.mu.spares = append(j.mu.spares, j.mu.first)
	}
	for len(j.mu.spares) > maxSpares {
		if err := j.opts.FS.Remove(j.opts.name(j.mu.spares[0])); err != nil {
			return fmt.Errorf("journal: remove: %w", err)
		}
		j.mu.spares = j.mu.spares[1:]
	}
	return nil
}
