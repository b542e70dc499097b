package catalog

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// FirstID is the first id of a user's object (PostgreSQL's FirstNormalObjectId).
const FirstID delta.RelationID = 16384

// PublicID is the OID of the schema public, as in PostgreSQL.
const PublicID delta.RelationID = 2200

// Catalog applies catalog records in log order and publishes a Snapshot after each.
type Catalog struct {
	current atomic.Pointer[Snapshot]
	mu      struct {
		sync.Mutex
		system []*Relation
	}
}

// New gives a catalog with the schema public, the system relations given, and no user objects.
func New(system ...*Relation) *Catalog {
	c := &Catalog{}
	s := &Snapshot{
		byName:     map[name]*Relation{},
		byID:       map[delta.RelationID]*Relation{},
		byTopic:    map[log.TopicID]*Relation{},
		namespaces: map[string]*Namespace{},
		next:       FirstID,
	}
	for id, n := range map[delta.RelationID]string{PublicID: "public", 11: "pg_catalog", 13000: "information_schema"} {
		s.namespaces[n] = &Namespace{ID: id, Name: n}
	}
	for _, r := range system {
		s.put(r)
	}
	c.mu.system = system
	c.current.Store(s)
	return c
}

// Current is the newest Snapshot.
func (c *Catalog) Current() *Snapshot { return c.current.Load() }

// Apply applies one record that stands at position p, and returns what changed: the relation's definition before and
// after (nil: none). A version that was applied already changes nothing: a replay is harmless.
func (c *Catalog) Apply(r *Record, p log.Position) (before, after *Relation, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.current.Load()
	s, err := old.With(r)
	if err != nil || s == old {
		return old.byID[r.ID], old.byID[r.ID], err
	}
	s.position = p
	c.current.Store(s)
	return old.byID[r.ID], s.byID[r.ID], nil
}

// Snapshot is the catalog at one Position. It is immutable.
type Snapshot struct {
	byName     map[name]*Relation
	byID       map[delta.RelationID]*Relation
	byTopic    map[log.TopicID]*Relation
	namespaces map[string]*Namespace
	versions   map[delta.RelationID]uint64
	next       delta.RelationID
	position   log.Position
}

type name struct{ schema, relation string }

func (s *Snapshot) clone() *Snapshot {
	n := *s
	n.byName, n.byID, n.byTopic = maps.Clone(s.byName), maps.Clone(s.byID), maps.Clone(s.byTopic)
	n.namespaces = maps.Clone(s.namespaces)
	if n.versions = maps.Clone(s.versions); n.versions == nil {
		n.versions = map[delta.RelationID]uint64{}
	}
	return &n
}

// With gives the snapshot after one more record; s itself when that version of the object is in it already.
func (s *Snapshot) With(r *Record) (*Snapshot, error) {
	if prev, ok := s.versions[r.ID]; ok && r.Version <= prev {
		return s, nil
	}
	n := s.clone()
	n.versions[r.ID] = r.Version
	n.reserve(r)
	switch {
	case r.Namespace != nil && r.Dropped:
		delete(n.namespaces, r.Namespace.Name)
	case r.Namespace != nil:
		n.namespaces[r.Namespace.Name] = r.Namespace
	case r.Dropped:
		n.remove(n.byID[r.ID])
	case r.Relation != nil:
		after := r.Relation
		after.Version = r.Version
		if r.Topic != nil {
			id, err := ParseTopicID(r.Topic.ID)
			if err != nil {
				return s, err
			}
			after.Topic = id
		}
		n.remove(n.byID[r.ID])
		n.put(after)
	}
	return n, nil
}

func (s *Snapshot) put(r *Relation) {
	s.byName[name{r.Schema, r.Name}] = r
	s.byID[r.ID] = r
	// A rejected relation is derived from its relation's topic and does not answer for it.
	if !r.Topic.IsZero() && r.Kind != Rejected {
		s.byTopic[r.Topic] = r
	}
}

