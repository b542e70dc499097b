package pgcatalog

import "testing"

// BenchmarkRows scans the relations that clients read most.
func BenchmarkRows(b *testing.B) {
	s := sample(b)
	for _, name := range []string{"pg_class", "pg_attribute", "pg_type", "pg_proc", "pg_namespace", "pg_constraint", "pg_settings"} {
		benchmarkRows(b, s, "pg_catalog", name)
	}
	for _, name := range []string{"tables", "columns", "routines", "parameters"} {
		benchmarkRows(b, s, "information_schema", name)
	}
}

func benchmarkRows(b *testing.B, s Session, schema, name string) {
	rel, _ := s.Snapshot().Lookup(schema, name)
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := Rows(s, rel); err != nil {
				b.Fatal(err)
			}
		}
	})
}
