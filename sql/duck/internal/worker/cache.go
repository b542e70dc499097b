package worker

import (
	"container/list"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/duck/internal/wire"
)

// cache keeps what queries refer to by key: deletion bitmaps, inline rows, tails. The least recently used goes when the
// budget is passed. An entry that a query holds is not closed under it (see entry.users).
type cache struct {
	budget int64

	mu struct {
		sync.Mutex
		entries map[string]*list.Element // of *entry
		order   *list.List               // least recently used first
		size    int64
	}
}

// entry is one cached thing: a bitmap or batches.
type entry struct {
	key     string
	size    int64
	users   int
	dropped bool
	bitmap  *roaring.Bitmap
	batches *batchList
}

func newCache(budget int64) *cache {
	c := &cache{budget: budget}
	c.mu.entries = map[string]*list.Element{}
	c.mu.order = list.New()
	return c
}

// get takes a hold of the entry, nil when it is not there.
func (c *cache) get(key string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.mu.entries[key]
	if !ok {
		return nil
	}
	c.mu.order.MoveToBack(el)
	e := el.Value.(*entry)
	e.users++
	return e
}

// put adds an entry held once by the caller; when another was faster, that one is held instead. A key for one query only
// ('#') is not kept.
func (c *cache) put(e *entry) *entry {
	e.users = 1
	if strings.HasPrefix(e.key, "#") {
		e.dropped = true
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.mu.entries[e.key]; ok {
		e.close()
		e = el.Value.(*entry)
		e.users++
		return e
	}
	c.mu.entries[e.key] = c.mu.order.PushBack(e)
	c.mu.size += e.size
	return e
}

// release gives back a hold; size is what the entry takes now.
func (c *cache) release(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users--
	if !e.dropped && e.batches != nil {
		size := e.batches.size
		c.mu.size += size - e.size
		e.size = size
	}
	if e.dropped && e.users == 0 {
		e.close()
	}
	for el := c.mu.order.Front(); el != nil && c.mu.size > c.budget; {
		old := el.Value.(*entry)
		el = el.Next()
		if old.users == 0 {
			c.drop(old)
		}
	}
}

// drop removes an unused entry; the lock is held.
func (c *cache) drop(e *entry) {
	c.mu.order.Remove(c.mu.entries[e.key])
	delete(c.mu.entries, e.key)
	c.mu.size -= e.size
	e.dropped = true
	e.close()
}

func (e *entry) close() {
	if e.batches != nil {
		e.batches.close()
	}
}

// blob makes an entry of a payload: what it is follows from where the query refers to it.
func bitmapEntry(b wire.Blob) (*entry, error) {
	bm := roaring.New()
	if err := bm.UnmarshalBinary(b.Data); err != nil {
		return nil, errs.New(errs.Internal, "deletion bitmap: %w", err)
	}
	return &entry{key: b.Key, size: int64(len(b.Data)), bitmap: bm}, nil
}

func batchesEntry(b wire.Blob) *entry {
	return &entry{key: b.Key, size: int64(len(b.Data)), batches: decodeBatches(b.Data)}
}
