package views

import (
	"context"
	"sync"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
)

// Latest holds the newest published version and lets readers wait for a later one. A version is closed when a newer one
// has been published and its last reader has released it. The zero Latest is empty and ready.
type Latest[V Snapshot] struct {
	mu struct {
		sync.Mutex
		current *Held[V]
		next    chan struct{} // closed and replaced at each Publish
		closed  bool
	}
}

// Held is one reader's hold on a version.
type Held[V Snapshot] struct {
	Value V

	latest *Latest[V]
	refs   int // guarded by latest.mu
}

// Publish makes v the newest version; Latest owns it from now on. Versions are published in the order of their
// Positions.
func (l *Latest[V]) Publish(v V) error {
	l.mu.Lock()
	if l.mu.closed {
		l.mu.Unlock()
		return v.Close()
	}
	old := l.mu.current
	l.mu.current = &Held[V]{Value: v, latest: l, refs: 1}
	if l.mu.next != nil {
		close(l.mu.next)
		l.mu.next = nil
	}
	l.mu.Unlock()
	if old != nil {
		return old.Release()
	}
	return nil
}

// Acquire gives the newest version at or after at, waiting for it to be published. The caller releases it.
// Errors: Canceled when ctx ends first, Unavailable after Close.
func (l *Latest[V]) Acquire(ctx context.Context, at delta.Position) (*Held[V], error) {
	for {
		l.mu.Lock()
		if l.mu.closed {
			l.mu.Unlock()
			return nil, errs.New(errs.Unavailable, "the server is stopping")
		}
		if h := l.mu.current; h != nil && !h.Value.Position().Less(at) {
			h.refs++
			l.mu.Unlock()
			return h, nil
		}
		if l.mu.next == nil {
			l.mu.next = make(chan struct{})
		}
		next := l.mu.next
		l.mu.Unlock()
		select {
		case <-next:
		case <-ctx.Done():
			return nil, errs.New(errs.Canceled, "waiting for the views to reach position %v: %w", at, ctx.Err())
		}
	}
}

// Retain adds a hold: Release must be called once more.
func (h *Held[V]) Retain() *Held[V] {
	h.latest.mu.Lock()
	h.refs++
	h.latest.mu.Unlock()
	return h
}

// Release gives the hold back; the last one of a version that is no longer the newest closes it.
func (h *Held[V]) Release() error {
	h.latest.mu.Lock()
	h.refs--
	last := h.refs == 0
	h.latest.mu.Unlock()
	if last {
		return h.Value.Close()
	}
	return nil
}

// Close releases the newest version and refuses later ones. Waiting readers get Unavailable.
func (l *Latest[V]) Close() error {
	l.mu.Lock()
	l.mu.closed = true
	h := l.mu.current
	l.mu.current = nil
	if l.mu.next != nil {
		close(l.mu.next)
		l.mu.next = nil
	}
	l.mu.Unlock()
	if h != nil {
		return h.Release()
	}
	return nil
}
