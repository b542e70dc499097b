package broker

import (
	"context"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/admission"
	"github.com/miracledb/miracledb/log/keys"
	"github.com/miracledb/miracledb/log/record"
)

const (
	// keyPiece is how many bytes of entries are gathered to build an index.
	keyPiece = 1 << 20
	// keyPatience is how long an append that names keys waits for the index of its topic to be built.
	keyPatience = 5 * time.Second
)

// keyIndex is the key index of the partitions whose topics ask for one. The applier adds to it what it writes to segments;
// what was there before is added by run. It has no files until a topic asks.
type keyIndex struct {
	fs  vfs.FS
	dir string

	mu struct {
		sync.RWMutex
		index      *keys.Index
		partitions map[log.Partition]*keyed
		work       chan struct{} // capacity 1: there is something to build
		failed     error         // of the last try to build
	}
}

// keyed is a partition with an index.
type keyed struct {
	mark  keys.Mark
	built chan struct{} // closed when the entries are complete
}

func (k *keyed) isBuilt() bool {
	select {
	case <-k.built:
		return true
	default:
		return false
	}
}

func newKeyIndex(fs vfs.FS, dir string) *keyIndex {
	k := &keyIndex{fs: fs, dir: dir}
	k.mu.partitions, k.mu.work = map[log.Partition]*keyed{}, make(chan struct{}, 1)
	return k
}

// open opens the files, those that are damaged anew: all that they say is in the segments.
func (k *keyIndex) open() error {
	x, err := keys.Open(keys.Options{FS: k.fs, Dir: k.dir})
	built := map[log.Partition]keys.Mark(nil)
	if err == nil {
		built, err = x.Built()
	}
	if err != nil && x != nil {
		x.Close()
	}
	if errs.Is(err, errs.Corrupt) {
		if err = k.fs.RemoveAll(k.dir); err == nil {
			x, err = keys.Open(keys.Options{FS: k.fs, Dir: k.dir})
		}
	}
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.index = x
	for p, mark := range built {
		one := &keyed{mark, make(chan struct{})}
		close(one.built)
		k.mu.partitions[p] = one
	}
	return nil
}

// exists reports whether there are files.
func (k *keyIndex) exists() bool {
	_, err := k.fs.Stat(k.dir)
	return err == nil
}

// get gives the files, nil when there are none, and the partition's part, nil when it has none.
func (k *keyIndex) get(p log.Partition) (*keys.Index, *keyed) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.mu.index, k.mu.partitions[p]
}

