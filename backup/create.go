package backup

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// readBytes is how much is read from the log at once.
const readBytes = blockSize

// CreateOptions say what is backed up, and where to.
type CreateOptions struct {
	Log   log.Log
	Store Store
	// ClusterID names the cluster: a repository holds the backups of one.
	ClusterID string
	// Tool names the program in the manifest.
	Tool string
	// Full reads the whole log again and writes every block anew. It cuts where the newest backup does, so that this
	// repairs damaged blocks of it, as long as the log is the same.
	Full bool
	// Clock dates the backup. Default: the system's.
	Clock clock.Clock
	// Progress is told how many appends are done, of how many. It is called from one goroutine.
	Progress func(done, total int64)

	blockSize, perList int // for tests; 0: the constants
}

// Create makes a backup of the log up to its durable end. It takes over the blocks of the newest backup that this log
// goes on from, and writes the rest. Until it returns nil the repository's backups are what they were before.
//
// Errors: Conflict (the repository is another cluster's), Unavailable (another writer, disk full), Corrupt (the
// repository is damaged where the backup would go on), NotFound (the log's beginning is no longer kept).
func Create(ctx context.Context, o CreateOptions) (m *Manifest, err error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	o.blockSize, o.perList = cmp.Or(o.blockSize, blockSize), cmp.Or(o.perList, blocksPerList)
	release, err := o.Store.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	now := o.Clock.Now().UTC()
	m = &Manifest{Summary: Summary{ID: newID(now), ClusterID: o.ClusterID, Tool: o.Tool, Created: now, Covered: now}}
	prev, known, err := o.begin(ctx, m)
	if err != nil {
		return nil, err
	}
	// Until the new backup is whole, everything after the one before must stay.
	holder := "backup " + o.Store.URL()
	if err := o.Log.Pin(holder, m.To.Position); err != nil {
		return nil, err
	}
	if err = o.copyLog(ctx, m, prev, known); err == nil {
		err = o.finish(ctx, m)
	}
	if err != nil {
		if prev == nil {
			o.Log.Unpin(holder)
		}
		return nil, err
	}
	return m, o.Log.Pin(holder, m.To.Position)
}

// begin finds the backup to go on from and takes over its blocks. When there is none it gives the blocks that are there.
func (o *CreateOptions) begin(ctx context.Context, m *Manifest) (*Manifest, *known, error) {
	whole, _, err := readManifests(ctx, o.Store)
	if err != nil {
		return nil, nil, err
	}
	for _, prev := range whole {
		if prev.ClusterID != o.ClusterID {
			return nil, nil, errs.New(errs.Conflict, "%s holds backups of cluster %s, this is %s", o.Store.URL(), prev.ClusterID, o.ClusterID).
				WithHint("Use a repository of its own for each cluster.")
		}
	}
	for _, prev := range whole {
		if o.Full {
			break
		}
		goesOn, err := o.continues(ctx, prev)
		if err != nil {
			return nil, nil, err
		}
		if goesOn {
			m.Previous = prev.ID
			m.From, m.Prior, m.To = prev.From, prev.Prior, prev.To
			m.FromTime, m.ToTime, m.Appends = prev.FromTime, prev.ToTime, prev.Appends
			m.Raw, m.Stored = prev.Raw, prev.Stored
			m.Lists, m.Blocks = slices.Clone(prev.Lists), slices.Clone(prev.Blocks)
			return prev, &known{}, nil
		}
	}
	known, err := readKnown(ctx, o.Store, whole)
	return nil, known, err
}

// continues reports whether the log's history holds that of the backup: its last append is in the log, with the same
// contents. A log that was restored to an earlier place has another append there, or none.
func (o *CreateOptions) continues(ctx context.Context, prev *Manifest) (bool, error) {
	if len(prev.Blocks) == 0 || o.Log.End().Sequence < prev.To.Sequence {
		return false, nil
	}
	entries, err := o.Log.ReadFrom(ctx, prev.Prior.Position, 1)
	if errors.Is(err, log.ErrHistoryThinned) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	raw, err := fetch(ctx, o.Store, &prev.Blocks[len(prev.Blocks)-1])
	if err != nil {
		return false, errs.New(errs.KindOf(err), "cannot go on from backup %s: %w", prev.ID, err).
			WithHint("Make a full backup: it writes damaged blocks anew.")
	}
	var last item
	if err := decodeBlock(raw, func(it item) error { last = it; return nil }); err != nil {
		return false, err
	}
	return sameAppend(&entries[0], &last.entry), nil
}

// sameAppend compares an append of the log with the last piece of one in a backup. The log may have lost batches of
// topics that were dropped since.
func sameAppend(inLog, inBackup *log.Entry) bool {
	a, b := inLog, inBackup
	if a.Position != b.Position || a.Term != b.Term || a.Index != b.Index || !a.Time.Equal(b.Time) || a.Txn != b.Txn {
		return false
	}
	type place struct {
		log.Partition
		base int64
	}
	found := map[place][]byte{}
	for i := range b.Batches {
		found[place{b.Batches[i].Partition, b.Batches[i].BaseOffset}] = b.Batches[i].Batch
	}
	for i := range a.Batches {
		if batch, ok := found[place{a.Batches[i].Partition, a.Batches[i].BaseOffset}]; ok && !bytes.Equal(batch, a.Batches[i].Batch) {
			return false
		}
	}
	return true
}

