package columnar

import (
	"fmt"
	"io"

	"github.com/zeebo/xxh3"

	"github.com/miracledb/miracledb/internal/vfs"
)

// fileSum is what the manifest says of a file: nothing of a file is decoded before it was found equal, because a flipped
// bit in a Parquet footer or page header (which have no checksum of their own) can ask for 32 GiB.
type fileSum struct {
	Bytes int64  `json:"bytes"`
	XXH3  uint64 `json:"xxh3"`
}

// verify reads the whole file. Errors: Corrupt with the path; Unavailable while there are no descriptors.
func (want fileSum) verify(fs vfs.FS, path string) error {
	f, err := fs.Open(path, vfs.SequentialReads)
	if err != nil {
		return damaged(path, err)
	}
	defer f.Close()
	h := xxh3.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 256<<10))
	if err != nil {
		return damaged(path, err)
	}
	if n != want.Bytes {
		return damaged(path, fmt.Errorf("it has %d bytes, %d were written", n, want.Bytes))
	}
	if got := h.Sum64(); got != want.XXH3 {
		return damaged(path, fmt.Errorf("its checksum is %016x, %016x was written", got, want.XXH3))
	}
	return nil
}

// summingFile writes a file and sums what it writes. It copies into a buffer of its own: a vfs.File may change the bytes
// that it is given, which io.Writer forbids and the Parquet library relies on.
type summingFile struct {
	f    vfs.File
	h    *xxh3.Hasher
	buf  []byte
	size int64
}

const summingBuffer = 256 << 10

func createSumming(fs vfs.FS, path string) (*summingFile, error) {
	f, err := fs.Create(path, vfs.WriteCategory)
	if err != nil {
		return nil, err
	}
	return &summingFile{f: f, h: xxh3.New(), buf: make([]byte, 0, summingBuffer)}, nil
}

func (s *summingFile) Write(p []byte) (int, error) {
	for n := len(p); ; {
		k := copy(s.buf[len(s.buf):cap(s.buf)], p)
		s.buf = s.buf[:len(s.buf)+k]
		if p = p[k:]; len(p) == 0 {
			return n, nil
		}
		if err := s.drain(); err != nil {
			return 0, err
		}
	}
}

func (s *summingFile) drain() error {
	s.h.Write(s.buf)
	s.size += int64(len(s.buf))
	_, err := s.f.Write(s.buf)
	s.buf = s.buf[:0]
	return err
}

// finish makes the file durable (its name is the caller's business) and gives its sum.
func (s *summingFile) finish() (fileSum, error) {
	err := s.drain()
	if err == nil {
		err = s.f.Sync()
	}
	if cerr := s.f.Close(); err == nil {
		err = cerr
	}
	return fileSum{s.size, s.h.Sum64()}, err
}
