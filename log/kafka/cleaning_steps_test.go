package kafka

import (
	"bytes"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/record"
)

// write appends records as a producer ("": none). An idempotent one may begin an epoch, or leave a sequence out.
func (h *history) write(name string, rs []record.Record) {
	h.t.Helper()
	b := record.Builder{Codec: record.Codec(h.rng.IntN(5))}
	if h.settling {
		b.Codec = record.None
	}
	for _, r := range rs {
		b.Add(r.Timestamp, r.Key, r.Value, r.Headers...)
	}
	q := produce(9, h.topic, 0, nil)
	p, sequence := h.producers[name], int32(0)
	if p != nil {
		if sequence = p.sequence; name[0] == 'x' {
			h.join(name, p)
			b.MarkTransactional()
			id := h.topic + name
			q.TransactionID = &id
		} else if odd := h.rng.IntN(8); odd == 0 {
			p.Epoch++
			sequence = 0
		} else if odd == 1 {
			sequence += 2
		}
		b.Producer(p.ID, p.Epoch, sequence)
	}
	data, err := b.Build()
	if err != nil {
		h.t.Fatal(err)
	}
	q.Topics[0].Partitions[0].Records = data
	a := h.ask(q).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	for !ready(a.ErrorCode) {
		a = h.ask(q).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	}
	if p != nil && a.ErrorCode == 0 {
		p.sequence = sequence + int32(len(rs))
	}
	h.say("write %d records as %q from sequence %d: %s at %d", len(rs), name, sequence, codeName(a.ErrorCode), a.BaseOffset)
}

func (h *history) join(name string, p *historyProducer) {
	h.t.Helper()
	if p.open {
		return
	}
	q := kmsg.NewPtrAddPartitionsToTxnRequest()
	q.SetVersion(3)
	q.TransactionalID, q.ProducerID, q.ProducerEpoch = h.topic+name, p.ID, p.Epoch
	q.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: h.topic, Partitions: []int32{0}}}
	code := h.ask(q).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode
	for !ready(code) {
		code = h.ask(q).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode
	}
	p.open = true
	h.say("%s begins a transaction: %s", name, codeName(code))
}

// end ends the transaction of a producer that has one, and waits for its marker.
func (h *history) end(name string) {
	h.t.Helper()
	p := h.producers[name]
	if !p.open {
		return
	}
	q := kmsg.NewPtrEndTxnRequest()
	q.SetVersion(h.endTxn)
	q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Commit = h.topic+name, p.ID, p.Epoch, h.rng.IntN(2) == 0
	before := latestOf(h.peer, h.topic, 0)
	a := h.ask(q).(*kmsg.EndTxnResponse)
	for !ready(a.ErrorCode) {
		a = h.ask(q).(*kmsg.EndTxnResponse)
	}
	h.say("%s commits %v: %s", name, q.Commit, codeName(a.ErrorCode))
	h.wait("the marker", func() bool { return latestOf(h.peer, h.topic, 0) > before })
	if p.open = false; h.endTxn >= 5 {
		p.ID, p.Epoch, p.sequence = a.ProducerID, a.ProducerEpoch, 0
		h.names[p.ID] = name
	}
}

func (h *history) deleteRecords() {
	h.t.Helper()
	end := latestOf(h.peer, h.topic, 0)
	q := kmsg.NewPtrDeleteRecordsRequest()
	q.SetVersion(1)
	q.TimeoutMillis = 10_000
	q.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: h.topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: h.rng.Int64N(end/2 + 1)}}}}
	a := h.ask(q).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
	for !ready(a.ErrorCode) {
		a = h.ask(q).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
	}
	h.say("delete the records before %d: %s", q.Topics[0].Partitions[0].Offset, codeName(a.ErrorCode))
}

func (h *history) wait(what string, there func() bool) {
	h.t.Helper()
	for begun := time.Now(); !there(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 2*time.Minute {
			h.t.Fatalf("%s: %s: it does not come\n%s", h.topic, what, h.text.String())
		}
	}
}

