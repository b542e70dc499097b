package broker

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
	"github.com/miracledb/miracledb/log/record"
)

// Readers that are at the old end of the memory tail while it is given up see every batch, and find every timestamp.
func TestReadWhileTailMoves(t *testing.T) {
	b, _ := start(t, small(vfs.NewMem(), "data"))
	topic := logtest.CreateTopic(t, b, "t", 1, nil)
	p := log.Partition{Topic: topic.ID}
	const records = 20_000
	value := bytes.Repeat([]byte{'v'}, 100)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	go func() {
		for i := range int64(records) {
			var rb record.Builder
			rb.Add(i, nil, value)
			data, err := rb.Build()
			if err != nil {
				t.Error(err)
			}
			if _, err := b.Submit(ctx, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: data}}}); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for at := int64(0); at < records && !t.Failed(); {
				data, err := b.Read(ctx, p, at, log.ReadLimit{})
				if err == nil && len(data) == 0 {
					err = ctx.Err()
				}
				if err != nil {
					t.Error(err)
					return
				}
				for len(data) > 0 {
					batch, rest, err := record.Parse(data)
					if err != nil || batch.BaseOffset != at {
						t.Errorf("offset %d follows %d: %v", batch.BaseOffset, at-1, err)
						return
					}
					if at%100 == 0 {
						if offset, _, err := b.OffsetForTime(p, at); err != nil || offset != at {
							t.Errorf("time %d is found at %d, %v", at, offset, err)
						}
					}
					at, data = at+1, rest
				}
			}
		})
	}
	readers.Wait()
}

// Small entries take more memory than their bytes: the tail keeps fewer of them.
func TestTailCountsMemory(t *testing.T) {
	b, _ := start(t, small(vfs.NewMem(), "data"))
	topic := logtest.CreateTopic(t, b, "t", 1, nil)
	for range 500 {
		commit(t, b, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topic.ID}, Batch: logtest.Batch(t, 1, "v")}}})
	}
	settle(t, b)
	b.durable.mu.RLock()
	defer b.durable.mu.RUnlock()
	if n := len(b.durable.mu.tail); n == 0 || n > int(b.durable.keep/(entryMemory+batchMemory)) {
		t.Errorf("%d small entries stay in %d bytes", n, b.durable.keep)
	}
}
