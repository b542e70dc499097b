package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/views/catalog"
)

// database is a catalog that DDL statements change, as a session would.
type database struct {
	snap *catalog.Snapshot
	next delta.RelationID
}

func newDatabase() *database {
	return &database{snap: catalog.New().Current(), next: catalog.FirstID}
}

func (d *database) id() delta.RelationID {
	d.next++
	return d.next - 1
}

func (d *database) analyze(sql string) (Statement, []row.Type, error) {
	list, err := parse.Parse(sql)
	if err != nil {
		return nil, nil, err
	}
	if len(list) != 1 {
		return nil, nil, fmt.Errorf("%d statements", len(list))
	}
	return Analyze(list[0], Options{Catalog: d.snap, SearchPath: []string{"public"}})
}

// define runs a DDL statement.
func (d *database) define(t testing.TB, sql string) {
	t.Helper()
	st, _, err := d.analyze(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	r := &catalog.Record{}
	switch st := st.(type) {
	case *CreateRelation:
		st.Relation.ID = d.id()
		for i := range st.Relation.ForeignKeys {
			if fk := &st.Relation.ForeignKeys[i]; fk.Table == 0 {
				fk.Table = st.Relation.ID
			}
		}
		r.ID, r.Relation = st.Relation.ID, st.Relation
	case *Alter:
		r.ID, r.Relation = st.Old.ID, st.New
	case *CreateIndex:
		next := copyOf(st.Table)
		st.Index.ID = d.id()
		next.Indexes = append(next.Indexes, st.Index)
		r.ID, r.Relation = next.ID, next
	case *CreateSchema:
		r.ID = d.id()
		r.Namespace = &catalog.Namespace{ID: r.ID, Name: st.Name}
	default:
		t.Fatalf("%s: a %T", sql, st)
	}
	r.Version = d.snap.Version(r.ID) + 1
	next, err := d.snap.With(r)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	d.snap = next
}

// TestStatementsAgainstPostgres compares each statement's outcome: for an error SQLSTATE, position, message, detail and
// hint; for a query or write the parameters and the columns that it returns; for DDL the relation that it makes. Lines that
// begin with = are set-up for those below. Lines that begin with ! differ on purpose: what we say stands after =>.
func TestStatementsAgainstPostgres(t *testing.T) {
	conn := connect(t)
	ours := newDatabase()
	if _, err := conn.Exec(context.Background(), "DROP SCHEMA IF EXISTS public CASCADE; DROP SCHEMA IF EXISTS other CASCADE; CREATE SCHEMA public"); err != nil {
		t.Fatal(err)
	}
	n := 0
	lines(t, "testdata/statements.txt", func(text string, differs bool) {
		n++
		if sql, ok := strings.CutPrefix(text, "= "); ok {
			ours.define(t, sql)
			if sql, _, _ := strings.Cut(sql, " WITH (append_only"); sql != "" {
				if _, err := conn.Exec(context.Background(), sql); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
			return
		}
		sql, only, _ := strings.Cut(text, " => ")
		got := ours.outcome(sql)
		want := only
		if only == "" {
			want = postgresOutcome(conn, sql)
		}
		if only == "" && got == "ALTER TABLE" { // there was nothing to do
			want = want[:min(len(want), len(got))]
		}
		if differs != (only != "") {
			t.Errorf("%s: ! and => stand together", sql)
		}
		if got != want {
			t.Errorf("%s\n   ours     %s\n   wanted   %s", sql, got, want)
		}
	})
	if n < 250 {
		t.Errorf("only %d statements", n)
	}
}

func errorText(state string, position int, message, detail, hint string) string {
	s := fmt.Sprintf("ERROR %s at %d: %s", state, position, message)
	if detail != "" {
		s += " | " + detail
	}
	if hint != "" {
		s += " | " + hint
	}
	return strings.ReplaceAll(s, "\n", "; ")
}

func (d *database) outcome(sql string) string {
	st, params, err := d.analyze(sql)
	var e *errs.Error
	if errors.As(err, &e) {
		return errorText(e.State, e.Position, e.Message, e.Detail, e.Hint)
	}
	if err != nil {
		return err.Error()
	}
	switch st := st.(type) {
	case *Select:
		return queryText("SELECT", params, st.Query.Columns())
	case *Insert:
		return queryText("INSERT", params, st.ReturningCols)
	case *Update:
		return queryText("UPDATE", params, st.ReturningCols)
	case *Delete:
		return queryText("DELETE", params, st.ReturningCols)
	case *CreateRelation:
		if old, ok := d.snap.Lookup(st.Relation.Schema, st.Relation.Name); ok && (st.IfNotExists || st.Replace) && !st.Replace {
			return st.Tag() + " " + describe(old)
		}
		return strings.Replace(st.Tag(), "SELECT", "CREATE TABLE AS", 1) + " " + describe(st.Relation)
	case *Alter:
		return st.Tag() + " " + describe(st.New)
	case *CreateIndex:
		next := copyOf(st.Table)
		next.Indexes = append(next.Indexes, st.Index)
		return st.Tag() + " " + describe(next)
	}
	return st.Tag()
}

func queryText(tag string, params []row.Type, cols []Column) string {
	s := tag
	for _, p := range params {
		s += " $" + row.T(p.OID).String()
	}
	for _, c := range cols {
		s += " " + c.Name + ":" + c.Type.String()
	}
	return s
}

// describe is a relation as postgresRelation prints it.
func describe(r *catalog.Relation) string {
	var parts []string
	for _, c := range r.Columns {
		if c.Hidden {
			continue
		}
		s := c.Name + " " + c.Type.String()
		if c.NotNull {
			s += " not null"
		}
		if c.Default != "" {
			s += " default"
		}
		parts = append(parts, s)
	}
	names := func(at []int) string {
		var out []string
		for _, i := range at {
			out = append(out, r.Columns[i].Name)
		}
		return strings.Join(out, ",")
	}
	var cons []string
	if r.Kind == catalog.Table && !hiddenKey(r) {
		cons = append(cons, "p "+r.KeyName+"("+names(r.Key)+")")
	}
	for _, x := range r.Indexes {
		kind := "i"
		if x.Unique {
			kind = "ui"
		}
		if x.Constraint {
			kind = "u"
		}
		cons = append(cons, kind+" "+x.Name+"("+names(x.Columns)+")")
	}
	for _, c := range r.Checks {
		cons = append(cons, "c "+c.Name)
	}
	for _, f := range r.ForeignKeys {
		cons = append(cons, "f "+f.Name+"("+names(f.Columns)+")")
	}
	slices.Sort(cons)
	return strings.Join(append(parts, cons...), "; ")
}

// postgresOutcome is what PostgreSQL says to a statement, which leaves nothing behind.
func postgresOutcome(conn *pgx.Conn, sql string) string {
	ctx := context.Background()
	first := strings.ToUpper(strings.Fields(sql)[0])
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if into := strings.Contains(sql, " INTO "); slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES", "TABLE"}, first) &&
		!(into && first == "SELECT") {
		st, err := conn.PgConn().Prepare(ctx, "", sql, nil)
		if err != nil {
			return postgresError(err)
		}
		if len(st.ParamOIDs) == 0 { // some errors come from the planner
			if _, err := tx.Exec(ctx, "EXPLAIN "+sql); err != nil {
				return postgresError(err)
			}
		}
		s := mainWord(sql)
		for _, p := range st.ParamOIDs {
			s += " $" + row.T(row.OID(p)).String()
		}
		for _, f := range st.Fields {
			s += " " + f.Name + ":" + row.T(row.OID(f.DataTypeOID)).WithTypMod(f.TypeModifier).String()
		}
		return s
	}
	tag, err := tx.Exec(ctx, sql)
	if err != nil {
		return postgresError(err)
	}
	word := strings.TrimRight(tag.String(), "0123456789 ")
	if word == "SELECT" {
		word = "CREATE TABLE AS"
		if strings.HasPrefix(sql, "CREATE MATERIALIZED VIEW") {
			word = "CREATE MATERIALIZED VIEW"
		}
	}
	if oid := postgresTarget(ctx, tx, sql); oid != 0 {
		text, err := postgresRelation(ctx, tx, oid)
		if err != nil {
			return err.Error()
		}
		return word + " " + text
	}
	return word
}

// mainWord is the first word of a statement behind its WITH.
func mainWord(sql string) string {
	depth := 0
	for _, w := range strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(strings.ToUpper(sql))) {
		switch w {
		case "(":
			depth++
		case ")":
			depth--
		case "INSERT", "UPDATE", "DELETE", "SELECT":
			if depth == 0 {
				return w
			}
		}
	}
	return "SELECT"
}

func postgresError(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return errorText(e.Code, int(e.Position), e.Message, e.Detail, e.Hint)
	}
	return err.Error()
}

