package plan

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/miracledb/miracledb/internal/errs"
)

// references finds where a parse tree names one of the queries of a WITH. f is called with the reference and the innermost
// construct around it that forbids recursion.
type references struct {
	names map[string]bool
	f     func(rv *pg.RangeVar, forbidden string)
}

// walk visits a message of the tree.
func (r *references) walk(m protoreflect.Message, forbidden string) {
	if !m.IsValid() {
		return
	}
	switch n := m.Interface().(type) {
	case *pg.RangeVar:
		if n.Schemaname == "" && r.names[n.Relname] {
			r.f(n, forbidden)
		}
		return
	case *pg.SelectStmt:
		r.selectStmt(n, forbidden)
		return
	case *pg.SubLink:
		forbidden = "a subquery"
	case *pg.JoinExpr:
		r.join(n, forbidden)
		return
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				r.walk(v.List().Get(i).Message(), forbidden)
			}
		default:
			r.walk(v.Message(), forbidden)
		}
		return true
	})
}

// selectStmt visits a query: names of its own WITH hide ours.
func (r *references) selectStmt(n *pg.SelectStmt, forbidden string) {
	inner := *r
	if n.WithClause != nil {
		inner.names = map[string]bool{}
		for name := range r.names {
			inner.names[name] = true
		}
		for _, c := range n.WithClause.Ctes {
			cte := c.GetCommonTableExpr()
			if n.WithClause.Recursive {
				delete(inner.names, cte.Ctename)
			}
			inner.walk(cte.Ctequery.ProtoReflect(), forbidden)
			delete(inner.names, cte.Ctename)
		}
	}
	n.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := forbidden
		switch fd.Name() {
		case "with_clause":
			return true
		case "rarg":
			switch n.Op {
			case pg.SetOperation_SETOP_INTERSECT:
				at = "INTERSECT"
			case pg.SetOperation_SETOP_EXCEPT:
				at = "EXCEPT"
			}
		case "larg":
			if n.Op == pg.SetOperation_SETOP_INTERSECT {
				at = "INTERSECT"
			}
		}
		switch {
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				inner.walk(v.List().Get(i).Message(), at)
			}
		default:
			inner.walk(v.Message(), at)
		}
		return true
	})
}

func (r *references) join(n *pg.JoinExpr, forbidden string) {
	left, right := forbidden, forbidden
	switch n.Jointype {
	case pg.JoinType_JOIN_LEFT:
		right = "an outer join"
	case pg.JoinType_JOIN_RIGHT:
		left = "an outer join"
	case pg.JoinType_JOIN_FULL:
		left, right = "an outer join", "an outer join"
	}
	r.walk(n.Larg.ProtoReflect(), left)
	r.walk(n.Rarg.ProtoReflect(), right)
	if n.Quals != nil {
		r.walk(n.Quals.ProtoReflect(), forbidden)
	}
}

// dependencyOrder puts the queries of a WITH RECURSIVE behind those that they refer to, and tells which refer to
// themselves.
func (a *analyzer) dependencyOrder(ctes []*pg.CommonTableExpr) ([]*pg.CommonTableExpr, []bool, error) {
	index := map[string]int{}
	names := map[string]bool{}
	for i, c := range ctes {
		index[c.Ctename], names[c.Ctename] = i, true
	}
	needs := make([]map[int]bool, len(ctes))
	for i, c := range ctes {
		needs[i] = map[int]bool{}
		r := &references{names: names, f: func(rv *pg.RangeVar, _ string) { needs[i][index[rv.Relname]] = true }}
		r.walk(c.Ctequery.ProtoReflect(), "")
	}
	var out []*pg.CommonTableExpr
	var recursive []bool
	done := map[int]bool{}
	for len(out) < len(ctes) {
		progress := false
		for i, c := range ctes {
			if done[i] || !ready(needs[i], done, i) {
				continue
			}
			done[i], progress = true, true
			out, recursive = append(out, c), append(recursive, needs[i][i])
			break
		}
		if !progress {
			for i, c := range ctes {
				if !done[i] {
					return nil, nil, errs.SQL("0A000", "mutual recursion between WITH items is not implemented").At(a.pos(c.Location))
				}
			}
		}
	}
	return out, recursive, nil
}

func ready(needs, done map[int]bool, self int) bool {
	for i := range needs {
		if i != self && !done[i] {
			return false
		}
	}
	return true
}

// recursiveForm checks where a recursive query refers to itself: once, in its second term, where each round may see the
// rows of the one before.
func (a *analyzer) recursiveForm(c *pg.CommonTableExpr, sel *pg.SelectStmt) error {
	var err error
	names := map[string]bool{c.Ctename: true}
	fail := func(rv *pg.RangeVar, where string) {
		if err == nil {
			err = errs.SQL("42P19", "recursive reference to query %q must not appear %s", c.Ctename, where).At(a.pos(rv.Location))
		}
	}
	count := 0
	(&references{names, func(rv *pg.RangeVar, _ string) { fail(rv, "within its non-recursive term") }}).walk(sel.Larg.ProtoReflect(), "")
	(&references{names, func(rv *pg.RangeVar, forbidden string) {
		switch count++; {
		case forbidden != "":
			fail(rv, "within "+forbidden)
		case count > 1:
			fail(rv, "more than once")
		}
	}}).walk(sel.Rarg.ProtoReflect(), "")
	if err == nil && count == 0 {
		return errs.SQL("42P19", "recursive query %q does not have the form non-recursive-term UNION [ALL] recursive-term", c.Ctename).
			At(a.pos(c.Location))
	}
	return err
}
