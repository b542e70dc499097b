package ingest

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/row/jsonrow"
	"github.com/miracledb/miracledb/internal/schema"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/views/catalog"
)

// Check is one CHECK constraint: Holds is false only when the expression is false (NULL passes).
type Check struct {
	Name  string
	Holds func(row.Row) (bool, error)
}

// Change is the change of one row of a keyed relation, or one row of an append-only one.
type Change struct {
	Relation *catalog.Relation
	// Key is the heap key; nil for append-only relations.
	Key []byte
	// Row is the new row; nil is a delete.
	Row row.Row
	// Encoded is Row as the heap keeps it; nil is a delete.
	Encoded []byte
	// Index is the record's place in its batch.
	Index int32
	// Generated is set when the key was made of the record's place.
	Generated bool
}

// Fault is a record that cannot enter its relation.
type Fault struct {
	// Index is the record's place in its batch; Offset and Timestamp (Unix milliseconds) are the record's own.
	Index     int32
	Offset    int64
	Timestamp int64
	Reason    string
	// Key and Value are the record's bytes; nil is null.
	Key, Value []byte
}

// Decoded is what the records of one append mean: the attachment of its log entry.
type Decoded struct {
	Changes []Change
	Faults  []Fault
	// Placed is set by an Encoder: the changes are those of all batches of the append, validated before it.
	Placed bool
}

// FirstFault is the fault of the earliest record, nil for none.
func (d *Decoded) FirstFault() *Fault {
	if len(d.Faults) == 0 {
		return nil
	}
	return &d.Faults[0]
}

// Place says where a batch stands.
type Place struct {
	Topic     log.TopicID
	Partition int32
	// Position is that of the append with which the records take effect: the schemas registered before it explain them. Zero
	// is an append that is still to come.
	Position log.Position
}

// Codec reads and writes the records of one version of one relation. It keeps scratch memory: one goroutine at a time.
type Codec struct {
	Relation *catalog.Relation
	schema   *row.Schema
	json     *jsonrow.Decoder
	key      *jsonrow.KeyDecoder // of a keyed relation
	// format is the type of schema that values are written with, "" for JSON; framed reads such values and framedKey such keys.
	format            schema.Type
	framed, framedKey *framed
	checks            []Check
	// arrival are the columns whose default is now(): the record's timestamp.
	arrival []int
	// volatile are the columns with another default that no record can be given: a record without them is a fault.
	volatile []int
	rowID    int // the hidden _rowid, -1: none
	// generated says that the row decoded last has a _rowid made of its place.
	generated bool
	canonical []byte // scratch
	it        record.Iterator
}

// RowID is the name of the hidden key column of a table without a primary key.
const RowID = "_rowid"

// New compiles the codec of a relation; checks are its CHECK constraints compiled. Without writers (nil) records that name a
// schema are faults.
func New(rel *catalog.Relation, checks []Check, w Writers) (*Codec, error) {
	c := &Codec{Relation: rel, schema: rel.RowSchema(), checks: checks, rowID: -1, format: formatOf(rel)}
	opts := jsonrow.Options{Defaults: make([]row.Value, len(rel.Columns)), HasDefault: make([]bool, len(rel.Columns))}
	for i, col := range rel.Columns {
		switch {
		case col.Hidden && col.Name == RowID:
			c.rowID = i
		case col.Const != nil:
			v, err := row.ParseText(col.Type, *col.Const)
			if err != nil {
				return nil, errs.New(errs.Corrupt, "default of %s.%s: %w", rel.Name, col.Name, err)
			}
			opts.Defaults[i], opts.HasDefault[i] = v, true
		case isNow(col.Default):
			c.arrival = append(c.arrival, i)
			opts.HasDefault[i] = true
		case col.Default != "":
			c.volatile = append(c.volatile, i)
		}
	}
	// What is filled in here after decoding may be missing in a record, whatever NOT NULL says: it is checked later.
	filled := *c.schema
	filled.Columns = append([]row.Column(nil), c.schema.Columns...)
	for _, list := range [][]int{c.volatile, rel.Key} {
		for _, i := range list {
			filled.Columns[i].NotNull = false
		}
	}
	c.json = jsonrow.NewDecoder(&filled, opts)
	c.framed = newFramed(w, &filled, opts)
	if rel.Keyed() {
		c.key = jsonrow.NewKeyDecoder(c.schema)
		c.framedKey = newFramed(w, c.key.Schema(), jsonrow.Options{})
	}
	return c, nil
}

