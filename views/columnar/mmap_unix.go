//go:build unix

package columnar

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/miracledb/miracledb/internal/vfs"
)

// mmap maps a whole file for reading; the error says that it must be read instead.
func mmap(fd uintptr, size int64) ([]byte, error) {
	if fd == vfs.InvalidFd || size <= 0 {
		return nil, errors.ErrUnsupported
	}
	return unix.Mmap(int(fd), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
}

func munmap(b []byte) error { return unix.Munmap(b) }
