package session

import (
	"context"
	"encoding/json"

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
	ctx     context.Context
	readers []*record.Reader // of the partitions to come, by number
	index   int32            // of the first one's
	it      record.Iterator
}

func newRawIterator(ctx context.Context, l log.Log, rel *catalog.Relation) (*rawIterator, error) {
	t, ok := l.TopicByID(rel.Topic)
	if !ok {
		return nil, errs.SQL("42P01", "topic %q does not exist", rel.TopicName)
	}
	r := &rawIterator{ctx: ctx}
	for i := range t.Partitions {
		one, err := record.ReadCommitted(l, log.Partition{Topic: t.ID, Index: i})
		if err != nil {
			return nil, err
		}
		r.readers = append(r.readers, one)
	}
	return r, nil
}

// Next gives the rows of the next batch of records.
func (r *rawIterator) Next() ([]row.Row, error) {
	for len(r.readers) > 0 {
		reader := r.readers[0]
		if !reader.Next(r.ctx) {
			if err := reader.Err(); err != nil {
				return nil, err
			}
			r.readers, r.index = r.readers[1:], r.index+1
			continue
		}
		rows, err := r.rows(reader)
		if err != nil || len(rows) > 0 {
			return rows, err
		}
	}
	return nil, nil
}

func (r *rawIterator) rows(reader *record.Reader) ([]row.Row, error) {
	if err := r.it.Reset(reader.Batch()); err != nil {
		return nil, err
	}
	var rows []row.Row
	for r.it.Next() {
		rec := r.it.Record()
		if !reader.Within(rec.Offset) {
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
			row.NewInt(int64(r.index)), row.NewInt(rec.Offset), row.NewTimestamp(rec.Timestamp * 1000)})
	}
	return rows, r.it.Err()
}

func (r *rawIterator) Close() error { return nil }
