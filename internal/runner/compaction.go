package runner

import (
	"context"
	"encoding/binary"
	"reflect"
	"slices"
	"sync"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/views/catalog"
)

// Compaction tells the log's cleaner which rows the records of tables' topics change. A record means what it meant when it
// took effect: so it keeps every definition that a table has had, as the catalog's topic tells them. What it gives belongs to
// the asking goroutine.
//
// While a table has UNIQUE or FOREIGN KEY constraints, or another refers to it, whether a record was accepted depends on other
// rows, and taking a record away could change what becomes of those that stay: nothing of that time is compacted, and nothing
// of before is replaced by anything after.
type Compaction struct {
	log   log.Log
	codec func(*catalog.Relation) (*ingest.Codec, error)

	mu struct {
		sync.Mutex
		read   int64 // offset in the catalog's topic
		tables map[delta.RelationID]*compactedTable
		topics map[log.TopicID]*compactedTable
	}
}

// compactedTable is a table and its definitions, the oldest first.
type compactedTable struct {
	rel         *catalog.Relation
	definitions []definitionAt
	referred    map[delta.RelationID]bool // tables whose foreign keys name it
}

// definitionAt is how records are read that take effect at a Position or later.
type definitionAt struct {
	from        log.Position
	rel         *catalog.Relation
	constrained bool
	era         uint32 // names of different eras are names of different rows
}

// NewCompaction begins with what the catalog's topic holds when it is first asked. codec gives a codec of a table's version,
// for the caller alone.
func NewCompaction(l log.Log, codec func(*catalog.Relation) (*ingest.Codec, error)) *Compaction {
	c := &Compaction{log: l, codec: codec}
	c.mu.tables, c.mu.topics = map[delta.RelationID]*compactedTable{}, map[log.TopicID]*compactedTable{}
	return c
}

