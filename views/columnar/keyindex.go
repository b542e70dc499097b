package columnar

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
)

// keyHash stands for a key: 96 bits, so that among 10^9 keys of a relation two meet with a probability of 10^-11; keys
// themselves would take several times the memory.
type keyHash struct {
	hi uint64
	lo uint32
}

func hashKey(seed uint64, key []byte) keyHash {
	h := xxh3.Hash128Seed(key, seed)
	return keyHash{h.Hi, uint32(h.Lo)}
}

func (h keyHash) compare(g keyHash) int {
	switch {
	case h.hi < g.hi || h.hi == g.hi && h.lo < g.lo:
		return -1
	case h == g:
		return 0
	}
	return 1
}

// keyEntry says in which row of a segment a key stands.
type keyEntry struct {
	hash keyHash
	row  uint32
}

// A key file is keyMagic, a version byte, 3 zero bytes, the number of entries as uint64, and the entries in order of
// their hashes: hi uint64, lo uint32, row uint32. All little-endian. Its checksum is in the manifest.
const (
	keyMagic      = "MDBK"
	keyVersion    = 1
	keyHeaderSize = 16
	keyEntrySize  = 16
)

func writeKeys(to io.Writer, entries []keyEntry) error {
	slices.SortFunc(entries, func(a, b keyEntry) int { return a.hash.compare(b.hash) })
	b := make([]byte, 0, 64<<10)
	b = append(append(b, keyMagic...), keyVersion, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(entries)))
	for _, e := range entries {
		if len(b)+keyEntrySize > cap(b) {
			if _, err := to.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
		b = binary.LittleEndian.AppendUint64(b, e.hash.hi)
		b = binary.LittleEndian.AppendUint32(b, e.hash.lo)
		b = binary.LittleEndian.AppendUint32(b, e.row)
	}
	_, err := to.Write(b)
	return err
}

// keyIndex is an open key file, mapped where the file system is the operating system's.
type keyIndex struct {
	entries []byte
	free    func() error
}

// openKeys opens a key file whose fileSum was verified.
func openKeys(fs vfs.FS, path string, rows int64) (*keyIndex, error) {
	b, free, err := mapFile(fs, path)
	if err != nil {
		return nil, damaged(path, err)
	}
	k, err := decodeKeys(b, rows)
	if err != nil {
		free()
		return nil, damaged(path, err)
	}
	k.free = free
	return k, nil
}

// decodeKeys checks the shape: find relies on it.
func decodeKeys(b []byte, rows int64) (*keyIndex, error) {
	if len(b) < keyHeaderSize || string(b[:4]) != keyMagic {
		return nil, errs.New(errs.Corrupt, "not a key file")
	}
	if b[4] != keyVersion {
		return nil, errs.New(errs.Corrupt, "key file of version %d, this program reads %d", b[4], keyVersion)
	}
	n := binary.LittleEndian.Uint64(b[8:])
	if entries := b[keyHeaderSize:]; uint64(len(entries)/keyEntrySize) != n || len(entries)%keyEntrySize != 0 || int64(n) != rows {
		return nil, fmt.Errorf("it has %d bytes for %d keys of %d rows", len(b), n, rows)
	}
	return &keyIndex{entries: b[keyHeaderSize:]}, nil
}

func (k *keyIndex) close() error {
	if k == nil || k.free == nil {
		return nil
	}
	return k.free()
}

// len is 0 for nil: the index of a segment without keys.
func (k *keyIndex) len() int {
	if k == nil {
		return 0
	}
	return len(k.entries) / keyEntrySize
}

func (k *keyIndex) at(i int) keyEntry {
	e := k.entries[i*keyEntrySize:]
	return keyEntry{
		hash: keyHash{binary.LittleEndian.Uint64(e), binary.LittleEndian.Uint32(e[8:])},
		row:  binary.LittleEndian.Uint32(e[12:]),
	}
}

// find gives the row of a key. Hashes are spread evenly, so the first guess is within a few entries; a bounded number of guesses
// and then halving keeps a file made to deceive from costing more than a binary search.
func (k *keyIndex) find(h keyHash) (row uint32, found bool) {
	lo, hi := 0, k.len() // the key is in [lo, hi) or nowhere
	loHash, hiHash := uint64(0), ^uint64(0)
	for guesses := 0; lo < hi; guesses++ {
		mid := lo + (hi-lo)/2
		if guesses < 8 && hiHash > loHash {
			share := float64(h.hi-loHash) / float64(hiHash-loHash)
			mid = min(max(lo+int(share*float64(hi-lo)), lo), hi-1)
		}
		e := k.at(mid)
		switch c := e.hash.compare(h); {
		case c == 0:
			return e.row, true
		case c < 0:
			lo, loHash = mid+1, e.hash.hi
		default:
			hi, hiHash = mid, e.hash.hi
		}
	}
	return 0, false
}

// mapFile gives the bytes of a file: mapped where it can be, else read.
func mapFile(fs vfs.FS, path string) (b []byte, free func() error, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if b, err := mmap(f.Fd(), st.Size()); err == nil {
		return b, func() error { return munmap(b) }, nil
	}
	var buf bytes.Buffer
	_, err = buf.ReadFrom(f)
	return buf.Bytes(), func() error { return nil }, err
}
