package kafka

import (
	"context"
	"slices"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// committed reads as records does, to where the first open transaction begins, and gives the aborted transactions with records
// in what it read.
func (f *fetching) committed(ctx context.Context, p log.Partition, offset int64, room int) (records []byte, aborted []log.AbortedTxn, err error) {
	// Before the read: what has ended by then is among the aborted ones.
	bounds, err := f.server.log.Bounds(p)
	if err != nil {
		return nil, nil, err
	}
	for {
		// Before the read too: what tells that records were aborted is given up together with them.
		txns, upTo, err := f.server.log.Aborted(p, offset, bounds.Stable)
		if err != nil {
			return nil, nil, err
		}
		aborted = append([]log.AbortedTxn{}, txns...) // never null: a reader of committed records is told of none
		if room <= 0 {
			return nil, aborted[:0], nil
		}
		before, keep := f.frame.reading, len(f.frame.borrowed.by)
		if records, err = f.records(ctx, p, offset, room); err != nil {
			return nil, aborted[:0], err
		}
		left, end := below(records, upTo)
		f.partial = f.partial || upTo < bounds.Stable && len(left) < len(records)
		if len(left) > 0 || upTo == bounds.Stable || len(records) == 0 {
			return left, slices.DeleteFunc(aborted, func(a log.AbortedTxn) bool { return a.First >= end }), nil
		}
		// Compaction has left nothing before upTo: once more from what comes next.
		next, err := record.ParseHeader(records)
		if err != nil {
			return nil, aborted[:0], err
		}
		offset = next.BaseOffset
		f.frame.borrowed.giveBack(keep)
		f.server.fetches.give(f.frame.reading - before)
		f.frame.reading = before
	}
}

// below cuts record batches at an offset, and gives the offset behind the last one that is left, 0: none.
func below(records []byte, offset int64) (left []byte, end int64) {
	for at := 0; at < len(records); {
		b, err := record.ParseHeader(records[at:])
		if err != nil || b.BaseOffset >= offset {
			return records[:at:at], end
		}
		at += len(b.Bytes)
		end = b.LastOffset() + 1
	}
	return records, end
}
