package journal

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
)

// Open reads the journal from a place on (the zero Place: from its first entry), shows every entry to visit in order,
// and opens it for appending behind the last. All that was shown is durable when Open returns.
//
// The first invalid entry is the end of the journal when nothing says that it had been durable: a power cut tore it.
// When a valid entry anywhere behind it, or the next file's header, says that the place was synced, it is damage:
// errs.Corrupt with the file and the range of bytes, and nothing is opened. An error of visit ends Open.
func Open(opts Options, from Place, visit func(Entry) error) (*Journal, error) {
	if opts.FileSize == 0 {
		opts.FileSize = defaultFileSize
	}
	if err := opts.FS.MkdirAll(opts.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := vfs.SyncDir(opts.FS, opts.FS.PathDir(opts.Dir)); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{opts: opts}
	if err := j.recover(from, visit); err != nil {
		return nil, err
	}
	return j, nil
}

// Verify reads like Open and opens nothing; it writes nothing.
func Verify(opts Options, from Place, visit func(Entry) error) (end Place, err error) {
	s := scan{opts: opts, place: from}
	if _, err := s.run(visit); err != nil {
		return Place{}, err
	}
	return s.place, nil
}

func (j *Journal) recover(from Place, visit func(Entry) error) error {
	s := scan{opts: j.opts, place: from}
	current, err := s.run(visit)
	if err != nil {
		return err
	}
	j.end, j.last = s.place, s.last
	j.mu.spares = s.spares
	if !current {
		j.end.Index = max(j.end.Index, j.opts.FirstIndex, 1)
		h := fileHeader{number: j.last + 1, salt: newSalt(), firstIndex: j.end.Index, chain: j.end.Chain}
		if j.file, j.filled, err = j.begin(h); err != nil {
			return err
		}
		j.header, j.last, j.mu.first = h, h.number, h.number
		j.end = Place{h.number, fileHeaderSize, h.firstIndex, h.chain}
		j.synced = j.end
		return nil
	}
	name := j.opts.name(s.header.number)
	if j.file, err = j.opts.FS.OpenReadWrite(name, vfs.WriteCategory); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.header, j.filled, j.mu.first = s.header, s.size, s.first
	// What the scan accepted may still stand in the page cache only (kill -9): it counts as durable from here on.
	if err := j.file.Sync(); err != nil {
		j.file.Close()
		return errs.New(errs.Unavailable, "journal %s: sync failed: %w", name, err)
	}
	j.synced = j.end
	return nil
}

// scan is one reading of the journal.
type scan struct {
	opts   Options
	place  Place
	header fileHeader // of the file that place is in
	size   int64      // of that file
	first  uint64     // the first file read
	last   uint64     // the highest number in use
	spares []uint64
	data   []byte
}

// run reads every file; current says that the last one read can be appended to.
func (s *scan) run(visit func(Entry) error) (current bool, err error) {
	files, err := s.list()
	if err != nil || len(files) == 0 {
		return false, err
	}
	for i, number := range files {
		if i > 0 && number != files[i-1]+1 {
			return false, errs.New(errs.Corrupt, "journal file %s is missing", s.opts.name(files[i-1]+1))
		}
		if err := s.load(number); err != nil {
			return false, err
		}
		h, ok := decodeFileHeader(s.data)
		if !ok || h.number != number {
			return s.unused(files[i:], current)
		}
		if err := s.enter(h, i == 0); err != nil {
			return false, err
		}
		current, s.last = true, number
		end, next := int64(-1), i+1 < len(files)
		if next {
			if end, err = s.nextBegins(files[i+1]); err != nil {
				return false, err
			}
		}
		if err := s.entries(end, visit); err != nil {
			return false, err
		}
	}
	return current, nil
}

// list gives the numbers of the files from place on, and keeps the others as spares.
func (s *scan) list() ([]uint64, error) {
	names, err := s.opts.FS.List(s.opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	var files []uint64
	for _, name := range names {
		if number, ok := parseName(name); ok {
			files = append(files, number)
		}
	}
	slices.Sort(files)
	at, found := slices.BinarySearch(files, s.place.File)
	if s.place.File != 0 && !found {
		return nil, errs.New(errs.Corrupt, "journal file %s is missing", s.opts.name(s.place.File))
	}
	s.spares = files[:at]
	if files = files[at:]; len(files) > 0 {
		s.first = files[0]
	}
	return files, nil
}

func (s *scan) load(number uint64) error {
	file, err := s.opts.FS.Open(s.opts.name(number))
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return fmt.Errorf("journal %s: %w", s.opts.name(number), err)
	}
	s.size = stat.Size()
	s.data = slices.Grow(s.data[:0], int(s.size))[:s.size]
	if n, err := file.ReadAt(s.data, 0); err != nil && (err != io.EOF || int64(n) < s.size) {
		return errs.New(errs.Corrupt, "journal %s: read: %w", s.opts.name(number), err)
	}
	return nil
}

// unused is told of a file without a valid header of its own. The header is synced before the first entry goes in, so
// an entry that belongs to the file is proof of damage; without one the file was being made when the power went.
func (s *scan) unused(files []uint64, current bool) (bool, error) {
	if len(files) > 1 {
		return false, s.damage(files[0], 0, fileHeaderSize, "a later file exists")
	}
	if files[0] == s.place.File {
		return false, s.damage(files[0], 0, fileHeaderSize, "recovery starts in it")
	}
	if s.claimed(files[0], 0) {
		return false, s.damage(files[0], 0, fileHeaderSize, "it was synced")
	}
	if !current {
		// The very first file: begin makes it again under the same number.
		s.last = files[0] - 1
	}
	return current, nil
}

// enter checks that the file follows what was read.
func (s *scan) enter(h fileHeader, first bool) error {
	begin := Place{h.number, fileHeaderSize, h.firstIndex, h.chain}
	switch {
	case !first:
		// nextBegins has compared the header with the end of the file before.
		if h.firstIndex != s.place.Index || h.chain != s.place.Chain {
			return s.damage(h.number, 0, fileHeaderSize, "it does not continue the file before")
		}
		s.place = begin
	case s.place.File == 0:
		if h.previous != 0 {
			return errs.New(errs.Corrupt, "journal file %s is missing", s.opts.name(h.number-1))
		}
		s.place = begin
	}
	s.header = h
	return nil
}

// nextBegins gives the offset at which the next file says that this one ends, -1 when the next one is not in use.
func (s *scan) nextBegins(number uint64) (int64, error) {
	file, err := s.opts.FS.Open(s.opts.name(number))
	if err != nil {
		return 0, fmt.Errorf("journal: %w", err)
	}
	defer file.Close()
	block := make([]byte, fileHeaderSize)
	if _, err := file.ReadAt(block, 0); err != nil && err != io.EOF {
		return 0, errs.New(errs.Corrupt, "journal %s: read: %w", s.opts.name(number), err)
	}
	h, ok := decodeFileHeader(block)
	if !ok || h.number != number {
		return -1, nil
	}
	if h.previous != number-1 {
		return 0, s.damage(number, 0, fileHeaderSize, "it does not continue the file before")
	}
	return int64(h.previousEnd), nil
}

// entries reads the loaded file from place on: to end, which was synced, or as far as it goes when end is -1.
func (s *scan) entries(end int64, visit func(Entry) error) error {
	for s.place.Offset != end {
		at := s.place.Offset
		if at > s.size {
			return s.damage(s.header.number, s.size, at, "the file is too short")
		}
		h, payload, ok := decodeEntry(s.data[at:])
		if !ok || h.salt != s.header.salt || h.index != s.place.Index || h.chain != s.place.Chain ||
			end >= 0 && at+aligned(EntryHeaderSize+int64(h.length)) > end {
			switch {
			case end >= 0:
				return s.damage(s.header.number, at, end, "the next file says that it was synced")
			case s.claimed(s.header.number, at):
				return s.damage(s.header.number, at, s.size, "a later entry says that it was synced")
			}
			return nil
		}
		s.place = Place{s.header.number, at + aligned(EntryHeaderSize+int64(h.length)), h.index + 1, h.crc}
		if h.length == 0 {
			continue // a mark
		}
		if err := visit(Entry{Term: h.term, Index: h.index, Payload: payload, End: s.place}); err != nil {
			return err
		}
	}
	return nil
}

// claimed looks behind offset in the loaded file for a valid entry that says the offset was synced. The salt keeps
// users' bytes from passing for an entry.
func (s *scan) claimed(file uint64, offset int64) bool {
	for at := aligned(max(offset, fileHeaderSize)); at+EntryHeaderSize <= s.size; at += alignment {
		p := s.data[at:]
		if binary.BigEndian.Uint16(p[8:]) != entryMagic {
			continue
		}
		syncedFile, syncedOffset := binary.BigEndian.Uint64(p[40:]), int64(binary.BigEndian.Uint64(p[48:]))
		if syncedFile != file || syncedOffset <= offset {
			continue
		}
		if offset > 0 && binary.BigEndian.Uint64(p[16:]) != s.header.salt {
			continue
		}
		if _, _, ok := decodeEntry(p); ok {
			return true
		}
	}
	return false
}

// damage is the error of bytes that were durable and no longer are.
func (s *scan) damage(number uint64, from, to int64, why string) error {
	return errs.New(errs.Corrupt, "journal file %s is damaged in bytes %d to %d: %s", s.opts.name(number), from, to, why).
		WithHint("The write-ahead data there was acknowledged. Restore from a backup, or from a copy of this file; " +
			"nothing was changed.")
}
