package runner

import (
	"context"
	"errors"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/views/catalog"
)

// history applies what a topic has from before the append at pos that gave it a schema: the same rows come out as if the schema had been
// there from the first record on that is left.
func (a *applier) history(t *tick, rel *catalog.Relation, pos log.Position) error {
	err := a.past(t, rel, pos)
	if errors.Is(err, log.ErrUnknownPartition) {
		return nil // dropped since: its end follows in the log
	}
	return err
}

func (a *applier) past(t *tick, rel *catalog.Relation, pos log.Position) error {
	topic, _ := a.o.Log.TopicByID(rel.Topic)
	var parts []*pastRecords
	for i := range topic.Partitions {
		p := &pastRecords{log: a.o.Log, partition: log.Partition{Topic: topic.ID, Index: i}, until: pos}
		b, err := a.o.Log.Bounds(p.partition)
		if err != nil {
			return err
		}
		p.start, p.reader = b.Start, record.NewReader(p.log, p.partition, b.Start, b.End)
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
			if p.current != nil && (first == nil || p.at.Less(first.at)) {
				first = p
			}
		}
		if first == nil {
			return nil
		}
		b := *first.current
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
	start     int64 // of the partition: what is below it was given up
	reader    *record.Reader
	committed []log.PartitionBatch // of the transaction whose marker was read last, at its place

	current *log.PartitionBatch // nil: no more
	at      log.Position
}

func (p *pastRecords) advance() error {
	ctx := context.Background()
	p.current = nil
	for len(p.committed) == 0 {
		if !p.reader.Next(ctx) {
			return p.reader.Err()
		}
		b := p.reader.Batch()
		if b.Transactional() && !b.Control() {
			continue // they take effect with their marker
		}
		var err error
		if p.at, err = p.reader.Position(); errors.Is(err, log.ErrOffsetOutOfRange) {
			continue // given up meanwhile
		} else if err != nil {
			return err
		}
		if !p.at.Less(p.until) {
			return nil // it and what follows is applied in its turn
		}
		if !b.Control() {
			cut, err := p.reader.Cut()
			p.current = &cut
			return err
		}
		if r, commit, ok := record.Marker(b, p.partition); ok && commit {
			r.First = max(r.First, p.start)
			err = record.Committed(ctx, p.log, r, func(b log.PartitionBatch) error {
				p.committed = append(p.committed, b)
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	p.current, p.committed = &p.committed[0], p.committed[1:]
	return nil
}
