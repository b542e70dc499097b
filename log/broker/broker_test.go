package broker

import (
	"context"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// start opens and runs a broker until the test or stop ends it.
func start(t testing.TB, opts Options) (b *Broker, stop func() error) {
	t.Helper()
	b, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-done
		if cerr := b.Close(); err == nil {
			err = cerr
		}
		return err
	}
	t.Cleanup(func() { stop() })
	return b, stop
}

// small makes everything roll often. The cleaner is not to come: the records of most tests are from 1970.
func small(fs vfs.FS, dir string) Options {
	return Options{FS: fs, Dir: dir, JournalFileSize: 64 * limit.KiB, SegmentSize: 64 * limit.KiB, TailBytes: 48 * limit.KiB, CleanInterval: time.Hour, Rows: ByKey}
}

func TestConformance(t *testing.T) {
	for name, opts := range map[string]func(t *testing.T) Options{
		"default": func(t *testing.T) Options { return Options{Dir: t.TempDir(), CleanInterval: time.Hour} },
		"small":   func(t *testing.T) Options { return small(vfs.Default, t.TempDir()) },
	} {
		t.Run(name, func(t *testing.T) {
			logtest.Run(t, logtest.Implementation{
				Open: func(t *testing.T) logtest.Instance { return &instance{t: t, opts: opts(t)} },
				Can:  logtest.Everything,
			})
		})
	}
}

type instance struct {
	t    *testing.T
	opts Options
	stop func() error
}

func (i *instance) Start() log.Log {
	b, stop := start(i.t, i.opts)
	i.stop = stop
	return b
}

func (i *instance) Stop() {
	if err := i.stop(); err != nil {
		i.t.Fatal(err)
	}
}
