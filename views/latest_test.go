package views_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/views"
)

type version struct {
	seq  uint64
	open *atomic.Int64
}

func (v version) Position() delta.Position { return delta.Position{Epoch: 1, Sequence: v.seq} }
func (v version) Close() error             { v.open.Add(-1); return nil }

func TestLatest(t *testing.T) {
	var l views.Latest[version]
	var open atomic.Int64
	publish := func(seq uint64) {
		open.Add(1)
		if err := l.Publish(version{seq, &open}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := l.Acquire(ctx, delta.Position{}); !errs.Is(err, errs.Canceled) {
		t.Fatalf("before the first version: %v", err)
	}
	publish(1)
	one, err := l.Acquire(context.Background(), delta.Position{Epoch: 1, Sequence: 1})
	if err != nil || one.Value.seq != 1 {
		t.Fatal(one, err)
	}
	got := make(chan *views.Held[version])
	for range 3 {
		go func() {
			h, err := l.Acquire(context.Background(), delta.Position{Epoch: 1, Sequence: 3})
			if err != nil {
				t.Error(err)
			}
			got <- h
		}()
	}
	publish(2)
	if open.Load() != 2 {
		t.Fatalf("%d versions open, want the held and the newest", open.Load())
	}
	publish(3)
	for range 3 {
		h := <-got
		if h.Value.seq != 3 {
			t.Fatal(h.Value.seq)
		}
		h.Retain().Release()
		h.Release()
	}
	one.Release()
	if open.Load() != 1 {
		t.Fatalf("%d versions open, want the newest", open.Load())
	}
	waiting := make(chan error)
	go func() {
		_, err := l.Acquire(context.Background(), delta.Position{Epoch: 9})
		waiting <- err
	}()
	l.Close()
	if err := <-waiting; !errs.Is(err, errs.Unavailable) {
		t.Fatalf("after Close: %v", err)
	}
	publish(4)
	if open.Load() != 0 {
		t.Fatalf("%d versions open after Close", open.Load())
	}
}
