package session

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/views/catalog"
)

// rawIterator reads the records of a topic without a schema straight from the log: nothing is stored twice. It reads up to
// where each partition ended when the statement began.
type rawIterator struct {
	ctx   context.Context
	log   log.Log
	parts []rawPart
	it    record.Iterator
	data  []byte
}

type rawPart struct {
	partition log.Partition
	next, end int64
	aborted   []log.AbortedTxn
}

func newRawIterator(ctx context.Context, l log.Log, rel *catalog.Relation) (*rawIterator, error) {
	t, ok := l.TopicByID(rel.Topic)
	if !ok {
		return nil, errs.SQL("42P01", "topic %q does not exist", rel.TopicName)
	}
	r := &rawIterator{ctx: ctx, log: l}
	for i := range t.Partitions {
		p := log.Partition{Topic: t.ID, Index: i}
		b, err := l.Bounds(p)
		if err != nil {
			return nil, err
		}
		r.parts = append(r.parts, rawPart{p, b.Start, b.Stable, l.Aborted(p, b.Start, b.Stable)})
	}
	return r, nil
}

// Next gives the rows of the next batch of records.
func (r *rawIterator) Next() ([]row.Row, error) {
	for len(r.parts) > 0 {
		p := &r.parts[0]
		if p.next >= p.end {
			r.parts, r.data = r.parts[1:], nil
			continue
		}
		if len(r.data) == 0 {
			var err error
			if r.data, err = r.log.Read(r.ctx, p.partition, p.next, log.ReadLimit{}); err != nil {
				return nil, err
			}
			if len(r.data) == 0 {
				r.parts = r.parts[1:]
				continue
			}
		}
		h, err := record.ParseHeader(r.data)
		if err != nil {
			return nil, err
		}
		r.data = r.data[len(h.Bytes):]
		from := p.next
		p.next = h.LastOffset() + 1
		if h.Control() || h.Transactional() && slices.ContainsFunc(p.aborted, func(a log.AbortedTxn) bool {
			return a.Producer == h.ProducerID && a.First <= h.BaseOffset && h.BaseOffset < a.Last
		}) {
			continue
		}
		rows, err := r.rows(h, p, from)
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			return rows, nil
		}
	}
	return nil, nil
}

func (r *rawIterator) rows(h record.Batch, p *rawPart, from int64) ([]row.Row, error) {
	if err := r.it.Reset(h); err != nil {
		return nil, err
	}
	var rows []row.Row
	for r.it.Next() {
		rec := r.it.Record()
		if rec.Offset < from || rec.Offset >= p.end {
			continue
		}
		headers := row.Null
		if len(rec.Headers) > 0 {
			m := make(map[string]*string, len(rec.Headers))
			for _, h := range rec.Headers {
				m[string(h.Key)] = nil
				if v := ingest.Readable(h.Value); !v.IsNull() {
					s := v.Str()
					m[string(h.Key)] = &s
				}
			}
			b, err := json.Marshal(m)
			if err != nil {
				return nil, err
			}
			s, err := row.NormalizeJSONB(string(b))
			if err != nil {
				return nil, err
			}
			headers = row.NewText(s)
		}
		rows = append(rows, row.Row{ingest.Readable(rec.Key), ingest.Readable(rec.Value), headers,
			row.NewInt(int64(p.partition.Index)), row.NewInt(rec.Offset), row.NewTimestamp(rec.Timestamp * 1000)})
	}
	return rows, r.it.Err()
}

func (r *rawIterator) Close() error { return nil }
