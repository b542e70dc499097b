// Package brokertest starts a log for the tests of those who stand above it.
//
// It deliberately knows nothing of what a log must do: that is logtest's.
package brokertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log/broker"
)

// InMemory are the options of a log that is gone with the test, and is cleaned when the test says so.
func InMemory() broker.Options {
	return broker.Options{FS: vfs.NewMem(), Dir: "data", CleanInterval: time.Hour}
}

// Start runs a log until the test ends, and fails the test when the log ends badly.
func Start(t testing.TB, o broker.Options) *broker.Broker {
	t.Helper()
	b, err := broker.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, b.Close()); err != nil {
			t.Errorf("the log's end: %v", err)
		}
	})
	return b
}
