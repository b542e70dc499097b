package wire

import (
	"encoding/binary"
	"io"

	"github.com/miracledb/miracledb/internal/errs"
)

// Version of the protocol.
const Version = 1

// Kind is the kind of a frame.
type Kind uint8

// Frames. Control frames travel on the control socket, the others on a slot's.
const (
	Hello     Kind = iota + 1 // control, parent: Config as JSON; child: the same version back
	Ping                      // control, both
	OpenSlot                  // control, parent: slot number, with the slot's socket as SCM_RIGHTS
	Interrupt                 // control, parent: slot number, query number
	Run                       // slot, parent: Query
	Missing                   // slot, child: keys of blobs that it does not have; the parent sends Run again with them
	Columns                   // slot, child: result types
	Batch                     // slot, child: one or more batches of rows
	End                       // slot, child: no more rows
	Failed                    // slot, child: Failure
)

// HeaderSize is the size of a frame's header: payload length, kind, three zero bytes, query number.
const HeaderSize = 12

// MaxFrame bounds one frame. A batch is cut near 256 KiB, but one value may be as large as PostgreSQL allows (1 GB).
const MaxFrame = 1 << 30

// Header begins every frame.
type Header struct {
	Length uint32
	Kind   Kind
	Query  uint32
}

// PutHeader writes h into the first HeaderSize bytes of b.
func PutHeader(b []byte, h Header) {
	binary.LittleEndian.PutUint32(b, h.Length)
	b[4], b[5], b[6], b[7] = byte(h.Kind), 0, 0, 0
	binary.LittleEndian.PutUint32(b[8:], h.Query)
}

// AppendFrame appends a whole frame.
func AppendFrame(dst []byte, kind Kind, query uint32, payload []byte) []byte {
	var h [HeaderSize]byte
	PutHeader(h[:], Header{uint32(len(payload)), kind, query})
	return append(append(dst, h[:]...), payload...)
}

// ReadHeader reads a frame's header. io.EOF when the other side is gone between two frames.
func ReadHeader(r io.Reader) (Header, error) {
	var b [HeaderSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return Header{}, err
	}
	return ParseHeader(b)
}

// ParseHeader checks and reads a header's bytes.
func ParseHeader(b [HeaderSize]byte) (Header, error) {
	h := Header{binary.LittleEndian.Uint32(b[:]), Kind(b[4]), binary.LittleEndian.Uint32(b[8:])}
	if h.Length > MaxFrame || h.Kind == 0 || h.Kind > Failed {
		return h, errs.New(errs.Internal, "analytical engine: frame of kind %d and %d bytes", h.Kind, h.Length)
	}
	return h, nil
}

// ReadPayload reads a frame's payload into fresh memory.
func ReadPayload(r io.Reader, h Header) ([]byte, error) {
	b := make([]byte, h.Length)
	_, err := io.ReadFull(r, b)
	return b, err
}
