package heap_test

import (
	"testing"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/views/heap"
	"github.com/miracledb/miracledb/views/viewstest"
)

type subject struct{ *heap.Store }

func (s subject) Tick(pos delta.Position, writes []viewstest.Write) error {
	if !s.Position().Less(pos) {
		return nil
	}
	b, err := s.Begin(pos)
	if err != nil {
		return err
	}
	for _, w := range writes {
		if w.Delete {
			_, _, err = b.Delete(1, []byte(w.Key))
		} else {
			_, _, err = b.Set(1, []byte(w.Key), []byte(w.Value))
		}
		if err != nil {
			b.Discard()
			return err
		}
	}
	return b.Commit()
}

func (s subject) View() (viewstest.View, error) {
	snap, err := s.Snapshot()
	return view{snap}, err
}

type view struct{ *heap.Snapshot }

func (v view) Rows() (map[string]string, error) {
	rows := map[string]string{}
	it := v.Scan(1, nil, nil, false)
	defer it.Close()
	for it.Next() {
		rows[string(it.Key())] = string(it.Value())
	}
	return rows, it.Err()
}

func TestStore(t *testing.T) {
	viewstest.Run(t, func(fs vfs.FS, dir string) (viewstest.Subject, error) {
		s, err := heap.Open(heap.Options{FS: fs, Dir: dir})
		return subject{s}, err
	})
}