// postgresTarget is the relation that a CREATE or ALTER changed: the one whose catalog rows are this transaction's, an
// index's table for an index.
func postgresTarget(ctx context.Context, tx pgx.Tx, sql string) uint32 {
	fields := strings.Fields(strings.ToUpper(sql))
	if fields[0] != "CREATE" && fields[0] != "ALTER" && fields[0] != "SELECT" || slices.Contains(fields[:2], "SCHEMA") {
		return 0
	}
	var oid uint32
	err := tx.QueryRow(ctx, `SELECT coalesce((SELECT max(attrelid::oid::int8) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
		WHERE a.xmin = pg_current_xact_id()::xid AND relkind IN ('r','v','m')),
		(SELECT max(conrelid::int8) FROM pg_constraint WHERE xmin = pg_current_xact_id()::xid),
		(SELECT max(indrelid::int8) FROM pg_index WHERE xmin = pg_current_xact_id()::xid),
		(SELECT max(coalesce(indrelid, c.oid)::int8) FROM pg_class c LEFT JOIN pg_index i ON indexrelid = c.oid WHERE c.xmin = pg_current_xact_id()::xid), 0)::int8::oid`).Scan(&oid)
	if err != nil {
		return 0
	}
	if oid == 0 && strings.Contains(sql, " DROP ") {
		_ = tx.QueryRow(ctx, "SELECT to_regclass($1)::oid", strings.Fields(sql)[2]).Scan(&oid)
	}
	return oid
}

