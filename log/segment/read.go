package segment

import (
	"io"
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log/record"
)

// Read gives whole batches from the one that holds offset on, about maxBytes of them, at least one; where cleaning has
// removed the record, from the next one that is there. It gives nothing when offset is not in the Store. memory gives the
// bytes to read into, nil: they are made.
func (s *Store) Read(offset int64, maxBytes int, memory func(n int) []byte) ([]byte, error) {
	for {
		f, size := s.find(offset)
		if f == nil {
			return nil, nil
		}
		p, err := f.read(offset, size, maxBytes, memory)
		f.release()
		if err != nil || p != nil {
			return p, err
		}
		// The last records of the file were cleaned away.
		next, ok := s.after(offset)
		if !ok {
			return nil, nil
		}
		offset = next
	}
}

func (f *file) read(offset, size int64, maxBytes int, memory func(n int) []byte) ([]byte, error) {
	p, at, err := f.seek(offset, size, int64(maxBytes)+IndexInterval, memory)
	if err != nil || p == nil {
		return nil, err
	}
	return f.whole(p, at, size, maxBytes)
}

// seek gives a piece of the file that begins with the batch which holds offset, or the next one; nil at the file's end.
func (f *file) seek(offset, size, piece int64, memory func(n int) []byte) (p []byte, at int64, err error) {
	at = int64(f.search(func(e indexEntry) bool { return e.offset <= offset }).position)
	if piece = min(piece, size-at); memory != nil {
		p = memory(int(piece))
	}
	if p, err = f.readAt(p, at, piece); err != nil {
		return nil, 0, err
	}
	// Walk to the batch that holds the offset, reading on where it lies behind the piece.
	for skip := 0; at+int64(skip) < size; {
		if skip+record.HeaderSize > len(p) {
			at += int64(skip)
			if p, err = f.readAt(p, at, min(piece, size-at)); err != nil {
				return nil, 0, err
			}
			skip = 0
		}
		b, n, err := f.batchAt(p[skip:], at+int64(skip), size)
		if err != nil {
			return nil, 0, err
		}
		if b.LastOffset() >= offset {
			return p[skip:], at + int64(skip), nil
		}
		skip += int(n)
		if skip > len(p) {
			at, p, skip = at+int64(skip), p[:0], 0
		}
	}
	return nil, 0, nil
}

// whole checks and cuts p, which begins with a batch at position at, to whole batches.
func (f *file) whole(p []byte, at, size int64, maxBytes int) ([]byte, error) {
	if first := record.Size(p); first > int64(len(p)) {
		var err error
		if p, err = f.readAt(p, at, first); err != nil {
			return nil, err
		}
	}
	end := 0
	for end+record.HeaderSize <= len(p) {
		_, n, err := f.batchAt(p[end:], at+int64(end), size)
		if err != nil {
			return nil, err
		}
		if end+int(n) > len(p) || end > 0 && end+int(n) > maxBytes {
			break
		}
		if _, _, err := record.Parse(p[end : end+int(n)]); err != nil {
			return nil, f.damage(at+int64(end), at+int64(end)+n, err)
		}
		end += int(n)
	}
	return p[:end:end], nil
}

// ReadPlace gives the bytes of batches that one append wrote, checked. Runs of appends that stand behind each other are
// read at once by giving the sum of their lengths. It gives nil where nothing stands as it was written any more:
// retention has removed it, or cleaning has written it anew.
func (s *Store) ReadPlace(base int64, position uint32, length int64) ([]byte, error) {
	f, size := s.find(base)
	if f == nil {
		return nil, nil
	}
	defer f.release()
	if f.state.Generation > 0 {
		return nil, nil
	}
	at := int64(position)
	if at+length > size {
		return nil, f.damage(at, at+length, io.ErrUnexpectedEOF)
	}
	p, err := f.readAt(nil, at, length)
	if err != nil {
		return nil, err
	}
	for rest := p; len(rest) > 0; {
		begin := at + length - int64(len(rest))
		if _, rest, err = record.Parse(rest); err != nil {
			return nil, f.damage(begin, at+length, err)
		}
	}
	return p, nil
}

