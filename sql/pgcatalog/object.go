package pgcatalog

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

// OIDs that PostgreSQL fixes.
const (
	ownerOID      = 10
	databaseOID   = 5
	catalogOID    = 11
	tablespaceOID = 1663
	globalOID     = 1664
	heapOID       = 2
	btreeOID      = 403
	columnarOID   = 9000 // ours, where PostgreSQL leaves the numbers free
	wrapperOID    = 9001
	serverOID     = 9002
)

// OIDs of the catalogs themselves.
const (
	classOID      = 1259
	typeOID       = 1247
	procOID       = 1255
	constraintOID = 2606
	attrdefOID    = 2604
	namespaceOID  = 2615
	rewriteOID    = 2618
)

// Owner is who owns everything until roles are made.
const Owner = "miracledb"

// objects are a snapshot's relations, and what they own by OID and name.
type objects struct {
	snapshot *catalog.Snapshot
	users    []*catalog.Relation       // all that are listed and no system ones, by id
	referred map[delta.RelationID]bool // by foreign keys
	indexes  map[delta.RelationID]index
	// constraints leads from a constraint to its relation.
	constraints map[delta.RelationID]*catalog.Relation
	// indexNamed leads from schema and name to an index.
	indexNamed map[[2]string]delta.RelationID
}

// newest holds the objects of the snapshot that was asked about last: most sessions see the same one.
var newest atomic.Pointer[objects]

func objectsOf(s *catalog.Snapshot) *objects {
	if o := newest.Load(); o != nil && o.snapshot == s {
		return o
	}
	o := &objects{snapshot: s, indexes: map[delta.RelationID]index{}, referred: map[delta.RelationID]bool{}, constraints: map[delta.RelationID]*catalog.Relation{},
		indexNamed: map[[2]string]delta.RelationID{}}
	for _, r := range s.Relations() {
		if r.Kind == catalog.System || internal(r) {
			continue
		}
		o.users = append(o.users, r)
		for _, x := range indexesOf(r) {
			o.indexes[x.id], o.indexNamed[[2]string{r.Schema, x.name}] = x, x.id
			if x.constraint {
				o.constraints[x.constraintID()] = r
			}
		}
		for _, x := range r.Checks {
			o.constraints[x.ID] = r
		}
		for _, x := range r.ForeignKeys {
			o.constraints[x.ID], o.referred[x.Table] = r, true
		}
	}
	newest.Store(o)
	return o
}

// internal reports whether a relation is the topic of our own workings, such as __time: it can be read, and is not listed.
func internal(r *catalog.Relation) bool {
	return r.Kind == catalog.Raw && strings.HasPrefix(r.TopicName, "__")
}

// users are all relations that are not system ones, by id.
func (c *scan) users() []*catalog.Relation { return objectsOf(c.snapshot).users }

// relkind is how PostgreSQL's clients see a relation.
func relkind(r *catalog.Relation) byte {
	switch r.Kind {
	case catalog.MaterializedView:
		return 'm'
	case catalog.View:
		return 'v'
	case catalog.Raw, catalog.Rejected:
		return 'f'
	case catalog.System:
		if s, ok := relationOf[r.ID]; ok {
			return s.relkind
		}
	}
	return 'r'
}

func namespaceOf(s *catalog.Snapshot, r *catalog.Relation) delta.RelationID {
	n, ok := s.Namespace(r.Schema)
	if !ok {
		return catalog.PublicID
	}
	return n.ID
}

// attributes gives each column's attnum: 0 for a hidden one, the others count from 1.
func attributes(r *catalog.Relation) []int16 {
	out, n := make([]int16, len(r.Columns)), int16(0)
	for i := range r.Columns {
		if !r.Columns[i].Hidden {
			n++
			out[i] = n
		}
	}
	return out
}

