package record

import (
	"sort"

	"github.com/miracledb/miracledb/log"
)

// Aborted are aborted transactions of a partition by producer, each producer's in the order of their offsets.
type Aborted map[int64][]log.AbortedTxn

// AllAborted gives the aborted transactions with records from one offset to before another: all of them, in memory.
func AllAborted(l log.Log, p log.Partition, from, to int64) (Aborted, error) {
	a := Aborted{}
	for from < to {
		txns, upTo, err := l.Aborted(p, from, to)
		if err != nil {
			return nil, err
		}
		a.add(txns)
		from = upTo
	}
	return a, nil
}

// add takes in what Aborted lists next: it may begin with transactions that it ended with before.
func (a Aborted) add(txns []log.AbortedTxn) {
	for _, one := range txns {
		of := a[one.Producer]
		if n := len(of); n == 0 || of[n-1] != one {
			a[one.Producer] = append(of, one)
		}
	}
}

// Has reports whether a transactional record of a producer is of a transaction that was aborted, or the marker of one.
func (a Aborted) Has(producer, offset int64) bool {
	of := a[producer]
	i := sort.Search(len(of), func(i int) bool { return of[i].Last >= offset })
	return i < len(of) && of[i].First <= offset
}

// AbortedCursor tells what was aborted to who passes over a partition in the order of its offsets. It holds as much of it as
// log.Log's Aborted lists at once.
type AbortedCursor struct {
	log       log.Log
	partition log.Partition
	to        int64
	from      int64 // of what is known
	upTo      int64
	known     Aborted
}

// NewAbortedCursor begins at any offset, and goes to before another.
func NewAbortedCursor(l log.Log, p log.Partition, to int64) *AbortedCursor {
	return &AbortedCursor{log: l, partition: p, to: to}
}

// From asks for what was aborted from an offset on, unless that is known, and gives the offset before which it is. What is read
// after it and stands before that offset can be told apart.
func (c *AbortedCursor) From(offset int64) (upTo int64, err error) {
	if c.known != nil && c.from <= offset && offset < c.upTo {
		return c.upTo, nil
	}
	txns, upTo, err := c.log.Aborted(c.partition, offset, c.to)
	if err != nil {
		return 0, err
	}
	c.from, c.upTo, c.known = offset, upTo, Aborted{}
	c.known.add(txns)
	return upTo, nil
}

// HasBatch reports whether a batch is of records of a transaction that was aborted.
func (c *AbortedCursor) HasBatch(b *Batch) (bool, error) {
	if !b.Transactional() || b.Control() {
		return false, nil
	}
	if _, err := c.From(b.BaseOffset); err != nil {
		return false, err
	}
	return c.known.Has(b.ProducerID, b.BaseOffset), nil
}
