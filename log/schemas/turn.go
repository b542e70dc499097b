package schemas

import (
	"context"
	"runtime"
	"slices"

	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/schema"
)

// Schemas are read and compared in two lanes: a schema of 512 KiB takes a second of a processor and tens of MiB, and whoever sends many
// of them has those of others wait, but nobody who sends small ones.
const (
	small = iota
	large
)

const (
	// smallTexts is what a piece of work in the small lane may have to read, smallSteps what it may take to compare: some
	// 20 ms. A comparison that takes more goes on in the large lane, from its beginning.
	smallTexts = 64 * limit.KiB
	smallSteps = 50_000
	// smallAtOnce bounds the memory of the small lane; in the large one half of the processors work.
	smallAtOnce = 16
)

// lane has a place for each that works in it.
type lane chan struct{}

func newLanes() [2]lane {
	return [2]lane{small: make(lane, smallAtOnce), large: make(lane, max(1, runtime.GOMAXPROCS(0)/2))}
}

// turn is a place in a lane. It belongs to one goroutine.
type turn struct {
	store *Store
	lane  int
	held  bool
}

// turn waits for a place for reading a proposal and comparing it. Errors: the context's.
func (s *Store) turn(ctx context.Context, b *basis, p *Proposal) (*turn, error) {
	w := &turn{store: s}
	lane := small
	if b.texts(p) > int(smallTexts) {
		lane = large
	}
	return w, w.move(ctx, lane)
}

// texts is how many bytes of schemas are read and compared. Of earlier versions those count that the level looks at; the others are
// read once, and never again.
func (b *basis) texts(p *Proposal) int {
	n := len(p.Text) + b.referred
	for _, v := range slices.Backward(b.versions) {
		if !v.Deleted {
			if n += len(v.Text); !b.level.Transitive() {
				break
			}
		}
	}
	return n
}

func (w *turn) move(ctx context.Context, to int) error {
	w.end()
	select {
	case w.store.lanes[to] <- struct{}{}:
		w.lane, w.held = to, true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end gives the place back; more than once is as good as once.
func (w *turn) end() {
	if w.held {
		<-w.store.lanes[w.lane]
		w.held = false
	}
}

// steps is what a comparison may take.
func (w *turn) steps() int {
	if w.lane == small {
		return smallSteps
	}
	return schema.MaxSteps
}
