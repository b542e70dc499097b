package pgcatalog

import (
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/views/catalog"
)

// sampleSession is a session over a snapshot.
type sampleSession struct{ snapshot *catalog.Snapshot }

func (s *sampleSession) Snapshot() *catalog.Snapshot { return s.snapshot }
func (s *sampleSession) User() string                { return "miracledb" }
func (s *sampleSession) Database() string            { return "miracledb" }
func (s *sampleSession) SearchPath() []string        { return []string{"public"} }
func (s *sampleSession) Settings() []Setting {
	return []Setting{{Name: "TimeZone", Value: "UTC", Default: "UTC"}, {Name: "work_mem", Value: "4096", Default: "4096"},
		{Name: "search_path", Value: `"$user", public`, Default: `"$user", public`}, {Name: "max_index_keys", Value: "32", Default: "32", Fixed: true},
		{Name: "server_version", Value: "15.8", Default: "15.8", Fixed: true},
		{Name: "miracledb.read", Value: "session", Default: "session", Description: "Which version statements read."}}
}
func (s *sampleSession) Activities() []Activity {
	return []Activity{{PID: 4711, User: "miracledb", Application: "psql", Remote: "127.0.0.1:50123", Started: time.Unix(1e9, 0),
		QueryStarted: time.Unix(1e9, 5), State: "active", Query: "select 1"}}
}
func (s *sampleSession) Stats(id delta.RelationID) (rows, bytes int64) {
	if id == 16384 {
		return 3, 4096
	}
	return 0, 0
}

// sample is a session over one relation of each kind: the tables of the captured statements (customers and orders), with
// the OIDs that those statements ask for.
func sample(t testing.TB) *sampleSession {
	t.Helper()
	text, ok := row.TypeByName("text")
	numeric, ok2 := row.TypeByName("numeric(10,2)")
	varchar, ok3 := row.TypeByName("varchar(40)")
	if !ok || !ok2 || !ok3 {
		t.Fatal("a type of the sample is not there")
	}
	one := "1"
	customers := &catalog.Relation{Schema: "public", Name: "customers", Kind: catalog.Table, Key: []int{0}, KeyName: "customers_pkey",
		KeyID: 16385, Comment: "who buys", TopicName: "customers", Columns: []catalog.Column{
			{Name: "id", Type: row.T(row.Int4), NotNull: true}, {Name: "name", Type: varchar, NotNull: true, Comment: "full name"},
			{Name: "email", Type: text}, {Name: "tags", Type: row.T(row.ArrayOf(row.Text))},
			{Name: "created", Type: row.T(row.TimestampTZ), Default: "now()"}},
		Indexes: []catalog.Index{{ID: 16386, Name: "customers_email_key", Columns: []int{2}, Unique: true, Constraint: true},
			{ID: 16387, Name: "customers_name_created", Columns: []int{1, 4}}}}
	orders := &catalog.Relation{Schema: "public", Name: "orders", Kind: catalog.Table, Key: []int{0}, KeyName: "orders_pkey", KeyID: 16396,
		TopicName: "orders", Options: map[string]string{"partitions": "4"}, Columns: []catalog.Column{
			{Name: "id", Type: row.T(row.Int8), NotNull: true}, {Name: "customer_id", Type: row.T(row.Int4), NotNull: true},
			{Name: "amount", Type: numeric, Default: "1", Const: &one}, {Name: "Odd Name", Type: row.T(row.JSONB)}},
		Checks:      []catalog.Check{{ID: 16397, Name: "orders_amount_check", Expr: "amount > 0"}},
		ForeignKeys: []catalog.ForeignKey{{ID: 16398, Name: "orders_customer_id_fkey", Columns: []int{1}, Table: 16384, Referred: []int{0}}}}
	clicks := &catalog.Relation{Schema: "public", Name: "clicks", Kind: catalog.Stream, TopicName: "clicks",
		Options: map[string]string{"append_only": "true", "event_time": "ts"},
		Columns: []catalog.Column{{Name: "ts", Type: row.T(row.TimestampTZ), NotNull: true}, {Name: "url", Type: text}}}
	keyless := &catalog.Relation{Schema: "shop", Name: "keyless", Kind: catalog.Table, Key: []int{0}, KeyName: "keyless_pkey", KeyID: 16431,
		Columns: []catalog.Column{{Name: "_rowid", Type: row.T(row.UUID), NotNull: true, Hidden: true}, {Name: "x", Type: row.T(row.Float8)}}}
	c := catalog.New(Relations()...)
	define := func(id delta.RelationID, r *catalog.Relation) {
		rec := &catalog.Record{ID: id, Version: 1, Relation: r}
		if r.TopicName != "" {
			rec.Topic = &log.TopicRecord{ID: log.TopicID{byte(id), byte(id >> 8)}.String(), Name: r.TopicName, Partitions: 1}
		}
		r.ID = id
		if _, _, err := c.Apply(rec, log.Position{Sequence: uint64(id)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := c.Apply(&catalog.Record{ID: 16430, Version: 1, Namespace: &catalog.Namespace{ID: 16430, Name: "shop"}}, log.Position{}); err != nil {
		t.Fatal(err)
	}
	define(16384, customers)
	define(16395, orders)
	define(16390, &catalog.Relation{Schema: "public", Name: "orders__rejected", Kind: catalog.Rejected, Columns: catalog.RejectedColumns,
		Key: catalog.RejectedKey, Of: 16395})
	define(16400, clicks)
	define(16411, &catalog.Relation{Schema: "public", Name: "v_orders", Kind: catalog.View, Query: "SELECT id FROM orders WHERE amount > 10",
		DependsOn: []delta.RelationID{16395}, Columns: orders.Columns[:1:1]})
	define(16415, &catalog.Relation{Schema: "public", Name: "totals", Kind: catalog.MaterializedView, Key: []int{0}, KeyID: 16416,
		Query: "SELECT customer_id, sum(amount) AS total FROM orders GROUP BY customer_id", DependsOn: []delta.RelationID{16395},
		Columns: []catalog.Column{{Name: "customer_id", Type: row.T(row.Int4)}, {Name: "total", Type: row.T(row.Numeric)}}})
	define(16420, &catalog.Relation{Schema: "public", Name: "sensors", Kind: catalog.Raw, TopicName: "sensors", Columns: catalog.RawColumns})
	define(16432, keyless)
	return &sampleSession{snapshot: c.Current()}
}

// table gives the rows of a system relation by column name.
func table(t testing.TB, s Session, schema, name string) []map[string]row.Value {
	t.Helper()
	rel, ok := s.Snapshot().Lookup(schema, name)
	if !ok {
		t.Fatalf("there is no %s.%s", schema, name)
	}
	rows, err := Rows(s, rel)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]map[string]row.Value, len(rows))
	for i, r := range rows {
		out[i] = map[string]row.Value{}
		for j, col := range rel.Columns {
			out[i][col.Name] = r[j]
		}
	}
	return out
}