func postgresRelation(ctx context.Context, tx pgx.Tx, oid uint32) (string, error) {
	var cols, cons string
	err := tx.QueryRow(ctx, `SELECT coalesce(string_agg(attname || ' ' || format_type(atttypid, atttypmod) ||
		CASE WHEN attnotnull THEN ' not null' ELSE '' END || CASE WHEN atthasdef THEN ' default' ELSE '' END, '; ' ORDER BY attnum), '')
		FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped`, oid).Scan(&cols)
	if err != nil {
		return "", err
	}
	err = tx.QueryRow(ctx, `SELECT coalesce(string_agg(d, '; ' ORDER BY d COLLATE "C"), '') FROM (
		SELECT contype::text || ' ' || conname || CASE WHEN contype = 'c' THEN '' ELSE '(' || (SELECT string_agg(attname, ',' ORDER BY n)
			FROM unnest(conkey) WITH ORDINALITY k(att, n) JOIN pg_attribute ON attrelid = conrelid AND attnum = att) || ')' END
		FROM pg_constraint WHERE conrelid = $1
		UNION ALL
		SELECT CASE WHEN indisunique THEN 'ui ' ELSE 'i ' END || relname || '(' || (SELECT string_agg(attname, ',' ORDER BY n)
			FROM unnest(indkey) WITH ORDINALITY k(att, n) JOIN pg_attribute ON attrelid = indrelid AND attnum = att) || ')'
		FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = $1
			AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype <> 'f')) x(d)`, oid).Scan(&cons)
	if cons != "" {
		cols += "; " + cons
	}
	return cols, err
}

