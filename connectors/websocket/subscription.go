package websocket

import (
	"context"
	"strings"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/row/jsonrow"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/sql/exec"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/views"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/heap"
	"github.com/miracledb/miracledb/views/version"
)

// Options are what subscriptions read.
type Options struct {
	Log      log.Log
	Catalog  *catalog.Catalog
	Tables   *heap.Store
	Views    *heap.Store
	Versions *views.Latest[*version.Version]
	// Codec gives a record codec of a stream, for the caller alone.
	Codec func(*catalog.Relation) (*ingest.Codec, error)
}

// Request is what a client asks for.
type Request struct {
	Relation string // [schema.]name
	Snapshot bool   // the rows there are, before the changes
	From     string // a token; "": from now on
}

// Frame is one message to the client, as JSON text.
type Frame struct {
	Type string // snapshot, change, progress, must_resnapshot, error
	Op   string // insert, update, delete
	// Before and After are rows as JSON objects; int8 and numeric are strings.
	Before, After []byte
	Token         string
	Message       string
	Relation      string
}

// appendJSON appends the frame.
func (f *Frame) appendJSON(b []byte) []byte {
	b = append(b, `{"type":"`...)
	b = append(append(b, f.Type...), '"')
	for _, field := range []struct{ name, text string }{{"relation", f.Relation}, {"op", f.Op}} {
		if field.text != "" {
			b = append(append(append(b, `,"`...), field.name...), `":`...)
			b = row.AppendJSONString(b, field.text)
		}
	}
	if f.Before != nil {
		b = append(append(b, `,"before":`...), f.Before...)
	}
	if f.After != nil {
		b = append(append(b, `,"after":`...), f.After...)
	}
	if f.Message != "" {
		b = row.AppendJSONString(append(b, `,"message":`...), f.Message)
	}
	if f.Token != "" {
		b = row.AppendJSONString(append(b, `,"token":`...), f.Token)
	}
	return append(b, '}')
}

// Sink takes frames; Flush is called when no more are at hand.
type Sink interface {
	Frame(ctx context.Context, f *Frame) error
	Flush(ctx context.Context) error
}

// subscription follows one relation.
type subscription struct {
	o       *Options
	rel     *catalog.Relation
	sink    Sink
	last    log.Position
	schema  *row.Schema // without hidden columns
	visible []int
	encoder *jsonrow.Encoder
	// held back until it is known whether another one follows: the last frame of a version carries its token.
	pending *Frame
}

// Subscribe feeds a sink until ctx ends or the relation goes. Errors: NotFound for an unknown relation, Invalid for a bad
// token; what the client must know while it reads is told in frames.
func Subscribe(ctx context.Context, o *Options, q Request, sink Sink) error {
	s, err := open(ctx, o, q, sink)
	if err != nil {
		return err
	}
	if q.Snapshot {
		if err := s.snapshot(ctx); err != nil {
			return err
		}
	} else if err := s.progress(ctx); err != nil {
		return err
	}
	for {
		if err := s.next(ctx); err != nil {
			return err
		}
	}
}

func open(ctx context.Context, o *Options, q Request, sink Sink) (*subscription, error) {
	rel, err := find(o.Catalog.Current(), q.Relation)
	if err != nil {
		return nil, err
	}
	s := &subscription{o: o, rel: rel, sink: sink, schema: &row.Schema{}}
	for i, c := range rel.Columns {
		if !c.Hidden {
			s.visible = append(s.visible, i)
			s.schema.Columns = append(s.schema.Columns, row.Column{Name: c.Name, Type: c.Type})
		}
	}
	s.encoder = jsonrow.NewEncoder(s.schema)
	if q.From != "" {
		if s.last, err = delta.ParsePosition(q.From); err != nil {
			return nil, err
		}
		if o.Log.End().Less(s.last) {
			return nil, errs.New(errs.Invalid, "token %q is ahead of the log", q.From)
		}
		return s, nil
	}
	held, err := o.Versions.Acquire(ctx, o.Log.End())
	if err != nil {
		return nil, err
	}
	s.last = held.Value.At
	return s, held.Release()
}

// find looks a relation up by [schema.]name.
func find(snap *catalog.Snapshot, name string) (*catalog.Relation, error) {
	if name == "" {
		return nil, errs.New(errs.Invalid, "which relation? add ?relation=NAME")
	}
	if rel, ok := snap.Lookup("public", name); ok {
		return follow(rel)
	}
	if schema, rest, ok := strings.Cut(name, "."); ok {
		if rel, ok := snap.Lookup(schema, rest); ok {
			return follow(rel)
		}
	}
	return nil, errs.New(errs.NotFound, "relation %q does not exist", name)
}

