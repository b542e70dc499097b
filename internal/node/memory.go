package node

import (
	"context"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"time"
)

const (
	// memoryInterval is how often the process looks whether a burst of work is over.
	memoryInterval = 5 * time.Second
	// busyAllocations in one interval are work, as many bytes as make it worth while to collect after them.
	busyAllocations = 16 << 20
)

// returnMemory gives what a burst of work has left behind back to the system in the first quiet interval after it. Go would keep
// it until its next collection, two minutes later when nothing else happens.
func returnMemory(ctx context.Context) error {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	sample := []runtimemetrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	for last, worked := uint64(0), false; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		runtimemetrics.Read(sample)
		allocated := sample[0].Value.Uint64()
		busy := allocated-last > busyAllocations
		if worked && !busy {
			debug.FreeOSMemory()
		}
		last, worked = allocated, busy
	}
}