// TestViewText: a view's text means the same under any search path, and after columns were added.
func TestViewText(t *testing.T) {
	d := newDatabase()
	for _, sql := range []string{"CREATE SCHEMA other", "CREATE TABLE t (id int PRIMARY KEY, \"odd Name\" text)", "CREATE TABLE u (id int, x int)",
		"CREATE TABLE other.o (id int)", "CREATE VIEW v AS SELECT id FROM t"} {
		d.define(t, sql)
	}
	for _, c := range []struct{ sql, text, reads string }{
		{"CREATE VIEW w AS SELECT id FROM t", "SELECT id FROM public.t", "t"},
		{"CREATE VIEW w AS (SELECT id FROM t)", "(SELECT id FROM public.t)", "t"},
		{"CREATE VIEW w (a) AS SELECT id AS x FROM public.t AS q -- end", "SELECT id AS x FROM public.t AS q", "t"},
		{"CREATE VIEW w AS SELECT * FROM t", `SELECT t.id, t."odd Name" FROM public.t`, "t"},
		{"CREATE VIEW w AS SELECT q.*, 1 AS one FROM t q", `SELECT q.id, q."odd Name", 1 AS one FROM public.t q`, "t"},
		{"CREATE VIEW w AS SELECT \"odd Name\", t . * FROM t", "", "t"},
		{"CREATE VIEW w AS SELECT * FROM t JOIN u USING (id)", `SELECT t.id, t."odd Name", u.x FROM public.t JOIN public.u USING (id)`, "t u"},
		{"CREATE VIEW w AS SELECT j.* FROM (t JOIN u USING (id)) j", `SELECT j.id, j."odd Name", j.x FROM (public.t JOIN public.u USING (id)) j`, "t u"},
		{"CREATE VIEW w AS WITH t AS (SELECT * FROM u) SELECT * FROM t", "WITH t AS (SELECT u.id, u.x FROM public.u) SELECT t.id, t.x FROM t", "u"},
		{"CREATE VIEW w AS WITH t AS (SELECT id FROM t) SELECT id FROM t", "WITH t AS (SELECT id FROM public.t) SELECT id FROM t", "t"},
		{"CREATE VIEW w AS WITH RECURSIVE u AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM u WHERE n < 5) SELECT n FROM u",
			"WITH RECURSIVE u AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM u WHERE n < 5) SELECT n FROM u", ""},
		{"CREATE VIEW w AS SELECT id FROM v WHERE id IN (SELECT id FROM other.o)", "SELECT id FROM public.v WHERE id IN (SELECT id FROM other.o)", "o v t"},
		{"CREATE VIEW w AS SELECT x FROM u WHERE x IN (SELECT id FROM v)", "SELECT x FROM public.u WHERE x IN (SELECT id FROM public.v)", "t u v"},
		{"CREATE VIEW w AS SELECT count(*) AS n FROM t", "SELECT count(*) AS n FROM public.t", "t"},
		{"CREATE VIEW w AS SELECT id FROM t UNION ALL SELECT x FROM u", "SELECT id FROM public.t UNION ALL SELECT x FROM public.u", "t u"},
		{"CREATE MATERIALIZED VIEW w AS SELECT id, count(*) AS n FROM u GROUP BY id WITH DATA", "SELECT id, count(*) AS n FROM public.u GROUP BY id", "u"},
		{"CREATE MATERIALIZED VIEW w WITH (retention = '1 day') AS SELECT x AS é, 'as' AS b FROM u", "SELECT x AS é, 'as' AS b FROM public.u", "u"},
		{"CREATE OR REPLACE MATERIALIZED VIEW w AS SELECT id FROM u", "SELECT id FROM public.u", "u"},
	} {
		st, _, err := d.analyze(c.sql)
		if err != nil && c.text == "" {
			continue // two columns of one name
		}
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		rel := st.(*CreateRelation).Relation
		var reads []string
		for _, id := range rel.DependsOn {
			r, _ := d.snap.ByID(id)
			reads = append(reads, r.Name)
		}
		slices.Sort(reads)
		want := strings.Fields(c.reads)
		slices.Sort(want)
		if rel.Query != c.text || !slices.Equal(reads, want) {
			t.Errorf("%s\n   text   %s\n   wanted %s\n   reads %s", c.sql, rel.Query, c.text, reads)
		}
		if _, _, err := d.analyze(rel.Query); err != nil {
			t.Errorf("%s: its text: %v", c.sql, err)
		}
	}
}

