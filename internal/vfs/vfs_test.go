package vfs

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/errs"
)

// What can be tried again is told from what cannot: a directory that gets no descriptor was not touched, one whose sync has
// failed is in a state that nobody knows, also where a full disk or a quota was the reason.
func TestScarce(t *testing.T) {
	for _, c := range []struct {
		cause           syscall.Errno
		scarce, noFiles bool
	}{
		{syscall.EMFILE, true, true}, {syscall.ENFILE, true, true}, {syscall.ENOSPC, true, false}, {syscall.EDQUOT, true, false},
		{syscall.EIO, false, false}, {syscall.EACCES, false, false},
	} {
		for _, at := range []errorfs.OpKind{errorfs.OpOpenDir, errorfs.OpFileSync} {
			faulty := WithErrors(NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == at {
					return &fs.PathError{Op: "open", Path: op.Path, Err: c.cause}
				}
				return nil
			}))
			err := SyncDir(faulty, "")
			if Scarce(err) != c.scarce || NoDescriptors(err) != c.noFiles || errs.Is(err, errs.Unavailable) != (at == errorfs.OpFileSync) {
				t.Errorf("%v at %v: %v (%v), scarce: %v, no descriptors: %v", c.cause, at, err, errs.KindOf(err), Scarce(err), NoDescriptors(err))
			}
		}
	}
}
