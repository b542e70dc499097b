package broker

import (
	"encoding/binary"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// event is a change of the state beside the appends: durable and replayed like one, without a Position, and not seen by
// readers. An item has events, or an append, or both: then they take effect together.
type event interface {
	apply(s *state)
	kind() eventKind
	encode(e *encoder)
}

type eventKind byte

// Kinds of events. docs/format/journal.md draws them.
const (
	eventStart      eventKind = 1
	eventTxn        eventKind = 2
	eventTxnJoined  eventKind = 3
	eventTxnOffsets eventKind = 4
	eventProperties eventKind = 5
	eventForgotten  eventKind = 6
)

// producerIDsGiven allocates all producer ids below it.
type producerIDsGiven int64

func (ids producerIDsGiven) apply(s *state)    { s.producerIDs = max(s.producerIDs, int64(ids)) }
func (producerIDsGiven) kind() eventKind       { return 0 }
func (ids producerIDsGiven) encode(e *encoder) {}

// startMoved gives up the records of a partition below an offset.
type startMoved struct {
	partition log.Partition
	start     int64
}

func (m startMoved) apply(s *state) {
	if p := s.partitions[m.partition]; p != nil {
		p.start = min(max(p.start, m.start), p.next)
		p.forgetAborted(p.start)
	}
}

func (m startMoved) kind() eventKind { return eventStart }

func (m startMoved) encode(e *encoder) {
	e.partition(m.partition)
	e.int(m.start)
}

// abortedForgotten lets the aborted transactions of a partition go whose markers stand below an offset: compaction has
// taken their records out.
type abortedForgotten struct {
	partition log.Partition
	below     int64
}

func (f abortedForgotten) apply(s *state) {
	if p := s.partitions[f.partition]; p != nil {
		p.forgetAborted(f.below)
	}
}

func (f abortedForgotten) kind() eventKind { return eventForgotten }

func (f abortedForgotten) encode(e *encoder) {
	e.partition(f.partition)
	e.int(f.below)
}

// encodeEvents gives the items of a journal payload that are the events.
func encodeEvents(events []event) []byte {
	var p []byte
	for _, ev := range events {
		if ids, ok := ev.(producerIDsGiven); ok {
			p = append(p, kindProducerIDs)
			p = binary.BigEndian.AppendUint64(p, uint64(ids))
			continue
		}
		var e encoder
		ev.encode(&e)
		p = append(p, kindEvent, byte(ev.kind()))
		p = binary.BigEndian.AppendUint32(p, uint32(len(e.p)))
		p = append(p, e.p...)
	}
	return p
}

// decodeEvent reads the event that begins p, and gives what follows it.
func decodeEvent(p []byte) (event, []byte, error) {
	if p[0] == kindProducerIDs {
		if len(p) < 9 {
			return nil, nil, errBody
		}
		return producerIDsGiven(binary.BigEndian.Uint64(p[1:])), p[9:], nil
	}
	if len(p) < eventFields {
		return nil, nil, errBody
	}
	size := binary.BigEndian.Uint32(p[2:])
	if uint64(size) > uint64(len(p)-eventFields) {
		return nil, nil, errBody
	}
	d := decoder{p: p[eventFields : eventFields+int(size)]}
	var ev event
	switch eventKind(p[1]) {
	case eventStart:
		ev = startMoved{d.partition(), d.int()}
	case eventForgotten:
		ev = abortedForgotten{d.partition(), d.int()}
	case eventTxn:
		ev = txnChanged{decodeTxnHeader(&d)}
	case eventTxnJoined:
		ev = decodeTxnJoined(&d)
	case eventTxnOffsets:
		ev = decodeTxnOffsets(&d)
	case eventProperties:
		ev = decodePropertiesChanged(&d)
	default:
		return nil, nil, errs.New(errs.Unsupported, "journal event of an unknown kind %d: written by a newer program", p[1])
	}
	if d.err != nil || len(d.p) > 0 {
		return nil, nil, errBody
	}
	return ev, p[eventFields+int(size):], nil
}