// TestDefaultsAndChecks: what the catalog keeps of them can be read again.
func TestDefaultsAndChecks(t *testing.T) {
	d := newDatabase()
	d.define(t, `CREATE TABLE t (a int DEFAULT 1 + 2 * 3, b text DEFAULT 'it''s', c numeric(5,2) DEFAULT 1, d timestamptz DEFAULT now(),
		e uuid DEFAULT gen_random_uuid(), f int DEFAULT NULL, g varchar(3) DEFAULT 'ab', h int[] DEFAULT '{1,2}', i timestamptz DEFAULT CURRENT_TIMESTAMP,
		j bool DEFAULT (true AND NOT false), CHECK (a + 1 > 0 AND (a < 5 OR a = 7) AND NOT a IN (3, 4)), CHECK (b LIKE 'x%' AND b || g <> '' IS NOT NULL),
		CHECK (c BETWEEN -1 AND 1000), CHECK (d > '2000-01-01'::timestamptz), CHECK (CASE WHEN a > 1 THEN b = 'x' ELSE b IS NULL END))`)
	rel, _ := d.snap.Lookup("public", "t")
	for i, want := range []struct{ text, value string }{{"1 + (2 * 3)", "7"}, {"'it''s'", "it's"}, {"1", "1.00"}, {"now()", ""},
		{"gen_random_uuid()", ""}, {"", ""}, {"'ab'", "ab"}, {"'{1,2}'", "{1,2}"}, {"current_timestamp", ""}, {"true AND NOT false", "t"},
		{"gen_random_uuid()", ""}} {
		c := rel.Columns[i]
		value := ""
		if c.Const != nil {
			value = *c.Const
		}
		if strings.NewReplacer("(", "", ")", "").Replace(c.Default) != strings.NewReplacer("(", "", ")", "").Replace(want.text) || value != want.value {
			t.Errorf("%s: default %q = %q, wanted %q = %q", c.Name, c.Default, value, want.text, want.value)
		}
	}
	if last := rel.Columns[len(rel.Columns)-1]; last.Name != "_rowid" || !last.Hidden || !slices.Equal(rel.Key, []int{len(rel.Columns) - 1}) {
		t.Errorf("no hidden key: %+v, key %v", last, rel.Key)
	}
	for _, c := range rel.Checks {
		if _, err := AnalyzeExpr(c.Expr, rel); err != nil {
			t.Errorf("check %s: %v", c.Expr, err)
		}
	}
	st, _, err := d.analyze("INSERT INTO t (a) VALUES (1)")
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range st.(*Insert).Defaults {
		if (e == nil) != (i == 0 || i == 5) {
			t.Errorf("default of column %d: %v", i, e)
		}
	}
}

// TestTruncateOrder: tables that refer to others are emptied before them.
func TestTruncateOrder(t *testing.T) {
	d := newDatabase()
	d.define(t, "CREATE TABLE p (id int PRIMARY KEY)")
	d.define(t, "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p)")
	d.define(t, "CREATE TABLE g (c int REFERENCES c)")
	st, _, err := d.analyze("TRUNCATE p CASCADE")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range st.(*Truncate).Tables {
		got = append(got, r.Name)
	}
	if !slices.Equal(got, []string{"g", "c", "p"}) {
		t.Error(got)
	}
}