func isNow(def string) bool {
	switch def {
	case "now()", "CURRENT_TIMESTAMP", "current_timestamp", "transaction_timestamp()", "LOCALTIMESTAMP", "statement_timestamp()":
		return true
	}
	return false
}

// HeapKey gives the heap key of a row: its primary key in order-preserving encoding.
func HeapKey(dst []byte, rel *catalog.Relation, r row.Row) []byte {
	for _, i := range rel.Key {
		dst = row.AppendKey(dst, rel.Columns[i].Type, r[i], false)
	}
	return dst
}

// EntryKey gives the entry of a row in an index, without the primary key that a non-unique entry ends with. ok is false
// when a column of a unique index is NULL: such rows never conflict.
func EntryKey(rel *catalog.Relation, x *catalog.Index, r row.Row) (entry []byte, ok bool) {
	ok = true
	for _, i := range x.Columns {
		if r[i].IsNull() {
			ok = false
		}
		entry = row.AppendKey(entry, rel.Columns[i].Type, r[i], false)
	}
	return entry, ok
}

// IndexEntry gives the entry of a row in an index as the heap keeps it: a non-unique entry, and a unique one with a NULL,
// ends with the primary key.
func IndexEntry(rel *catalog.Relation, x *catalog.Index, r row.Row, key []byte) []byte {
	entry, ok := EntryKey(rel, x, r)
	if !x.Unique || !ok {
		entry = append(entry, key...)
	}
	return entry
}

// Placed says that what a record means depends on the offset or the timestamp that the log gives it: it can be decoded for
// good only once it is there.
func (c *Codec) Placed() bool { return c.rowID >= 0 || len(c.arrival) > 0 }

// Final reports whether what was decoded before the append will be what is decoded after it: not when a fault may be for want
// of a schema that is registered meanwhile.
func (c *Codec) Final(d *Decoded) bool {
	return !c.Placed() && (len(d.Faults) == 0 || c.format == "" && !c.Relation.Keyed())
}

// Decode reads the batches of one partition, as a keyed relation's changes or an append-only one's rows. Damaged batches
// are errs.Invalid; faulty records are in Faults.
func (c *Codec) Decode(batches []byte, at Place) (*Decoded, error) {
	d := &Decoded{}
	return d, c.each(batches, func(index int32, r record.Record) {
		row, reason := c.decode(r, at)
		if reason == "" {
			reason = c.misplaced(row, r.Key, at)
		}
		if reason != "" {
			d.Faults = append(d.Faults, fault(index, r, reason))
			return
		}
		ch := Change{Relation: c.Relation, Index: index, Generated: c.generated}
		if c.Relation.Keyed() {
			ch.Key = HeapKey(nil, c.Relation, row)
		}
		if r.Value != nil || !c.Relation.Keyed() {
			ch.Row, ch.Encoded = row, encodeRow(row)
		}
		d.Changes = append(d.Changes, ch)
	})
}

// DecodeColumns reads the batches of one partition of an append-only relation straight into b's columns.
func (c *Codec) DecodeColumns(b *row.Builder, batches []byte, at Place) (faults []Fault, err error) {
	direct := len(c.checks)+len(c.arrival)+len(c.volatile) == 0
	err = c.each(batches, func(index int32, r record.Record) {
		var reason string
		if direct && r.Value != nil && len(r.Headers) == 0 {
			if row, err := c.value(r.Value, at, r.Timestamp); err != nil {
				reason = err.Error()
			} else {
				b.AppendRow(row)
			}
		} else {
			var row row.Row
			if row, reason = c.decode(r, at); reason == "" {
				b.AppendRow(row)
			}
		}
		if reason != "" {
			faults = append(faults, fault(index, r, reason))
		}
	})
	return faults, err
}

