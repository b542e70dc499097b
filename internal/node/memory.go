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
	// idleAllocations in one interval are less than any work's.
	idleAllocations = 1 << 20
)

// work tells the end of a burst of work: the first interval that is not busy after one that is, or, when the work was too slow for
// that, the first idle one after so much of it.
type work struct {
	allocated, returned uint64 // at the last look, and when a burst last ended
	busy                bool
}

// ended says whether a burst has ended in the interval until now, when so many bytes have ever been allocated.
func (w *work) ended(allocated uint64) bool {
	busy, idle := allocated-w.allocated > busyAllocations, allocated-w.allocated < idleAllocations
	ended := w.busy && !busy || idle && allocated-w.returned > busyAllocations
	w.allocated, w.busy = allocated, busy
	if ended {
		w.returned = allocated
	}
	return ended
}

// returnMemory gives what a burst of work has left behind back to the system when it has ended. Go would keep it until its next
// collection, two minutes later when nothing else happens.
func returnMemory(ctx context.Context) error {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	sample := []runtimemetrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	for w := (work{}); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		runtimemetrics.Read(sample)
		if w.ended(sample[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}
