package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
)

const (
	// keyPage is how many offsets of a key one request asks for.
	keyPage = 100_000
	// keyReadAhead is the most bytes that one Fetch asks for where the key's records stand close together.
	keyReadAhead = 1 << 20
)

// lookUp prints the records of the spans that have the key, found by the topic's key index, and moves the spans to their
// ends. It leaves a span as it is, to be read, where there is no index to be asked.
func (c *consumption) lookUp(cmd *cobra.Command, admin *kadm.Client, client *kgo.Client, spans map[int32]*span, out *bufio.Writer) error {
	ctx := cmd.Context()
	id, indexed := c.indexed(ctx, admin)
	if !indexed {
		return nil
	}
	server, err := serverURL(cmd)
	if err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(spans)) {
		s := spans[p]
		offsets, err := c.keyOffsets(ctx, server, id, p, *s)
		if cmd.Flags().Lookup("server").Changed && err != nil {
			return err
		}
		if err != nil {
			return nil // not this topic's server: reading it all gives the same
		}
		if err := c.readAt(ctx, client, id, p, offsets, out); err != nil || c.done() {
			return err
		}
		s.next = s.end
	}
	return out.Flush()
}

// indexed tells whether the topic says that it has a key index, and its id.
func (c *consumption) indexed(ctx context.Context, admin *kadm.Client) (kadm.TopicID, bool) {
	topics, err := admin.ListTopics(ctx, c.topic)
	if err != nil || topics[c.topic].Err != nil {
		return kadm.TopicID{}, false
	}
	configs, err := admin.DescribeTopicConfigs(ctx, c.topic)
	if err != nil {
		return kadm.TopicID{}, false
	}
	config, err := configs.On(c.topic, nil)
	on := slices.ContainsFunc(config.Configs, func(one kadm.Config) bool {
		return one.Key == log.ConfigKeyIndex && one.MaybeValue() == "true"
	})
	return topics[c.topic].ID, err == nil && on
}

// keyOffsets gives where the records of a span with the key stand, the oldest first.
func (c *consumption) keyOffsets(ctx context.Context, server string, id kadm.TopicID, partition int32, s span) ([]int64, error) {
	var out []int64
	for s.next < s.end {
		query := url.Values{"key": {*c.key}, "partition": {strconv.Itoa(int(partition))}, "before": {strconv.FormatInt(s.end, 10)}, "limit": {strconv.Itoa(keyPage)}}
		var told struct {
			TopicID string `json:"topic_id"`
			Offsets []int64
		}
		if err := get(ctx, server, server+"/v1/topics/"+url.PathEscape(c.topic)+"/key-offsets?"+query.Encode(), &told); err != nil {
			return nil, err
		}
		if told.TopicID != log.TopicID(id).String() {
			return nil, usage{fmt.Errorf("--server %s has another topic %s than --brokers", server, c.topic)}
		}
		for _, offset := range told.Offsets {
			if offset >= s.next {
				out = append(out, offset)
			}
		}
		if len(told.Offsets) < keyPage {
			break
		}
		s.end = told.Offsets[keyPage-1]
	}
	slices.Reverse(out)
	return out, nil
}

// readAt prints the records at offsets, which ascend; those that are gone meanwhile are left out.
func (c *consumption) readAt(ctx context.Context, client *kgo.Client, id kadm.TopicID, partition int32, offsets []int64, out *bufio.Writer) error {
	size := int32(1) // one batch
	for len(offsets) > 0 {
		records, err := c.fetchAt(ctx, client, id, partition, offsets[0], size)
		if errors.Is(err, kerr.OffsetOutOfRange) {
			offsets = offsets[1:]
			continue
		}
		if err != nil {
			return fmt.Errorf("consuming %s partition %d: %w", c.topic, partition, err)
		}
		first, next := offsets[0], offsets[0]+1
		for _, r := range records {
			next = max(next, r.Offset+1)
			if at, found := slices.BinarySearch(offsets, r.Offset); found {
				offsets = offsets[at+1:]
				if !c.asks(r) {
					continue
				}
				if err := c.print(out, r); err != nil || c.done() {
					return err
				}
			}
		}
		for len(offsets) > 0 && offsets[0] < next {
			offsets = offsets[1:] // compacted away
		}
		size = 1
		if len(offsets) > 0 && offsets[0]-next < next-first {
			size = keyReadAhead
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// fetchAt gives the records from an offset on that the server gives for about size bytes: one batch at least.
func (c *consumption) fetchAt(ctx context.Context, client *kgo.Client, id kadm.TopicID, partition int32, offset int64, size int32) ([]*kgo.Record, error) {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, size
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = c.topic, id, []kmsg.FetchRequestTopicPartition{p}
	request := kmsg.NewPtrFetchRequest()
	request.MaxBytes, request.Topics = size, []kmsg.FetchRequestTopic{t}
	response, err := request.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(response.ErrorCode)
	}
	if err != nil {
		return nil, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return nil, errors.New("the answer to a Fetch lacks the partition")
	}
	options := kgo.ProcessFetchPartitionOpts{Topic: c.topic, Partition: partition, Offset: offset}
	got, _ := kgo.ProcessFetchPartition(options, &response.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return got.Records, got.Err
}
