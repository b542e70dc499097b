package backup

import (
	"encoding/hex"
	"encoding/json"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// maxPartitions bounds the partitions of one topic, as a catalog record names them.
const maxPartitions = 1 << 20

// topics follows which topics there are and where their partitions end, append by append.
type topics struct {
	list []*Topic // in order of creation
	byID map[log.TopicID]*Topic
}

func newTopics(from []Topic) (*topics, error) {
	t := &topics{byID: map[log.TopicID]*Topic{}}
	if len(from) == 0 {
		t.create(log.CatalogTopicID, log.CatalogTopic, 1)
	}
	for i := range from {
		one := from[i]
		id, err := parseTopicID(one.ID)
		if err != nil {
			return nil, err
		}
		one.Partitions = append([]Range(nil), one.Partitions...)
		t.list = append(t.list, &one)
		t.byID[id] = &one
	}
	return t, nil
}

func parseTopicID(text string) (id log.TopicID, err error) {
	if n, err := hex.Decode(id[:], []byte(text[:min(len(text), 2*len(id))])); err != nil || n != len(id) || len(text) != 2*len(id) {
		return id, errs.New(errs.Corrupt, "%.80q is no topic id", text)
	}
	return id, nil
}

func (t *topics) create(id log.TopicID, name string, partitions int32) *Topic {
	one := &Topic{ID: id.String(), Name: name, Partitions: make([]Range, partitions)}
	t.list = append(t.list, one)
	t.byID[id] = one
	return one
}

// observe takes one append in. Errors: Corrupt (it does not fit the ones before).
func (t *topics) observe(e *log.Entry) error {
	for i := range e.Batches {
		if e.Batches[i].Partition.Topic == log.CatalogTopicID {
			if err := t.catalog(e.Batches[i].Batch, e.Position); err != nil {
				return errs.New(errs.KindOf(err), "append %v: %w", e.Position, err)
			}
		}
	}
	for i := range e.Batches {
		b := &e.Batches[i]
		one := t.byID[b.Partition.Topic]
		if one == nil || b.Partition.Index < 0 || int(b.Partition.Index) >= len(one.Partitions) {
			return errs.New(errs.Corrupt, "append %v: no topic %v with partition %d", e.Position, b.Partition.Topic, b.Partition.Index)
		}
		r := &one.Partitions[b.Partition.Index]
		if b.BaseOffset < r.End {
			return errs.New(errs.Corrupt, "append %v: offset %d of %s partition %d, which ends at %d", e.Position, b.BaseOffset, one.Name, b.Partition.Index, r.End)
		}
		if r.End == 0 {
			r.Start = b.BaseOffset
		}
		r.End = b.BaseOffset + int64(b.Records)
	}
	return nil
}

// catalog takes in the topic records of catalog batches.
func (t *topics) catalog(batches []byte, at log.Position) error {
	return eachRecord(batches, func(r record.Record) error {
		if r.Value == nil {
			return nil
		}
		var c log.CatalogRecord
		if err := json.Unmarshal(r.Value, &c); err != nil {
			return errs.New(errs.Corrupt, "catalog record at offset %d: %w", r.Offset, err)
		}
		if c.Topic == nil {
			return nil
		}
		id, err := parseTopicID(c.Topic.ID)
		if err != nil {
			return err
		}
		if err := limit.Check("the number of partitions", int64(c.Topic.Partitions), maxPartitions); err != nil {
			return err
		}
		one := t.byID[id]
		switch {
		case c.Topic.Dropped && one != nil:
			one.Dropped = &Position{at}
		case c.Topic.Dropped:
		case one == nil:
			t.create(id, c.Topic.Name, max(c.Topic.Partitions, 0))
		case int(c.Topic.Partitions) > len(one.Partitions):
			one.Partitions = append(one.Partitions, make([]Range, int(c.Topic.Partitions)-len(one.Partitions))...)
		}
		return nil
	})
}

// eachRecord visits the records of whole batches, checking their CRCs.
func eachRecord(batches []byte, visit func(record.Record) error) error {
	var it record.Iterator
	for len(batches) > 0 {
		b, rest, err := record.Parse(batches)
		if err != nil {
			return err
		}
		if err := it.Reset(b); err != nil {
			return err
		}
		for it.Next() {
			if err := visit(it.Record()); err != nil {
				return err
			}
		}
		if err := it.Err(); err != nil {
			return err
		}
		batches = rest
	}
	return nil
}

// snapshot gives the topics as a manifest keeps them.
func (t *topics) snapshot() []Topic {
	out := make([]Topic, len(t.list))
	for i, one := range t.list {
		out[i] = *one
		out[i].Partitions = append([]Range(nil), one.Partitions...)
	}
	return out
}