func follow(rel *catalog.Relation) (*catalog.Relation, error) {
	if rel.Kind == catalog.System || rel.Kind == catalog.View {
		return nil, errs.New(errs.Unsupported, "changes of %s %q cannot be followed", rel.Kind, rel.Name).
			WithHint("Make it a materialized view.")
	}
	return rel, nil
}

// put gives the sink the frame before and keeps this one.
func (s *subscription) put(ctx context.Context, f *Frame) error {
	if s.pending != nil {
		if err := s.sink.Frame(ctx, s.pending); err != nil {
			return err
		}
	}
	s.pending = f
	return nil
}

// end closes a version: its last frame carries the new token.
func (s *subscription) end(ctx context.Context, at log.Position) error {
	s.last = at
	if f := s.pending; f != nil {
		s.pending = nil
		f.Token = at.String()
		if err := s.sink.Frame(ctx, f); err != nil {
			return err
		}
	}
	return s.sink.Flush(ctx)
}

func (s *subscription) progress(ctx context.Context) error {
	if err := s.sink.Frame(ctx, &Frame{Type: "progress", Relation: s.rel.Name, Token: s.last.String()}); err != nil {
		return err
	}
	return s.sink.Flush(ctx)
}

// object writes a row's visible columns.
func (s *subscription) object(r row.Row) []byte {
	out := make(row.Row, len(s.visible))
	for i, col := range s.visible {
		out[i] = r[col]
	}
	return s.encoder.AppendJSONStrings(nil, out)
}

// next waits for a newer version and tells what it changed.
func (s *subscription) next(ctx context.Context) error {
	at := s.last
	at.Sequence++
	held, err := s.o.Versions.Acquire(ctx, at)
	if err != nil {
		return err
	}
	v := held.Value
	to := v.At
	err = s.changes(ctx, to)
	if rerr := held.Release(); err == nil {
		err = rerr
	}
	if errs.Is(err, errs.NotFound) {
		s.pending = nil
		ferr := s.sink.Frame(ctx, &Frame{Type: "must_resnapshot", Relation: s.rel.Name,
			Message: "the changes since " + s.last.String() + " are no longer kept: subscribe with snapshot=true"})
		if ferr == nil {
			ferr = s.sink.Flush(ctx)
		}
		if ferr != nil {
			return ferr
		}
		return err
	}
	if err != nil {
		return err
	}
	if now, ok := v.Catalog.ByID(s.rel.ID); !ok || len(now.Columns) != len(s.rel.Columns) {
		return errs.New(errs.Conflict, "relation %q was dropped or its columns changed: subscribe again", s.rel.Name)
	}
	return s.end(ctx, to)
}

func (s *subscription) changes(ctx context.Context, to log.Position) error {
	switch s.rel.Kind {
	case catalog.Table, catalog.Rejected:
		return s.keyed(ctx, s.o.Tables, to)
	case catalog.MaterializedView:
		if s.rel.Keyed() {
			return s.keyed(ctx, s.o.Views, to)
		}
		return s.weighted(ctx, to)
	}
	return s.appended(ctx, to)
}

func (s *subscription) change(ctx context.Context, before, after row.Row) error {
	f := &Frame{Type: "change", Op: "update", Token: s.last.String()}
	if before == nil {
		f.Op = "insert"
	} else {
		f.Before = s.object(before)
	}
	if after == nil {
		f.Op = "delete"
	} else {
		f.After = s.object(after)
	}
	return s.put(ctx, f)
}

func (s *subscription) decode(encoded []byte) (row.Row, error) {
	if encoded == nil {
		return nil, nil
	}
	return ingest.DecodeRow(s.rel, encoded)
}

// keyed tells the changes of rows that have a key.
func (s *subscription) keyed(ctx context.Context, store *heap.Store, to log.Position) error {
	return store.Changes(s.rel.ID, s.last, to, func(c heap.Change) error {
		before, err := s.decode(c.Old)
		if err != nil {
			return err
		}
		after, err := s.decode(c.New)
		if err != nil {
			return err
		}
		return s.change(ctx, before, after)
	})
}

