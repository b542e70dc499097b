package broker

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

// counted counts the bytes that are read.
type counted struct {
	log.Log
	bytes int
}

func (c *counted) Read(ctx context.Context, p log.Partition, offset int64, limit log.ReadLimit) ([]byte, error) {
	data, err := c.Log.Read(ctx, p, offset, limit)
	c.bytes += len(data)
	return data, err
}

// The records of a small transaction are read back without what stands behind it: a replay does so for every transaction.
func TestCommittedReadsLittle(t *testing.T) {
	ctx := context.Background()
	b, _ := start(t, small(vfs.NewMem(), "data"))
	topic := logtest.CreateTopic(t, b, "t", 1, nil)
	p := log.Partition{Topic: topic.ID}
	producer, err := b.InitTxn(ctx, "x", time.Minute, log.NoProducer)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AddTxnPartitions(ctx, "x", producer, []log.Partition{p}); err != nil {
		t.Fatal(err)
	}
	before := b.End()
	commit(t, b, oneBatch(topic, logtest.TxnBatch(t, producer, 0, "a", "b")))
	if _, _, err := b.EndTxn(ctx, "x", producer, true, false); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		commit(t, b, oneBatch(topic, logtest.Batch(t, 1, strings.Repeat("x", 5000))))
	}
	l, values := &counted{Log: b}, 0
	for _, e := range logtest.Entries(t, b, before) {
		for _, r := range e.Commits {
			if err := record.Committed(ctx, l, r, func(pb log.PartitionBatch) error { values += int(pb.Records); return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if values != 2 || l.bytes > 16<<10 {
		t.Fatalf("%d records, %d bytes read for them", values, l.bytes)
	}
}
