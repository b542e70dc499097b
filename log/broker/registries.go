package broker

import (
	"context"
	"maps"
	"sync"

	"github.com/miracledb/miracledb/log"
)

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
