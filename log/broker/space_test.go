package broker

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log/logtest"
)

// volume is a file system of 300 MiB that says how much of it is free.
type volume struct {
	vfs.FS
	free atomic.Uint64
}

func (v *volume) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: v.free.Load(), TotalBytes: 300 << 20}, nil
}

// A new log that could not take an append says how much it needs, begins nothing, and opens where there is as much; one that was
// begun opens on a full volume.
func TestNewLogNeedsRoom(t *testing.T) {
	v := &volume{FS: vfs.NewMem()}
	v.free.Store(50 << 20)
	opts := small(v, "data")
	for range 2 {
		_, err := Open(opts)
		var e *errs.Error
		if !errors.As(err, &e) || e.Kind != errs.Unavailable || e.State != "53100" || !strings.Contains(e.Message, "64 MiB") || !strings.Contains(e.Message, "50 MiB") ||
			!strings.Contains(e.Hint, "start again") {
			t.Fatalf("Open: %v (%+v)", err, e)
		}
	}
	v.free.Store(65 << 20)
	b, stop := start(t, opts)
	topic := logtest.CreateTopic(t, b, "a", 1, nil)
	commit(t, b, oneBatch(topic, logtest.Batch(t, 1, "x")))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	v.free.Store(1 << 20)
	b, _ = start(t, opts)
	if _, ok := b.Topic("a"); !ok {
		t.Fatal("the topic is gone")
	}
}
