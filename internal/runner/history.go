package runner

import (
	"context"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/views/catalog"
)

// history applies what a topic held before the append at pos that gave it a schema: the same rows come out as if the
// schema had been there from the first record on.
func (a *applier) history(t *tick, rel *catalog.Relation, pos log.Position) error {
	topic, ok := a.o.Log.TopicByID(rel.Topic)
	if !ok {
		return nil // dropped since: its end follows in the log
	}
	var parts []*pastRecords
	for i := range topic.Partitions {
		p := &pastRecords{log: a.o.Log, partition: log.Partition{Topic: topic.ID, Index: i}, until: pos}
		b, err := a.o.Log.Bounds(p.partition)
		if err != nil {
			return err
		}
		p.next, p.end = b.Start, b.End
		if err := p.advance(); err != nil {
			return err
		}
		parts = append(parts, p)
	}
	snap := a.o.Catalog.Current()
	for {
		// The log's order decides between partitions.
		var first *pastRecords
		for _, p := range parts {
			if p.batch != nil && (first == nil || p.at.Less(first.at)) {
				first = p
			}
		}
		if first == nil {
			return nil
		}
		b := log.PartitionBatch{Partition: first.partition, Batch: first.batch, BaseOffset: first.base, Records: first.records}
		t.records += int64(b.Records)
		a.at = first.at
		var err error
		if rel.Kind == catalog.Table {
			err = a.table(t, rel, b, nil)
		} else {
			err = a.stream(snap, rel, b)
		}
		if err == nil {
			err = first.advance()
		}
		if err != nil {
			return err
		}
	}
}

// pastRecords reads the batches of one partition that were appended before a Position, one by one.
type pastRecords struct {
	log       log.Log
	partition log.Partition
	until     log.Position
	next, end int64
	data      []byte
	committed []log.PartitionBatch // of the transaction whose marker was read last, at its place

	batch   []byte // the current one; nil: no more
	base    int64
	records int32
	at      log.Position
}

func (p *pastRecords) advance() error {
	p.batch = nil
	for {
		if len(p.committed) > 0 {
			p.batch, p.base, p.records = p.committed[0].Batch, p.committed[0].BaseOffset, p.committed[0].Records
			p.committed = p.committed[1:]
			return nil
		}
		if p.next >= p.end {
			return nil
		}
		if len(p.data) == 0 {
			var err error
			p.data, err = p.log.Read(context.Background(), p.partition, p.next, log.ReadLimit{MaxBytes: 1 << 20})
			if err != nil || len(p.data) == 0 {
				return err
			}
		}
		h, err := record.ParseHeader(p.data)
		if err != nil {
			return err
		}
		p.data = p.data[len(h.Bytes):]
		p.next = h.LastOffset() + 1
		if h.Transactional() && !h.Control() {
			continue // they take effect with their marker
		}
		if p.at, err = p.log.PositionOf(p.partition, h.BaseOffset); err != nil {
			return err
		}
		if !p.at.Less(p.until) {
			p.end = p.next // what follows is applied in its turn
			return nil
		}
		if h.Control() {
			if r, commit, ok := record.Marker(h, p.partition); ok && commit {
				err = record.Committed(context.Background(), p.log, r, func(b log.PartitionBatch) error {
					p.committed = append(p.committed, b)
					return nil
				})
				if err != nil {
					return err
				}
			}
			continue
		}
		p.batch, p.base, p.records = h.Bytes, h.BaseOffset, h.Offsets()
		return nil
	}
}
