package runner

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/sql/ivm"
	"github.com/miracledb/miracledb/views"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/columnar"
	"github.com/miracledb/miracledb/views/heap"
	"github.com/miracledb/miracledb/views/version"
)

// Options are the parts that a Runner drives.
type Options struct {
	FS       vfs.FS
	Dir      string // of checkpoints
	Log      log.Log
	Catalog  *catalog.Catalog
	Tables   *heap.Store // rows of tables and rejected relations
	Views    *heap.Store // rows of materialized views
	Columnar *columnar.Store
	Versions *views.Latest[*version.Version]
	Clock    clock.Clock

	// Codec gives a record codec of one version of a table or stream, for the caller alone.
	Codec func(*catalog.Relation) (*ingest.Codec, error)
	// Compile compiles a materialized view's query against a catalog; query runs a whole query for a view that has no
	// incremental form.
	Compile func(rel *catalog.Relation, snap *catalog.Snapshot, query ivm.Query) (*ivm.Program, error)

	// Applied is told the Position of the tables' heap after each tick.
	Applied func(log.Position)
	// Defined is told every change of a definition, before it takes effect.
	Defined func(before, after *catalog.Relation)
	// Rejected is told how many records could not enter a relation; Broken that a view has stopped following.
	Rejected func(rel *catalog.Relation, records int)
	Broken   func(rel *catalog.Relation, err error)
	// Delayed is told what fails for want of file descriptors or space and is tried again.
	Delayed func(err error)

	// CheckpointInterval and CheckpointRecords say when a checkpoint is due, whichever comes first; 0: 30 s, a million.
	CheckpointInterval time.Duration
	CheckpointRecords  int64
	// Window is how long undo records are kept for subscriptions and as-of; 0: 1 h.
	Window time.Duration
}

// Runner makes the views follow the log: see the package comment.
type Runner struct {
	o        Options
	applier  *applier
	follower *follower
	end      log.Position // the log's end at Open: recovery is over once a version at it is published
	past     past

	told struct {
		sync.Mutex
		at    time.Time
		texts map[delta.RelationID]string
	}
	mu struct {
		sync.Mutex
		applied log.Position
		changed chan struct{} // closed and replaced when applied moves
		err     error
	}
}

