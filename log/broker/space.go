package broker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
)

// spaceEvery is how often the free space of the disk is looked at: at 500 MB/s it shrinks by 25 MB in between.
const spaceEvery = 50 * time.Millisecond

// space refuses appends before the disk is full, so that what follows the log (partition files, views) still has room
// for what was acknowledged.
type space struct {
	opts  *Options
	short atomic.Pointer[errs.Error]
}

// run watches the disk until ctx ends.
func (s *space) run(ctx context.Context) {
	t := time.NewTicker(spaceEvery)
	defer t.Stop()
	for {
		s.look()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// measure tells what is free, and how much of that is kept. ok is false where the file system does not tell.
func (s *space) measure() (free, reserve limit.Bytes, ok bool) {
	u, err := s.opts.FS.GetDiskUsage(s.opts.Dir)
	if err != nil {
		return 0, 0, false
	}
	return limit.Bytes(u.AvailBytes), s.reserve(limit.Bytes(u.TotalBytes)), true
}

// forNew gives the error of a new log on a volume where it could not take an append.
func (s *space) forNew() error {
	free, reserve, ok := s.measure()
	if !ok || free >= reserve {
		return nil
	}
	e := errs.New(errs.Unavailable, "a new data directory needs %v free on the volume of %s, where %v are", reserve, s.opts.Dir, free).
		WithHint("Free space there, or choose another directory with --data, and start again.")
	e.State = "53100"
	return e
}

func (s *space) look() {
	free, reserve, ok := s.measure()
	if !ok {
		return
	}
	if free < reserve {
		e := errs.New(errs.Unavailable, "the disk is full: %v are free, and %v are kept for what follows the log", free, reserve).
			WithHint("Free space on the volume of %s; no restart is needed.", s.opts.Dir)
		e.State = "53100"
		s.short.Store(e)
		return
	}
	s.short.Store(nil)
}

// roomError is the error for what noRoom says of err; format has one %w for it.
func roomError(dir, format string, err error) *errs.Error {
	if vfs.NoDescriptors(err) {
		return errs.New(errs.Unavailable, "there are no file descriptors: "+format, err).
			WithHint("Raise the limit (ulimit -n) or let others close files; no restart is needed.")
	}
	return errs.New(errs.Unavailable, "the disk is full: "+format, err).
		WithHint("Free space on the volume of %s; no restart is needed.", dir)
}

// reserve is a fiftieth of the disk, at least 64 MiB and at most 1 GiB.
func (s *space) reserve(total limit.Bytes) limit.Bytes {
	if s.opts.Reserve != 0 {
		return max(s.opts.Reserve, 0)
	}
	return min(max(total/50, 64*limit.MiB), limit.GiB)
}

// check gives the error of an append when there is too little room.
func (s *space) check() error {
	if e := s.short.Load(); e != nil {
		return e
	}
	return nil
}
