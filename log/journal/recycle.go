package journal

import (
	"fmt"
	"sync"

	"github.com/miracledb/miracledb/internal/vfs"
)

// released holds the files that no recovery needs any more, oldest first.
type released struct {
	sync.Mutex
	first  uint64 // the oldest file that recovery needs
	spares []uint64
}

// recycle opens the file with a name: one that is released, or else a new one. After an error nothing has changed.
func (j *Journal) recycle(name string) (vfs.File, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := name
	if len(j.mu.spares) > 0 {
		from = j.opts.name(j.mu.spares[0])
	}
	file, err := j.opts.FS.OpenReadWrite(from, vfs.WriteCategory)
	if err != nil {
		return nil, fmt.Errorf("journal: create: %w", err)
	}
	if from == name {
		return file, nil
	}
	if err := j.opts.FS.Rename(from, name); err != nil {
		file.Close()
		return nil, fmt.Errorf("journal: recycle: %w", err)
	}
	j.mu.spares = j.mu.spares[1:]
	return file, nil
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