func (c *Codec) each(batches []byte, fn func(index int32, r record.Record)) error {
	index := int32(0)
	for b, err := range record.Batches(batches) {
		if err != nil {
			return err
		}
		if b.Control() {
			continue
		}
		if err := c.it.Reset(b); err != nil {
			return err
		}
		for c.it.Next() {
			fn(index, c.it.Record())
			if err := c.broken(); err != nil {
				return err
			}
			index++
		}
		if err := c.it.Err(); err != nil {
			return err
		}
	}
	return nil
}

// broken gives the fault of the log that kept a record from being judged, once.
func (c *Codec) broken() (err error) {
	for _, f := range []*framed{c.framed, c.framedKey} {
		if f != nil && f.broken != nil {
			err, f.broken = f.broken, nil
		}
	}
	return err
}

// decode reads one record: the row (for a tombstone only its key columns), or the reason why it is a fault.
func (c *Codec) decode(r record.Record, at Place) (row.Row, string) {
	c.generated = false
	if r.Value == nil {
		if !c.Relation.Keyed() {
			return nil, "null value in an append-only relation"
		}
		if r.Key == nil {
			return nil, "a delete (null value) without a key"
		}
		return c.withKey(make(row.Row, len(c.schema.Columns)), r.Key, at, true)
	}
	borrowed, err := c.value(r.Value, at, r.Timestamp)
	if err != nil {
		return nil, err.Error()
	}
	into := make(row.Row, len(borrowed))
	for i, v := range borrowed {
		into[i] = row.Own(v)
	}
	for _, h := range r.Headers {
		if string(h.Key) == jsonNull {
			c.setJSONNull(into, string(h.Value))
		}
	}
	for _, i := range c.volatile {
		if into[i].IsNull() {
			return nil, "column \"" + c.schema.Columns[i].Name + "\" is missing and its default is volatile"
		}
	}
	if c.rowID >= 0 && into[c.rowID].IsNull() && r.Key == nil {
		into[c.rowID], c.generated = placeID(at, r.Offset), true
	}
	if c.Relation.Keyed() && (r.Key != nil || c.nullKey(into)) {
		var reason string
		if into, reason = c.withKey(into, r.Key, at, false); reason != "" {
			return nil, reason
		}
	}
	for i, col := range c.schema.Columns {
		if col.NotNull && into[i].IsNull() {
			return nil, "null value in column \"" + col.Name + "\" violates not-null constraint"
		}
	}
	return into, c.violated(into)
}

// setJSONNull undoes for one column that JSON's null is read as SQL's.
func (c *Codec) setJSONNull(into row.Row, column string) {
	for i, col := range c.schema.Columns {
		if col.Name == column && into[i].IsNull() && (col.Type.OID == row.JSON || col.Type.OID == row.JSONB) {
			into[i] = row.NewText("null")
		}
	}
}

func (c *Codec) violated(r row.Row) string {
	for _, check := range c.checks {
		ok, err := check.Holds(r)
		if err != nil {
			return err.Error()
		}
		if !ok {
			return "violates check constraint \"" + check.Name + "\""
		}
	}
	return ""
}

func (c *Codec) nullKey(r row.Row) bool {
	for _, i := range c.Relation.Key {
		if r[i].IsNull() {
			return true
		}
	}
	return false
}

// withKey fills the primary key from the record's key. A value that names another key than the record's key is a fault.
func (c *Codec) withKey(into row.Row, key []byte, at Place, tombstone bool) (row.Row, string) {
	if key == nil {
		for _, i := range c.Relation.Key {
			if into[i].IsNull() {
				return nil, "no key, and no \"" + c.schema.Columns[i].Name + "\" in the value"
			}
		}
		return into, ""
	}
	vals, err := c.keyValues(key, at)
	if err != nil {
		if !tombstone && !c.nullKey(into) {
			return into, "" // a foreign key format: the value has the whole identity
		}
		return nil, err.Error()
	}
	for n, i := range c.Relation.Key {
		if into[i].IsNull() {
			into[i] = owned(vals[n])
		} else if row.CompareTyped(c.schema.Columns[i].Type, into[i], vals[n]) != 0 {
			return nil, "the key and the value disagree about \"" + c.schema.Columns[i].Name + "\""
		}
	}
	return into, ""
}

