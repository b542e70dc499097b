package pgcatalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/row"
)

// exempt are references that cannot hold: what they name has no counterpart here.
var exempt = map[string]string{
	"pg_am.amhandler":         "columnar has no handler function",
	"pg_aggregate.aggtransfn": "an aggregate's state is not kept by a function of SQL",
}

// TestReferences holds every OID against the relation that PostgreSQL says it refers to.
func TestReferences(t *testing.T) {
	s := sample(t)
	rows := map[string][]map[string]row.Value{}
	read := func(name string) []map[string]row.Value {
		if _, ok := rows[name]; !ok {
			rows[name] = table(t, s, "pg_catalog", name)
		}
		return rows[name]
	}
	for _, line := range lines(t, `select concat_ws(' ', fktable, array_to_string(fkcols,','), pktable, array_to_string(pkcols,','), is_array, is_opt)
		from pg_get_catalog_foreign_keys()`) {
		f := strings.Fields(line)
		checkReference(t, read, f[0], strings.Split(f[1], ","), f[2], strings.Split(f[3], ","), f[4] == "t", f[5] == "t")
	}
}

func checkReference(t *testing.T, read func(string) []map[string]row.Value, from string, columns []string, to string, keys []string, array, optional bool) {
	known := map[string]bool{}
	for _, r := range read(to) {
		known[joined(r, keys)] = true
	}
	for _, r := range read(from) {
		var refs []string
		if last := columns[len(columns)-1]; array {
			for _, x := range r[last].List() {
				refs = append(refs, joinedWith(r, columns[:len(columns)-1], x))
			}
		} else if !r[last].IsNull() {
			refs = append(refs, joined(r, columns))
		}
		for _, ref := range refs {
			none := slices.Contains(strings.Split(ref, " "), "0")
			if known[ref] || optional && none || exempt[from+"."+columns[0]] != "" && none {
				continue
			}
			t.Errorf("%s.%v refers to %s.%v = %s, which is not there: %s", from, columns, to, keys, ref, r[nameColumn(r)].Str())
			return
		}
	}
}

func nameColumn(r map[string]row.Value) string {
	for k := range r {
		if strings.HasSuffix(k, "name") {
			return k
		}
	}
	return ""
}

func joined(r map[string]row.Value, columns []string) string {
	var out []string
	for _, c := range columns {
		out = append(out, fmt.Sprint(r[c].Int()))
	}
	return strings.Join(out, " ")
}

func joinedWith(r map[string]row.Value, columns []string, last row.Value) string {
	return strings.TrimSpace(joined(r, columns) + " " + fmt.Sprint(last.Int()))
}

// TestUniqueKeys holds OIDs, and names where PostgreSQL has them unique, to be unique.
func TestUniqueKeys(t *testing.T) {
	s := sample(t)
	for _, line := range lines(t, `select c.relname||' '||string_agg(a.attname::text, ',' order by k.n) from pg_index i
		join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'pg_catalog'
		cross join lateral unnest(i.indkey::int2[]) with ordinality k(att, n) join pg_attribute a on a.attrelid = c.oid and a.attnum = k.att
		where i.indisunique and i.indpred is null and c.relkind = 'r' group by i.indexrelid, c.relname`) {
		name, columns, _ := strings.Cut(line, " ")
		seen := map[string]bool{}
		for _, r := range table(t, s, "pg_catalog", name) {
			var key []string
			for _, c := range strings.Split(columns, ",") {
				key = append(key, fmt.Sprint(r[c]))
			}
			k := strings.Join(key, "\x00")
			if seen[k] {
				t.Errorf("%s(%s) has %s twice", name, columns, strings.ReplaceAll(k, "\x00", ", "))
				break
			}
			seen[k] = true
		}
	}
}