// follow makes the index that of the partitions in want: new ones are to be built, others are dropped.
func (k *keyIndex) follow(want map[log.Partition]bool) error {
	x, _ := k.get(log.Partition{})
	if x == nil {
		if len(want) == 0 {
			return nil
		}
		if err := k.open(); err != nil {
			return err
		}
		x, _ = k.get(log.Partition{})
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for p := range k.mu.partitions {
		if !want[p] {
			if err := x.Drop(p); err != nil {
				return err
			}
			delete(k.mu.partitions, p)
		}
	}
	for p := range want {
		if k.mu.partitions[p] == nil {
			k.mu.partitions[p] = &keyed{built: make(chan struct{})}
			k.poke()
		}
	}
	return nil
}

func (k *keyIndex) poke() {
	select {
	case k.mu.work <- struct{}{}:
	default:
	}
}

// unbuilt gives the partitions to be built.
func (k *keyIndex) unbuilt() map[log.Partition]*keyed {
	k.mu.RLock()
	defer k.mu.RUnlock()
	out := map[log.Partition]*keyed{}
	for p, one := range k.mu.partitions {
		if !one.isBuilt() {
			out[p] = one
		}
	}
	return out
}

// sync makes the index durable, and gives the marks that it then has.
func (k *keyIndex) sync() (map[log.Partition]keys.Mark, error) {
	x, _ := k.get(log.Partition{})
	if x == nil {
		return nil, nil
	}
	marks, err := x.Built()
	if err != nil {
		return nil, err
	}
	return marks, x.Sync()
}

func (k *keyIndex) close() error {
	if x, _ := k.get(log.Partition{}); x != nil {
		return x.Close()
	}
	return nil
}

// addKeys adds the keys of whole record batches to b. Batches that do not decode have none.
func addKeys(b *keys.Batch, p log.Partition, batches []byte, it *record.Iterator) error {
	for h, err := range record.Batches(batches) {
		if err != nil {
			return nil
		}
		if h.Control() || it.Reset(h) != nil {
			continue
		}
		e := keys.Entry{Producer: -1}
		if h.Transactional() {
			e.Producer = h.ProducerID
		}
		for it.Next() {
			if r := it.Record(); r.Key != nil {
				e.Offset = r.Offset
				if err := b.Add(p, keys.NameOf(r.Key), e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// buildKeys builds the index of partitions that have newly been asked for one, and every now and then removes entries
// whose records are gone.
func (b *Broker) buildKeys(ctx context.Context) {
	ticker := time.NewTicker(b.opts.CleanInterval)
	defer ticker.Stop()
	for {
		for p, one := range b.keys.unbuilt() {
			err := b.buildPartition(ctx, p, one)
			if ctx.Err() != nil {
				return
			}
			b.keys.mu.Lock()
			b.keys.mu.failed = err // tried again with the next tick
			b.keys.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-b.keys.mu.work:
		case <-ticker.C:
			b.trimKeys(ctx)
		}
	}
}

// buildPartition adds the keys of all records that are durable: when it begins the applier adds those that it writes, and the
// sequencer knows those that are ordered.
func (b *Broker) buildPartition(ctx context.Context, p log.Partition, one *keyed) error {
	x, _ := b.keys.get(p)
	bounds, err := b.Bounds(p)
	if err != nil {
		return nil // dropped
	}
	var it record.Iterator
	batch := x.Batch()
	r := record.NewReader(b, p, bounds.Start, bounds.End)
	for r.Next(ctx) {
		err := addKeys(batch, p, r.Batch().Bytes, &it)
		if err == nil && batch.Size() >= keyPiece {
			err = batch.Commit()
			batch = x.Batch()
		}
		if err != nil {
			return err
		}
	}
	if r.Err() != nil {
		return r.Err()
	}
	if err := batch.Commit(); err != nil {
		return err
	}
	b.keys.mu.Lock()
	defer b.keys.mu.Unlock()
	if b.keys.mu.partitions[p] != one {
		return nil // dropped meanwhile, and maybe asked for again
	}
	one.mark = keys.Mark{Start: bounds.Start, Clean: bounds.Start}
	if err := x.SetBuilt(p, one.mark); err != nil {
		return err
	}
	close(one.built)
	return nil
}

// trimKeys removes entries of records that are gone, of partitions where there may be as many as of others.
func (b *Broker) trimKeys(ctx context.Context) {
	b.keys.mu.RLock()
	x, partitions := b.keys.mu.index, make(map[log.Partition]*keyed, len(b.keys.mu.partitions))
	for p, one := range b.keys.mu.partitions {
		partitions[p] = one
	}
	b.keys.mu.RUnlock()
	for p, one := range partitions {
		bounds, err := b.Bounds(p)
		if err != nil || !one.isBuilt() || bounds.Start-one.mark.Start+bounds.Clean-one.mark.Clean <= (bounds.End-bounds.Clean)/2 {
			continue
		}
		topic, _ := b.TopicByID(p.Topic)
		rows, known := b.opts.Rows(ctx, topic)
		if !known {
			continue
		}
		aborted, err := record.AllAborted(b, p, 0, bounds.Clean)
		if err != nil {
			continue
		}
		took := func(e keys.Entry) bool { return !aborted.Has(e.Producer, e.Offset) }
		if x.Trim(p, bounds.Start, bounds.Clean, rows == nil, took, ctx.Err) == nil { // else again with the next tick
			one.mark = keys.Mark{Start: bounds.Start, Clean: bounds.Clean}
		}
	}
}

// await waits until the index of a partition is built. Errors: Invalid (it has none), Unavailable.
func (k *keyIndex) await(ctx context.Context, p log.Partition) (*keys.Index, error) {
	patience := time.NewTimer(keyPatience)
	defer patience.Stop()
	poll := time.NewTicker(applyPace)
	defer poll.Stop()
	for {
		x, one := k.get(p)
		if one != nil && one.isBuilt() {
			return x, nil
		}
		built := make(chan struct{})
		if one != nil {
			built = one.built
		}
		select {
		case <-built:
		case <-poll.C: // the applier has not met the topic yet
		case <-ctx.Done():
			return nil, errs.New(errs.Canceled, "waiting for the key index: %w", ctx.Err())
		case <-patience.C:
			k.mu.RLock()
			defer k.mu.RUnlock()
			if k.mu.failed != nil {
				return nil, errs.New(errs.Unavailable, "the key index of %s partition %d is not built yet: %w", p.Topic, p.Index, k.mu.failed)
			}
			return nil, errs.New(errs.Unavailable, "the key index of %s partition %d is not built yet", p.Topic, p.Index)
		}
	}
}

func noKeyIndex(topic string) error {
	return errs.New(errs.Invalid, "topic %s has no key index", topic).WithHint("Set the topic's %s=true.", log.ConfigKeyIndex)
}

// KeyOffsets: see log.KeyReader.
func (b *Broker) KeyOffsets(ctx context.Context, p log.Partition, key []byte, below int64, n int) ([]int64, error) {
	topic, ok := b.TopicByID(p.Topic)
	switch {
	case !ok || p.Index < 0 || p.Index >= topic.Partitions:
		return nil, admission.UnknownPartition(p)
	case !topic.Enabled(log.ConfigKeyIndex):
		return nil, noKeyIndex(topic.Name)
	}
	x, err := b.keys.await(ctx, p)
	if err != nil {
		return nil, err
	}
	for {
		forgotten := b.durable.forgotten(p)
		found, err := b.keyOffsets(x, p, keys.NameOf(key), below, n)
		// What tells that records were aborted is given up after their entries: once more when that came in between.
		if err != nil || b.durable.forgotten(p) == forgotten {
			return found, err
		}
	}
}

func (b *Broker) keyOffsets(x *keys.Index, p log.Partition, name keys.Name, below int64, n int) (found []int64, err error) {
	bounds, err := b.Bounds(p)
	if err != nil {
		return nil, err
	}
	if below < 0 || below > bounds.Stable {
		below = bounds.Stable
	}
	// What is pending comes before the index, where it goes.
	pending := b.sequence.pendingKeys(p, name)
	for e, err := range newestFirst(pending, x.Newest(p, name, below)) {
		if err != nil {
			return nil, err
		}
		if e.Offset < bounds.Start || len(found) == n {
			break
		}
		if e.Offset >= below {
			continue
		}
		aborted, err := b.durable.hasAborted(p, e.Producer, e.Offset)
		if err != nil {
			return nil, err
		}
		if !aborted {
			found, below = append(found, e.Offset), e.Offset
		}
	}
	return found, nil
}