// visibleColumns lists the columns that are not hidden: attnum 1 is the first.
func visibleColumns(r *catalog.Relation) []*catalog.Column {
	var out []*catalog.Column
	for i := range r.Columns {
		if !r.Columns[i].Hidden {
			out = append(out, &r.Columns[i])
		}
	}
	return out
}

// index is one index of a relation as PostgreSQL has it: the primary key's among them.
type index struct {
	rel     *catalog.Relation
	id      delta.RelationID
	name    string
	columns []int
	unique  bool
	primary bool
	// constraint is set for PRIMARY KEY and UNIQUE.
	constraint bool
}

func indexesOf(r *catalog.Relation) []index {
	var out []index
	if r.KeyID != 0 && len(r.Key) > 0 && !hidden(r, r.Key) {
		table := r.Kind == catalog.Table
		x := index{rel: r, id: r.KeyID, name: r.KeyName, columns: r.Key, unique: true, primary: table, constraint: table}
		if x.name == "" {
			x.name = r.Name + "_pkey"
		}
		out = append(out, x)
	}
	for _, i := range r.Indexes {
		if !hidden(r, i.Columns) {
			out = append(out, index{rel: r, id: i.ID, name: i.Name, columns: i.Columns, unique: i.Unique, constraint: i.Constraint})
		}
	}
	return out
}

func hidden(r *catalog.Relation, columns []int) bool {
	return slices.ContainsFunc(columns, func(i int) bool { return i < 0 || i >= len(r.Columns) || r.Columns[i].Hidden })
}

func attnums(r *catalog.Relation, columns []int) []int16 {
	numbers, out := attributes(r), make([]int16, len(columns))
	for i, c := range columns {
		out[i] = numbers[c]
	}
	return out
}

// notNull is attnotnull: nothing checks what a view gives, so PostgreSQL says no there.
func notNull(r *catalog.Relation, col *catalog.Column) bool {
	return col.NotNull && r.Kind != catalog.View && r.Kind != catalog.MaterializedView
}

func columnNames(r *catalog.Relation, columns []int) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = r.Columns[c].Name
	}
	return out
}

// Objects that the catalog gives no id have OIDs made of others': the same in each snapshot, positive as int32, and far
// from ids that were given out, since clients join OIDs of different catalogs.
const (
	constraintOIDs = 0x60000000
	ruleOIDs       = 0x70000000
)

// hasTriggers is relhastriggers: psql looks for foreign keys only where it is set, as PostgreSQL keeps them by triggers.
func (c *scan) hasTriggers(r *catalog.Relation) bool {
	return len(r.ForeignKeys) > 0 || objectsOf(c.snapshot).referred[r.ID]
}

// defaultOID is the OID of a column's default in pg_attrdef.
func defaultOID(r *catalog.Relation, attnum int16) uint32 { return uint32(r.ID)*1600 + uint32(attnum) }

// ruleOID is the OID of a view's rule in pg_rewrite.
func ruleOID(r *catalog.Relation) delta.RelationID { return ruleOIDs + r.ID }

// constraintID is the OID of the constraint that an index belongs to.
func (x *index) constraintID() delta.RelationID { return constraintOIDs + x.id }

// options are reloptions or ftoptions: name=value, by name.
func options(r *catalog.Relation) row.Value {
	if len(r.Options) == 0 {
		return row.Null
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(r.Options)) {
		v := r.Options[k]
		if v == "" {
			v = "true"
		}
		out = append(out, k+"="+v)
	}
	return texts(out)
}

// comment is a relation's comment, or what we say of a relation that nobody made.
func comment(s *catalog.Snapshot, r *catalog.Relation) string {
	switch {
	case r.Comment != "":
		return r.Comment
	case r.Kind == catalog.Rejected:
		of := r.Name
		if t, ok := s.ByID(r.Of); ok {
			of = t.Name
		}
		return "Records that could not enter " + of + ", and why"
	case r.Kind == catalog.Raw:
		return "Records of topic " + r.TopicName + ", which has no schema"
	}
	return ""
}