// weighted tells the changes of a view whose rows have no key: as often as its multiplicity changed.
func (s *subscription) weighted(ctx context.Context, to log.Position) error {
	return s.o.Views.Changes(s.rel.ID, s.last, to, func(c heap.Change) error {
		var was, is int64
		var encoded []byte
		var err error
		if c.Old != nil {
			if was, encoded, err = heap.SplitWeight(c.Old); err != nil {
				return err
			}
		}
		if c.New != nil {
			if is, encoded, err = heap.SplitWeight(c.New); err != nil {
				return err
			}
		}
		r, err := s.decode(encoded)
		if err != nil {
			return err
		}
		for ; was > is; was-- {
			if err := s.change(ctx, r, nil); err != nil {
				return err
			}
		}
		for ; was < is; was++ {
			if err := s.change(ctx, nil, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// readBytes is how much of the log is read at once.
const readBytes = 1 << 20

// appended tells the rows of an append-only relation from the log.
func (s *subscription) appended(ctx context.Context, to log.Position) error {
	read := record.Iterator{}
	var codec *ingest.Codec
	if s.rel.Kind == catalog.Stream {
		var err error
		if codec, err = s.o.Codec(s.rel); err != nil {
			return err
		}
	}
	for at := s.last; at.Less(to); {
		entries, err := s.o.Log.ReadFrom(ctx, at, readBytes)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if to.Less(e.Position) {
				return nil
			}
			at = e.Position
			if e.Thinned {
				if err := s.thinned(at); err != nil {
					return err
				}
			}
			err := record.Effects(ctx, s.o.Log, &e, func(topic log.TopicID) bool { return topic == s.rel.Topic }, func(b log.PartitionBatch) error {
				return s.records(ctx, codec, &read, at, b)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// thinned fails when records of the relation that an append wrote are no longer kept.
func (s *subscription) thinned(at log.Position) error {
	topic, ok := s.o.Log.TopicByID(s.rel.Topic)
	for i := range topic.Partitions {
		p := log.Partition{Topic: topic.ID, Index: i}
		bounds, err := s.o.Log.Bounds(p)
		if err != nil {
			return err
		}
		whole, err := s.o.Log.PositionOf(p, bounds.Clean)
		if err != nil {
			return err
		}
		ok = ok && (bounds.Clean == 0 || bounds.Clean < bounds.End && whole.Less(at))
	}
	if !ok {
		return errs.New(errs.NotFound, "%w: records of %q written at %v are gone", log.ErrHistoryThinned, s.rel.Name, at)
	}
	return nil
}

func (s *subscription) records(ctx context.Context, codec *ingest.Codec, it *record.Iterator, at log.Position, b log.PartitionBatch) error {
	if codec != nil {
		d, err := codec.Decode(b.Batch, ingest.Place{Topic: b.Partition.Topic, Partition: b.Partition.Index, Position: at})
		if err != nil {
			return err
		}
		for i := range d.Changes {
			if err := s.change(ctx, nil, d.Changes[i].Row); err != nil {
				return err
			}
		}
		return nil
	}
	for h, err := range record.Batches(b.Batch) {
		if err != nil {
			return err
		}
		if h.Control() {
			continue
		}
		if err := it.Reset(h); err != nil {
			return err
		}
		for it.Next() {
			r := it.Record()
			if err := s.change(ctx, nil, row.Row{ingest.Readable(r.Key), ingest.Readable(r.Value), row.Null,
				row.NewInt(int64(b.Partition.Index)), row.NewInt(r.Offset), row.NewTimestamp(r.Timestamp * 1000)}); err != nil {
				return err
			}
		}
		if err := it.Err(); err != nil {
			return err
		}
	}
	return nil
}

// snapshot tells the rows of one version.
func (s *subscription) snapshot(ctx context.Context) (err error) {
	held, err := s.o.Versions.Acquire(ctx, s.last)
	if err != nil {
		return err
	}
	defer func() {
		if rerr := held.Release(); err == nil {
			err = rerr
		}
	}()
	v := held.Value
	emit := func(r row.Row) error { return s.put(ctx, &Frame{Type: "snapshot", After: s.object(r)}) }
	switch s.rel.Kind {
	case catalog.Table, catalog.Rejected:
		err = s.rows(ctx, v.Tables, emit)
	case catalog.MaterializedView:
		err = s.rows(ctx, v.Views, emit)
	case catalog.Stream:
		err = s.columns(ctx, v, emit)
	default:
		return errs.New(errs.Unsupported, "there is no snapshot of raw topic %q: use from=0/0", s.rel.Name)
	}
	if err != nil {
		return err
	}
	if s.pending == nil {
		s.last = v.At
		return s.progress(ctx)
	}
	return s.end(ctx, v.At)
}

func (s *subscription) rows(ctx context.Context, r heap.Reader, emit func(row.Row) error) (err error) {
	it, err := (&exec.HeapSource{Reader: r}).Scan(ctx, &exec.ScanRequest{Relation: s.rel})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	for {
		batch, err := it.Next()
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, r := range batch {
			if err := emit(r); err != nil {
				return err
			}
		}
	}
}
