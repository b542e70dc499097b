// Package clock is the only place where wall time enters: who needs the time holds a Clock, so that tests hold still.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time.
type Clock interface {
	Now() time.Time
}

// System is the machine's clock.
type System struct{}

// Now is time.Now.
func (System) Now() time.Time { return time.Now() }

// Manual is a clock that moves only when told; for tests.
type Manual struct {
	mu struct {
		sync.Mutex
		now time.Time
	}
}

// NewManual starts a manual clock at t.
func NewManual(t time.Time) *Manual {
	m := &Manual{}
	m.mu.now = t
	return m
}

// Now gives the time last set.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.now
}

// Advance moves the clock forward by d.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.now = m.mu.now.Add(d)
}
