package broker

import (
	"encoding/binary"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// encoder appends the fields of a snapshot.
type encoder struct{ p []byte }

func (e *encoder) int(v int64)     { e.p = binary.AppendVarint(e.p, v) }
func (e *encoder) uint(v uint64)   { e.p = binary.AppendUvarint(e.p, v) }
func (e *encoder) bytes(b []byte)  { e.uint(uint64(len(b))); e.p = append(e.p, b...) }
func (e *encoder) string(s string) { e.uint(uint64(len(s))); e.p = append(e.p, s...) }
func (e *encoder) position(p log.Position) {
	e.uint(uint64(p.Epoch))
	e.uint(p.Sequence)
}
func (e *encoder) partition(p log.Partition) {
	e.p = append(e.p, p.Topic[:]...)
	e.uint(uint64(p.Index))
}

// decoder reads them back; its first fault stays.
type decoder struct {
	p   []byte
	err error
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errs.New(errs.Corrupt, "cut short or malformed")
	}
	d.p = nil
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.p)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.p)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.p = d.p[n:]
	return v
}

// count reads the length of a list whose elements take at least one byte each.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.p)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) take(n int) []byte {
	if n > len(d.p) {
		d.fail()
		return nil
	}
	b := d.p[:n]
	d.p = d.p[n:]
	return b
}

func (d *decoder) string() string { return string(d.take(d.count())) }

func (d *decoder) position() log.Position {
	return log.Position{Epoch: uint32(d.uint()), Sequence: d.uint()}
}

func (d *decoder) partition() (p log.Partition) {
	copy(p.Topic[:], d.take(len(p.Topic)))
	p.Index = int32(d.uint())
	return p
}
