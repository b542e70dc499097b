package vfs

import (
	"errors"
	"io/fs"
	"sync/atomic"
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

// Who opens a file to read it waits for a descriptor, and no longer once that has ended; other faults are told at once.
func TestPatient(t *testing.T) {
	mem := NewMem()
	f, err := mem.Create("a", WriteCategory)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	var cause atomic.Value
	var asked atomic.Int32
	ended := make(chan struct{})
	patient := Patient(WithErrors(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if err := cause.Load().(syscall.Errno); err != 0 && (err != syscall.EMFILE || asked.Add(1) <= 2) {
			return &fs.PathError{Op: "open", Path: op.Path, Err: err}
		}
		return nil
	})), ended)
	cause.Store(syscall.EMFILE)
	if f, err = patient.Open("a"); err != nil || asked.Load() != 3 {
		t.Fatalf("%v at try %d", err, asked.Load())
	}
	f.Close()
	cause.Store(syscall.EACCES)
	if _, err := patient.Open("a"); !errors.Is(err, syscall.EACCES) {
		t.Errorf("what may not be opened: %v", err)
	}
	close(ended)
	cause.Store(syscall.ENFILE)
	if _, err := patient.Open("a"); !NoDescriptors(err) {
		t.Errorf("after the end: %v", err)
	}
}
