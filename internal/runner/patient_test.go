package runner

import (
	"context"
	"io/fs"
	"syscall"
	"testing"

	"github.com/miracledb/miracledb/log"
)

// scarce is a log whose files get no descriptor at first.
type scarce struct {
	log.Log
	reads int
}

func (l *scarce) ReadFrom(context.Context, log.Position, int) ([]log.Entry, error) {
	l.reads++
	if l.reads == 1 {
		return nil, &fs.PathError{Op: "open", Path: "00.log", Err: syscall.EMFILE}
	}
	return nil, nil
}

// Who is behind what the log has in memory reads its files; without descriptors it tells so, waits and reads again.
func TestReadingWaitsForDescriptors(t *testing.T) {
	l, told := &scarce{}, 0
	a := applier{o: &Options{Log: l, Delayed: func(error) { told++ }}}
	if _, err := a.next(t.Context()); err != nil || l.reads != 2 || told != 1 {
		t.Errorf("%v after %d reads, told %d times", err, l.reads, told)
	}
}