// copyLog reads the log from m.To to its end and uploads it as blocks.
func (o *CreateOptions) copyLog(ctx context.Context, m, prev *Manifest, k *known) error {
	var before []Topic
	if prev != nil {
		before = prev.Topics
	}
	state, err := newTopics(before)
	if err != nil {
		return err
	}
	up := newUploads(ctx, o.Store)
	if !o.Full {
		up.there = k.blocks
	}
	defer up.stop()
	b := builder{size: o.blockSize, cuts: k.cuts, full: up.add}
	start, end := m.To.Sequence, o.Log.End()
	for m.To.Sequence < end.Sequence {
		entries, err := o.Log.ReadFrom(up.ctx, m.To.Position, readBytes)
		if err != nil {
			return up.failure(err)
		}
		for i := range entries {
			e := &entries[i]
			if e.Position.Sequence > end.Sequence {
				break
			}
			if err := state.observe(e); err != nil {
				return err
			}
			if err := b.add(e); err != nil {
				return up.failure(err)
			}
			m.note(e)
		}
		if o.Progress != nil {
			o.Progress(int64(m.To.Sequence-start), int64(end.Sequence-start))
		}
	}
	if err := b.flush(); err != nil {
		return up.failure(err)
	}
	blocks, err := up.wait()
	for i := range blocks {
		m.Raw += blocks[i].Raw
		m.Stored += blocks[i].Size
	}
	m.Blocks = append(m.Blocks, blocks...)
	m.Topics = state.snapshot()
	m.NewBlocks, m.NewBytes = up.mu.written, up.mu.writtenBytes
	return err
}

// note counts one append.
func (m *Manifest) note(e *log.Entry) {
	if m.Appends++; m.Appends == 1 {
		m.From, m.FromTime = Position{e.Position}, e.Time
	}
	m.Prior, m.To, m.ToTime = m.To, Position{e.Position}, e.Time
}

// finish writes the manifest, from when on the backup counts.
func (o *CreateOptions) finish(ctx context.Context, m *Manifest) error {
	if p := o.Log.Properties().Values; len(p) > 0 {
		m.Properties = p
	}
	if err := m.packLists(ctx, o.Store, o.perList); err != nil {
		return err
	}
	if m.Covered.Before(m.ToTime) {
		m.Covered = m.ToTime
	}
	if err := m.validate(); err != nil {
		return errs.New(errs.Internal, "the new manifest: %w", err)
	}
	data, err := encodeManifest(m)
	if err != nil {
		return err
	}
	return o.Store.Put(ctx, m.object(), data)
}

// uploads packs and writes blocks on all processors, and keeps their order. Memory is a block for each worker.
type uploads struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	store  Store
	there  map[string]bool // blocks that some backup names, so that they are durable
	slots  chan struct{}
	wg     sync.WaitGroup
	mu     struct {
		sync.Mutex
		blocks       []Block
		written      int
		writtenBytes int64
	}
}

func newUploads(ctx context.Context, s Store) *uploads {
	u := &uploads{store: s, slots: make(chan struct{}, runtime.GOMAXPROCS(0)+1)}
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	return u
}

// add hands one block to a worker, once one is free. An error is that of any worker.
func (u *uploads) add(b Block, raw []byte) error {
	select {
	case u.slots <- struct{}{}:
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
	u.mu.Lock()
	at := len(u.mu.blocks)
	u.mu.blocks = append(u.mu.blocks, b)
	u.mu.Unlock()
	u.wg.Go(func() {
		defer func() { <-u.slots }()
		if err := u.upload(at, b, raw); err != nil {
			u.cancel(err)
		}
	})
	return nil
}

func (u *uploads) upload(at int, b Block, raw []byte) error {
	stored := b.seal(raw)
	there := u.there[b.SHA256]
	if there {
		o, err := u.store.Stat(u.ctx, b.object())
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		there = err == nil && o.Size == b.Size
	}
	if !there {
		if err := u.store.Put(u.ctx, b.object(), stored); err != nil {
			return err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.blocks[at] = b
	if !there {
		u.mu.written++
		u.mu.writtenBytes += b.Size
	}
	return nil
}

// failure prefers the error that stopped the workers over the one that it caused.
func (u *uploads) failure(err error) error {
	if cause := context.Cause(u.ctx); cause != nil {
		return cause
	}
	return err
}

// wait gives the finished blocks in order.
func (u *uploads) wait() ([]Block, error) {
	u.wg.Wait()
	return u.mu.blocks, context.Cause(u.ctx)
}

// stop ends what is still under way.
func (u *uploads) stop() {
	u.cancel(context.Canceled)
	u.wg.Wait()
}
