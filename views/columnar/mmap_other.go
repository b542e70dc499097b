//go:build !unix

package columnar

import "errors"

// mmap is not used on this system: files are read into memory.
func mmap(uintptr, int64) ([]byte, error) { return nil, errors.ErrUnsupported }

func munmap([]byte) error { return nil }
