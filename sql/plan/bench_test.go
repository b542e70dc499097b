package plan_test

import (
	"testing"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

func benchCatalog(b *testing.B) *catalog.Snapshot {
	c := catalog.New()
	column := func(name string) catalog.Column { return catalog.Column{Name: name, Type: row.T(row.Int4)} }
	for i, r := range []*catalog.Relation{
		{Schema: "public", Name: "accounts", Kind: catalog.Table, Key: []int{0}, Columns: []catalog.Column{column("aid"), column("bid"), column("abalance")}},
		{Schema: "public", Name: "branches", Kind: catalog.Table, Key: []int{0}, Columns: []catalog.Column{column("bid"), column("bbalance")}},
	} {
		r.ID, r.Version = delta.RelationID(20000+i), 1
		if _, _, err := c.Apply(&catalog.Record{ID: r.ID, Version: 1, Relation: r}, log.Position{Sequence: uint64(i + 1)}); err != nil {
			b.Fatal(err)
		}
	}
	return c.Current()
}

// BenchmarkAnalyze is what a statement costs that was not prepared, after its parse.
func BenchmarkAnalyze(b *testing.B) {
	o := plan.Options{Catalog: benchCatalog(b), SearchPath: []string{"public"}}
	for name, sql := range map[string]string{
		"point": "select abalance from accounts where aid = $1",
		"join": `select a.aid, b.bid, sum(a.abalance) from accounts a join branches b on b.bid = a.bid
			where a.aid between 1 and 100 and exists (select 1 from accounts x where x.bid = b.bid) group by a.aid, b.bid order by 3 desc limit 10`,
	} {
		sts, err := parse.Parse(sql)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s, _, err := plan.Analyze(sts[0], o)
				if err != nil {
					b.Fatal(err)
				}
				plan.Optimize(s.(*plan.Select).Query)
			}
		})
	}
}
