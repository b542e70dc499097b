// Package vfs is the seam to files: everything durable is written through an FS, so that a test can give one in memory,
// one that loses what was not synced at a crash, or one that fails on demand.
//
// The interface and its memory, crash and error implementations are Pebble's, which the row store needs anyway; this
// package is the one place that names them.
package vfs

import (
	"errors"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/errs"
)

// FS is a file system. File is an open file of one.
type (
	FS   = vfs.FS
	File = vfs.File
)

// OpenOption is what an opening is told besides.
type OpenOption = vfs.OpenOption

// DiskUsage is what a volume has and what is free of it.
type DiskUsage = vfs.DiskUsage

// WriteCategory is what Create and ReuseForWrite are told of a write: Pebble counts by it, we do not.
const WriteCategory = vfs.WriteCategoryUnspecified

// SequentialReads tells the operating system that an opened file is read from one end to the other.
var SequentialReads = vfs.SequentialReadsOption

// InvalidFd is what File.Fd gives where there is no file descriptor.
const InvalidFd = vfs.InvalidFd

// Default is the operating system's file system.
var Default = vfs.Default

// NewMem is a strict in-memory file system: CrashClone of it gives what a power cut would have left.
func NewMem() *vfs.MemFS { return vfs.NewCrashableMem() }

// CrashCloneCfg says what a power cut leaves of what was not synced.
type CrashCloneCfg = vfs.CrashCloneCfg

// WithErrors wraps fs so that inj decides before each operation whether it fails.
func WithErrors(fs FS, inj errorfs.Injector) FS { return errorfs.Wrap(fs, inj) }

// Scarce says that err is for want of what others may give back any moment: file descriptors (of the process or of the system) or
// space (on the volume or of a quota). Nothing is damaged; the same again may succeed.
func Scarce(err error) bool {
	return NoDescriptors(err) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// NoDescriptors says that err is for want of file descriptors, of the process or of the system.
func NoDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// SyncDir makes creations, renames and removals in dir durable. Errors: that of opening dir, when nothing was tried yet;
// Unavailable when the sync has failed: what it left behind is not known.
func SyncDir(fs FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errs.New(errs.Unavailable, "%s: sync failed: %w", dir, err)
	}
	return nil
}