// Open brings catalog and circuits to where the stores stand. It starts nothing.
func Open(o Options) (*Runner, error) {
	o.CheckpointInterval = orDefault(o.CheckpointInterval, 30*time.Second)
	o.CheckpointRecords = orDefault(o.CheckpointRecords, 1_000_000)
	o.Window = orDefault(o.Window, time.Hour)
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if err := o.FS.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	r := &Runner{o: o, end: o.Log.End()}
	r.mu.changed = make(chan struct{})
	m, dir, err := newestManifest(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	start := log.Position{}
	cuts := []log.Position{o.Tables.Position(), o.Views.Position()}
	cuts = append(cuts, o.Columnar.Positions()...)
	if m != nil {
		start = m.position()
		cuts = append(cuts, start)
	}
	for _, p := range []log.Position{o.Tables.Position(), o.Views.Position(), o.Columnar.DurablePosition()} {
		if r.end.Less(p) {
			return nil, errs.New(errs.Corrupt, "a view stands at %v, past the log's end at %v: remove the data directory's views and start again", p, r.end)
		}
		if p.Less(start) {
			start = p
		}
	}
	slices.SortFunc(cuts, log.Position.Compare)
	cuts = slices.Compact(cuts)
	if err := r.readCatalog(start); err != nil {
		return nil, err
	}
	r.applier = &applier{o: &r.o, pos: start, cuts: cuts, codecs: map[delta.RelationID]*ingest.Codec{},
		open: map[delta.RelationID]*changes{}, touched: map[delta.RelationID]*catalog.Relation{}}
	r.follower = &follower{o: &r.o, pos: start, together: cuts[len(cuts)-1], catalog: o.Catalog.Current(), history: r.past.floor,
		changed: map[delta.RelationID]log.Position{}}
	for _, rel := range o.Catalog.Current().Relations() {
		if rel.Kind != catalog.MaterializedView {
			continue
		}
		v, err := r.follower.open(rel)
		if err != nil {
			return nil, err
		}
		r.follower.views = append(r.follower.views, v)
	}
	if m != nil {
		if err := r.follower.restore(m, dir); err != nil {
			return nil, err
		}
	}
	r.mu.applied = start
	// Nothing that is still to be applied may be cleaned away meanwhile.
	if err := o.Log.Pin("views", start); err != nil {
		return nil, err
	}
	return r, nil
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// readCatalog applies the catalog's records up to start; later ones are applied as the applier meets them.
func (r *Runner) readCatalog(start log.Position) error {
	p := log.Partition{Topic: log.CatalogTopicID}
	b, err := r.o.Log.Bounds(p)
	if err != nil {
		return err
	}
	var it record.Iterator
	reader := record.NewReader(r.o.Log, p, b.Start, b.End)
	for reader.Next(context.Background()) {
		at, err := reader.Position()
		if err != nil {
			return err
		}
		if start.Less(at) {
			return nil
		}
		err = applyDefinitions(r.o.Catalog, &it, reader.Batch(), at, func(before, after *catalog.Relation) error {
			if r.o.Defined != nil {
				r.o.Defined(before, after)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return reader.Err()
}

// Run applies the log until ctx ends or a fault stops it.
func (r *Runner) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	ticks := make(chan *tick, 64)
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer close(ticks)
		cancel(r.apply(ctx, ticks))
	}()
	err := r.follow(ctx, ticks)
	cancel(err)
	for t := range ticks {
		t.release()
	}
	wg.Wait()
	if err == nil || errors.Is(err, context.Canceled) {
		err = context.Cause(ctx) // the applier's fault, when it ended first
	}
	r.mu.Lock()
	r.mu.err = err
	close(r.mu.changed)
	r.mu.changed = nil
	r.mu.Unlock()
	if errs.Is(err, errs.Canceled) || err == context.Canceled {
		return nil
	}
	return err
}

func (r *Runner) apply(ctx context.Context, ticks chan<- *tick) error {
	for {
		ts, err := r.applier.next(ctx)
		if err != nil {
			return err
		}
		for _, t := range ts {
			r.setApplied(t.to)
			select {
			case ticks <- t:
			case <-ctx.Done():
				t.release()
				return context.Cause(ctx)
			}
		}
	}
}

func (r *Runner) setApplied(p log.Position) {
	if r.o.Applied != nil {
		r.o.Applied(p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.applied = p
	close(r.mu.changed)
	r.mu.changed = make(chan struct{})
}

// longReplay is what a start may repeat; after a longer one a checkpoint is made, so that a process that is killed again and
// again does not take longer each time.
const longReplay = time.Second

// follow steps the follower. A checkpoint is due by time or records; while ticks wait it comes between two of them.
func (r *Runner) follow(ctx context.Context, ticks <-chan *tick) error {
	timer := time.NewTicker(r.o.CheckpointInterval)
	defer timer.Stop()
	last, began, replaying := r.follower.pos, r.o.Clock.Now(), r.follower.pos.Less(r.end)
	for {
		due := false
		select {
		case t, ok := <-ticks:
			if !ok {
				return nil
			}
			if err := r.step(ctx, t); err != nil {
				return err
			}
			due = r.follower.records >= r.o.CheckpointRecords
			if replaying && !r.follower.pos.Less(r.end) {
				replaying = false
				due = due || r.o.Clock.Now().Sub(began) > longReplay
			}
		case <-timer.C:
			r.past.note(r.o.Clock.Now(), r.follower.pos, r.o.Window)
			due = true
		case <-ctx.Done():
			return nil
		}
		if due && last.Less(r.follower.pos) && !r.follower.pos.Less(r.end) {
			switch err := r.follower.checkpoint(); {
			case err == nil:
				last = r.follower.pos
			case vfs.Scarce(err) && r.o.Columnar.Stopped() == nil:
				r.o.delayed(err) // until the next is due: what is on disk is right, a start would replay more
			default:
				return err
			}
		}
	}
}

func (r *Runner) step(ctx context.Context, t *tick) error {
	defer t.release()
	if err := r.follower.step(ctx, t); err != nil {
		return err
	}
	if t.tables == nil || t.to.Less(r.end) {
		return nil
	}
	r.describe()
	tables := t.tables
	t.tables = nil // the version owns it now
	return r.follower.publish(tables)
}

// explainEvery bounds how often the sizes of circuits' states are read for EXPLAIN.
const explainEvery = time.Second

// describe keeps what EXPLAIN tells of views: circuits belong to the follower's goroutine.
func (r *Runner) describe() {
	now := r.o.Clock.Now()
	r.told.Lock()
	defer r.told.Unlock()
	if now.Sub(r.told.at) < explainEvery && len(r.told.texts) == len(r.follower.views) {
		return
	}
	r.told.at = now
	r.told.texts = make(map[delta.RelationID]string, len(r.follower.views))
	for _, v := range r.follower.views {
		switch {
		case v.broken != nil:
			r.told.texts[v.rel.ID] = "stopped: " + v.broken.Error()
		default:
			r.told.texts[v.rel.ID] = ivm.Explain(v.program)
		}
	}
}

// Explain tells how a view is kept; ok is false when it is not at work.
func (r *Runner) Explain(id delta.RelationID) (text string, ok bool) {
	r.told.Lock()
	defer r.told.Unlock()
	text, ok = r.told.texts[id]
	return text, ok
}

// Published is the Position of the newest version; zero before the first.
func (r *Runner) Published() log.Position {
	held, err := r.o.Versions.Acquire(canceled, log.Position{})
	if err != nil {
		return log.Position{}
	}
	defer func() { _ = held.Release() }()
	return held.Value.At
}

// canceled is a context that does not wait.
var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// WaitApplied waits until the tables' heap has applied p.
func (r *Runner) WaitApplied(ctx context.Context, p log.Position) error {
	for {
		r.mu.Lock()
		applied, changed, err := r.mu.applied, r.mu.changed, r.mu.err
		r.mu.Unlock()
		if !applied.Less(p) {
			return nil
		}
		if changed == nil {
			return errs.New(errs.Unavailable, "the views have stopped: %w", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close writes a last checkpoint, so that the next start replays nothing. Run has returned.
func (r *Runner) Close() error {
	if r.follower.pos.Less(r.end) || r.mu.err != nil && !errs.Is(r.mu.err, errs.Canceled) && r.mu.err != context.Canceled {
		return nil // recovery did not finish, or a fault: what is on disk is right as it is
	}
	return r.follower.checkpoint()
}

// past remembers which Position was current when, to keep undo records for a window of time.
type past struct {
	mu struct {
		sync.Mutex
		marks []mark
	}
}

type mark struct {
	at  time.Time
	pos log.Position
}

func (p *past) note(now time.Time, pos log.Position, window time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.marks = append(p.mu.marks, mark{now, pos})
	for len(p.mu.marks) > 1 && now.Sub(p.mu.marks[1].at) >= window {
		p.mu.marks = p.mu.marks[1:]
	}
}

// floor is the Position down to which the past is kept; never above the checkpoint.
func (p *past) floor(checkpoint log.Position) log.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mu.marks) > 0 && p.mu.marks[0].pos.Less(checkpoint) {
		return p.mu.marks[0].pos
	}
	if len(p.mu.marks) == 0 {
		return log.Position{}
	}
	return checkpoint
}
