package duck

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
)

// Engine runs queries in a DuckDB child process. Open, Run, Close; Query waits for Run's first child.
type Engine struct {
	options Options
	queries chan struct{} // one token a query under way
	serial  atomic.Uint64 // makes keys for blobs of one query

	mu struct {
		sync.Mutex
		process *process      // nil: between two children
		changed chan struct{} // closed when process or closed changes
		closed  bool
		starts  int
	}
}

// Open checks the options. Nothing is started.
func Open(o Options) (*Engine, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	e := &Engine{options: o, queries: make(chan struct{}, o.MaxQueries)}
	e.mu.changed = make(chan struct{})
	return e, nil
}

// Run starts the child, and another whenever one dies, until ctx ends. It returns nil then, when the child is gone.
func (e *Engine) Run(ctx context.Context) error {
	defer e.set(nil, true)
	pause := time.Duration(0)
	for ctx.Err() == nil {
		p, err := startProcess(ctx, e.options)
		if err != nil {
			// A child that cannot start (no memory, no descriptors) is tried again, ever more slowly.
			pause = min(max(2*pause, 10*time.Millisecond), time.Second)
			if !sleep(ctx, pause) {
				return nil
			}
			continue
		}
		pause = 0
		e.set(p, false)
		select {
		case <-p.dead:
			e.set(nil, false)
		case <-ctx.Done():
			e.set(nil, false)
			e.stop(p)
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// stop closes the control socket, at which the child exits.
func (e *Engine) stop(p *process) {
	_ = p.control.Close() // only this ends it
	kill := time.AfterFunc(e.options.Grace, p.kill)
	defer kill.Stop()
	<-p.dead
}

func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

func (e *Engine) set(p *process, closed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.process = p
	e.mu.closed = e.mu.closed || closed
	if p != nil {
		e.mu.starts++
	}
	close(e.mu.changed)
	e.mu.changed = make(chan struct{})
}

// Close removes the temporary directory; Run has returned.
func (e *Engine) Close() error { return os.RemoveAll(e.options.TempDir) }

// Starts counts the children started so far.
func (e *Engine) Starts() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.starts
}

// PID is the child's process id, 0 when there is none at the moment.
func (e *Engine) PID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.process == nil {
		return 0
	}
	return e.mu.process.cmd.Process.Pid
}

// current waits for a child that is not known to be dead: Run hears of that no sooner than who asks here.
func (e *Engine) current(ctx context.Context) (*process, error) {
	for {
		e.mu.Lock()
		p, changed, closed := e.mu.process, e.mu.changed, e.mu.closed
		e.mu.Unlock()
		switch {
		case closed:
			return nil, errs.New(errs.Unavailable, "the analytical engine is stopped")
		case p != nil && !p.isDead():
			return p, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, canceled(ctx)
		}
	}
}

// Query runs a translated plan over the snapshots of t.Relations, in their order. The rows stream: at most about a
// megabyte is under way in the child. ctx governs the whole query: when it ends, the query is interrupted.
//
// Errors: *Unsupported when DuckDB met a value that it cannot hold, and no row was given yet (take the row executor);
// errs.Unavailable when the child died and the query could not be run again; SQLSTATE of PostgreSQL otherwise.
func (e *Engine) Query(ctx context.Context, t *Translated, sources []*Source) (*Rows, error) {
	if len(sources) != len(t.Relations) {
		return nil, errs.New(errs.Internal, "%d sources for %d relations", len(sources), len(t.Relations))
	}
	select {
	case e.queries <- struct{}{}:
	case <-ctx.Done():
		return nil, canceled(ctx)
	}
	m, err := newMessage(t, sources, e.serial.Add(1))
	if err != nil {
		<-e.queries
		return nil, err
	}
	for again := true; ; again = false {
		r, err := e.try(ctx, t, m)
		if err == nil {
			if r.done = func() { <-e.queries }; r.ended {
				r.done()
			}
			return r, nil
		}
		var died *diedError
		if !errors.As(err, &died) || !again {
			<-e.queries
			return nil, err
		}
	}
}

func (e *Engine) try(ctx context.Context, t *Translated, m *message) (*Rows, error) {
	p, err := e.current(ctx)
	if err != nil {
		return nil, err
	}
	s, err := p.slot()
	if err != nil {
		return nil, died(p)
	}
	r := &Rows{slot: s, fields: t.Fields, grace: e.options.Grace, ctx: ctx}
	s.query++
	r.watch()
	if err := r.begin(m); err != nil {
		r.fail()
		return nil, err
	}
	return r, nil
}

func canceled(ctx context.Context) error {
	e := errs.SQL("57014", "canceling statement due to user request")
	e.Kind, e.Err = errs.Canceled, context.Cause(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Message = "canceling statement due to statement timeout"
	}
	return e
}

// diedError says that the child died under a query of which no row was given.
type diedError struct{ err *errs.Error }

func (d *diedError) Error() string { return d.err.Error() }
func (d *diedError) Unwrap() error { return d.err }

// died waits for the end of a child whose socket broke, so that the next query does not meet it.
func died(p *process) error {
	p.kill()
	<-p.dead
	return &diedError{errs.New(errs.Unavailable, "%w", p.err)}
}

func onceKey(serial uint64, n int) string {
	return "#" + strconv.FormatUint(serial, 10) + "." + strconv.Itoa(n)
}
