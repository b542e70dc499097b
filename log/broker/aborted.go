package broker

import (
	"math"
	"slices"
	"sort"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/aborted"
	"github.com/miracledb/miracledb/log/segment"
)

// abortedRoom is about how many aborted transactions are listed at once.
const abortedRoom = 2048

// Aborted: see log.Log.
func (b *Broker) Aborted(p log.Partition, from, to int64) (txns []log.AbortedTxn, upTo int64, err error) {
	return b.durable.abortedIn(p, from, to, abortedRoom)
}

// abortedIn lists aborted transactions with records from one offset to before another: those beside segments, then those in the
// state.
func (d *durable) abortedIn(p log.Partition, from, to int64, room int) (txns []log.AbortedTxn, upTo int64, err error) {
	d.mu.RLock()
	ps := d.mu.state.partitions[p]
	if ps == nil {
		d.mu.RUnlock()
		return nil, to, nil
	}
	// The state's first: what leaves it meanwhile is beside segments already.
	recent, q := ps.aborted, aborted.NewQuery(max(from, ps.forgotten), to, room)
	var store *segment.Store
	if v := d.mu.partitions[p]; v != nil {
		store = v.store
	}
	d.mu.RUnlock()
	if store != nil {
		before := int64(math.MaxInt64)
		if len(recent) > 0 {
			before = recent[0].Last
		}
		if err := store.Aborted().Collect(q, before); err != nil {
			if d.store(p) == nil {
				return nil, to, nil // dropped meanwhile
			}
			return nil, from, err
		}
	}
	for i := sort.Search(len(recent), func(i int) bool { return recent[i].Last >= from }); i < len(recent); i++ {
		if !q.Add(recent[i].Txn) {
			break
		}
	}
	txns, upTo = q.Answer()
	return txns, upTo, nil
}

// hasAborted reports whether a record of a producer is of a transaction that was aborted.
func (d *durable) hasAborted(p log.Partition, producer, offset int64) (bool, error) {
	if producer < 0 {
		return false, nil
	}
	txns, _, err := d.abortedIn(p, offset, offset+1, math.MaxInt)
	return slices.ContainsFunc(txns, func(t log.AbortedTxn) bool { return t.Producer == producer }), err
}

// forgotten is the offset below which the aborted transactions of a partition that ended have been forgotten in this run.
func (d *durable) forgotten(p log.Partition) int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if ps := d.mu.state.partitions[p]; ps != nil {
		return ps.forgotten
	}
	return 0
}

// keepAborted moves the aborted transactions that ended in what segments have from the state to stand beside those.
func (a *applier) keepAborted(p log.Partition, store *segment.Store) error {
	end := store.End()
	var txns []aborted.Txn
	a.durable.mu.RLock()
	if ps := a.durable.mu.state.partitions[p]; ps != nil {
		for i := range ps.aborted {
			if ps.aborted[i].Last < end {
				txns = append(txns, ps.aborted[i].Txn)
			}
		}
	}
	a.durable.mu.RUnlock()
	if len(txns) == 0 {
		return nil
	}
	n, err := store.Aborted().Append(txns)
	if n > 0 {
		a.durable.dropAborted(p, txns[n-1].Last)
	}
	return err
}

// dropAborted lets the state go of the aborted transactions that ended at or below an offset: they are beside segments.
func (d *durable) dropAborted(p log.Partition, through int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ps := d.mu.state.partitions[p]; ps != nil {
		ps.dropAborted(sort.Search(len(ps.aborted), func(i int) bool { return ps.aborted[i].Last > through }))
	}
}

// touchAborted has the next flush look at all partitions with aborted transactions in the state.
func (a *applier) touchAborted() {
	for p, ps := range a.durable.mu.state.partitions {
		if store := a.stores[p]; store != nil && len(ps.aborted) > 0 {
			a.touched[p] = store
		}
	}
}

// forgetAborted lets the aborted transactions beside segments go that the state has forgotten. Replay forgets them again when
// the process ends before the snapshot.
func (a *applier) forgetAborted() {
	for p, store := range a.stores {
		a.forgotten = append(a.forgotten, store.Aborted().Forget(a.durable.forgotten(p))...)
	}
}
