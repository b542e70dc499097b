package state

import (
	"encoding/binary"
	"io"
	"unsafe"

	"github.com/zeebo/xxh3"

	"github.com/miracledb/miracledb/internal/errs"
)

// Writer writes one section of a checkpoint: little-endian words and length-prefixed byte strings, ended by an xxh3
// checksum of the section. The first fault sticks and is Close's answer.
type Writer struct {
	w   io.Writer
	sum *xxh3.Hasher
	buf []byte
	err error
}

// writeBuffer is the size of a Writer's and a Reader's buffer.
const writeBuffer = 64 << 10

// NewWriter begins a section on w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w, sum: xxh3.New(), buf: make([]byte, 0, writeBuffer)}
}

func (w *Writer) flush() {
	if w.err == nil && len(w.buf) > 0 {
		_, _ = w.sum.Write(w.buf) // a hash does not fail
		_, w.err = w.w.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// Uint writes one word.
func (w *Writer) Uint(u uint64) {
	if len(w.buf)+8 > cap(w.buf) {
		w.flush()
	}
	w.buf = binary.LittleEndian.AppendUint64(w.buf, u)
}

// Bool writes a bool.
func (w *Writer) Bool(b bool) {
	if b {
		w.Uint(1)
		return
	}
	w.Uint(0)
}

// Bytes writes b with its length.
func (w *Writer) Bytes(b []byte) {
	w.Uint(uint64(len(b)))
	if len(b) < cap(w.buf)-len(w.buf) {
		w.buf = append(w.buf, b...)
		return
	}
	w.flush()
	if w.err == nil {
		_, _ = w.sum.Write(b)
		_, w.err = w.w.Write(b)
	}
}

// Close ends the section and gives the first fault of the Writer.
func (w *Writer) Close() error {
	w.flush()
	if w.err == nil {
		_, w.err = w.w.Write(binary.LittleEndian.AppendUint64(nil, w.sum.Sum64()))
	}
	return w.err
}

// word is what WriteWords and ReadWords carry.
type word interface {
	~int64 | ~uint64 | ~uint32 | ~int32 | ~uint8
}

// WriteWords writes a slice of numbers with its length.
func WriteWords[T word](w *Writer, ts []T) {
	w.Uint(uint64(len(ts)))
	width := widthOf[T]()
	for len(ts) > 0 {
		if len(w.buf)+8 > cap(w.buf) {
			w.flush()
		}
		n := min(len(ts), (cap(w.buf)-len(w.buf))/width)
		for _, t := range ts[:n] {
			switch width {
			case 8:
				w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(t))
			case 4:
				w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(t))
			default:
				w.buf = append(w.buf, byte(t))
			}
		}
		ts = ts[n:]
	}
}

func widthOf[T word]() int { return int(unsafe.Sizeof(*new(T))) }

// Reader reads one section. It takes memory only for bytes that are there. The first fault sticks; after it every read
// gives zero values, and what was read is to be thrown away.
type Reader struct {
	r   io.Reader
	sum *xxh3.Hasher
	err error
	b   [8]byte
	buf []byte
}

// NewReader begins a section on r, from which it reads exactly the section.
func NewReader(r io.Reader) *Reader { return &Reader{r: r, sum: xxh3.New()} }

// Err is the first fault.
func (r *Reader) Err() error { return r.err }

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = errs.New(errs.Corrupt, "checkpoint: "+format, args...)
	}
}

// Fail marks the section as damaged: what was read cannot have been written.
func (r *Reader) Fail(format string, args ...any) { r.fail(format, args...) }

func (r *Reader) read(b []byte) bool {
	if r.err != nil {
		return false
	}
	if _, err := io.ReadFull(r.r, b); err != nil {
		r.fail("cut short: %w", err)
		return false
	}
	_, _ = r.sum.Write(b)
	return true
}

// Uint reads a word of at most limit.
func (r *Reader) Uint(limit uint64) uint64 {
	if !r.read(r.b[:]) {
		return 0
	}
	u := binary.LittleEndian.Uint64(r.b[:])
	if u > limit {
		r.fail("%d where at most %d can stand", u, limit)
		return 0
	}
	return u
}

// Int reads a signed word.
func (r *Reader) Int() int64 {
	if !r.read(r.b[:]) {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(r.b[:]))
}

// Bool reads a bool.
func (r *Reader) Bool() bool { return r.Uint(1) == 1 }

// Bytes reads a byte string of at most limit bytes.
func (r *Reader) Bytes(limit int) []byte {
	n := int(r.Uint(uint64(limit)))
	var b []byte
	for len(b) < n && r.err == nil {
		from := len(b)
		b = append(b, make([]byte, min(n-from, max(chunkSize, from)))...)
		r.read(b[from:])
	}
	if r.err != nil {
		return nil
	}
	return b
}

// Close checks the section's checksum and gives the first fault.
func (r *Reader) Close() error {
	if r.err != nil {
		return r.err
	}
	want := r.sum.Sum64()
	if _, err := io.ReadFull(r.r, r.b[:]); err != nil {
		r.fail("cut short: %w", err)
	} else if binary.LittleEndian.Uint64(r.b[:]) != want {
		r.fail("checksum mismatch")
	}
	return r.err
}

// ReadWords reads what WriteWords wrote, at most limit numbers.
func ReadWords[T word](r *Reader, limit int) []T {
	n := int(r.Uint(uint64(limit)))
	width := widthOf[T]()
	if r.buf == nil {
		r.buf = make([]byte, writeBuffer)
	}
	var ts []T
	for len(ts) < n {
		step := min(n-len(ts), writeBuffer/width)
		b := r.buf[:step*width]
		if !r.read(b) {
			return nil
		}
		if cap(ts) < len(ts)+step {
			ts = append(make([]T, 0, min(n, max(2*cap(ts), writeBuffer))), ts...)
		}
		for i := range step {
			switch width {
			case 8:
				ts = append(ts, T(binary.LittleEndian.Uint64(b[i*8:])))
			case 4:
				ts = append(ts, T(binary.LittleEndian.Uint32(b[i*4:])))
			default:
				ts = append(ts, T(b[i]))
			}
		}
	}
	return ts
}
