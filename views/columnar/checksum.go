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

// verify reads the whole file. Errors: Corrupt with the path.
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

// summingFile writes a file and sums what it writes.
type summingFile struct {
	f    vfs.File
	h    *xxh3.Hasher
	size int64
}

func createSumming(fs vfs.FS, path string) (*summingFile, error) {
	f, err := fs.Create(path, vfs.WriteCategory)
	if err != nil {
		return nil, err
	}
	return &summingFile{f: f, h: xxh3.New()}, nil
}

func (s *summingFile) Write(p []byte) (int, error) {
	n, err := s.f.Write(p)
	s.h.Write(p[:n])
	s.size += int64(n)
	return n, err
}

// finish makes the file durable (its name is the caller's business) and gives its sum.
func (s *summingFile) finish() (fileSum, error) {
	err := s.f.Sync()
	if cerr := s.f.Close(); err == nil {
		err = cerr
	}
	return fileSum{s.size, s.h.Sum64()}, err
}
