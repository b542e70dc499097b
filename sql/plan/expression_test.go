package plan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/views/catalog"
)

func connect(t testing.TB) *pgx.Conn {
	t.Helper()
	dsn := os.Getenv("MIRACLEDB_TEST_POSTGRES")
	if dsn == "" {
		dsn = testenv.Postgres(t)
	}
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// lines reads a testdata file: one case a line. Lines that start with # are comments, with ! cases in which we differ from
// PostgreSQL as the comment above them says.
func lines(t *testing.T, file string, visit func(line string, differs bool)) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		rest, differs := strings.CutPrefix(line, "! ")
		visit(rest, differs)
	}
}

// TestExpressionsAgainstPostgres compares name, type and value of expressions, or the error's SQLSTATE, message and
// position.
func TestExpressionsAgainstPostgres(t *testing.T) {
	conn := connect(t)
	if _, err := conn.Exec(context.Background(), "set timezone = 'Europe/Berlin'"); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	n := 0
	lines(t, "testdata/expressions.txt", func(text string, differs bool) {
		n++
		sql := "SELECT " + text
		want := postgresAnswer(conn, sql)
		got := ourAnswer(sql, now)
		if (got == want) == differs {
			t.Errorf("%s\n   ours     %s\n   postgres %s", sql, got, want)
		}
	})
	if n < 300 {
		t.Errorf("only %d expressions", n)
	}
}

// session is an Env that knows the names of a session.
type session struct{ expr.Env }

func (session) Database() string     { return "postgres" }
func (session) User() string         { return "postgres" }
func (session) SearchPath() []string { return []string{"public"} }
func (session) Describe(string, []row.Value) (row.Value, bool, error) {
	return row.Null, false, nil
}

// postgresAnswer is "name type = value" or "ERROR state position message".
func postgresAnswer(conn *pgx.Conn, sql string) string {
	results, err := conn.PgConn().Exec(context.Background(), sql).ReadAll()
	var e *pgconn.PgError
	switch {
	case errors.As(err, &e):
		return fmt.Sprintf("ERROR %s at %d: %s", e.Code, e.Position, e.Message)
	case err != nil:
		return err.Error()
	}
	f := results[0].FieldDescriptions[0]
	value := "NULL"
	if v := results[0].Rows[0][0]; v != nil {
		value = string(v)
	}
	return fmt.Sprintf("%s %s = %s", f.Name, row.T(row.OID(f.DataTypeOID)).WithTypMod(f.TypeModifier), value)
}

func ourAnswer(sql string, now time.Time) string {
	answer, err := evaluate(sql, now)
	var e *errs.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("ERROR %s at %d: %s", e.State, e.Position, e.Message)
	}
	if err != nil {
		return err.Error()
	}
	return answer
}

// evaluate computes the one column of "SELECT expression".
func evaluate(sql string, now time.Time) (string, error) {
	list, err := parse.Parse(sql)
	if err != nil {
		return "", err
	}
	target := list[0].Tree.GetSelectStmt().TargetList[0].GetResTarget()
	a := newAnalyzer(list[0], Options{Catalog: catalog.New().Current()})
	e, err := a.expression(nil, target.Val, inTarget)
	if err != nil {
		return "", err
	}
	e = a.settle(e)
	t := e.Type()
	if named(t.OID) || named(row.ElementOf(t.OID)) {
		e = &expr.Cast{Arg: e, To: row.T(row.Text), Context: expr.Explicit}
	}
	eval, err := expr.Compile(e)
	if err != nil {
		return "", err
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return "", err
	}
	v, err := eval(&expr.Ctx{Now: now, StatementTime: now, Location: berlin, Env: session{}}, nil)
	if err != nil {
		return "", err
	}
	value := "NULL"
	if !v.IsNull() {
		value = string(row.Format{Location: berlin, Now: now.UnixMicro()}.AppendText(nil, e.Type(), v))
	}
	return fmt.Sprintf("%s %s = %s", outputName(target.Val), t, value), nil
}

// TestDescribeAgainstPostgres compares what preparing a statement says: the types of its parameters and columns, or the
// error.
func TestDescribeAgainstPostgres(t *testing.T) {
	conn := connect(t)
	n := 0
	lines(t, "testdata/describe.txt", func(sql string, differs bool) {
		n++
		want := postgresDescription(conn, sql)
		got := ourDescription(sql)
		if (got == want) == differs {
			t.Errorf("%s\n   ours     %s\n   postgres %s", sql, got, want)
		}
	})
	if n < 200 {
		t.Errorf("only %d statements", n)
	}
}

func postgresDescription(conn *pgx.Conn, sql string) string {
	d, err := conn.PgConn().Prepare(context.Background(), "", sql, nil)
	var e *pgconn.PgError
	switch {
	case errors.As(err, &e):
		return fmt.Sprintf("ERROR %s at %d: %s", e.Code, e.Position, e.Message)
	case err != nil:
		return err.Error()
	}
	var out []string
	for _, p := range d.ParamOIDs {
		out = append(out, "$"+row.T(row.OID(p)).String())
	}
	for _, f := range d.Fields {
		out = append(out, f.Name+" "+row.T(row.OID(f.DataTypeOID)).WithTypMod(f.TypeModifier).String())
	}
	return strings.Join(out, ", ")
}

func ourDescription(sql string) string {
	answer, err := prepared(sql)
	var e *errs.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("ERROR %s at %d: %s", e.State, e.Position, e.Message)
	}
	if err != nil {
		return err.Error()
	}
	return answer
}

func prepared(sql string) (string, error) {
	list, err := parse.Parse(sql)
	if err != nil {
		return "", err
	}
	st, params, err := Analyze(list[0], Options{Catalog: catalog.New().Current(), SearchPath: []string{"public"}})
	if err != nil {
		return "", err
	}
	var out []string
	for _, p := range params {
		out = append(out, "$"+p.String())
	}
	for _, c := range st.(*Select).Query.Columns() {
		out = append(out, c.Name+" "+c.Type.String())
	}
	return strings.Join(out, ", "), nil
}
