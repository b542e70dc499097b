package catalog

import (
	"slices"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
)

// Kind says what a relation is (DESIGN section 5).
type Kind string

// The kinds.
const (
	Table  Kind = "table"  // upsert by primary key; heap and columnar
	Stream Kind = "stream" // append-only; columnar
	// MaterializedView is a circuit over relations; heap and columnar.
	MaterializedView Kind = "materialized view"
	// View is a stored query without data.
	View Kind = "view"
	// Raw is a topic without a schema: its records as _key, _value, _headers, _partition, _offset, _timestamp.
	Raw Kind = "raw"
	// Rejected is t__rejected: what could not enter a table or stream.
	Rejected Kind = "rejected"
	// System is a relation of pg_catalog or information_schema; it has no data of its own.
	System Kind = "system"
)

// Column is one column of a relation.
type Column struct {
	Name    string   `json:"name"`
	Type    row.Type `json:"type"`
	NotNull bool     `json:"not_null,omitempty"`
	// Default is the SQL text of the default expression, "" for none. Const is its value in text form when it is a
	// constant: what a produced record without the field gets.
	Default string  `json:"default,omitempty"`
	Const   *string `json:"const,omitempty"`
	// Before is what the rows have that were written before the column was added: its default of that time, in text form;
	// nil: NULL.
	Before *string `json:"before,omitempty"`
	// Hidden columns (_rowid) are left out of SELECT * and of \d.
	Hidden  bool   `json:"hidden,omitempty"`
	Comment string `json:"comment,omitempty"`
}

// Index is a secondary index; the primary key's is not listed.
type Index struct {
	ID      delta.RelationID `json:"id"`
	Name    string           `json:"name"`
	Columns []int            `json:"columns"`
	Unique  bool             `json:"unique,omitempty"`
	// Constraint is set when the index belongs to a UNIQUE constraint.
	Constraint bool `json:"constraint,omitempty"`
}

// Check is a CHECK constraint; Expr is its SQL text over the relation's columns.
type Check struct {
	ID   delta.RelationID `json:"id"`
	Name string           `json:"name"`
	Expr string           `json:"expr"`
}

// ForeignKey refers to the primary key of another table.
type ForeignKey struct {
	ID       delta.RelationID `json:"id"`
	Name     string           `json:"name"`
	Columns  []int            `json:"columns"`
	Table    delta.RelationID `json:"table"`
	Referred []int            `json:"referred"`
}

// Relation is one version of a relation's definition. It is immutable once published.
type Relation struct {
	ID delta.RelationID `json:"id"`
	// Version counts the definitions of this id, from 1.
	Version uint64   `json:"version"`
	Schema  string   `json:"schema"` // namespace: public, pg_catalog...
	Name    string   `json:"name"`
	Kind    Kind     `json:"kind"`
	Columns []Column `json:"columns"`
	// Key holds the indexes of the primary key's columns in key order. Streams and raw topics have none; a table
	// without one in its DDL has the hidden column _rowid. A materialized view has one when its query implies it (the
	// group columns), else all rows count.
	Key         []int             `json:"key,omitempty"`
	KeyName     string            `json:"key_name,omitempty"` // the primary key constraint, t_pkey
	KeyID       delta.RelationID  `json:"key_id,omitempty"`   // its index's OID
	Indexes     []Index           `json:"indexes,omitempty"`
	Checks      []Check           `json:"checks,omitempty"`
	ForeignKeys []ForeignKey      `json:"foreign_keys,omitempty"`
	Options     map[string]string `json:"options,omitempty"` // WITH (...)
	Comment     string            `json:"comment,omitempty"`
	// Topic is the relation's topic (zero for views and system relations).
	Topic     log.TopicID `json:"-"`
	TopicName string      `json:"topic_name,omitempty"`
	// CanonicalKeys, when not 0, makes a record of a table a fault whose key is not the canonical one, or that does not stand where
	// Kafka's clients put that key in a topic of so many partitions: a log on a Kafka cluster tells keys apart by their bytes.
	CanonicalKeys int32 `json:"canonical_keys,omitempty"`
	// Query is the SQL text of a view; DependsOn the relations it reads.
	Query     string             `json:"query,omitempty"`
	DependsOn []delta.RelationID `json:"depends_on,omitempty"`
	// Of is the relation whose rejected records a Rejected relation holds.
	Of delta.RelationID `json:"of,omitempty"`
}

// RowSchema is the relation's shape for codecs, hidden columns included.
func (r *Relation) RowSchema() *row.Schema {
	s := &row.Schema{Columns: make([]row.Column, len(r.Columns)), Key: r.Key}
	for i, c := range r.Columns {
		s.Columns[i] = row.Column{Name: c.Name, Type: c.Type, NotNull: c.NotNull, Before: c.Before}
	}
	return s
}

// Keyed reports whether the relation's rows have an identity: writes to it are upserts.
func (r *Relation) Keyed() bool { return len(r.Key) > 0 }

// Constrained tells whether the relation has constraints beside its primary key by which a row stands or falls with others:
// UNIQUE and FOREIGN KEY.
func (r *Relation) Constrained() bool {
	return len(r.ForeignKeys) > 0 || slices.ContainsFunc(r.Indexes, func(x Index) bool { return x.Unique })
}

// Columns of a topic's records as they are queryable without a schema (DESIGN section 5). Keys and values are text: bytes
// that are no UTF-8 stand there in bytea's hex form.
var (
	RawColumns = []Column{
		{Name: "_key", Type: row.T(row.Text)},
		{Name: "_value", Type: row.T(row.Text)},
		{Name: "_headers", Type: row.T(row.JSONB)},
		{Name: "_partition", Type: row.T(row.Int4), NotNull: true},
		{Name: "_offset", Type: row.T(row.Int8), NotNull: true},
		{Name: "_timestamp", Type: row.T(row.TimestampTZ), NotNull: true},
	}
	// RejectedColumns are those of t__rejected, whose key is the record's place: RejectedKey.
	RejectedColumns = []Column{
		{Name: "reason", Type: row.T(row.Text), NotNull: true},
		{Name: "_key", Type: row.T(row.Text)},
		{Name: "_value", Type: row.T(row.Text)},
		{Name: "_partition", Type: row.T(row.Int4), NotNull: true},
		{Name: "_offset", Type: row.T(row.Int8), NotNull: true},
		{Name: "_timestamp", Type: row.T(row.TimestampTZ), NotNull: true},
	}
	RejectedKey = []int{3, 4}
)

// Missing is the value of a row that was written before the column was added.
func (c *Column) Missing() (row.Value, error) {
	if c.Before == nil {
		return row.Null, nil
	}
	return row.ParseText(c.Type, *c.Before)
}