// ReadRange gives the batches that are there of the offsets from base to before next.
func (s *Store) ReadRange(base, next int64) ([]byte, error) {
	f, size := s.find(base)
	if f == nil {
		return nil, nil
	}
	defer f.release()
	p, at, err := f.seek(base, size, IndexInterval, nil)
	if err != nil || p == nil {
		return nil, err
	}
	var out []byte
	for at < size {
		b, n, err := f.batchAt(p, at, size)
		if err != nil {
			return nil, err
		}
		if b.BaseOffset >= next {
			break
		}
		if p, err = f.readAt(p, at, n); err != nil {
			return nil, err
		}
		if _, _, err := record.Parse(p); err != nil {
			return nil, f.damage(at, at+n, err)
		}
		out = append(out, p...)
		if at += n; at < size {
			if p, err = f.readAt(p, at, min(record.HeaderSize, size-at)); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// Left gives the first offset of the batch that holds base or, where that was cleaned away, of the next one that is there.
// ok is false when there is none, or the file that held base was given up.
func (s *Store) Left(base int64) (left int64, ok bool, err error) {
	for first := true; ; first = false {
		f, size := s.find(base)
		if f == nil || first && f.state.Generation == 0 {
			if f != nil {
				f.release()
			}
			return base, f != nil, nil
		}
		p, _, err := f.seek(base, size, IndexInterval, nil)
		f.release()
		if err != nil {
			return 0, false, err
		}
		if p != nil {
			b, err := record.ParseHeader(p)
			return b.BaseOffset, err == nil, err
		}
		if base, ok = s.after(base); !ok {
			return 0, false, nil
		}
	}
}

// OffsetForTime gives the first record from offset start on whose timestamp is at or after ms; ok is false when none is.
func (s *Store) OffsetForTime(ms, start int64) (offset, timestamp int64, ok bool, err error) {
	type candidate struct {
		f    *file
		size int64
	}
	var candidates []candidate
	s.mu.RLock()
	for _, f := range s.mu.segments {
		if f.published >= ms {
			f.refs.Add(1)
			candidates = append(candidates, candidate{f, f.flushed})
		}
	}
	s.mu.RUnlock()
	defer func() {
		for _, c := range candidates {
			c.f.release()
		}
	}()
	// The first one has it, unless a client wrote a MaxTimestamp that none of its records has.
	for _, c := range candidates {
		if offset, timestamp, ok, err = c.f.offsetForTime(ms, start, c.size); ok || err != nil {
			return offset, timestamp, ok, err
		}
	}
	return 0, 0, false, nil
}

func (f *file) offsetForTime(ms, start, size int64) (offset, timestamp int64, ok bool, err error) {
	// maxBefore never falls, so the first batch that reaches ms is in the stretch of the last entry below it.
	at := int64(f.search(func(e indexEntry) bool { return e.maxBefore < ms }).position)
	var header [record.HeaderSize]byte
	for at < size {
		p, err := f.readAt(header[:0], at, record.HeaderSize)
		if err != nil {
			return 0, 0, false, err
		}
		b, n, err := f.batchAt(p, at, size)
		if err != nil {
			return 0, 0, false, err
		}
		if b.MaxTimestamp >= ms && b.LastOffset() >= start {
			if p, err = f.readAt(nil, at, n); err != nil {
				return 0, 0, false, err
			}
			if offset, timestamp, ok, err = FirstAt(p, ms, start); err != nil {
				return 0, 0, false, f.damage(at, at+n, err)
			}
			if ok {
				return offset, timestamp, true, nil
			}
		}
		at += n
	}
	return 0, 0, false, nil
}

// FirstAt gives the first record of the batch in p, from offset start on, whose timestamp is at or after ms.
func FirstAt(p []byte, ms, start int64) (offset, timestamp int64, ok bool, err error) {
	b, _, err := record.Parse(p)
	if err != nil {
		return 0, 0, false, err
	}
	var it record.Iterator
	if err := it.Reset(b); err != nil {
		return 0, 0, false, err
	}
	for it.Next() {
		if r := it.Record(); r.Timestamp >= ms && r.Offset >= start {
			return r.Offset, r.Timestamp, true, nil
		}
	}
	return 0, 0, false, it.Err()
}

// Sequence gives a sequence at or below that of the append which wrote offset, at most SequenceStride below it as long
// as the index holds.
func (s *Store) Sequence(offset int64) (uint64, bool) {
	f, _ := s.find(offset)
	if f == nil {
		return 0, false
	}
	defer f.release()
	return f.search(func(e indexEntry) bool { return e.offset <= offset }).sequence, true
}

// Check reads every batch and index entry, and calls found with each piece of damage. It visits the batches in order.
func (s *Store) Check(found func(error), visit func(record.Batch)) {
	s.mu.RLock()
	segments := slices.Clone(s.mu.segments)
	for _, f := range segments {
		f.refs.Add(1)
	}
	end := s.mu.end
	s.mu.RUnlock()
	defer func() {
		for _, f := range segments {
			f.release()
		}
	}()
	next := int64(-1)
	for _, f := range segments {
		for at := int64(0); at < f.flushed; {
			p, err := f.readAt(nil, at, min(1<<20, f.flushed-at))
			if err == nil && len(p) >= record.HeaderSize && record.Size(p) > int64(len(p)) {
				p, err = f.readAt(p, at, min(max(record.Size(p), 0), f.flushed-at))
			}
			if err != nil {
				found(err)
				break
			}
			n := 0
			for n < len(p) {
				b, rest, err := record.Parse(p[n:])
				if err != nil && n > 0 {
					break // perhaps cut by the piece's end: begin there
				}
				if err == nil && next >= 0 && b.BaseOffset < next {
					err = errs.New(errs.Corrupt, "offset %d after %d", b.BaseOffset, next-1)
				}
				if err != nil {
					found(f.damage(at, f.flushed, err))
					n = int(f.flushed - at)
					break
				}
				visit(b)
				next = b.LastOffset() + 1
				n = len(p) - len(rest)
			}
			at += int64(n)
		}
		f.mu.Lock()
		if !f.loaded {
			if err := f.readIndexLocked(); err != nil {
				format := "segment index %s cannot be read (it can be rebuilt): %w"
				if errs.Is(err, errs.Corrupt) {
					format = "segment index %s is damaged in %w (it can be rebuilt)"
				}
				found(errs.New(errs.Corrupt, format, f.indexName(), err))
			}
		}
		f.mu.Unlock()
	}
	if len(segments) > 0 && next >= 0 && next != end {
		found(errs.New(errs.Corrupt, "segment %s ends at offset %d, want %d", s.opts.Dir, next, end))
	}
}

// batchAt decodes the header that begins p and bounds it by the file's size.
func (f *file) batchAt(p []byte, at, size int64) (record.Batch, int64, error) {
	b, err := record.ParseHeader(p)
	if err != nil {
		return b, 0, f.damage(at, at+record.HeaderSize, err)
	}
	n := record.Size(p)
	if at+n > size {
		return b, 0, f.damage(at, at+n, io.ErrUnexpectedEOF)
	}
	return b, n, nil
}

func (f *file) readAt(p []byte, at, n int64) ([]byte, error) {
	data, err := f.data()
	if vfs.Scarce(err) {
		return nil, errs.New(errs.Unavailable, "segment %s: %w", f.name(), err)
	}
	if err != nil {
		return nil, errs.New(errs.Corrupt, "segment %s: %w", f.name(), err)
	}
	p = slices.Grow(p[:0], int(n))[:n]
	if got, err := data.ReadAt(p, at); err != nil && (err != io.EOF || int64(got) < n) {
		return nil, f.damage(at, at+n, err)
	}
	return p, nil
}

func (f *file) damage(from, to int64, cause error) error {
	return errs.New(errs.Corrupt, "segment %s is damaged in bytes %d to %d: %w", f.name(), from, to, cause)
}