// Rows gives how a topic is compacted: nil for one that is no table's. ok is false when that is not known now.
func (c *Compaction) Rows(ctx context.Context, t log.Topic) (rows log.Rows, ok bool) {
	if t.Internal {
		return nil, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.advanceLocked(ctx); err != nil {
		return nil, false
	}
	table := c.mu.topics[t.ID]
	if table == nil {
		return nil, true
	}
	_, registry := c.log.Topic(log.SchemasTopic)
	return &tableRows{definitions: slices.Clone(table.definitions), codecs: make([]*ingest.Codec, len(table.definitions)),
		topic: t, codec: c.codec, registry: registry}, true
}

// advanceLocked reads what the catalog's topic has got since.
func (c *Compaction) advanceLocked(ctx context.Context) error {
	p := log.Partition{Topic: log.CatalogTopicID}
	bounds, err := c.log.Bounds(p)
	if err != nil {
		return err
	}
	var it record.Iterator
	r := record.NewReader(c.log, p, max(c.mu.read, bounds.Start), bounds.End)
	for r.Next(ctx) {
		at, err := r.Position()
		if err != nil {
			return err
		}
		b := r.Batch()
		if err := it.Reset(b); err != nil {
			return err
		}
		for it.Next() {
			one, err := catalog.DecodeRecord(it.Record().Value)
			if err != nil {
				return err
			}
			if err := c.applyLocked(one, at); err != nil {
				return err
			}
		}
		if err := it.Err(); err != nil {
			return err
		}
		c.mu.read = b.LastOffset() + 1
	}
	return r.Err()
}

// applyLocked takes in one definition; a version that is there already changes nothing.
func (c *Compaction) applyLocked(r *catalog.Record, at log.Position) error {
	table := c.mu.tables[r.ID]
	switch {
	case table != nil && r.Dropped:
		c.referLocked(table.rel, nil, at)
		delete(c.mu.tables, r.ID)
		delete(c.mu.topics, table.rel.Topic)
	case !r.Dropped && r.Relation != nil && r.Relation.Kind == catalog.Table && r.Topic != nil:
		if table == nil {
			table = &compactedTable{referred: map[delta.RelationID]bool{}}
		} else if r.Version <= table.rel.Version {
			return nil
		}
		id, err := catalog.ParseTopicID(r.Topic.ID)
		if err != nil {
			return err
		}
		before := table.rel
		table.rel = r.Relation
		table.rel.Topic, table.rel.Version = id, r.Version
		c.mu.tables[r.ID], c.mu.topics[id] = table, table
		c.referLocked(before, table.rel, at)
		table.define(at)
	}
	return nil
}

// referLocked follows the foreign keys of a table that has another definition.
func (c *Compaction) referLocked(before, after *catalog.Relation, at log.Position) {
	if before != nil {
		for _, k := range before.ForeignKeys {
			if to := c.mu.tables[k.Table]; to != nil {
				delete(to.referred, before.ID)
				to.define(at)
			}
		}
	}
	if after != nil {
		for _, k := range after.ForeignKeys {
			if to := c.mu.tables[k.Table]; to != nil {
				to.referred[after.ID] = true
				to.define(at)
			}
		}
	}
}

// define begins a definition where records are read otherwise than before.
func (t *compactedTable) define(at log.Position) {
	d := definitionAt{from: at, rel: t.rel, constrained: len(t.referred) > 0 || t.rel.Constrained()}
	if n := len(t.definitions); n > 0 {
		last := &t.definitions[n-1]
		d.era = last.era
		if d.constrained != last.constrained || !reflect.DeepEqual(keyTypes(d.rel), keyTypes(last.rel)) {
			d.era++
		} else if readAlike(d.rel, last.rel) {
			return
		}
		if last.from == at { // one append defines several relations
			t.definitions = t.definitions[:n-1]
		}
	}
	t.definitions = append(t.definitions, d)
}

func keyTypes(rel *catalog.Relation) (columns []catalog.Column) {
	for _, i := range rel.Key {
		columns = append(columns, catalog.Column{Name: rel.Columns[i].Name, Type: rel.Columns[i].Type})
	}
	return columns
}

func readAlike(a, b *catalog.Relation) bool {
	return reflect.DeepEqual(a.Columns, b.Columns) && reflect.DeepEqual(a.Key, b.Key) && reflect.DeepEqual(a.Checks, b.Checks) &&
		reflect.DeepEqual(a.Options, b.Options) && a.CanonicalKeys == b.CanonicalKeys
}

// tableRows are the rows of a table's topic, for one round of the cleaner.
type tableRows struct {
	definitions []definitionAt
	codecs      []*ingest.Codec // of the definitions, those that were needed
	topic       log.Topic
	codec       func(*catalog.Relation) (*ingest.Codec, error)
	// registry is set when there are schemas: one that a record names counts if it was registered before the record took effect.
	registry bool
}

// at is the definition by which a record was read that took effect at a Position. What was there before the table was
// declared took effect with the declaration.
func (r *tableRows) at(p log.Position) int {
	i := len(r.definitions) - 1
	for i > 0 && p.Less(r.definitions[i].from) {
		i--
	}
	return i
}

// Names: see log.Rows.
func (r *tableRows) Names(p log.Partition, batch []byte, at log.Position) ([][]byte, error) {
	header, err := record.ParseHeader(batch)
	if err != nil {
		return nil, err
	}
	names := make([][]byte, header.Count)
	i := r.at(at)
	d := &r.definitions[i]
	if d.constrained {
		return names, nil
	}
	if r.codecs[i] == nil {
		if r.codecs[i], err = r.codec(d.rel); err != nil {
			return nil, err
		}
	}
	decoded, err := r.codecs[i].Decode(batch, ingest.Place{Topic: p.Topic, Partition: p.Index, Position: at})
	if err != nil {
		return nil, err
	}
	for i := range decoded.Changes {
		ch := &decoded.Changes[i]
		names[ch.Index] = append(binary.BigEndian.AppendUint32(nil, d.era), ch.Key...)
	}
	return names, nil
}

// Alike: see log.Rows.
func (r *tableRows) Alike(a, b log.Position) bool {
	return r.at(a) == r.at(b) && (a == b || !r.registry)
}

// Forgets: see log.Rows. Of several partitions one that has the deletion knows nothing of the others. What was written before
// the table was declared may have been compacted by keys, which does not know what a deletion deletes.
func (r *tableRows) Forgets(at log.Position) bool {
	all := r.definitions
	return r.topic.Partitions == 1 && all[len(all)-1].era == 0 && !at.Less(all[0].from)
}