func (s *Snapshot) remove(r *Relation) {
	if r == nil {
		return
	}
	delete(s.byID, r.ID)
	if s.byName[name{r.Schema, r.Name}] == r {
		delete(s.byName, name{r.Schema, r.Name})
	}
	if s.byTopic[r.Topic] == r {
		delete(s.byTopic, r.Topic)
	}
}

// reserve keeps every id that a record names from being given out again.
func (s *Snapshot) reserve(r *Record) {
	ids := []delta.RelationID{r.ID}
	if rel := r.Relation; rel != nil {
		ids = append(ids, rel.KeyID)
		for _, x := range rel.Indexes {
			ids = append(ids, x.ID)
		}
		for _, x := range rel.Checks {
			ids = append(ids, x.ID)
		}
		for _, x := range rel.ForeignKeys {
			ids = append(ids, x.ID)
		}
	}
	for _, id := range ids {
		s.next = max(s.next, id+1)
	}
}

// Position is that of the last record applied.
func (s *Snapshot) Position() log.Position { return s.position }

// NextID is the first id never used. Whoever appends to the catalog takes ids from here under the DDL lock.
func (s *Snapshot) NextID() delta.RelationID { return s.next }

// Version is the last version of an object, dropped ones included; 0: never seen.
func (s *Snapshot) Version(id delta.RelationID) uint64 { return s.versions[id] }

// Lookup finds a relation by schema and name.
func (s *Snapshot) Lookup(schema, relation string) (*Relation, bool) {
	r, ok := s.byName[name{schema, relation}]
	return r, ok
}

// ByID finds a relation by its id.
func (s *Snapshot) ByID(id delta.RelationID) (*Relation, bool) {
	r, ok := s.byID[id]
	return r, ok
}

// ByTopic finds the relation that a topic's records belong to.
func (s *Snapshot) ByTopic(id log.TopicID) (*Relation, bool) {
	r, ok := s.byTopic[id]
	return r, ok
}

// RejectedOf finds the Rejected relation of a table or stream.
func (s *Snapshot) RejectedOf(id delta.RelationID) (*Relation, bool) {
	r, ok := s.byID[id]
	if !ok {
		return nil, false
	}
	return s.Lookup(r.Schema, r.Name+RejectedSuffix)
}

// RejectedSuffix ends the name of a Rejected relation.
const RejectedSuffix = "__rejected"

// Relations lists all relations by id, system ones included.
func (s *Snapshot) Relations() []*Relation {
	rs := slices.Collect(maps.Values(s.byID))
	slices.SortFunc(rs, func(a, b *Relation) int { return int(int64(a.ID) - int64(b.ID)) })
	return rs
}

// Namespaces lists the schemas by name.
func (s *Snapshot) Namespaces() []*Namespace {
	ns := slices.Collect(maps.Values(s.namespaces))
	slices.SortFunc(ns, func(a, b *Namespace) int { return int(int64(a.ID) - int64(b.ID)) })
	return ns
}

// Namespace finds a schema.
func (s *Snapshot) Namespace(name string) (*Namespace, bool) {
	n, ok := s.namespaces[name]
	return n, ok
}

// Dependents lists the relations whose query reads id, and its Rejected relation.
func (s *Snapshot) Dependents(id delta.RelationID) []*Relation {
	var rs []*Relation
	for _, r := range s.byID {
		if slices.Contains(r.DependsOn, id) || r.Of == id && id != 0 {
			rs = append(rs, r)
		}
	}
	slices.SortFunc(rs, func(a, b *Relation) int { return int(int64(a.ID) - int64(b.ID)) })
	return rs
}

// System fails when a relation may not be written by a user.
func (r *Relation) System() error {
	if r.Kind == System {
		return errs.SQL("42501", "permission denied: %q is a system catalog", r.Name)
	}
	return nil
}
