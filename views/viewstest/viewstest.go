// Package viewstest is the suite that every store of views must pass: it equals a model at each Position, its snapshots
// do not change, and after a power cut it is exactly the state at its DurablePosition, from which a replay leads on.
//
// It deliberately knows no store: each gives a Subject, which says in its own terms what one tick does and what is there.
package viewstest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/views"
)

// Write is one row put (or, with Delete, removed) by key.
type Write struct {
	Key, Value string
	Delete     bool
}

// Subject is a store under test with one keyed relation.
type Subject interface {
	views.Store
	// Tick applies the writes of the appends up to pos, in order; the keys are distinct. One at or below Position is
	// skipped.
	Tick(pos delta.Position, writes []Write) error
	// View is a snapshot of now. Unavailable: the store waits for more of the log (after a crash only).
	View() (View, error)
}

// View is a snapshot and what is in it.
type View interface {
	views.Snapshot
	Rows() (map[string]string, error)
}

// Run runs the suite. open opens the store in dir of fs, creating it when there is none.
func Run(t *testing.T, open func(fs vfs.FS, dir string) (Subject, error)) {
	t.Run("Model", func(t *testing.T) { testModel(t, open) })
	t.Run("Crash", func(t *testing.T) { testCrash(t, open) })
	t.Run("Reopen", func(t *testing.T) { testReopen(t, open) })
}

type opener = func(fs vfs.FS, dir string) (Subject, error)

func at(seq int) delta.Position {
	if seq == 0 {
		return delta.Position{}
	}
	return delta.Position{Epoch: 1, Sequence: uint64(seq)}
}

// history is ticks and the state after each.
type history struct {
	ticks  [][]Write
	states []map[string]string
}

func newHistory(r *rand.Rand, n int) *history {
	h := &history{ticks: [][]Write{nil}, states: []map[string]string{{}}}
	for i := range n {
		state := map[string]string{}
		for k, v := range h.states[i] {
			state[k] = v
		}
		seen := map[string]bool{}
		var tick []Write
		for range r.IntN(20) {
			w := Write{Key: fmt.Sprint("key ", r.IntN(60)), Value: fmt.Sprint("value ", i, " ", r.IntN(100)), Delete: r.IntN(3) == 0}
			if seen[w.Key] {
				continue
			}
			seen[w.Key] = true
			if w.Delete {
				w.Value = ""
				delete(state, w.Key)
			} else {
				state[w.Key] = w.Value
			}
			tick = append(tick, w)
		}
		h.ticks, h.states = append(h.ticks, tick), append(h.states, state)
	}
	return h
}

func check(t *testing.T, v View, h *history) {
	t.Helper()
	got, err := v.Rows()
	if err != nil {
		t.Fatal(err)
	}
	want := h.states[v.Position().Sequence]
	if len(got) != len(want) {
		t.Fatalf("at %v: %d rows, want %d", v.Position(), len(got), len(want))
	}
	for k, w := range want {
		if got[k] != w {
			t.Fatalf("at %v: %q is %q, want %q", v.Position(), k, got[k], w)
		}
	}
}

func view(t *testing.T, s Subject) View {
	t.Helper()
	v, err := s.View()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustOpen(t *testing.T, open opener, fs vfs.FS) Subject {
	t.Helper()
	s, err := open(fs, "store")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tick(t *testing.T, s Subject, seq int, h *history) {
	t.Helper()
	if err := s.Tick(at(seq), h.ticks[seq]); err != nil {
		t.Fatalf("tick %d: %v", seq, err)
	}
}

func testModel(t *testing.T, open opener) {
	r := rand.New(rand.NewPCG(1, 1))
	h := newHistory(r, 100)
	s := mustOpen(t, open, vfs.NewMem())
	if !s.Position().IsZero() || !s.DurablePosition().IsZero() {
		t.Fatal("a new store is not at zero")
	}
	var held []View
	for seq := 1; seq < len(h.ticks); seq++ {
		tick(t, s, seq, h)
		if s.Position() != at(seq) {
			t.Fatalf("stands at %v after tick %d", s.Position(), seq)
		}
		tick(t, s, r.IntN(seq)+1, h) // again: skipped
		v := view(t, s)
		if v.Position() != at(seq) {
			t.Fatalf("a snapshot of %v after tick %d", v.Position(), seq)
		}
		check(t, v, h)
		held = append(held, v)
		if r.IntN(15) == 0 {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if s.DurablePosition() != at(seq) {
				t.Fatalf("durable at %v after a flush at %d", s.DurablePosition(), seq)
			}
		}
		if s.Position().Less(s.DurablePosition()) {
			t.Fatal("more is durable than applied")
		}
	}
	for _, v := range held {
		check(t, v, h)
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func testReopen(t *testing.T, open opener) {
	h := newHistory(rand.New(rand.NewPCG(2, 1)), 20)
	fs := vfs.NewMem()
	for seq := 1; seq < len(h.ticks); seq++ {
		s := mustOpen(t, open, fs)
		if s.Position() != at(seq-1) || s.DurablePosition() != at(seq-1) {
			t.Fatalf("opens at %v, durable %v, want %d", s.Position(), s.DurablePosition(), seq-1)
		}
		tick(t, s, seq, h)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, open, fs)
	v := view(t, s)
	check(t, v, h)
	v.Close()
	s.Close()
}

func testCrash(t *testing.T, open opener) {
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 3))
		h := newHistory(r, 40)
		fs := vfs.NewMem()
		s := mustOpen(t, open, fs)
		type crash struct {
			fs       vfs.FS
			low, top int
		}
		var crashes []crash
		for seq := 1; seq < len(h.ticks); seq++ {
			tick(t, s, seq, h)
			if r.IntN(10) == 0 {
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if r.IntN(5) == 0 {
				low := int(s.DurablePosition().Sequence)
				crashes = append(crashes, crash{fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r}), low, seq})
			}
		}
		s.Close()
		for _, c := range crashes {
			s := mustOpen(t, open, c.fs)
			opened := int(s.DurablePosition().Sequence)
			if opened < c.low || opened > c.top {
				t.Fatalf("opens at %d, not in [%d, %d]", opened, c.low, c.top)
			}
			for seq := opened; seq < len(h.ticks); seq++ { // the replay: the first tick is there already
				if seq > opened {
					tick(t, s, seq, h)
				}
				v, err := s.View()
				if errs.Is(err, errs.Unavailable) && seq <= c.top {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				check(t, v, h)
				v.Close()
			}
			s.Close()
		}
	}
}
