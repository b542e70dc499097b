package expr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// resolvable are the types whose calls are resolved here and in PostgreSQL.
var resolvable = []row.OID{row.Unknown, row.Bool, row.Int2, row.Int4, row.Int8, row.Float4, row.Float8, row.Numeric, row.Text, row.VarChar,
	row.BPChar, row.Name, row.Bytea, row.Date, row.Time, row.Timestamp, row.TimestampTZ, row.Interval, row.UUID, row.JSON, row.JSONB, row.Oid,
	row.RegClass, row.Char, 1007, 1009, row.OidVector}

func nullOf(t row.OID) string {
	if t == row.Unknown {
		return "NULL"
	}
	return "NULL::" + row.T(t).String()
}

func chosen(result row.Type, err error) string {
	var e *errs.Error
	switch {
	case errors.As(err, &e):
		return "ERROR " + e.State
	case err != nil:
		return err.Error()
	}
	return "=" + TypeName(result.OID)
}

// foreign reports whether an answer is about types that we do not have.
func foreign(answer string) bool {
	for _, t := range []string{"range", "point", "box", "path", "circle", "polygon", "lseg", "line", "inet", "cidr", "money", "bit", "tsvector", "tsquery", "macaddr", "xid8", "pg_lsn"} {
		if strings.Contains(answer, t) {
			return true
		}
	}
	return false
}

// TestResolutionAgainstPostgres compares the result types (or the refusal) of operators and functions over all pairs of
// types.
func TestResolutionAgainstPostgres(t *testing.T) {
	conn := connect(t)
	if _, err := conn.Exec(context.Background(), attempt); err != nil {
		t.Fatal(err)
	}
	var queries, ours []string
	add := func(query, our string) { queries, ours = append(queries, query), append(ours, our) }
	for _, op := range []string{"=", "<", "+", "-", "*", "/", "%", "||", "~~", "~", "->", "->>", "@>", "&", "^", "<<"} {
		for _, l := range resolvable {
			for _, r := range resolvable {
				_, _, ret, err := ResolveOperator(op, row.T(l), row.T(r))
				add(fmt.Sprintf("pg_typeof(%s %s %s)", nullOf(l), op, nullOf(r)), chosen(ret, err))
			}
		}
	}
	for _, op := range []string{"-", "+", "~", "@"} {
		for _, r := range resolvable {
			_, _, ret, err := ResolveOperator(op, row.Type{}, row.T(r))
			add(fmt.Sprintf("pg_typeof(%s %s)", op, nullOf(r)), chosen(ret, err))
		}
	}
	var names []string
	for name, list := range byName {
		if !list[0].IsOperator() && list[0].Kind == ScalarFunc && list[0].OID < firstOwnOID && skipped[name] == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, a := range resolvable {
			_, _, ret, err := Resolve(name, []row.Type{row.T(a)}, false)
			add(fmt.Sprintf("pg_typeof(pg_catalog.%q(%s))", name, nullOf(a)), chosen(ret, err))
			for _, b := range []row.OID{row.Unknown, row.Int4, row.Text, row.Float8} {
				_, _, ret, err := Resolve(name, []row.Type{row.T(a), row.T(b)}, false)
				add(fmt.Sprintf("pg_typeof(pg_catalog.%q(%s, %s))", name, nullOf(a), nullOf(b)), chosen(ret, err))
			}
		}
	}
	for _, a := range resolvable {
		for _, b := range resolvable {
			ret, err := CommonType([]row.Type{row.T(a), row.T(b)}, "COALESCE")
			add(fmt.Sprintf("pg_typeof(coalesce(%s, %s))", nullOf(a), nullOf(b)), chosen(ret, err))
		}
	}
	answers := ask(t, conn, queries)
	wrong := 0
	var differ []string
	for i := range queries {
		theirs := answers[i]
		if strings.HasPrefix(theirs, "ERROR ") {
			theirs = theirs[:11]
		}
		refused := strings.HasPrefix(ours[i], "ERROR 42") && strings.HasPrefix(theirs, "ERROR 42") // which of the refusals is no matter
		evaluated := strings.HasPrefix(theirs, "ERROR ") && !strings.HasPrefix(theirs, "ERROR 42")
		if ours[i] == theirs || refused || evaluated || foreign(theirs) {
			continue
		}
		wrong++
		differ = append(differ, fmt.Sprintf("%s: ours %s, theirs %s", queries[i], ours[i], answers[i]))
	}
	// What is left are overloads that we do not have: length(bytea, name), ltrim(bytea)...
	if t.Logf("%d calls, %d differ", len(queries), wrong); wrong > 16 {
		t.Errorf("%d differ:\n%s", wrong, strings.Join(differ, "\n"))
	}
}
