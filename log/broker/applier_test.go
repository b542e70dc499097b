package broker

import (
	"context"
	"testing"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// A checkpoint holds what was durable when it was cut, however much is durable when the applier comes to it: what follows is
// replayed from the journal, and must not be in the files already.
func TestCheckpointHoldsItsCut(t *testing.T) {
	fs := vfs.NewMem()
	opts := small(fs, "data")
	b, stop := start(t, opts)
	p := log.Partition{Topic: logtest.CreateTopic(t, b, "t", 1, nil).ID}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	b, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	var buffer []byte
	for i := range 2 {
		if _, err := b.Submit(context.Background(), log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: logtest.Batch(t, 1, "v")}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.commitGroup(b.sequence.take(), &buffer); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			b.applier.checkpoint(b.cut())
		}
	}
	if err := b.applier.step(); err != nil {
		t.Fatal(err)
	}
	opts.FS = fs.CrashClone(vfs.CrashCloneCfg{})
	b, _ = start(t, opts)
	if bounds, err := b.Bounds(p); err != nil || bounds.End != 2 {
		t.Fatalf("%+v, %v", bounds, err)
	}
}
