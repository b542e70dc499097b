package session

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/views/catalog"
)

const cleanupPolicy = "cleanup.policy"

// CreateTopic makes a topic for a Kafka client: a raw relation. It is a commit of its own.
func (d *Database) CreateTopic(ctx context.Context, name string, partitions int32, config map[string]string) (log.Topic, error) {
	s := d.internal()
	defer func() { _ = s.Close() }()
	def, err := s.define(ctx)
	if err != nil {
		return log.Topic{}, err
	}
	if _, ok := d.o.Log.Topic(name); ok {
		return log.Topic{}, errs.New(errs.Exists, "topic %q exists", name)
	}
	rel := &catalog.Relation{ID: def.id(), Schema: "public", Name: name, Kind: catalog.Raw,
		Columns: catalog.RawColumns, Topic: newTopicID(), TopicName: name}
	if _, taken := s.snapshot().Lookup(rel.Schema, rel.Name); taken {
		return log.Topic{}, errs.New(errs.Exists, "the name %q belongs to a relation without a topic of that name", name)
	}
	if err := def.add(&catalog.Record{ID: rel.ID, Relation: rel, Topic: &log.TopicRecord{ID: rel.Topic.String(), Name: name,
		Partitions: partitions, Config: config}}); err != nil {
		return log.Topic{}, err
	}
	if err := s.commit(ctx); err != nil {
		return log.Topic{}, err
	}
	t, ok := d.o.Log.TopicByID(rel.Topic)
	if !ok {
		return log.Topic{}, errs.New(errs.Internal, "topic %q was created and is not there", name)
	}
	return t, nil
}

// AlterTopic changes partitions and settings of a topic for a Kafka client. It is a commit of its own. The topic of a table
// is cut by nothing, and is compacted if asked.
func (d *Database) AlterTopic(ctx context.Context, topic log.Topic, change func(*log.Topic) error) error {
	s := d.internal()
	defer func() { _ = s.Close() }()
	def, err := s.define(ctx)
	if err != nil {
		return err
	}
	rel, ok := s.snapshot().ByTopic(topic.ID)
	t, known := d.o.Log.TopicByID(topic.ID)
	if !ok || !known {
		return errs.New(errs.NotFound, "topic %q does not exist", topic.Name)
	}
	_, before := t.Cleanup()
	if err := change(&t); err != nil {
		return err
	}
	if err := log.CheckConfig(t.Config); err != nil {
		return err
	}
	if rel.Kind == catalog.Table {
		if err := s.checkCleanup(rel, &t, before); err != nil {
			return err
		}
	}
	record := &log.TopicRecord{ID: t.ID.String(), Name: t.Name, Partitions: t.Partitions, Config: t.Config}
	next := clone(rel)
	if next.CanonicalKeys > 0 {
		next.CanonicalKeys = t.Partitions
	}
	if err := def.add(&catalog.Record{ID: rel.ID, Relation: next, Topic: record}); err != nil {
		return err
	}
	return s.commit(ctx)
}

// checkCleanup refuses what would lose rows of a table whose topic is to have the settings of t; without a cleanup.policy it
// keeps everything. compacted: it was asked to compact before.
func (s *Session) checkCleanup(rel *catalog.Relation, t *log.Topic, compacted bool) error {
	if _, set := t.Config[cleanupPolicy]; !set {
		t.Config = maps.Clone(t.Config)
		if t.Config == nil {
			t.Config = map[string]string{}
		}
		t.Config[cleanupPolicy] = ""
	}
	refuse := func(why string) error {
		return errs.New(errs.Invalid, "%w: topic %q is that of table %q, and %s", log.ErrInvalidConfig, t.Name, rel.Name, why)
	}
	cut, compact := t.Cleanup()
	if cut {
		return refuse("its records are the rows: nothing cuts them, cleanup.policy may be compact or empty")
	}
	if !compact || compacted {
		return nil
	}
	if rel.Constrained() {
		return refuse("cannot be compacted while it has UNIQUE or FOREIGN KEY constraints: which records they let in depends on those that would go")
	}
	for _, child := range s.snapshot().Relations() {
		if slices.ContainsFunc(child.ForeignKeys, func(k catalog.ForeignKey) bool { return k.Table == rel.ID }) {
			return refuse(fmt.Sprintf("cannot be compacted while table %q refers to it: which of that one's records are let in depends on those that would go", child.Name))
		}
	}
	return nil
}

// DropTopic removes a topic for a Kafka client: only one without a schema, since a table is dropped by SQL.
func (d *Database) DropTopic(ctx context.Context, topic log.Topic) error {
	s := d.internal()
	defer func() { _ = s.Close() }()
	def, err := s.define(ctx)
	if err != nil {
		return err
	}
	rel, ok := s.snapshot().ByTopic(topic.ID)
	if !ok {
		return errs.New(errs.NotFound, "topic %q does not exist", topic.Name)
	}
	if rel.Kind != catalog.Raw {
		return errs.New(errs.Denied, "topic %q is that of %s %q: use DROP TABLE", topic.Name, rel.Kind, rel.Name)
	}
	if err := def.dropRelation(rel, false); err != nil {
		return err
	}
	return s.commit(ctx)
}
