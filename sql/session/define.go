package session

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// definer makes the catalog records of one DDL statement. Ids come from the transaction's own catalog, under the lock of
// the whole catalog, so two transactions never give out the same one.
type definer struct {
	s    *Session
	next delta.RelationID
}

// define starts a DDL statement: it takes the catalog's lock until the transaction ends.
func (s *Session) define(ctx context.Context) (*definer, error) {
	if s.readOnly {
		return nil, errs.SQL("25006", "cannot execute DDL in a read-only transaction")
	}
	if err := s.begin().LockRelation(ctx, 0, s.lockTimeout()); err != nil {
		return nil, err
	}
	// While this transaction waited, others may have defined: what they committed has been applied before they let go
	// of their client, but not necessarily of the lock.
	if err := s.db.o.Applied(ctx, s.db.o.Log.End()); err != nil {
		return nil, err
	}
	return &definer{s: s, next: s.snapshot().NextID()}, nil
}

func (d *definer) id() delta.RelationID {
	id := d.next
	d.next++
	return id
}

// add notes records with the transaction and shows them to its later statements.
func (d *definer) add(rs ...*catalog.Record) error {
	for _, r := range rs {
		r.Version = d.s.snapshot().Version(r.ID) + 1
		r.Owner = d.s.user
		next, err := d.s.snapshot().With(r)
		if err != nil {
			return err
		}
		if err := d.s.tx.Define(r); err != nil {
			return err
		}
		d.s.overlay = next
	}
	return nil
}

// TopicName is the topic of a relation that names none.
func TopicName(schema, name string) string {
	if schema == "public" {
		return name
	}
	return schema + "." + name
}