func (h *history) start() int64 {
	h.t.Helper()
	q := kmsg.NewPtrListOffsetsRequest()
	q.SetVersion(4)
	one := kmsg.NewListOffsetsRequestTopicPartition()
	one.Timestamp, one.CurrentLeaderEpoch = earliest, -1
	q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: h.topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{one}}}
	return h.ask(q).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset
}

// settle lets cleaning come to rest: a tombstone is met in one round and goes in the next, a marker one later. Each round is driven
// by two records of one key that fill a segment each, and has been when only the last of them in a closed segment and the one in
// the last segment are left.
func (h *history) settle() {
	h.t.Helper()
	h.settling = true
	defer func() { h.settling = false }()
	for range 4 {
		for range 2 {
			h.write("", []record.Record{{Timestamp: longToCome, Key: []byte("pad"), Value: bytes.Repeat([]byte("p"), padSize)}})
		}
		if h.policy != "delete" {
			h.wait("compaction", func() bool { return bytes.Count(h.stored(), []byte(":pad=")) <= 2 })
		}
	}
}

// size asks for a size of which the settling alone wrote more.
func (h *history) size() {
	h.t.Helper()
	h.set("retention.bytes", "5000")
	h.wait("retention", func() bool { return latestOf(h.peer, h.topic, 0)-h.start() == 5 })
	h.bounds()
	h.set("retention.bytes", "-1")
}

func (h *history) bounds() {
	h.t.Helper()
	h.say("begins at %d, ends at %d, stable to %d", h.start(), latestOf(h.peer, h.topic, 0), latestOf(h.peer, h.topic, readCommitted))
}

// left says what is left.
func (h *history) left() {
	h.t.Helper()
	h.bounds()
	h.text.Write(h.stored())
}

// stored tells of the batches, a line each, with their records as offset:key=value.
func (h *history) stored() []byte {
	h.t.Helper()
	var out []byte
	var it record.Iterator
	start := h.start()
	for at, end := start, latestOf(h.peer, h.topic, 0); at < end; {
		q := fetchRequest(h.topic, at, 0)
		q.SetVersion(11)
		a := h.ask(q).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if a.ErrorCode == kerr.OffsetOutOfRange.Code {
			return h.stored() // retention was faster
		}
		if a.ErrorCode != 0 || len(a.RecordBatches) == 0 {
			h.t.Fatalf("fetch at %d: %s, %d bytes", at, codeName(a.ErrorCode), len(a.RecordBatches))
		}
		for rest := a.RecordBatches; len(rest) >= record.HeaderSize && record.Size(rest) <= int64(len(rest)); {
			b, next, err := record.Parse(rest)
			if err != nil {
				h.t.Fatal(err)
			}
			if rest = next; b.LastOffset() < at {
				continue
			}
			at = b.LastOffset() + 1
			out = h.appendBatch(out, &it, b, start)
		}
	}
	return out
}

func (h *history) appendBatch(out []byte, it *record.Iterator, b record.Batch, start int64) []byte {
	out = fmt.Appendf(out, "  %d-%d", b.BaseOffset, b.LastOffset())
	if b.ProducerID >= 0 {
		out = fmt.Appendf(out, " %s/%d/%d", h.names[b.ProducerID], b.ProducerEpoch, b.BaseSequence)
	}
	if err := it.Reset(b); err != nil {
		h.t.Fatalf("offset %d: %v, codec %v, %x", b.BaseOffset, err, b.Codec(), b.Bytes)
	}
	for it.Next() {
		r := it.Record()
		switch {
		case r.Offset < start:
			continue
		case b.Control():
			out = fmt.Appendf(out, " %s", map[byte]string{0: "abort", 1: "commit"}[r.Key[3]])
			continue
		case r.Value == nil:
			out = fmt.Appendf(out, " %d:%s null @%d", r.Offset, r.Key, r.Timestamp)
		default:
			out = fmt.Appendf(out, " %d:%s=%.9s @%d", r.Offset, r.Key, r.Value, r.Timestamp)
		}
		for _, header := range r.Headers {
			out = fmt.Appendf(out, " %s=%s", header.Key, header.Value)
		}
	}
	if it.Err() != nil {
		h.t.Fatal(it.Err())
	}
	return append(out, '\n')
}
