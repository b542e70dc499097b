package broker

import (
	"encoding/binary"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/journal"
	"github.com/miracledb/miracledb/log/record"
)

// A journal entry's payload is a version byte and items. docs/format/journal.md draws them.
const bodyVersion = 1

// Kinds of items.
const (
	kindAppend      = 1 // a whole append
	kindFirstPart   = 2 // the pieces of one that is larger than an entry: hidden until the last
	kindPart        = 3
	kindLastPart    = 4
	kindProducerIDs = 5
	kindEvent       = 6
)

// Sizes in bytes of an append's and a batch's fields before the batch's own bytes.
const (
	appendFields = 1 + 4 + 8 + 8 + 8 + 4
	batchFields  = 16 + 4 + 8 + 4 + 4
	eventFields  = 1 + 1 + 4
)

func encodedSize(it *item) int {
	if !it.isAppend() {
		return len(it.encoded)
	}
	return len(it.encoded) + appendFields + len(it.entry.Batches)*batchFields + int(it.size)
}

func encodeItem(p []byte, it *item) []byte {
	p = append(p, it.encoded...)
	if !it.isAppend() {
		return p
	}
	return encodeAppend(p, kindAppend, &it.entry, it.entry.Batches)
}

func encodeAppend(p []byte, kind byte, e *log.Entry, batches []log.PartitionBatch) []byte {
	be := binary.BigEndian
	p = append(p, kind)
	p = be.AppendUint32(p, e.Position.Epoch)
	p = be.AppendUint64(p, e.Position.Sequence)
	p = be.AppendUint64(p, uint64(e.Time.UnixNano()))
	p = be.AppendUint64(p, e.Txn)
	p = be.AppendUint32(p, uint32(len(batches)))
	for i := range batches {
		b := &batches[i]
		p = append(p, b.Partition.Topic[:]...)
		p = be.AppendUint32(p, uint32(b.Partition.Index))
		p = be.AppendUint64(p, uint64(b.BaseOffset))
		p = be.AppendUint32(p, uint32(b.Records))
		p = be.AppendUint32(p, uint32(len(b.Batch)))
		p = append(p, b.Batch...)
	}
	return p
}

// decodeBody reads the items of one payload: appends (ev is nil) and events. Batches alias p.
func decodeBody(p []byte, visit func(kind byte, e log.Entry, ev event) error) error {
	if len(p) == 0 || p[0] != bodyVersion {
		return errs.New(errs.Unsupported, "journal entry of an unknown version: written by a newer program")
	}
	for p = p[1:]; len(p) > 0; {
		kind := p[0]
		if kind == kindProducerIDs || kind == kindEvent {
			ev, rest, err := decodeEvent(p)
			if err == nil {
				err = visit(kind, log.Entry{}, ev)
			}
			if err != nil {
				return err
			}
			p = rest
			continue
		}
		e, rest, err := decodeAppend(p)
		if err != nil {
			return err
		}
		if err := visit(kind, e, nil); err != nil {
			return err
		}
		p = rest
	}
	return nil
}

var errBody = errs.New(errs.Corrupt, "journal entry is malformed")

func decodeAppend(p []byte) (e log.Entry, rest []byte, err error) {
	be := binary.BigEndian
	if len(p) < appendFields || p[0] < kindAppend || p[0] > kindLastPart {
		return e, nil, errBody
	}
	e.Position = log.Position{Epoch: be.Uint32(p[1:]), Sequence: be.Uint64(p[5:])}
	e.Time = time.Unix(0, int64(be.Uint64(p[13:]))).UTC()
	e.Txn = be.Uint64(p[21:])
	n := be.Uint32(p[29:])
	p = p[appendFields:]
	if uint64(n)*batchFields > uint64(len(p)) {
		return e, nil, errBody
	}
	e.Batches = make([]log.PartitionBatch, n)
	for i := range e.Batches {
		if len(p) < batchFields {
			return e, nil, errBody
		}
		b := &e.Batches[i]
		copy(b.Partition.Topic[:], p)
		b.Partition.Index = int32(be.Uint32(p[16:]))
		b.BaseOffset = int64(be.Uint64(p[20:]))
		b.Records = int32(be.Uint32(p[28:]))
		size := be.Uint32(p[32:])
		p = p[batchFields:]
		if uint64(size) > uint64(len(p)) {
			return e, nil, errBody
		}
		b.Batch, p = p[:size:size], p[size:]
	}
	return e, p, nil
}

// batchRoom is the largest record batch that fits an entry.
func batchRoom(maxPayload int) int { return maxPayload - 1 - appendFields - batchFields }

// split cuts the batches of an append that is larger than an entry into pieces that each fit one, at the borders of
// record batches. The append's own list becomes the pieces, so that readers see the same before and after a restart.
func split(it *item, room int) ([][]log.PartitionBatch, error) {
	var all []log.PartitionBatch
	var parts []part
	for i, pb := range it.entry.Batches {
		base, begin, records := pb.BaseOffset, 0, int32(0)
		piece := it.parts[i]
		for at := 0; at < len(pb.Batch); {
			b, err := record.ParseHeader(pb.Batch[at:])
			if err != nil {
				return nil, err
			}
			n := len(b.Bytes)
			if at+n-begin > room {
				all = append(all, log.PartitionBatch{Partition: pb.Partition, Batch: pb.Batch[begin:at:at], BaseOffset: base, Records: records})
				parts = append(parts, piece)
				base, begin, records = base+int64(records), at, 0
			}
			if records == 0 || b.MaxTimestamp > piece.maxTimestamp {
				piece.maxTimestamp = b.MaxTimestamp
			}
			records += b.Count
			at += n
		}
		all = append(all, log.PartitionBatch{Partition: pb.Partition, Batch: pb.Batch[begin:], BaseOffset: base, Records: records})
		parts = append(parts, piece)
	}
	it.entry.Batches, it.parts = all, parts
	var groups [][]log.PartitionBatch
	size, begin := 0, 0
	for i := range all {
		n := batchFields + len(all[i].Batch)
		if i > begin && size+n > room+batchFields {
			groups = append(groups, all[begin:i])
			size, begin = 0, i
		}
		size += n
	}
	return append(groups, all[begin:]), nil
}

// pieces collects the hidden parts of one append at recovery.
type pieces struct {
	entry log.Entry
	begun bool
}

// add takes one item of the journal and gives the append that it completes, if it does. Parts that were never completed
// (a crash between two entries) are forgotten when another append comes.
func (c *pieces) add(kind byte, e log.Entry) (log.Entry, bool) {
	if kind == kindAppend {
		c.begun = false
		return e, true
	}
	for i := range e.Batches {
		e.Batches[i].Batch = append([]byte(nil), e.Batches[i].Batch...)
	}
	switch {
	case kind == kindFirstPart:
		c.entry, c.begun = e, true
	case c.begun && c.entry.Position == e.Position:
		c.entry.Batches = append(c.entry.Batches, e.Batches...)
	}
	if kind != kindLastPart || !c.begun {
		return log.Entry{}, false
	}
	c.begun = false
	return c.entry, true
}

// newBody begins a payload in p's memory, behind the room for the entry's header.
func newBody(p []byte) []byte {
	if cap(p) < journal.EntryHeaderSize {
		p = make([]byte, journal.EntryHeaderSize, 64<<10)
	}
	p = p[:journal.EntryHeaderSize]
	return append(p, bodyVersion)
}
