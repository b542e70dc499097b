package broker

import (
	"context"
	"maps"
	"sync"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// hooks are the admission hooks by topic.
type hooks struct {
	mu struct {
		sync.RWMutex
		byTopic map[log.TopicID]log.AdmissionHook
		txn     log.TxnHook
	}
}

func (h *hooks) set(topic log.TopicID, hook log.AdmissionHook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if hook == nil {
		delete(h.mu.byTopic, topic)
		return
	}
	if h.mu.byTopic == nil {
		h.mu.byTopic = map[log.TopicID]log.AdmissionHook{}
	}
	h.mu.byTopic[topic] = hook
}

func (h *hooks) get(topic log.TopicID) log.AdmissionHook {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.mu.byTopic[topic]
}

func (h *hooks) setTxn(hook log.TxnHook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.txn = hook
}

func (h *hooks) txn() log.TxnHook {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.mu.txn
}

// checkProduced is what a foreign writer's batches must hold beyond what the log itself asks. Submit checks the CRC; it
// is checked here already when a hook will look at the records before.
func checkProduced(t log.Topic, p []byte, hooked bool) error {
	limit := maxMessageBytes(t)
	parse := parseChecked
	if hooked {
		parse = record.Parse
	}
	for len(p) > 0 {
		b, rest, err := parse(p)
		switch {
		case err != nil:
			return err
		case b.Control():
			return errs.New(errs.Invalid, "%w: clients cannot write control batches", log.ErrInvalidRecord)
		case b.Transactional() && b.ProducerID < 0:
			return errs.New(errs.Invalid, "%w: a transactional batch without a producer", log.ErrInvalidRecord)
		case int64(len(b.Bytes)) > limit:
			return errs.New(errs.Limit, "%w: a batch of %d bytes for topic %s, over max.message.bytes=%d", log.ErrTooLarge, len(b.Bytes), t.Name, limit)
		}
		p = rest
	}
	return nil
}

// notifications are the channels to be told of new records, by partition.
type notifications struct {
	mu struct {
		sync.Mutex
		byPartition map[log.Partition]map[*notification]struct{}
	}
}

type notification struct{ ch chan<- struct{} }

func (n *notifications) add(ps []log.Partition, ch chan<- struct{}) (cancel func()) {
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

func (n *notifications) send(group []*item) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.mu.byPartition) == 0 {
		return
	}
	for _, it := range group {
		for i := range it.entry.Batches {
			for one := range n.mu.byPartition[it.entry.Batches[i].Partition] {
				select {
				case one.ch <- struct{}{}:
				default:
				}
			}
		}
	}
}

// pins hold history for whoever must still see it.
type pins struct {
	mu struct {
		sync.Mutex
		byHolder map[string]log.Position
	}
}

func newPins(m map[string]log.Position) *pins {
	p := &pins{}
	p.mu.byHolder = m
	return p
}

func (p *pins) set(holder string, at log.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.byHolder[holder] = at
}

func (p *pins) remove(holder string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mu.byHolder, holder)
}

func (p *pins) all() map[string]log.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.mu.byHolder)
}

// lowest is the lowest pin; ok is false when there is none.
func (p *pins) lowest() (lowest log.Position, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.mu.byHolder {
		if !ok || at.Less(lowest) {
			lowest, ok = at, true
		}
	}
	return lowest, ok
}

// producerBlock is how many producer ids one journal item allocates; what is left of a block at a restart is skipped.
const producerBlock = 1000

// producerIDs hands out ids from a block that is durably allocated.
type producerIDs struct {
	mu struct {
		sync.Mutex
		next, limit int64
		refilling   chan struct{} // closed when the refill under way has ended
	}
}

// NextProducerID gives an id for an idempotent producer that was never given before and never will be. It is durable:
// a restart does not give it again.
func (b *Broker) NextProducerID(ctx context.Context) (int64, error) {
	ids := &b.ids
	for {
		ids.mu.Lock()
		if ids.mu.next < ids.mu.limit {
			ids.mu.next++
			id := ids.mu.next - 1
			ids.mu.Unlock()
			return id, nil
		}
		if wait := ids.mu.refilling; wait != nil {
			ids.mu.Unlock()
			select {
			case <-wait:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
			continue
		}
		done := make(chan struct{})
		ids.mu.refilling = done
		ids.mu.Unlock()
		first, ticket, err := b.sequence.allocate(producerBlock)
		if err == nil {
			err = ticket.Wait(ctx)
		}
		ids.mu.Lock()
		ids.mu.refilling = nil
		if err == nil {
			ids.mu.next, ids.mu.limit = first, first+producerBlock
		}
		ids.mu.Unlock()
		close(done)
		if err != nil {
			return 0, err
		}
	}
}
