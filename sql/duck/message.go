package duck

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/duck/internal/wire"
)

// maxBatchRows is DuckDB's vector size: a larger batch crashes its joins.
const maxBatchRows = 2048

// message is a query as it is sent, with the makers of what the child may not have.
type message struct {
	query wire.Query
	blobs []lazyBlob
}

// lazyBlob is a payload that is made only when it must be sent.
type lazyBlob struct {
	key  string
	once bool
	make func() ([]byte, error)
}

func newMessage(t *Translated, sources []*Source, serial uint64) (*message, error) {
	m := &message{query: wire.Query{Fragments: t.Fragments, Scans: make([]wire.Scan, len(t.Scans))}}
	for i, s := range t.Scans {
		m.query.Scans[i] = wire.Scan(s)
	}
	for _, s := range sources {
		r, err := m.relation(s, serial)
		if err != nil {
			return nil, err
		}
		m.query.Relations = append(m.query.Relations, r)
	}
	return m, nil
}

func (m *message) relation(s *Source, serial uint64) (wire.Relation, error) {
	r := wire.Relation{Columns: make([]wire.Column, len(s.Columns)), Segments: make([]wire.Segment, 0, len(s.Segments))}
	for i, c := range s.Columns {
		t, ok := storedType(c.Type)
		if !ok {
			return r, &Unsupported{Reason: fmt.Sprintf("column %s of %s has type %s", c.Name, s.Name, c.Type)}
		}
		r.Columns[i] = wire.Column{Name: c.Name, Type: t, Before: "NULL"}
		if c.Before != nil {
			v, err := row.ParseText(c.Type, *c.Before)
			if err != nil {
				return r, err
			}
			r.Columns[i].Before = storedLiteral(v, c.Type, t)
		}
	}
	for _, g := range s.Segments {
		if g.Columns != nil && len(g.Columns) != len(s.Columns) {
			return r, errs.New(errs.Internal, "segment %s names %d columns of %d", g.Path, len(g.Columns), len(s.Columns))
		}
		r.Segments = append(r.Segments, wire.Segment{Path: g.Path, Rows: g.Rows, Columns: g.Columns,
			Deleted: m.deleted(g.Deleted, g.Path, serial)})
	}
	for _, t := range s.Tails {
		if t.Rows > 0 {
			r.Batches = append(r.Batches, wire.Batches{Path: t.Path, Bytes: t.Bytes, Rows: t.Rows,
				Deleted: m.deleted(t.Deleted, t.Path, serial)})
		}
	}
	for _, in := range s.Inline {
		rows := int64(0)
		for _, rec := range in.Records {
			rows += rec.NumRows()
		}
		if rows == 0 {
			continue
		}
		key := "inline:" + in.CacheKey
		if in.CacheKey == "" {
			key = onceKey(serial, len(m.blobs))
		}
		m.blobs = append(m.blobs, lazyBlob{key, in.CacheKey == "", func() ([]byte, error) { return encodeRecords(in.Records) }})
		r.Batches = append(r.Batches, wire.Batches{Key: key, Rows: rows, Deleted: m.deleted(in.Deleted, key, serial)})
	}
	return r, nil
}

func (m *message) deleted(d Deleted, of string, serial uint64) string {
	if d.Rows == nil || d.Rows.IsEmpty() {
		return ""
	}
	once := d.Version == 0 || of[0] == '#'
	key := fmt.Sprintf("deleted:%s@%d", of, d.Version)
	if once {
		key = onceKey(serial, len(m.blobs))
	}
	m.blobs = append(m.blobs, lazyBlob{key, once, d.Rows.ToBytes})
	return key
}

// encodeRecords writes an Arrow stream of batches of at most 2048 rows. The writer compacts slices, so the child meets no
// offsets.
func encodeRecords(records []arrow.Record) ([]byte, error) {
	var b bytes.Buffer
	w := ipc.NewWriter(&b, ipc.WithSchema(records[0].Schema()))
	for _, rec := range records {
		for from := int64(0); from < rec.NumRows(); from += maxBatchRows {
			part := rec.NewSlice(from, min(from+maxBatchRows, rec.NumRows()))
			err := w.Write(part)
			part.Release()
			if err != nil {
				return nil, errs.New(errs.Internal, "inline rows: %w", err)
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, errs.New(errs.Internal, "inline rows: %w", err)
	}
	return b.Bytes(), nil
}

// encode makes the Run payload for a child: with the blobs that it does not know, or with those that it asked for.
func (m *message) encode(p *process, asked []string) ([]byte, error) {
	want := map[string]bool{}
	for _, k := range asked {
		want[k] = true
	}
	m.query.Blobs = m.query.Blobs[:0]
	for _, b := range m.blobs {
		if !b.once && !want[b.key] && p.knows(b.key) {
			continue
		}
		data, err := b.make()
		if err != nil {
			return nil, err
		}
		m.query.Blobs = append(m.query.Blobs, wire.Blob{Key: b.key, Data: data})
	}
	payload := m.query.Append(nil)
	if len(payload) > wire.MaxFrame {
		return nil, errs.New(errs.Limit, "a query with %d bytes of rows of its own is over the limit of %d", len(payload), wire.MaxFrame)
	}
	return payload, nil
}
