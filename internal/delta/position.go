package delta

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
)

// Position is the place of one append in the log: every append gets the next Sequence, and a restore opens the next
// Epoch. The zero Position is before the first append. State "at Position p" has seen every append up to and including p.
type Position struct {
	Epoch    uint32
	Sequence uint64
}

// PositionSize is the length of an encoded Position in bytes.
const PositionSize = 12

// Compare orders positions: -1, 0 or 1.
func (p Position) Compare(q Position) int {
	switch {
	case p.Epoch < q.Epoch:
		return -1
	case p.Epoch > q.Epoch:
		return 1
	case p.Sequence < q.Sequence:
		return -1
	case p.Sequence > q.Sequence:
		return 1
	}
	return 0
}

// Less reports whether p is before q.
func (p Position) Less(q Position) bool { return p.Compare(q) < 0 }

// IsZero reports whether p is before the first append.
func (p Position) IsZero() bool { return p == Position{} }

// String is "epoch/sequence", what ParsePosition reads.
func (p Position) String() string {
	return strconv.FormatUint(uint64(p.Epoch), 10) + "/" + strconv.FormatUint(p.Sequence, 10)
}

// AppendBinary appends the PositionSize big-endian bytes of p: their byte order is the order of positions.
func (p Position) AppendBinary(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, p.Epoch)
	return binary.BigEndian.AppendUint64(b, p.Sequence)
}

// DecodePosition reads what AppendBinary wrote.
func DecodePosition(b []byte) (Position, error) {
	if len(b) < PositionSize {
		return Position{}, errs.New(errs.Corrupt, "position of %d bytes, want %d", len(b), PositionSize)
	}
	return Position{binary.BigEndian.Uint32(b), binary.BigEndian.Uint64(b[4:])}, nil
}

// ParsePosition reads "epoch/sequence".
func ParsePosition(s string) (Position, error) {
	e, q, ok := strings.Cut(s, "/")
	epoch, err1 := strconv.ParseUint(e, 10, 32)
	seq, err2 := strconv.ParseUint(q, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return Position{}, errs.New(errs.Invalid, "%q is not a position: want epoch/sequence, such as 1/42", fmt.Sprintf("%.40s", s))
	}
	return Position{uint32(epoch), seq}, nil
}
