package txn

import (
	"slices"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
)

// Resource is what a lock is on: a row by its relation and heap key, or an entry of a unique index by the index's id
// and the entry's key. A whole relation (DDL, LOCK TABLE) has the empty key.
type Resource struct {
	ID  delta.RelationID
	Key string
}

// lockTable holds who owns which resource and who waits, first come first served. It is guarded by the sequencer.
type lockTable struct {
	locks map[Resource]*lock
}

type lock struct {
	owner *Tx
	queue []*waiter
}

// waiter is one transaction in a queue. granted is closed when it owns the lock.
type waiter struct {
	tx      *Tx
	res     Resource
	granted chan struct{}
}

// acquire gives the lock at once (nil), or a waiter to wait on, or 40P01 when waiting would close a circle.
func (t *lockTable) acquire(tx *Tx, res Resource) (*waiter, error) {
	l := t.locks[res]
	if l == nil {
		t.locks[res] = &lock{owner: tx}
		tx.held = append(tx.held, res)
		return nil, nil
	}
	if l.owner == tx {
		return nil, nil
	}
	for o := l.owner; o != nil; {
		if o == tx {
			return nil, errs.SQL("40P01", "deadlock detected").WithHint("Retry the transaction.")
		}
		if o.waits == nil {
			break
		}
		o = t.locks[o.waits.res].owner
	}
	w := &waiter{tx: tx, res: res, granted: make(chan struct{})}
	l.queue = append(l.queue, w)
	tx.waits = w
	return w, nil
}

// abandon takes a waiter out of its queue; when it was granted meanwhile, tx simply owns the lock.
func (t *lockTable) abandon(w *waiter) {
	w.tx.waits = nil
	if l := t.locks[w.res]; l != nil {
		l.queue = slices.DeleteFunc(l.queue, func(x *waiter) bool { return x == w })
	}
}

// release lets go of everything that tx holds and hands each lock to the first in its queue.
func (t *lockTable) release(tx *Tx) {
	for _, res := range tx.held {
		l := t.locks[res]
		if len(l.queue) == 0 {
			delete(t.locks, res)
			continue
		}
		w := l.queue[0]
		l.queue = l.queue[1:]
		l.owner = w.tx
		w.tx.waits = nil
		w.tx.held = append(w.tx.held, res)
		close(w.granted)
	}
	tx.held = nil
}

// owner is the transaction that holds res, nil for none.
func (t *lockTable) owner(res Resource) *Tx {
	if l := t.locks[res]; l != nil {
		return l.owner
	}
	return nil
}
