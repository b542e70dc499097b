package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/jackc/pgx/v5"
)

// The writes: each of writers inserts one row at a time, autocommitted, on a fixed schedule that does not wait for
// answers that are late.
const (
	writesPerSecond = 1000
	writers         = 16
	writesTotal     = 10 * writesPerSecond
)

// writes is what was measured, each from the instant at which the write was due.
type writes struct {
	acknowledged []time.Duration
	seen         []time.Duration
	lost         int
	took         time.Duration
}

// sighting notes when the view showed a write.
type sighting struct {
	mu    sync.Mutex
	times [][]time.Time // by writer and its number; zero: not yet
	next  []int         // by writer: all before are seen
	left  int
	done  chan struct{}
}

func newSighting() *sighting {
	s := &sighting{times: make([][]time.Time, writers), next: make([]int, writers), left: writesTotal, done: make(chan struct{})}
	for w := range s.times {
		s.times[w] = make([]time.Time, writesTotal/writers)
	}
	return s
}

// note says that the view shows all of a writer's writes up to and including number last.
func (s *sighting) note(writer, last int, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; s.next[writer] <= last; s.next[writer]++ {
		s.times[writer][s.next[writer]] = at
		if s.left--; s.left == 0 {
			close(s.done)
		}
	}
}

// measureWrites inserts into a keyed table with a view and follows the view over WebSocket.
func measureWrites(ctx context.Context, server *server, progress Progress) (*writes, error) {
	conn, err := server.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is under way
	for _, st := range []string{
		`CREATE TABLE readings (id int PRIMARY KEY, writer int, number int)`,
		`CREATE MATERIALIZED VIEW last_readings AS SELECT writer, count(*) AS readings, max(number) AS last FROM readings GROUP BY writer`,
	} {
		if _, err := conn.Exec(ctx, st); err != nil {
			return nil, fmt.Errorf("%s: %w", st, err)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	seen := newSighting()
	socket, _, err := websocket.Dial(ctx, "ws://"+server.http+"/v1/subscribe?relation=last_readings", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = socket.CloseNow() }() // it has told all that was wanted
	var follower sync.WaitGroup
	follower.Go(func() {
		if err := follow(ctx, socket, seen); err != nil {
			cancel(err)
		}
	})
	w, due, err := runWriters(ctx, server, progress)
	if err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	select {
	case <-seen.done:
	case <-time.After(10 * time.Second):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	cancel(nil)
	follower.Wait()
	for writer := range due {
		for i, at := range due[writer] {
			if seen.times[writer][i].IsZero() {
				w.lost++
				continue
			}
			w.seen = append(w.seen, seen.times[writer][i].Sub(at))
		}
	}
	return w, nil
}

// follow reads the view's changes until ctx ends or every write is seen.
func follow(ctx context.Context, socket *websocket.Conn, seen *sighting) error {
	for {
		_, message, err := socket.Read(ctx)
		at := time.Now()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		var frame struct {
			Type    string
			Message string
			After   struct{ Writer, Last int }
		}
		if err := json.Unmarshal(message, &frame); err != nil {
			return fmt.Errorf("frame %s: %w", message, err)
		}
		switch frame.Type {
		case "change":
			seen.note(frame.After.Writer, frame.After.Last, at)
		case "error", "must_resnapshot":
			return errors.New("the subscription ended: " + frame.Message)
		}
	}
}

// runWriters runs the schedule and gives when each write was due.
func runWriters(ctx context.Context, server *server, progress Progress) (*writes, [][]time.Time, error) {
	due := make([][]time.Time, writers)
	took := make([][]time.Duration, writers)
	faults := make([]error, writers)
	conns := make([]*pgx.Conn, writers)
	for i := range conns {
		c, err := server.connect(ctx)
		if err != nil {
			return nil, nil, err
		}
		defer func() { _ = c.Close(context.WithoutCancel(ctx)) }() // nothing is under way
		conns[i] = c
	}
	began := time.Now().Add(50 * time.Millisecond)
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			for n := range writesTotal / writers {
				at := began.Add(time.Duration(n*writers+i) * time.Second / writesPerSecond)
				time.Sleep(time.Until(at))
				if _, err := c.Exec(ctx, "INSERT INTO readings VALUES ($1, $2, $3)", n*writers+i, i, n); err != nil {
					faults[i] = fmt.Errorf("writer %s: %w", strconv.Itoa(i), err)
					return
				}
				due[i], took[i] = append(due[i], at), append(took[i], time.Since(at))
				if i == 0 {
					progress("writing", int64(n*writers), writesTotal)
				}
			}
		})
	}
	all.Wait()
	w := &writes{took: time.Since(began)}
	for _, t := range took {
		w.acknowledged = append(w.acknowledged, t...)
	}
	return w, due, errors.Join(faults...)
}
