package pgcatalog

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

// columnsText is every system relation of PostgreSQL 15: "oid schema.name relkind", then a line " column type" each,
// with "not null" where it is. TestColumns compares and rewrites it.
//
//go:embed columns.txt
var columnsText string

// relation is a system relation.
type relation struct {
	*catalog.Relation
	relkind byte // in PostgreSQL: r or v
	column  map[string]int
	builder
	// kept are the rows that do not change, by the database's name.
	kept sync.Map
}

var (
	relations  []*relation
	relationOf = map[delta.RelationID]*relation{}
)

func init() {
	for line := range strings.Lines(columnsText) {
		line = strings.TrimSuffix(line, "\n")
		if column, ok := strings.CutPrefix(line, " "); ok {
			relations[len(relations)-1].addColumn(column)
			continue
		}
		f := strings.Fields(line)
		schema, name, _ := strings.Cut(f[1], ".")
		r := &relation{column: map[string]int{}, relkind: f[2][0], builder: builders[f[1]], Relation: &catalog.Relation{
			ID: delta.RelationID(number(f[0])), Version: 1, Schema: schema, Name: name, Kind: catalog.System}}
		relations = append(relations, r)
		relationOf[r.ID] = r
	}
}

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		panic(fmt.Sprintf("pgcatalog: %q is no number", s))
	}
	return n
}

func (r *relation) addColumn(line string) {
	name, typ, _ := strings.Cut(line, " ")
	typ, notNull := strings.CutSuffix(typ, " not null")
	t, ok := row.TypeByName(typ)
	if !ok {
		t = row.T(row.Text) // inet, pg_lsn, pg_statistic's types: we have no values of them
	}
	r.column[name] = len(r.Columns)
	r.Columns = append(r.Columns, catalog.Column{Name: name, Type: t, NotNull: notNull})
}

// Relations are all system relations, with PostgreSQL's OIDs.
func Relations() []*catalog.Relation {
	out := make([]*catalog.Relation, len(relations))
	for i, r := range relations {
		out[i] = r.Relation
	}
	return out
}
