package topics

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"regexp"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

const (
	// maxPartitions bounds one topic; a client chooses the number.
	maxPartitions = 10_000
	maxConfigs    = 256
)

// Set is the topics by id and by name.
type Set struct {
	ByID  map[log.TopicID]*log.Topic
	Names map[string]log.TopicID
}

// NewSet gives the topics that exist before any record does: the catalog's.
func NewSet() Set {
	s := Set{map[log.TopicID]*log.Topic{}, map[string]log.TopicID{}}
	s.put(log.Topic{ID: log.CatalogTopicID, Name: log.CatalogTopic, Partitions: 1, Internal: true})
	return s
}

// Clone gives a copy that changes on its own. Topics themselves are never changed, only replaced.
func (s Set) Clone() Set { return Set{maps.Clone(s.ByID), maps.Clone(s.Names)} }

func (s Set) put(t log.Topic) { s.ByID[t.ID], s.Names[t.Name] = &t, t.ID }

// Apply takes a checked change in; before is the topic that it replaces or drops, nil: none.
func (s Set) Apply(r log.TopicRecord) (before *log.Topic) {
	id, _ := ParseID(r.ID)
	before = s.ByID[id]
	if before != nil {
		delete(s.ByID, id)
		delete(s.Names, before.Name)
	}
	if !r.Dropped {
		s.put(log.Topic{ID: id, Name: r.Name, Partitions: r.Partitions, Config: r.Config, Internal: strings.HasPrefix(r.Name, "__")})
	}
	return before
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Overlay is what the changes of one append make of a Set while they are being checked.
type Overlay struct {
	Set    Set
	topics map[log.TopicID]*log.TopicRecord
	names  map[string]log.TopicID // a zero id: free
}

// Check adds a change to the overlay. Errors: ErrInvalidTopic, ErrTopicExists, ErrUnknownPartition.
func (o *Overlay) Check(r *log.TopicRecord) error {
	id, err := ParseID(r.ID)
	switch {
	case err != nil:
		return err
	case id == log.CatalogTopicID:
		return errs.New(errs.Denied, "%w: the topic %s cannot be changed", log.ErrInvalidTopic, log.CatalogTopic)
	}
	var old log.Topic
	known := false
	if t := o.Set.ByID[id]; t != nil {
		old, known = *t, true
	}
	if t, ok := o.topics[id]; ok {
		old, known = log.Topic{Name: t.Name, Partitions: t.Partitions}, !t.Dropped
	}
	if o.topics == nil {
		o.topics, o.names = map[log.TopicID]*log.TopicRecord{}, map[string]log.TopicID{}
	}
	if r.Dropped {
		if !known {
			return errs.New(errs.NotFound, "%w: topic %q (%s) does not exist", log.ErrUnknownPartition, r.Name, r.ID)
		}
		o.topics[id], o.names[old.Name] = r, log.TopicID{}
		return nil
	}
	holder, taken := o.names[r.Name]
	if !taken {
		holder = o.Set.Names[r.Name]
	}
	switch {
	case !topicName.MatchString(r.Name) || r.Name == "." || r.Name == "..":
		return errs.New(errs.Invalid, "%w: %q is no topic name: 1 to 249 of a-z, A-Z, 0-9, '.', '_', '-'", log.ErrInvalidTopic, r.Name)
	case !holder.IsZero() && holder != id:
		return errs.New(errs.Exists, "%w: %q", log.ErrTopicExists, r.Name)
	case r.Partitions < 1 || r.Partitions > maxPartitions:
		return errs.New(errs.Invalid, "%w: %q with %d partitions, want 1 to %d", log.ErrInvalidTopic, r.Name, r.Partitions, maxPartitions)
	case known && r.Partitions < old.Partitions:
		return errs.New(errs.Invalid, "%w: %q has %d partitions, %d would lose some", log.ErrInvalidTopic, r.Name, old.Partitions, r.Partitions)
	case len(r.Config) > maxConfigs:
		return errs.New(errs.Limit, "%w: %q has %d settings, the limit is %d", log.ErrInvalidTopic, r.Name, len(r.Config), maxConfigs)
	}
	if err := log.CheckConfig(r.Config); err != nil {
		return err
	}
	if known && old.Name != r.Name {
		o.names[old.Name] = log.TopicID{}
	}
	o.topics[id], o.names[r.Name] = r, id
	return nil
}

// Exists reports whether the append may write to p.
func (o *Overlay) Exists(p log.Partition) bool {
	if t, ok := o.topics[p.Topic]; ok {
		return !t.Dropped && p.Index >= 0 && p.Index < t.Partitions
	}
	t := o.Set.ByID[p.Topic]
	return t != nil && p.Index >= 0 && p.Index < t.Partitions
}

// Topic gives a topic that exists as the append leaves it.
func (o *Overlay) Topic(id log.TopicID) *log.Topic {
	if t, ok := o.topics[id]; ok {
		return &log.Topic{ID: id, Name: t.Name, Partitions: t.Partitions, Config: t.Config}
	}
	return o.Set.ByID[id]
}

// ParseID reads 32 hex digits. Errors: ErrInvalidTopic.
func ParseID(text string) (id log.TopicID, err error) {
	n, err := hex.Decode(id[:], []byte(text[:min(len(text), 2*len(id))]))
	if err != nil || n != len(id) || len(text) != 2*len(id) || id.IsZero() {
		return log.TopicID{}, errs.New(errs.Invalid, "%w: %q is no topic id: want 32 hex digits", log.ErrInvalidTopic, text)
	}
	return id, nil
}

// Records adds the changes of topics in a batch of catalog records to rs. Errors: ErrInvalidRecord, ErrCorruptBatch.
func Records(rs []log.TopicRecord, b record.Batch) ([]log.TopicRecord, error) {
	var it record.Iterator
	if err := it.Reset(b); err != nil {
		return rs, err
	}
	for it.Next() {
		value := it.Record().Value
		if value == nil {
			continue
		}
		var c log.CatalogRecord
		if err := json.Unmarshal(value, &c); err != nil {
			return rs, errs.New(errs.Invalid, "%w: catalog record: %w", log.ErrInvalidRecord, err)
		}
		if c.Topic != nil {
			rs = append(rs, *c.Topic)
		}
	}
	return rs, it.Err()
}
