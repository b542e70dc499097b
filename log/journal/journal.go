package journal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
)

// Options say where a journal is. The zero values of sizes are the defaults.
type Options struct {
	FS  vfs.FS
	Dir string
	// FileSize is the size at which a file is left for the next one. Default 64 MiB.
	FileSize limit.Bytes
	// FirstIndex is the index of the first entry of a journal that Open makes. Default 1.
	FirstIndex uint64
}

const (
	defaultFileSize = 64 * limit.MiB
	// fillStep is how far ahead of the entries a new file is filled with zeros: far enough that the metadata write which
	// a growing file costs a sync comes once in many syncs, near enough that a new database starts at once.
	fillStep = 4 << 20
	// maxSpares bounds the files kept for recycling.
	maxSpares = 2
)

// Place is where an entry ends and the next begins, with what the next one must carry.
type Place struct {
	File   uint64
	Offset int64
	Index  uint64 // of the next entry
	Chain  uint32 // CRC of the entry before
}

// Entry is one entry as Open shows it. Payload is valid only during the call.
type Entry struct {
	Term, Index uint64
	Payload     []byte
	// End is the place after the entry.
	End Place
}

// Journal is open for appending. Its methods are called by one goroutine at a time, except Release.
type Journal struct {
	opts   Options
	file   vfs.File
	header fileHeader
	end    Place
	synced Place // what Sync made durable
	filled int64 // bytes of the file that exist on the disk
	last   uint64
	zeros  []byte
	failed error // of a Sync: final
	closed bool

	mu released
}

func (o Options) name(number uint64) string {
	return o.FS.PathJoin(o.Dir, fmt.Sprintf("%016x.journal", number))
}

func parseName(name string) (number uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, ".journal")
	if !ok || len(digits) != 16 {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 16, 64)
	return number, err == nil && number > 0
}

// End is the place after the last written entry.
func (j *Journal) End() Place { return j.end }

// MaxPayload is the largest payload that Write takes: half a file, so that one large entry does not leave a file nearly
// empty.
func (j *Journal) MaxPayload() int {
	return int(min(j.opts.FileSize/2, limit.Journal)) - EntryHeaderSize
}

// Write puts an entry behind the last one. The first EntryHeaderSize bytes of p are room for its header, the rest is the
// payload; p is not kept. The entry is durable after the next Sync. After an error the entry is not in the journal.
func (j *Journal) Write(term uint64, p []byte) error {
	if j.failed != nil {
		return j.failed
	}
	if j.closed {
		return errs.New(errs.Unavailable, "the journal is closed")
	}
	size := aligned(int64(len(p)))
	if j.end.Offset+size > int64(j.opts.FileSize) && j.end.Offset > fileHeaderSize {
		if err := j.roll(); err != nil {
			return err
		}
	}
	if err := j.fill(j.end.Offset + size); err != nil {
		return err
	}
	h := entryHeader{
		chain: j.end.Chain, salt: j.header.salt, term: term, index: j.end.Index,
		syncedFile: j.synced.File, syncedOffset: uint64(j.synced.Offset),
	}
	crc := h.encode(p)
	if _, err := j.file.WriteAt(p, j.end.Offset); err != nil {
		return fmt.Errorf("journal %s: write: %w", j.opts.name(j.header.number), err)
	}
	j.end = Place{j.header.number, j.end.Offset + size, j.end.Index + 1, crc}
	return nil
}

// Mark writes an empty entry, which names what is durable now: damage to the entry before it can then be told from a
// torn tail. It is written when the journal falls idle and when it is closed.
func (j *Journal) Mark(term uint64) error {
	return j.Write(term, make([]byte, EntryHeaderSize))
}

// Sync makes every written entry durable. Its error is final.
func (j *Journal) Sync() error {
	if j.failed != nil {
		return j.failed
	}
	if err := j.file.SyncData(); err != nil {
		j.failed = errs.New(errs.Unavailable, "journal %s: sync failed, restart to recover: %w", j.opts.name(j.header.number), err)
		return j.failed
	}
	j.synced = j.end
	return nil
}

// fill makes the file reach at least to end with zeros, so that writing entries does not change its size.
func (j *Journal) fill(end int64) error {
	if end <= j.filled || end > int64(j.opts.FileSize) {
		return nil
	}
	target := min((end+fillStep-1)/fillStep*fillStep, int64(j.opts.FileSize))
	if j.zeros == nil {
		j.zeros = make([]byte, min(1<<20, fillStep))
	}
	for at := max(j.filled, j.end.Offset); at < target; {
		n := min(int64(len(j.zeros)), target-at)
		if _, err := j.file.WriteAt(j.zeros[:n], at); err != nil {
			return fmt.Errorf("journal %s: fill: %w", j.opts.name(j.header.number), err)
		}
		at += n
	}
	j.filled = target
	return nil
}

// roll leaves the file, all of it synced, for the next one.
func (j *Journal) roll() error {
	if j.synced != j.end {
		if err := j.Sync(); err != nil {
			return err
		}
	}
	h := fileHeader{
		number: j.last + 1, salt: newSalt(), firstIndex: j.end.Index, chain: j.end.Chain,
		previous: j.end.File, previousEnd: uint64(j.end.Offset),
	}
	file, filled, err := j.begin(h)
	if err != nil {
		return err
	}
	old := j.file
	j.file, j.header, j.filled, j.last = file, h, filled, h.number
	j.end = Place{h.number, fileHeaderSize, j.end.Index, j.end.Chain}
	j.synced = j.end
	if err := old.Close(); err != nil {
		return fmt.Errorf("journal %s: close: %w", j.opts.name(h.previous), err)
	}
	return nil
}

// begin makes the file of header h, from a released one where there is one, durable down to its directory entry. The
// header says where the file before it ends, so whatever needs a descriptor comes before it: once it is written, the file
// before must not grow any more.
func (j *Journal) begin(h fileHeader) (_ vfs.File, filled int64, err error) {
	name := j.opts.name(h.number)
	dir, err := j.opts.FS.OpenDir(j.opts.Dir)
	if err != nil {
		return nil, 0, fmt.Errorf("journal: %w", err)
	}
	defer dir.Close() // of reading only
	file, err := j.recycle(name)
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	stat, err := file.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("journal %s: %w", name, err)
	}
	block := make([]byte, fileHeaderSize)
	h.encode(block)
	if _, err = file.WriteAt(block, 0); err != nil {
		return nil, 0, fmt.Errorf("journal %s: write: %w", name, err)
	}
	if err = file.Sync(); err == nil {
		err = dir.Sync()
	}
	if err != nil {
		j.failed = errs.New(errs.Unavailable, "journal %s: sync failed, restart to recover: %w", name, err)
		return nil, 0, j.failed
	}
	return file, max(fileHeaderSize, stat.Size()), nil
}

// Close closes the file. It writes and syncs nothing.
func (j *Journal) Close() error {
	if j.closed {
		return nil
	}
	j.closed = true
	return j.file.Close()
}

func newSalt() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}
