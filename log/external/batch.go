package external

import (
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// span is records of one batch that was submitted, on their way in one batch for the cluster.
type span struct {
	item  *item
	batch int // index in the item's batches
	count int64
}

// sending is one batch for the cluster, with what it is made of.
type sending struct {
	at        place
	partition log.Partition
	batch     []byte
	spans     []span
	base      int64 // once it is there
}

// pack puts the records of a group's batches for one partition together: a cluster takes one batch of a partition at a time.
// A batch that stands alone, or is large, goes as it is.
type packer struct {
	out     []*sending
	builder record.Builder
	spans   []span
	it      record.Iterator
}

// add takes one submitted batch of an item.
func (k *packer) add(it *item, index int) error {
	for rest := it.entry.Batches[index].Batch; len(rest) > 0; {
		b, next, err := record.ParseChecked(rest)
		if err != nil {
			return err
		}
		if err := k.records(it, index, b); err != nil {
			return err
		}
		rest = next
	}
	return nil
}

func (k *packer) records(it *item, index int, b record.Batch) error {
	if n := len(b.Bytes); b.Codec() != record.None && n <= maxBatch || n > maxBatch/2 && n <= maxBatch {
		if err := k.flush(); err != nil {
			return err
		}
		k.out = append(k.out, &sending{batch: append([]byte(nil), b.Bytes...), spans: []span{{it, index, int64(b.Count)}}})
		return nil
	}
	if err := k.it.Reset(b); err != nil {
		return err
	}
	for k.it.Next() {
		r := k.it.Record()
		if k.builder.Count() > 0 && k.builder.Size()+len(r.Key)+len(r.Value)+64 > maxBatch {
			if err := k.flush(); err != nil {
				return err
			}
		}
		k.builder.Add(r.Timestamp, r.Key, r.Value, r.Headers...)
		if n := len(k.spans); n > 0 && k.spans[n-1].item == it && k.spans[n-1].batch == index {
			k.spans[n-1].count++
		} else {
			k.spans = append(k.spans, span{it, index, 1})
		}
	}
	return k.it.Err()
}

func (k *packer) flush() error {
	if k.builder.Count() == 0 {
		return nil
	}
	p, err := k.builder.Build()
	if err != nil {
		return err
	}
	k.out = append(k.out, &sending{batch: p, spans: k.spans})
	k.spans = nil
	return nil
}

// plain gives the records of a batch of ours from one offset to before another as what was appended: in no transaction, of
// no producer. What is in memory and what is read from the cluster come out the same.
func plain(b record.Batch, from, to int64) ([]byte, error) {
	if from <= b.BaseOffset && b.LastOffset() < to {
		p := append([]byte(nil), b.Bytes...)
		record.SetProducer(p, log.NoProducer, -1, false)
		record.SetLeaderEpoch(p, 1)
		return p, nil
	}
	var it record.Iterator
	var out record.Builder
	if err := it.Reset(b); err != nil {
		return nil, err
	}
	first := int64(-1)
	for it.Next() {
		r := it.Record()
		if r.Offset < from || r.Offset >= to {
			continue
		}
		if first < 0 {
			first = r.Offset
		}
		out.Add(r.Timestamp, r.Key, r.Value, r.Headers...)
	}
	if it.Err() != nil || first < 0 {
		return nil, it.Err()
	}
	p, err := out.Build()
	if err != nil {
		return nil, err
	}
	if b.LogAppendTime() {
		record.SetLogAppendTime(p, b.MaxTimestamp)
	}
	record.SetBaseOffset(p, first)
	record.SetLeaderEpoch(p, 1)
	return p, nil
}

// foreignBatch gives a batch of another producer as it is shown. Only in a transaction does it matter whose it is: retries were
// found by the cluster.
func foreignBatch(b record.Batch) []byte {
	p := append([]byte(nil), b.Bytes...)
	if !b.Transactional() && b.ProducerID >= 0 {
		record.SetProducer(p, log.NoProducer, -1, false)
	}
	record.SetLeaderEpoch(p, 1)
	return p
}

// endBatch gives the marker that ends a foreign transaction, in the form that record.Marker reads.
func endBatch(b record.Batch, r ref) ([]byte, error) {
	p, err := record.BuildMarker(log.TxnProducer{ID: r.producer, Epoch: b.ProducerEpoch}, r.kind == refCommit, r.first, b.BaseTimestamp)
	if err != nil {
		return nil, err
	}
	record.SetBaseOffset(p, r.base)
	record.SetLeaderEpoch(p, 1)
	return p, nil
}
