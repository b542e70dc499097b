package parse

import (
	"errors"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
)

// bombs end the process when they reach the C parser.
func bombs() map[string]string {
	const n = 64000
	r := strings.Repeat
	return map[string]string{
		"plus":     "SELECT 1" + r("+1", n),
		"brackets": "SELECT " + r("(", n) + "1" + r(")", n),
		"not":      "SELECT " + r("NOT ", n) + "true",
		"casts":    "SELECT 1" + r("::int", n),
		"minus":    "SELECT " + r("- ", n) + "1",
		"minus2":   "SELECT " + r("-\n", n) + "1",
		"tilde":    "SELECT " + r("~ ", n) + "1",
		"arrays":   "SELECT " + r("ARRAY[", n) + "1" + r("]", n),
		"nested":   "SELECT " + r("[", n) + "1" + r("]", n),
		"case":     "SELECT " + r("CASE WHEN true THEN 1 ELSE ", n) + "1" + r(" END", n),
		"case2":    "SELECT " + r("CASE ", n) + "1" + r(" WHEN 1 THEN 1 END", n),
		"and":      "SELECT true" + r(" AND true", n),
		"or":       "SELECT true" + r(" or true", n),
		"union":    "SELECT 1" + r(" UNION SELECT 1", n),
		"joins":    "SELECT * FROM a" + r(" NATURAL JOIN a", n),
		"isnull":   "SELECT 1" + r(" ISNULL", n),
		"is":       "SELECT 1" + r(" IS NULL", n),
		"collate":  "SELECT 'a'" + r(" COLLATE \"C\"", n),
		"at":       "SELECT now()" + r(" AT TIME ZONE 'UTC'", n),
		"concat":   "SELECT 'a'" + r("||'a'", n),
		"calls":    "SELECT " + r("f(", n) + "1" + r(")", n),
		"selects":  r("SELECT (", n) + "1" + r(")", n),
		"product":  "SELECT " + r("(", 400) + "1" + r(r("+1", 300)+")", 400),
		"operator": "SELECT 1" + r(" OPERATOR(pg_catalog.+) 1", n),
		"between":  "SELECT 1" + r(" BETWEEN 1 AND 2", n),
		"like":     "SELECT 'a'" + r(" LIKE 'a'", n),
		"escaped":  `SELECT E'\''` + r("+1", n),
		"dollar":   "SELECT $a$ ' $a$" + r("+1", n),
		"comment":  "SELECT 1 /* ' */" + r("+1", n),
		"nestcom":  "SELECT 1 /* /* */ ' */" + r("+1", n),
		"continue": "SELECT E'a'\n'\\''" + r("+1", n),
		"quoted":   `SELECT "'"` + r("+1", n),
		"explain":  r("EXPLAIN ", n) + "SELECT 1",
	}
}

func TestBombsAreRefused(t *testing.T) {
	for name, sql := range bombs() {
		_, err := Parse(sql)
		var e *errs.Error
		if !errors.As(err, &e) || e.State != "54001" {
			t.Errorf("%s: %.80v, want SQLSTATE 54001", name, err)
		}
	}
}

