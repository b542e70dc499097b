package admission

import (
	"sync"

	"github.com/miracledb/miracledb/log"
)

// Notifications are the channels to be told of new records, by partition. The zero Notifications has none.
type Notifications struct {
	mu struct {
		sync.Mutex
		byPartition map[log.Partition]map[*notification]struct{}
	}
}

type notification struct{ ch chan<- struct{} }

// Add tells ch of new records of any of the partitions, until cancel.
func (n *Notifications) Add(ps []log.Partition, ch chan<- struct{}) (cancel func()) {
	one := &notification{ch}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.byPartition == nil {
		n.mu.byPartition = map[log.Partition]map[*notification]struct{}{}
	}
	for _, p := range ps {
		if n.mu.byPartition[p] == nil {
			n.mu.byPartition[p] = map[*notification]struct{}{}
		}
		n.mu.byPartition[p][one] = struct{}{}
	}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, p := range ps {
			delete(n.mu.byPartition[p], one)
			if len(n.mu.byPartition[p]) == 0 {
				delete(n.mu.byPartition, p)
			}
		}
	}
}

// Send tells those who wait for records of the batches' partitions. It never blocks.
func (n *Notifications) Send(entries ...*log.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.mu.byPartition) == 0 {
		return
	}
	for _, e := range entries {
		for i := range e.Batches {
			for one := range n.mu.byPartition[e.Batches[i].Partition] {
				select {
				case one.ch <- struct{}{}:
				default:
				}
			}
		}
	}
}
