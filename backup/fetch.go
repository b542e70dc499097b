package backup

import (
	"context"
	"iter"
	"runtime"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// fetch reads one block's contents and checks them. Errors name the block and the appends that it holds.
func fetch(ctx context.Context, s Store, b *Block) ([]byte, error) {
	stored, err := s.Get(ctx, b.object(), maxBlock)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.Corrupt, "%v is missing: %w", b, err)
	}
	if err != nil {
		return nil, errs.New(errs.KindOf(err), "%v: %w", b, err)
	}
	return b.unseal(stored)
}

// contents is one block, read and checked.
type contents struct {
	block *Block
	raw   []byte
	err   error
}

// fetchAll gives the contents of blocks in order, read ahead on all processors.
func fetchAll(ctx context.Context, s Store, blocks []Block) iter.Seq[contents] {
	return func(yield func(contents) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		ahead := runtime.GOMAXPROCS(0) + 1
		queue := make([]chan contents, 0, ahead)
		for next := 0; next < len(blocks) || len(queue) > 0; {
			for ; next < len(blocks) && len(queue) < ahead; next++ {
				ch, b := make(chan contents, 1), &blocks[next]
				queue = append(queue, ch)
				go func() {
					raw, err := fetch(ctx, s, b)
					ch <- contents{b, raw, err}
				}()
			}
			c := <-queue[0]
			queue = append(queue[:0], queue[1:]...)
			if !yield(c) {
				cancel()
				for _, ch := range queue { // no goroutine outlives the loop
					<-ch
				}
				return
			}
		}
	}
}

// entries gives the appends of blocks in order, whole; progress is told each block that was read.
func entries(ctx context.Context, s Store, blocks []Block, progress func(*Block)) iter.Seq2[log.Entry, error] {
	return func(yield func(log.Entry, error) bool) {
		var j joiner
		stopped := false
		for c := range fetchAll(ctx, s, blocks) {
			err := c.err
			if err == nil {
				err = c.block.visit(c.raw, func(it item) error {
					e, whole, err := j.add(it)
					if err == nil && whole && !stopped {
						stopped = !yield(e, nil)
					}
					return err
				})
			}
			if stopped {
				return
			}
			if err != nil {
				yield(log.Entry{}, err)
				return
			}
			progress(c.block)
		}
		if j.inside {
			yield(log.Entry{}, errs.New(errs.Corrupt, "append %v is cut short at the end of the last block", j.entry.Position))
		}
	}
}

// visit decodes a block's contents and checks that they are what the manifest says. Errors name the block.
func (b *Block) visit(raw []byte, each func(item) error) error {
	var last item
	n := 0
	err := decodeBlock(raw, func(it item) error {
		e, p := &it.entry, &last.entry
		switch {
		case n == 0 && (e.Position != b.First.Position || !e.Time.Equal(b.FirstTime)):
			return errs.New(errs.Corrupt, "it begins with append %v", e.Position)
		case n > 0 && (e.Position.Sequence != p.Position.Sequence+1 || e.Position.Epoch < p.Position.Epoch || e.Time.Before(p.Time)):
			return errs.New(errs.Corrupt, "append %v follows %v", e.Position, p.Position)
		}
		last = it
		n++
		return each(it)
	})
	if err == nil && (n == 0 || last.entry.Position != b.Last.Position || !last.entry.Time.Equal(b.LastTime)) {
		err = errs.New(errs.Corrupt, "it ends with append %v", last.entry.Position)
	}
	if err != nil {
		return errs.New(errs.KindOf(err), "%v: %w", b, err)
	}
	return nil
}
