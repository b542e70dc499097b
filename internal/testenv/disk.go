package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mountsEnv names the test that runs in the process that has mounts of its own.
const mountsEnv = "MIRACLEDB_TEST_MOUNTS"

// OwnMounts says whether the calling test runs in a process with mounts of its own. If not, it has just run there, and the
// caller returns. Such mounts end with the last process that sees them, however it ends, and their loop devices with them.
func OwnMounts(t *testing.T) bool {
	t.Helper()
	if os.Getenv(mountsEnv) == t.Name() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	needLoop(t)
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=0")
	cmd.Env = append(os.Environ(), mountsEnv+"="+t.Name())
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("this test needs the right to mount: %v", err)
	}
	t.Logf("%s", tail(stdout.Bytes(), 20_000))
	if err != nil {
		t.Errorf("%v\n%s", err, tail(stderr.Bytes(), 8000))
	}
	return false
}

// needLoop skips where there are no loop devices to be had, in CI too: no package gives them.
func needLoop(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("this test needs root, to mount a file system of its own")
	}
	f, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this test needs loop devices: %v", err)
	}
	_ = f.Close()
	_, err = look("mkfs.ext4", "e2fsprogs")
	Need(t, "mkfs.ext4", err)
}

// Disk is an ext4 file system in a file, whose power can be cut.
type Disk struct {
	Dir   string // where it is mounted
	image string
}

// NewDisk makes a file system of a size in bytes, of which the file takes what is written, and mounts it until the test ends. The test has
// asked OwnMounts.
func NewDisk(t testing.TB, size int64) *Disk {
	t.Helper()
	top := t.TempDir()
	d := &Disk{Dir: filepath.Join(top, "disk"), image: filepath.Join(top, "image")}
	err := os.Mkdir(d.Dir, 0o755)
	if err == nil {
		err = os.WriteFile(d.image, nil, 0o600)
	}
	if err == nil {
		err = os.Truncate(d.image, size)
	}
	if err == nil {
		err = run(context.Background(), top, "mkfs.ext4", "-q", "-F", d.image)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Unmount(); err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: it is not mounted
			t.Error(err)
		}
	})
	if err := d.Mount(""); err != nil {
		t.Fatal(err)
	}
	return d
}

// Mount mounts it with options of ext4 ("data=writeback,commit=1"), which replays its journal.
func (d *Disk) Mount(options string) error {
	if options != "" {
		options = "," + options
	}
	return run(context.Background(), "/", "mount", "-o", "loop"+options, d.image, d.Dir)
}

// Unmount waits 10 s for those who still have files open there.
func (d *Disk) Unmount() error {
	var err error
	for range 200 {
		if err = unix.Unmount(d.Dir, 0); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("unmounting %s: %w", d.Dir, err)
	}
	return nil
}

const (
	ext4Shutdown   = 0x8004587d // EXT4_IOC_SHUTDOWN, fs/ext4/ext4.h
	ext4NoLogFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
)

// Cut cuts the power: from now on every operation fails there with EIO, and after Unmount and Mount what was not synced is
// gone but for what happened to be written.
func (d *Disk) Cut() error {
	f, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	err = unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, ext4NoLogFlush)
	return errors.Join(err, f.Close())
}
