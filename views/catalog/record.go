package catalog

import (
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// Record is the value of one record of log.CatalogTopic.
type Record struct {
	Topic     *log.TopicRecord `json:"topic,omitempty"`
	Relation  *Relation        `json:"relation,omitempty"`
	Namespace *Namespace       `json:"namespace,omitempty"`
	// Dropped ends the object of ID.
	Dropped bool             `json:"dropped,omitempty"`
	ID      delta.RelationID `json:"id"`
	Version uint64           `json:"version"`
	// Owner is the user who made this version.
	Owner string `json:"owner,omitempty"`
}

// Namespace is a schema.
type Namespace struct {
	ID   delta.RelationID `json:"id"`
	Name string           `json:"name"`
}

// Key is the record's key: "<object id>/<version>".
func (r *Record) Key() []byte {
	b := strconv.AppendUint(nil, uint64(r.ID), 10)
	b = append(b, '/')
	return strconv.AppendUint(b, r.Version, 10)
}

// Encode gives the record's value.
func (r *Record) Encode() ([]byte, error) { return json.Marshal(r) }

// DecodeRecord reads a record's value. A value that is not ours is Corrupt: only the node writes the catalog.
func DecodeRecord(value []byte) (*Record, error) {
	r := &Record{}
	if err := json.Unmarshal(value, r); err != nil {
		return nil, errs.New(errs.Corrupt, "catalog record: %w", err)
	}
	if r.ID == 0 {
		return nil, errs.New(errs.Corrupt, "catalog record without an object id")
	}
	if r.Relation != nil {
		r.Relation.ID, r.Relation.Version = r.ID, r.Version
	}
	return r, nil
}

// ParseTopicID reads the 32 hex digits of a topic id.
func ParseTopicID(s string) (id log.TopicID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, errs.New(errs.Corrupt, "topic id %.40q is not 32 hex digits", s)
	}
	return log.TopicID(b), nil
}