// owned copies a value that lies over a record's bytes.
func owned(v row.Value) row.Value {
	if v.Kind() == row.KindText {
		return row.NewText(strings.Clone(v.Str()))
	}
	r, _, err := row.DecodeRow(row.EncodeRow(nil, row.Row{v}), nil, nil)
	if err != nil || len(r) != 1 {
		return v // not reached: what was encoded decodes
	}
	return r[0]
}

// arrivalTime is the record's timestamp as a value of a date or time column.
func arrivalTime(t row.Type, ms int64) row.Value {
	if t.OID == row.Date {
		day := ms / 86_400_000
		if ms%86_400_000 < 0 {
			day--
		}
		return row.NewDate(day)
	}
	return row.NewTimestamp(ms * 1000)
}

// NewRowID is the identity of a row that SQL writes into a table without a primary key: a random UUID.
func NewRowID() row.Value {
	var id [16]byte
	_, _ = rand.Read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return row.NewUUID(id)
}

// placeID identifies the row of a record without any identity: its place in the log, which never changes. Version 8 of
// RFC 9562, so that it can never meet one that SQL made.
func placeID(at Place, offset int64) row.Value {
	var id [16]byte
	copy(id[:4], at.Topic[:4])
	binary.BigEndian.PutUint16(id[4:], uint16(at.Partition))
	id[6] = 0x80
	binary.BigEndian.PutUint64(id[8:], uint64(offset))
	id[8] = id[8]&0x3f | 0x80
	return row.NewUUID(id)
}

func fault(index int32, r record.Record, reason string) Fault {
	f := Fault{Index: index, Offset: r.Offset, Timestamp: r.Timestamp, Reason: reason}
	if r.Key != nil {
		f.Key = append([]byte{}, r.Key...)
	}
	if r.Value != nil {
		f.Value = append([]byte{}, r.Value...)
	}
	return f
}

func encodeRow(r row.Row) []byte { return row.EncodeRow(nil, r) }

// DecodeRow reads a row as the heap keeps it, with the defaults of columns that were added after it was written.
func DecodeRow(rel *catalog.Relation, encoded []byte) (row.Row, error) {
	return DecodeWanted(rel, encoded, nil)
}

// DecodeWanted is DecodeRow for the columns that want lists in rising order; the others may be NULL. nil: all.
func DecodeWanted(rel *catalog.Relation, encoded []byte, want []int) (row.Row, error) {
	r, n, err := row.DecodeRow(encoded, make(row.Row, len(rel.Columns)), want)
	if err != nil {
		return nil, err
	}
	return Widen(rel, r[:min(n, len(rel.Columns))])
}

// Widen gives r the values of the columns that rel got after it was written; nil stays nil. r is not changed, but may
// share its memory.
func Widen(rel *catalog.Relation, r row.Row) (row.Row, error) {
	if r == nil || len(r) == len(rel.Columns) {
		return r, nil
	}
	r = slices.Grow(r, len(rel.Columns)-len(r))
	for i := len(r); i < len(rel.Columns); i++ {
		v, err := rel.Columns[i].Missing()
		if err != nil {
			return nil, err
		}
		r = append(r, v)
	}
	return r, nil
}

// Getter reads rows by key.
type Getter interface {
	Get(rel delta.RelationID, key []byte) (row []byte, found bool, err error)
}

// Refers reports whether the row that a foreign key of r names is there. A key with a NULL refers to nothing and holds.
func Refers(g Getter, snap *catalog.Snapshot, fk *catalog.ForeignKey, r row.Row) (bool, error) {
	parent, ok := snap.ByID(fk.Table)
	if !ok {
		return false, nil
	}
	var key []byte
	for _, k := range parent.Key {
		for n, referred := range fk.Referred {
			if referred != k {
				continue
			}
			v := r[fk.Columns[n]]
			if v.IsNull() {
				return true, nil
			}
			key = row.AppendKey(key, parent.Columns[k].Type, v, false)
		}
	}
	_, found, err := g.Get(parent.ID, key)
	return found, err
}
