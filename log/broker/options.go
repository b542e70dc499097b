package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/commits"
	"github.com/miracledb/miracledb/log/segment"
)

// Options configure a Broker. All but Dir have defaults.
type Options struct {
	// FS is where Dir is. Default: the operating system's.
	FS  vfs.FS
	Dir string
	// Clock gives the commit times. Default: the system's.
	Clock clock.Clock
	// JournalFileSize is the size of a journal file, and so about how much is replayed after a crash. Default 64 MiB.
	JournalFileSize limit.Bytes
	// SegmentSize is the size at which a partition begins a new segment. Default 256 MiB.
	SegmentSize limit.Bytes
	// TailBytes bounds the entries in memory that are not yet in segments; of those that are, the newest quarter of it is
	// kept for readers at the end. Default 128 MiB.
	TailBytes limit.Bytes
	// CleanInterval is how often partitions are looked at for records that they no longer keep. Default 15 s.
	CleanInterval time.Duration
	// Reserve is the free space of the disk below which appends are refused. Default a fiftieth of the disk, 64 MiB to
	// 1 GiB; negative: none.
	Reserve limit.Bytes

	// Rows tells how the records of a topic that asks for compaction are told apart: nil, by their keys; false, not now. Any
	// goroutine may call it. Default: nothing is compacted, since whoever does not know of tables would compact theirs wrongly.
	Rows func(context.Context, log.Topic) (log.Rows, bool)

	// Uncompacted is told, by one goroutine, which partition could not be compacted and why: once, until the cause is another or is gone.
	// Partitions with damage are left as they are; the others are tried again. Default: nobody is told.
	Uncompacted func(topic string, partition int32, err error)

	slotsPerFile int // of the commit index and of aborted transactions, for tests
	roundKeys    int // of one round of compaction; default compactKeys
}

// ByKey are Options.Rows where no topic is a table's.
func ByKey(context.Context, log.Topic) (log.Rows, bool) { return nil, true }

// commits are the options of the commit index.
func (o Options) commits(dirs directories) commits.Options {
	return commits.Options{FS: o.FS, Dir: dirs.commits, SlotsPerFile: o.slotsPerFile}
}

// segments are the options of a partition's segments.
func (o Options) segments(dirs directories, p log.Partition) segment.Options {
	dir := o.FS.PathJoin(dirs.partitions, fmt.Sprintf("%s-%d", p.Topic, p.Index))
	return segment.Options{FS: o.FS, Dir: dir, SegmentSize: o.SegmentSize, AbortedPerFile: o.slotsPerFile}
}

const (
	defaultJournalFileSize = 64 * limit.MiB
	defaultSegmentSize     = 256 * limit.MiB
	defaultTailBytes       = 128 * limit.MiB
	// keptShare of TailBytes is kept for readers once it is in segments: who is further behind reads from the page cache.
	keptShare            = 4
	defaultCleanInterval = 15 * time.Second
	// minJournalFileSize leaves room for an entry of half a file.
	minJournalFileSize = 32 * limit.KiB
)

// Validate gives every fault of the options at once.
func (o Options) Validate() error {
	var faults []error
	if o.Dir == "" {
		faults = append(faults, errs.New(errs.Invalid, "Dir is empty"))
	}
	if o.JournalFileSize != 0 && (o.JournalFileSize < minJournalFileSize || o.JournalFileSize > 1<<30) {
		faults = append(faults, errs.New(errs.Invalid, "JournalFileSize is %v, want %v to 1 GiB", o.JournalFileSize, minJournalFileSize))
	}
	if o.SegmentSize < 0 || o.SegmentSize >= 1<<31 {
		faults = append(faults, errs.New(errs.Invalid, "SegmentSize is %v, want less than 2 GiB", o.SegmentSize))
	}
	if o.TailBytes < 0 {
		faults = append(faults, errs.New(errs.Invalid, "TailBytes is %v", o.TailBytes))
	}
	if o.CleanInterval < 0 {
		faults = append(faults, errs.New(errs.Invalid, "CleanInterval is %v", o.CleanInterval))
	}
	if len(faults) == 0 {
		return nil
	}
	return errs.New(errs.Invalid, "log options: %w", errors.Join(faults...))
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.JournalFileSize == 0 {
		o.JournalFileSize = defaultJournalFileSize
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = defaultSegmentSize
	}
	if o.Rows == nil {
		o.Rows = func(context.Context, log.Topic) (log.Rows, bool) { return nil, false }
	}
	if o.CleanInterval == 0 {
		o.CleanInterval = defaultCleanInterval
	}
	if o.roundKeys == 0 {
		o.roundKeys = compactKeys
	}
	if o.TailBytes == 0 {
		o.TailBytes = defaultTailBytes
	}
	return o
}