func TestLongButFlatTextsPass(t *testing.T) {
	r := strings.Repeat
	for name, sql := range map[string]string{
		"values":   "INSERT INTO t VALUES (1,-2,'a+b')" + r(",(1,-2,'a+b')", 20000),
		"in":       "SELECT 1 WHERE 1 IN (1" + r(",-1", 20000) + ")",
		"or":       "SELECT 1 WHERE a=1" + r(" OR a=1", 1300),
		"string":   "SELECT '" + r("+(", 100000) + "'",
		"estring":  "SELECT E'" + r(`\'(`, 100000) + "'",
		"dollar":   "SELECT $q$" + r("((+1", 100000) + "$q$",
		"comment":  "SELECT 1 --" + r("((+1", 100000) + "\n",
		"columns":  "SELECT a+b" + r(",a+b", 5000) + " FROM t",
		"many":     r("SELECT 1+1;", 5000),
		"brackets": "SELECT " + r("(", 400) + "1" + r(")", 400),
		"array":    "SELECT " + r("ARRAY[", 5) + "1" + r("]", 5),
	} {
		if _, err := Parse(sql); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDeepestAllowed puts shapes at the limit through the C code: what Check lets pass must not end the process.
func TestDeepestAllowed(t *testing.T) {
	r := strings.Repeat
	for _, sql := range []string{
		"SELECT 1" + r("+1", 3990),
		"SELECT " + r("NOT ", 3990) + "true",
		"SELECT 1" + r("::int", 1990),
		"SELECT " + r("- ", 3990) + "1",
		"SELECT " + r("(SELECT ", 490) + "1" + r(")", 490),
		"SELECT " + r("f(", 490) + "1" + r(")", 490),
		"SELECT * FROM " + r("(SELECT * FROM ", 490) + "t" + r(") x", 490),
		"SELECT " + r("CASE WHEN true THEN 1 ELSE ", 1990) + "1" + r(" END", 1990),
		"SELECT " + r("CASE ", 3990) + "1" + r(" WHEN 1 THEN 1 END", 3990),
		"SELECT 1" + r(" UNION SELECT 1", 1990),
		"SELECT " + r("(", 400) + "1" + r("+1+1+1+1+1+1+1+1)", 400),
		"SELECT " + r("(SELECT 1+1+1+1+1+1+1+", 490) + "1" + r(")", 490),
		"SELECT " + r("ROW(1,", 490) + "1" + r(")", 490),
		"SELECT * FROM a" + r(" NATURAL JOIN a", 3990),
		"WITH " + r("a AS (WITH ", 400) + "b AS (SELECT 1) SELECT 1" + r(") SELECT 1", 400),
		"SELECT 1" + r(" IN (SELECT 1", 490) + r(")", 490),
	} {
		if _, err := Parse(sql); err != nil {
			var e *errs.Error
			if !errors.As(err, &e) || e.State != "54001" && e.State != "42601" {
				t.Errorf("%.60s…: %v", sql, err)
			}
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct {
		sql, message string
		position     int
	}{
		{"SELEC 1", `syntax error at or near "SELEC"`, 1},
		{"SELECT 'é', FROM t", `syntax error at or near "FROM"`, 13},
		{"SELECT", "", 0}, // PostgreSQL allows it
		{"SELECT (", "syntax error at end of input", 9},
		{"SELECT 'abc", `unterminated quoted string at or near "'abc"`, 8},
		{"SELECT 1; SELECT 2 2", `syntax error at or near "2"`, 20},
	} {
		_, err := Parse(c.sql)
		if c.message == "" {
			if err != nil {
				t.Errorf("%s: %v", c.sql, err)
			}
			continue
		}
		var e *errs.Error
		if !errors.As(err, &e) || e.State != "42601" || e.Message != c.message || e.Position != c.position {
			t.Errorf("%s: %+v, want %s at %d", c.sql, e, c.message, c.position)
		}
	}
}

func TestSplit(t *testing.T) {
	stmts, err := Parse("  SELECT 1 ; /* x */ SELECT ';' -- ;\n;; COMMIT;  -- end")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range stmts {
		got = append(got, s.Text())
	}
	if want := "SELECT 1|SELECT ';'|COMMIT"; strings.Join(got, "|") != want {
		t.Errorf("%q, want %q", strings.Join(got, "|"), want)
	}
	if stmts[0].EndsBlock() || !stmts[2].EndsBlock() {
		t.Error("EndsBlock")
	}
	if stmts, err = Parse(" -- nothing\n ; "); err != nil || len(stmts) != 0 {
		t.Errorf("an empty text: %v %v", stmts, err)
	}
}

func TestReplaceMaterializedView(t *testing.T) {
	stmts, err := Parse("select 1; CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT 'or replace'; CREATE OR REPLACE VIEW w AS SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	if stmts[0].Replace || !stmts[1].Replace || stmts[2].Replace {
		t.Errorf("%v %v %v", stmts[0].Replace, stmts[1].Replace, stmts[2].Replace)
	}
	if !strings.HasPrefix(stmts[1].Text(), "CREATE OR REPLACE MAT") {
		t.Error(stmts[1].Text())
	}
	if !stmts[2].Tree.GetViewStmt().Replace {
		t.Error("the view lost its OR REPLACE")
	}
}

func TestFingerprint(t *testing.T) {
	a := Fingerprint("SELECT  a, 'X' /* c */ FROM \"T\" -- end")
	if b := Fingerprint("select A , 'X'\nfrom \"T\""); a != b {
		t.Errorf("%q and %q", a, b)
	}
	if b := Fingerprint("select a, 'x' from \"T\""); a == b {
		t.Error("literals of different case met")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"SELECT 1", "SELECT $a$x$a$, E'\\'', U&'\\0041', b'1', x'f' /* /* */ */ -- c\n",
		"CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT 1", "select 'a'\n'b'", "select 1..2, .5e-3, a[1:2]", "((((", "'", "$$", "select 1 <-- c\n 2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// Properties: the process lives; statements lie in order inside the text; what parses parses alone as well, and
		// the fingerprint of a statement that parses is one that parses.
		stmts, err := Parse(s)
		if err != nil {
			return
		}
		at := 0
		for _, st := range stmts {
			if st.Offset < at || st.End < st.Offset || st.End > len(s) {
				t.Fatalf("statement at %d..%d of %d", st.Offset, st.End, len(s))
			}
			at = st.End
			if one, err := Parse(st.Text()); err != nil || len(one) != 1 {
				t.Fatalf("%q alone: %d statements, %v", st.Text(), len(one), err)
			}
			if _, err := pg.Parse(Fingerprint(strings.ReplaceAll(st.Text(), "\x00", ""))); err != nil && !st.Replace && !strings.Contains(st.Text(), "'") {
				t.Fatalf("fingerprint %q: %v", Fingerprint(st.Text()), err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	const sql = "SELECT a, b FROM t JOIN u USING (id) WHERE t.x = $1 AND u.y > 5 ORDER BY 1 LIMIT 10"
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			_ = Check(sql)
		}
	})
	b.Run("protobuf", func(b *testing.B) {
		for b.Loop() {
			_, _ = Parse(sql)
		}
	})
	b.Run("json", func(b *testing.B) {
		for b.Loop() {
			_, _ = pg.ParseToJSON(sql) // without decoding it
		}
	})
	b.Run("fingerprint", func(b *testing.B) {
		for b.Loop() {
			_ = Fingerprint(sql)
		}
	})
}