func newTopicID() log.TopicID {
	var id log.TopicID
	_, _ = rand.Read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// createRelation is CREATE TABLE, VIEW and MATERIALIZED VIEW; made is false when it was there already.
func (s *Session) createRelation(ctx context.Context, c *plan.CreateRelation) (rel *catalog.Relation, made bool, err error) {
	d, err := s.define(ctx)
	if err != nil {
		return nil, false, err
	}
	rel = clone(c.Relation)
	old, exists := s.snapshot().Lookup(rel.Schema, rel.Name)
	switch {
	case exists && c.IfNotExists:
		s.notice("42P07", "relation %q already exists, skipping", rel.Name)
		return old, false, nil
	case exists && c.Replace && old.Kind == rel.Kind:
		rel.ID = old.ID
		if err := checkReplaced(old, rel); err != nil {
			return nil, false, err
		}
	case exists && old.Kind != catalog.Raw:
		return nil, false, errs.SQL("42P07", "relation %q already exists", rel.Name)
	default:
		if _, ok := s.snapshot().Namespace(rel.Schema); !ok {
			return nil, false, errs.SQL("3F000", "schema %q does not exist", rel.Schema)
		}
	}
	if rel.ID == 0 {
		rel.ID = d.id()
	}
	for i := range rel.ForeignKeys {
		if fk := &rel.ForeignKeys[i]; fk.Table == 0 { // to itself, which had no id
			fk.Table = rel.ID
		}
	}
	d.number(rel)
	if rel.Kind == catalog.MaterializedView {
		if err := followable(s.snapshot(), rel); err != nil {
			return nil, false, err
		}
		if rel.Key, err = viewKey(c.Query); err != nil {
			return nil, false, err
		}
	}
	if rel.Kind != catalog.Table && rel.Kind != catalog.Stream {
		return rel, true, d.add(&catalog.Record{ID: rel.ID, Relation: rel})
	}
	return rel, true, d.addWithTopic(rel)
}

// number gives ids to a relation's constraints and indexes that have none.
func (d *definer) number(rel *catalog.Relation) {
	if rel.Keyed() && rel.KeyID == 0 {
		rel.KeyID = d.id()
	}
	for i := range rel.Indexes {
		if rel.Indexes[i].ID == 0 {
			rel.Indexes[i].ID = d.id()
		}
	}
	for i := range rel.Checks {
		if rel.Checks[i].ID == 0 {
			rel.Checks[i].ID = d.id()
		}
	}
	for i := range rel.ForeignKeys {
		if rel.ForeignKeys[i].ID == 0 {
			rel.ForeignKeys[i].ID = d.id()
		}
	}
}

// addWithTopic makes a table or stream with its topic and its t__rejected. A topic that is there as a raw one is taken
// over with all its records.
func (d *definer) addWithTopic(rel *catalog.Relation) error {
	s := d.s
	name := rel.Options["topic"]
	if name == "" {
		name = TopicName(rel.Schema, rel.Name)
	}
	partitions := int32(1)
	if v := rel.Options["partitions"]; v != "" {
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil || n < 1 || n > 10000 {
			return errs.SQL("22023", "invalid value for partitions: %q", v).WithHint("Give a number from 1 to 10000.")
		}
		partitions = int32(n)
	}
	topic := &log.TopicRecord{Name: name, Partitions: partitions}
	if t, ok := s.db.o.Log.Topic(name); ok {
		owner, has := s.snapshot().ByTopic(t.ID)
		if has && owner.Kind != catalog.Raw {
			return errs.SQL("42P07", "topic %q belongs to relation %q", name, owner.Name).
				WithHint("Name another one with WITH (topic = '...').")
		}
		topic.ID, topic.Partitions, topic.Config = t.ID.String(), max(t.Partitions, partitions), t.Config
		rel.Topic = t.ID
		if has {
			// The raw relation gives way; its topic stays.
			if err := d.add(&catalog.Record{ID: owner.ID, Dropped: true}); err != nil {
				return err
			}
		}
	} else {
		rel.Topic = newTopicID()
		topic.ID = hex.EncodeToString(rel.Topic[:])
	}
	rel.TopicName = name
	if rel.Kind == catalog.Table {
		// Its records are the rows: neither time nor size cuts them (DESIGN section 4, Pins).
		topic.Config = maps.Clone(topic.Config)
		if topic.Config == nil {
			topic.Config = map[string]string{}
		}
		topic.Config[cleanupPolicy] = ""
		if s.db.o.CanonicalKeys {
			rel.CanonicalKeys = topic.Partitions
		}
	}
	rejected := &catalog.Relation{ID: d.id(), Schema: rel.Schema, Name: rel.Name + catalog.RejectedSuffix,
		Kind: catalog.Rejected, Columns: catalog.RejectedColumns, Key: catalog.RejectedKey, Of: rel.ID}
	if _, taken := s.snapshot().Lookup(rejected.Schema, rejected.Name); taken {
		return errs.SQL("42P07", "relation %q already exists", rejected.Name).
			WithDetail("It is where the records go that cannot enter %q.", rel.Name)
	}
	return d.add(&catalog.Record{ID: rel.ID, Relation: rel, Topic: topic},
		&catalog.Record{ID: rejected.ID, Relation: rejected})
}

// followable fails when a view would read what it cannot follow.
func followable(snap *catalog.Snapshot, view *catalog.Relation) error {
	for _, id := range view.DependsOn {
		rel, ok := snap.ByID(id)
		if !ok {
			return errs.New(errs.Internal, "view %q reads relation %d, which is not there", view.Name, id)
		}
		switch rel.Kind {
		case catalog.Raw:
			return errs.SQL("0A000", "materialized view %q cannot read raw topic %q", view.Name, rel.Name).
				WithHint("Declare its schema first: CREATE TABLE ... WITH (append_only, topic = '%s').", rel.TopicName)
		case catalog.System:
			return errs.SQL("0A000", "materialized view %q cannot read system catalog %q", view.Name, rel.Name)
		}
	}
	return nil
}

// checkReplaced applies PostgreSQL's rule for CREATE OR REPLACE VIEW: columns may only be added at the end.
func checkReplaced(old, rel *catalog.Relation) error {
	if len(rel.Columns) < len(old.Columns) {
		return errs.SQL("42P16", "cannot drop columns from view")
	}
	for i, c := range old.Columns {
		if rel.Columns[i].Name != c.Name {
			return errs.SQL("42P16", "cannot change name of view column %q to %q", c.Name, rel.Columns[i].Name)
		}
		if rel.Columns[i].Type != c.Type {
			return errs.SQL("42P16", "cannot change data type of view column %q from %s to %s", c.Name, c.Type, rel.Columns[i].Type)
		}
	}
	return nil
}

// drop removes relations, and with CASCADE what depends on them.
func (s *Session) drop(ctx context.Context, st *plan.Drop) error {
	d, err := s.define(ctx)
	if err != nil {
		return err
	}
	for _, name := range st.Missing {
		s.notice("00000", "%s %q does not exist, skipping", strings.ToLower(st.What), name)
	}
	for _, rel := range st.Relations {
		if err := d.dropRelation(rel, st.Cascade); err != nil {
			return err
		}
	}
	for _, x := range st.Indexes {
		rel, ok := s.snapshot().ByID(x.Table.ID)
		if !ok {
			continue
		}
		next := clone(rel)
		next.Indexes = nil
		for _, have := range rel.Indexes {
			if have.ID != x.Index.ID {
				next.Indexes = append(next.Indexes, have)
			} else if have.Constraint {
				return errs.SQL("2BP01", "cannot drop index %s because constraint %s on table %s requires it", have.Name, have.Name, rel.Name)
			}
		}
		if err := d.add(&catalog.Record{ID: rel.ID, Relation: next, Topic: s.topicOf(rel)}); err != nil {
			return err
		}
	}
	for _, name := range st.Schemas {
		if err := d.dropSchema(name, st.Cascade); err != nil {
			return err
		}
	}
	return nil
}

func (d *definer) dropRelation(rel *catalog.Relation, cascade bool) error {
	s := d.s
	if _, ok := s.snapshot().ByID(rel.ID); !ok {
		return nil // gone with another one
	}
	if rel.Kind == catalog.Rejected {
		return errs.SQL("2BP01", "cannot drop %s: it belongs to its table", rel.Name)
	}
	if err := rel.System(); err != nil {
		return err
	}
	for _, dep := range s.snapshot().Dependents(rel.ID) {
		if dep.Kind == catalog.Rejected {
			continue
		}
		if !cascade {
			return errs.SQL("2BP01", "cannot drop %s %s because other objects depend on it", rel.Kind, rel.Name).
				WithDetail("%s %s depends on %s %s", dep.Kind, dep.Name, rel.Kind, rel.Name).
				WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
		}
		s.notice("00000", "drop cascades to %s %s", dep.Kind, dep.Name)
		if err := d.dropRelation(dep, true); err != nil {
			return err
		}
	}
	if err := s.tx.LockRelation(context.Background(), rel.ID, -1); err != nil {
		return err
	}
	if rejected, ok := s.snapshot().RejectedOf(rel.ID); ok && rejected.Of == rel.ID {
		if err := d.add(&catalog.Record{ID: rejected.ID, Dropped: true}); err != nil {
			return err
		}
	}
	r := &catalog.Record{ID: rel.ID, Dropped: true}
	if t := s.topicOf(rel); t != nil {
		t.Dropped = true
		r.Topic = t
	}
	return d.add(r)
}

// topicOf is the record part of a relation's topic, nil when it has none.
func (s *Session) topicOf(rel *catalog.Relation) *log.TopicRecord {
	if rel.Topic.IsZero() {
		return nil
	}
	r := &log.TopicRecord{ID: rel.Topic.String(), Name: rel.TopicName, Partitions: 1}
	if t, ok := s.db.o.Log.TopicByID(rel.Topic); ok {
		r.Name, r.Partitions, r.Config = t.Name, t.Partitions, t.Config
	}
	return r
}

func (d *definer) dropSchema(name string, cascade bool) error {
	snap := d.s.snapshot()
	ns, ok := snap.Namespace(name)
	if !ok {
		return errs.SQL("3F000", "schema %q does not exist", name)
	}
	if ns.ID < catalog.FirstID {
		return errs.SQL("2BP01", "cannot drop schema %s because it is required by the database system", name)
	}
	for _, rel := range snap.Relations() {
		if rel.Schema != name || rel.Kind == catalog.Rejected {
			continue
		}
		if !cascade {
			return errs.SQL("2BP01", "cannot drop schema %s because other objects depend on it", name).
				WithDetail("%s %s depends on schema %s", rel.Kind, rel.Name, name).
				WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
		}
		if err := d.dropRelation(rel, true); err != nil {
			return err
		}
	}
	return d.add(&catalog.Record{ID: ns.ID, Namespace: ns, Dropped: true})
}

func (s *Session) createSchema(ctx context.Context, st *plan.CreateSchema) error {
	d, err := s.define(ctx)
	if err != nil {
		return err
	}
	if _, ok := s.snapshot().Namespace(st.Name); ok {
		if st.IfNotExists {
			s.notice("42P06", "schema %q already exists, skipping", st.Name)
			return nil
		}
		return errs.SQL("42P06", "schema %q already exists", st.Name)
	}
	if strings.HasPrefix(st.Name, "pg_") {
		return errs.SQL("42939", "unacceptable schema name %q", st.Name).WithDetail(`The prefix "pg_" is reserved for system schemas.`)
	}
	id := d.id()
	return d.add(&catalog.Record{ID: id, Namespace: &catalog.Namespace{ID: id, Name: st.Name}})
}

func (s *Session) createIndex(ctx context.Context, st *plan.CreateIndex) error {
	d, err := s.define(ctx)
	if err != nil {
		return err
	}
	rel, ok := s.snapshot().ByID(st.Table.ID)
	if !ok {
		return errs.SQL("42P01", "relation %q does not exist", st.Table.Name)
	}
	for _, r := range s.snapshot().Relations() {
		for _, x := range r.Indexes {
			if x.Name != st.Index.Name || r.Schema != rel.Schema {
				continue
			}
			if st.IfNotExists {
				s.notice("42P07", "relation %q already exists, skipping", x.Name)
				return nil
			}
			return errs.SQL("42P07", "relation %q already exists", x.Name)
		}
	}
	if rel.Kind != catalog.Table {
		return errs.SQL("0A000", "cannot create an index on %s %q", rel.Kind, rel.Name).
			WithDetail("Only tables have secondary indexes.")
	}
	next := clone(rel)
	x := st.Index
	x.ID = d.id()
	next.Indexes = append(append([]catalog.Index(nil), rel.Indexes...), x)
	if x.Unique {
		if err := s.checkUnique(ctx, next, &x); err != nil {
			return err
		}
	}
	return d.add(&catalog.Record{ID: rel.ID, Relation: next, Topic: s.topicOf(rel)})
}

func (s *Session) alter(ctx context.Context, st *plan.Alter) error {
	d, err := s.define(ctx)
	if err != nil {
		return err
	}
	old, ok := s.snapshot().ByID(st.Old.ID)
	if !ok {
		return errs.SQL("42P01", "relation %q does not exist", st.Old.Name)
	}
	if old.Version != st.Old.Version {
		return errs.SQL("40001", "relation %q was changed concurrently", old.Name).WithHint("Retry the statement.")
	}
	if st.AddedKey {
		return errs.SQL("0A000", "adding a primary key to an existing table is not supported").
			WithHint("Create a new table with the key and INSERT ... SELECT into it.")
	}
	next := clone(st.New)
	next.ID = old.ID
	d.number(next)
	if err := s.checkAltered(ctx, st, next); err != nil {
		return err
	}
	if err := d.add(&catalog.Record{ID: old.ID, Relation: next, Topic: s.topicOf(old)}); err != nil {
		return err
	}
	if rejected, ok := s.snapshot().ByID(old.ID); ok && (next.Name != old.Name || next.Schema != old.Schema) && rejected != nil {
		if r, ok := s.snapshot().Lookup(old.Schema, old.Name+catalog.RejectedSuffix); ok && r.Of == old.ID {
			moved := clone(r)
			moved.Schema, moved.Name = next.Schema, next.Name+catalog.RejectedSuffix
			return d.add(&catalog.Record{ID: r.ID, Relation: moved})
		}
	}
	return nil
}

func (s *Session) comment(ctx context.Context, st *plan.Comment) error {
	d, err := s.define(ctx)
	if err != nil {
		return err
	}
	next := clone(st.Relation)
	if st.Column < 0 {
		next.Comment = st.Text
	} else {
		next.Columns = append([]catalog.Column(nil), st.Relation.Columns...)
		next.Columns[st.Column].Comment = st.Text
	}
	return d.add(&catalog.Record{ID: next.ID, Relation: next, Topic: s.topicOf(next)})
}

// awaitDefined waits after a commit until what it defined can be used: tables at once, a materialized view once it has
// been computed.
func (s *Session) awaitDefined(ctx context.Context, rs []*catalog.Record, pos log.Position) error {
	for _, r := range rs {
		if r.Relation == nil || r.Relation.Kind != catalog.MaterializedView {
			continue
		}
		held, err := s.db.o.Versions.Acquire(ctx, pos)
		if err != nil {
			return err
		}
		if err := held.Release(); err != nil {
			return err
		}
	}
	return nil
}

// internal is a session of the server's own.
func (d *Database) internal() *Session {
	return &Session{db: d, user: DatabaseName, settings: newSettings(), started: d.o.Clock.Now()}
}

// clone gives a relation whose ids can be set: that of a plan is kept with the plan, and may be defined again after a
// rollback.
func clone(rel *catalog.Relation) *catalog.Relation {
	c := *rel
	c.Indexes, c.Checks, c.ForeignKeys = slices.Clone(rel.Indexes), slices.Clone(rel.Checks), slices.Clone(rel.ForeignKeys)
	return &c
}
