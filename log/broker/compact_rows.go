package broker

import (
	"context"
	"errors"
	"math"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// rowRound is what a round over a partition of a table's topic knows beyond its keys, which are names of rows there. What it
// leaves gives the same rows when it is applied from the start: of each row the record that took effect last, which is not
// the one of the highest offset where there are transactions, and each record that changes no row.
type rowRound struct {
	broker *Broker
	round  *round
	rows   log.Rows
	start  int64 // the partition's: where what is older took effect is not known any more, and it goes with its files
	// timeless is set when names do not depend on where a record takes effect: nobody is asked then.
	timeless bool
	// open are the transactions whose outcome stands behind the round, by producer: their records stay as they are. Of the
	// others effects has where they took effect, of those alone that a change of names lies within, or the clean offset, or that are long.
	open    map[int64]int64
	effects map[int64][]txnEffect
	full    bool // there is no room for the keys of what comes next
}

var errFull = errors.New("a round has no room for more keys")

// txnEffect is a transaction that began at the offset first and took effect with its marker.
type txnEffect struct {
	first, marker int64
	at            log.Position
	// keeps is set when what its deletions delete may still be there: the round is the first one that knows its outcome, or it
	// is long, so that the one that was may not have had room for all of its keys.
	keeps bool
}

func newRowRound(b *Broker, r *round, rows log.Rows, start int64) *rowRound {
	return &rowRound{broker: b, round: r, rows: rows, start: start,
		timeless: rows.Alike(log.Position{}, log.Position{Epoch: math.MaxUint32, Sequence: math.MaxUint64}),
		open:     map[int64]int64{}, effects: map[int64][]txnEffect{}}
}

// collect finds the record that took effect last for each row of the dirty part. It passes over the clean part too:
// transactions that began there may end behind it.
func (w *rowRound) collect(ctx context.Context) error {
	r := w.round
	for i, s := range r.files {
		err := r.store.Scan(s.Base, func(b record.Batch) error {
			if err := ctx.Err(); err != nil || w.full || b.LastOffset() < w.start {
				return err
			}
			r.meet(&b)
			dirty := b.LastOffset() >= r.cleaned
			switch {
			case b.Control():
				return w.ended(ctx, b, dirty)
			case b.Transactional():
				if _, begun := w.open[b.ProducerID]; !begun {
					w.open[b.ProducerID] = b.BaseOffset
				}
			case dirty:
				at, err := w.position(b.LastOffset())
				if err != nil {
					return err
				}
				if err := w.note(b, at); !errors.Is(err, errFull) {
					return err
				}
				w.full, r.upTo = true, b.BaseOffset
			}
			return nil
		})
		if err != nil {
			return err
		}
		if w.full {
			r.files = r.files[:i+1]
			return nil
		}
	}
	return nil
}

// ended takes a marker in: its transaction's records take effect there. Without room for all of their keys the transaction
// stays as it is in this round, and the next one begins with its marker. One that is larger than a round on its own is passed
// over instead, once as many of its records as fit have taken the place of others.
func (w *rowRound) ended(ctx context.Context, marker record.Batch, dirty bool) error {
	first, begun := w.open[marker.ProducerID]
	delete(w.open, marker.ProducerID)
	txn, commit, ok := record.Marker(marker, w.round.partition)
	if !ok || !commit || !begun {
		return nil // nothing is left of it, or nothing took effect
	}
	at, err := w.position(marker.BaseOffset)
	if err != nil {
		return err
	}
	began, err := w.position(max(first, w.start))
	if err != nil {
		return err
	}
	keeps := dirty && first < w.round.cleaned || txn.Marker-txn.First > int64(w.round.room)
	if keeps || !w.timeless && !w.rows.Alike(began, at) {
		w.effects[marker.ProducerID] = append(w.effects[marker.ProducerID], txnEffect{first, marker.BaseOffset, at, keeps})
	}
	if !dirty {
		return nil
	}
	alone := len(w.round.keys) == 0
	err = record.Committed(ctx, w.broker, txn, func(pb log.PartitionBatch) error {
		b, _, err := record.Parse(pb.Batch)
		if err != nil {
			return err
		}
		return w.note(b, at)
	})
	if !errors.Is(err, errFull) {
		return err
	}
	w.open[marker.ProducerID] = first
	w.full, w.round.upTo = true, marker.BaseOffset
	if alone {
		w.round.upTo = marker.LastOffset() + 1
	}
	return nil
}

// position is the append of an offset, where it matters.
func (w *rowRound) position(offset int64) (log.Position, error) {
	if w.timeless {
		return log.Position{}, nil
	}
	return w.broker.PositionOf(w.round.partition, offset)
}

// note makes the records of a batch that takes effect now the last of their rows. Errors: errFull.
func (w *rowRound) note(b record.Batch, at log.Position) error {
	if !w.round.fits(b) {
		return errFull
	}
	names, err := w.rows.Names(w.round.partition, b.Bytes, at)
	if err != nil {
		return err
	}
	it := &w.round.it
	if err := it.Reset(b); err != nil {
		return err
	}
	for i := 0; it.Next(); i++ {
		if names[i] != nil {
			w.round.keys[w.round.hash(names[i])] = it.Record().Offset
		}
	}
	return it.Err()
}

// drops tells which records of a batch another one has taken the place of; nil: the batch stays as it is. A deletion goes with
// a later round than the one that took away what it deletes, whatever the order of their files.
func (w *rowRound) drops(b record.Batch, expired bool) (func(record.Record) bool, error) {
	if b.LastOffset() < w.start {
		return nil, nil
	}
	at, err := w.position(b.LastOffset())
	if err != nil {
		return nil, err
	}
	written, forgets := at, expired && b.LastOffset() < w.round.cleaned
	if b.Transactional() {
		if first, open := w.open[b.ProducerID]; open && b.BaseOffset >= first {
			return nil, nil
		}
		for _, e := range w.effects[b.ProducerID] {
			if e.first <= b.BaseOffset && b.BaseOffset < e.marker {
				at, forgets = e.at, forgets && !e.keeps
			}
		}
	}
	if forgets {
		if w.timeless {
			if written, err = w.broker.PositionOf(w.round.partition, b.LastOffset()); err != nil {
				return nil, err
			}
		}
		forgets = w.rows.Forgets(written)
	}
	names, err := w.rows.Names(w.round.partition, b.Bytes, at)
	if err != nil {
		return nil, err
	}
	byOffset := map[int64][]byte{}
	if err := w.round.it.Reset(b); err != nil {
		return nil, err
	}
	for i := 0; w.round.it.Next(); i++ {
		byOffset[w.round.it.Record().Offset] = names[i]
	}
	return func(rec record.Record) bool {
		name := byOffset[rec.Offset]
		if name == nil {
			return false
		}
		last, known := w.round.keys[w.round.hash(name)]
		return known && last != rec.Offset || rec.Value == nil && forgets
	}, w.round.it.Err()
}
