package circuit

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/zeebo/xxh3"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/processors"
	"github.com/miracledb/miracledb/processors/state"
)

// magic begins a checkpoint; formatVersion follows it. A change of any operator's section, of the hash of keys or of the
// row codec is a new version.
const (
	magic         = "MIRACLEC"
	formatVersion = 1
)

// hash is the plan's: every label and wire, and the view's columns.
func (c *Circuit) hash() uint64 {
	h := xxh3.New()
	for _, n := range c.nodes {
		_, _ = h.WriteString(n.label)
		_, _ = h.Write([]byte{0})
		b := binary.LittleEndian.AppendUint32(nil, uint32(n.relation))
		for _, col := range n.columns {
			b = binary.LittleEndian.AppendUint32(b, uint32(col))
		}
		b = append(b, 0xff)
		for _, w := range n.inputs {
			b = binary.LittleEndian.AppendUint32(b, uint32(w))
		}
		_, _ = h.Write(b)
	}
	_, _ = h.WriteString(c.schema.Fingerprint())
	_, _ = h.Write(binary.LittleEndian.AppendUint32(nil, uint32(c.output)))
	return h.Sum64()
}

// Checkpoint implements processors.Circuit.
func (c *Circuit) Checkpoint(out io.Writer) error {
	if c.broken != nil {
		return c.broken
	}
	w := bufio.NewWriterSize(out, 256<<10)
	if _, err := w.WriteString(magic + string(rune(formatVersion))); err != nil {
		return err
	}
	head := state.NewWriter(w)
	head.Uint(c.plan)
	head.Bytes(c.position.AppendBinary(nil))
	if err := head.Close(); err != nil {
		return err
	}
	for _, n := range c.nodes {
		if s, ok := n.operator.(processors.Stateful); ok {
			if err := s.Checkpoint(w); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// Restore implements processors.Circuit.
func (c *Circuit) Restore(in io.Reader) error {
	r := bufio.NewReaderSize(in, 256<<10)
	start := make([]byte, len(magic)+1)
	if _, err := io.ReadFull(r, start); err != nil || string(start[:len(magic)]) != magic {
		return errs.New(errs.Corrupt, "this is no circuit's checkpoint")
	}
	if v := start[len(magic)]; v != formatVersion {
		return errs.New(errs.Conflict, "a circuit's checkpoint of format %d, want %d", v, formatVersion)
	}
	head := state.NewReader(r)
	plan := uint64(head.Int())
	at := head.Bytes(delta.PositionSize)
	if err := head.Close(); err != nil {
		return err
	}
	if plan != c.plan {
		return errs.New(errs.Conflict, "the checkpoint is of another plan of the view")
	}
	position, err := delta.DecodePosition(at)
	if err != nil {
		return err
	}
	c.broken = errs.New(errs.Unavailable, "the circuit is half restored")
	for i, n := range c.nodes {
		if s, ok := n.operator.(processors.Stateful); ok {
			if err := s.Restore(r); err != nil {
				return errs.New(errs.KindOf(err), "operator %d (%s): %w", i, n.label, err)
			}
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return errs.New(errs.Corrupt, "a circuit's checkpoint has bytes behind its end")
	}
	c.position, c.broken = position, nil
	return nil
}
