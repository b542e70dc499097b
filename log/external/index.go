package external

import (
	"cmp"
	"maps"
	"slices"
	"sort"

	"github.com/miracledb/miracledb/log"
)

// index is what __commits says, in memory: every append in order, and by partition where each stands. It is guarded by its
// owner.
type index struct {
	commits    []commit // sequences are dense from 1
	partitions map[log.Partition]*partition
	foreign    map[int64]log.TxnStatus // by producer: what is known last of its transactions
}

// partition is what is ordered of one partition.
type partition struct {
	own, foreign []stretch // by base; they may lie in each other: a foreign range holds what of ours lies between
	ends         []stretch // markers of foreign transactions
	start, end   int64     // first offset kept, the one after the last record
	// mark is the offset below which everything is ordered: a scanner begins there.
	mark int64
	// scanned is how far the scanner has ordered, and queued how many of its items are not in the cluster yet.
	scanned int64
	queued  int
	open    map[int64]int64 // first offset of the foreign transactions that have not ended, by producer
}

// stretch is a ref of the append with a sequence.
type stretch struct {
	ref
	sequence uint64
}

func newIndex() index {
	return index{partitions: map[log.Partition]*partition{}, foreign: map[int64]log.TxnStatus{}}
}

func (x *index) partition(p log.Partition) *partition {
	ps := x.partitions[p]
	if ps == nil {
		ps = &partition{open: map[int64]int64{}}
		x.partitions[p] = ps
	}
	return ps
}

// add takes the next append in.
func (x *index) add(c commit) {
	x.commits = append(x.commits, c)
	for _, r := range c.refs {
		x.partition(r.partition).add(stretch{r, c.position.Sequence})
		switch r.kind {
		case refCommit:
			x.foreign[r.producer] = log.TxnCommitted
		case refAbort:
			x.foreign[r.producer] = log.TxnAborted
		}
	}
}

// txns lists the transactions of other producers: the newest of each.
func (x *index) txns() []log.Txn {
	all := map[int64]log.Txn{}
	for id, status := range x.foreign {
		all[id] = log.Txn{Producer: log.TxnProducer{ID: id, Epoch: -1}, Status: status}
	}
	for p, ps := range x.partitions {
		for id := range ps.open {
			t := all[id]
			t.Producer, t.Status = log.TxnProducer{ID: id, Epoch: -1}, log.TxnOngoing
			t.Partitions = append(t.Partitions, p)
			all[id] = t
		}
	}
	out := slices.Collect(maps.Values(all))
	slices.SortFunc(out, func(a, b log.Txn) int { return cmp.Compare(a.Producer.ID, b.Producer.ID) })
	return out
}

func (p *partition) add(s stretch) {
	switch s.kind {
	case refOwn, refOwnClean:
		p.own = insert(p.own, s)
	case refForeign:
		p.foreign = insert(p.foreign, s)
		for _, o := range s.opens {
			p.open[o.producer] = o.first
		}
	case refCommit, refAbort:
		p.ends = insert(p.ends, s)
		delete(p.open, s.producer)
	}
	if s.kind != refOwn {
		p.mark = max(p.mark, s.end())
	}
	p.end = max(p.end, s.end())
}

// insert keeps stretches by base; the newest is nearly always the last.
func insert(all []stretch, s stretch) []stretch {
	i := len(all)
	for i > 0 && all[i-1].base > s.base {
		i--
	}
	all = append(all, stretch{})
	copy(all[i+1:], all[i:])
	all[i] = s
	return all
}

// at gives the stretch that holds an offset.
func at(all []stretch, offset int64) *stretch {
	i := sort.Search(len(all), func(i int) bool { return all[i].base > offset }) - 1
	if i < 0 || all[i].end() <= offset {
		return nil
	}
	return &all[i]
}

// last gives the sequence of the last append at or below an offset, 0 when there is none.
func (p *partition) last(offset int64) (sequence uint64) {
	base := int64(-1)
	for _, all := range [][]stretch{p.own, p.foreign, p.ends} {
		i := sort.Search(len(all), func(i int) bool { return all[i].base > offset }) - 1
		if i >= 0 && all[i].base > base {
			base, sequence = all[i].base, all[i].sequence
		}
	}
	return sequence
}

// stable is the first offset of a foreign transaction that has not ended, the end when there is none.
func (p *partition) stable() int64 {
	stable := p.end
	for _, first := range p.open {
		stable = min(stable, first)
	}
	return stable
}
