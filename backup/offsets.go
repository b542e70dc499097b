package backup

import (
	"cmp"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// Clamp is a committed offset of a consumer group that lay behind the end of what was restored, and was set to it.
type Clamp struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

type groupKey struct {
	group, topic string
	partition    int32
}

// groupOffsets follows the committed offsets of consumer groups.
type groupOffsets map[groupKey]kmsg.OffsetCommitValue

// observe takes in the batches of one append for log.OffsetsTopic. Records of other formats are not ours to judge.
func (g groupOffsets) observe(e *log.Entry, state *topics) error {
	for i := range e.Batches {
		topic := state.byID[e.Batches[i].Partition.Topic]
		if topic.Name != log.OffsetsTopic {
			continue
		}
		err := eachRecord(e.Batches[i].Batch, func(r record.Record) error {
			key, value := kmsg.NewOffsetCommitKey(), kmsg.NewOffsetCommitValue()
			if key.ReadFrom(r.Key) != nil || key.Version > 1 {
				return nil
			}
			k := groupKey{key.Group, key.Topic, key.Partition}
			if r.Value == nil {
				delete(g, k)
			} else if value.ReadFrom(r.Value) == nil {
				g[k] = value
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// beyond gives the offsets that lie behind the end of their partition.
func (g groupOffsets) beyond(state *topics) []Clamp {
	live := map[string]*Topic{}
	for _, t := range state.list {
		if t.Dropped == nil {
			live[t.Name] = t
		}
	}
	var out []Clamp
	for k, v := range g {
		t := live[k.topic]
		if t == nil || int(k.partition) >= len(t.Partitions) || k.partition < 0 {
			continue
		}
		if id := log.TopicID(v.TopicID); !id.IsZero() && id.String() != t.ID {
			continue // of an earlier topic of this name: nobody reads by it
		}
		if end := t.Partitions[k.partition].End; v.Offset > end {
			out = append(out, Clamp{k.group, k.topic, k.partition, v.Offset, end})
		}
	}
	slices.SortFunc(out, func(a, b Clamp) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

// clamp appends the corrected offsets to the restored log, in its new epoch.
func (g groupOffsets) clamp(ctx context.Context, l log.Log, list []Clamp) error {
	var b record.Builder
	for _, c := range list {
		key := kmsg.OffsetCommitKey{Version: 1, Group: c.Group, Topic: c.Topic, Partition: c.Partition}
		value := g[groupKey{c.Group, c.Topic, c.Partition}]
		value.Offset, value.LeaderEpoch = c.To, -1
		b.Add(value.CommitTimestamp, key.AppendTo(nil), value.AppendTo(nil))
	}
	batch, err := b.Build()
	if err != nil {
		return err
	}
	topic, _ := l.Topic(log.OffsetsTopic)
	_, err = log.Commit(ctx, l, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topic.ID}, Batch: batch}}})
	return err
}
