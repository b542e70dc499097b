package plan

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/views/catalog"
)

// copy checks COPY.
func (a *analyzer) copy(n *pg.CopyStmt) (Statement, error) {
	switch {
	case n.IsProgram:
		return nil, errs.SQL("0A000", "COPY with PROGRAM is not supported").WithHint("Use STDIN or STDOUT, as psql's \\copy does.")
	case n.Filename != "":
		return nil, errs.SQL("0A000", "COPY with a file on the server is not supported").WithHint("Use STDIN or STDOUT, as psql's \\copy does.")
	case n.WhereClause != nil:
		return nil, errs.SQL("0A000", "COPY ... WHERE is not supported").At(a.pos(location(n.WhereClause)))
	}
	out := &Copy{From: n.IsFrom}
	if err := a.copyOptions(out, n.Options); err != nil {
		return nil, err
	}
	if n.Query != nil {
		return out, a.copyQuery(out, n.Query)
	}
	var err error
	if n.IsFrom {
		out.Table, err = a.writable(n.Relation, copying)
	} else {
		out.Table, err = a.copySource(n.Relation)
	}
	if err != nil {
		return nil, err
	}
	if out.Columns, err = copyColumns(out.Table, names(n.Attlist)); err != nil {
		return nil, err
	}
	if n.IsFrom {
		out.Defaults, err = a.defaults(out.Table, out.Columns)
		return out, err
	}
	out.Query, err = a.copyTable(out, n.Relation)
	return out, err
}

// copySource finds the relation that COPY TO sends: a view is sent as a query.
func (a *analyzer) copySource(rv *pg.RangeVar) (*catalog.Relation, error) {
	r, err := a.relation(rv)
	if err != nil {
		return nil, withoutPosition(err)
	}
	if r.Kind == catalog.View {
		return nil, errs.SQL("42809", "cannot copy from view %q", r.Name).WithHint("Try the COPY (SELECT ...) TO variant.")
	}
	return r, nil
}

// copyColumns resolves COPY's column list; without one it is every column that is shown.
func copyColumns(r *catalog.Relation, list []string) ([]int, error) {
	var out []int
	if len(list) == 0 {
		for i, c := range r.Columns {
			if !c.Hidden {
				out = append(out, i)
			}
		}
		return out, nil
	}
	for _, name := range list {
		i := columnIndex(r, name)
		if i < 0 || r.Columns[i].Hidden {
			return nil, errs.SQL("42703", "column %q of relation %q does not exist", name, r.Name)
		}
		if slices.Contains(out, i) {
			return nil, errs.SQL("42701", "column %q specified more than once", name)
		}
		out = append(out, i)
	}
	return out, nil
}

// copyTable is the query of COPY table TO.
func (a *analyzer) copyTable(c *Copy, rv *pg.RangeVar) (Node, error) {
	node, _, err := a.from([]*pg.Node{{Node: &pg.Node_RangeVar{RangeVar: rv}}}, nil)
	if err != nil {
		return nil, err
	}
	p := &Project{Output: Output{someColumns(c.Table, c.Columns)}, Input: node}
	for _, i := range c.Columns {
		p.Exprs = append(p.Exprs, columnAt(node, i))
	}
	return p, nil
}

func (a *analyzer) copyQuery(c *Copy, query *pg.Node) error {
	sel := query.GetSelectStmt()
	if sel == nil {
		return errs.SQL("0A000", "COPY of a statement that writes is not supported").WithHint("Use its RETURNING.")
	}
	if intoOf(sel) != nil {
		return errs.SQL("0A000", "COPY (SELECT INTO) is not supported")
	}
	var err error
	c.Query, err = a.query(sel, nil, nil)
	return err
}

// copyNames are COPY's options.
var copyNames = []string{"format", "freeze", "delimiter", "null", "header", "quote", "escape", "force_quote", "force_not_null",
	"force_null", "encoding"}

func (a *analyzer) copyOptions(c *Copy, list []*pg.Node) error {
	c.Format, c.Options = "text", map[string]string{}
	formatted := false
	for _, n := range list {
		d := n.GetDefElem()
		if !slices.Contains(copyNames, d.Defname) {
			return errs.SQL("42601", "option %q not recognized", d.Defname).At(a.pos(d.Location))
		}
		_, again := c.Options[d.Defname]
		if again || d.Defname == "format" && formatted {
			return errs.SQL("42601", "conflicting or redundant options").At(a.pos(d.Location))
		}
		v, _ := defText(d)
		if d.Defname != "format" {
			c.Options[d.Defname] = v
			continue
		}
		formatted = true
		switch v {
		case "text", "csv", "binary":
			c.Format = v
		default:
			return errs.SQL("22023", "COPY format %q not recognized", v).At(a.pos(d.Location))
		}
	}
	return c.checkOptions()
}

// checkOptions applies what ProcessCopyOptions says of the combinations.
func (c *Copy) checkOptions() error {
	has := func(name string) bool { _, ok := c.Options[name]; return ok }
	if c.Format == "binary" {
		for _, name := range []string{"delimiter", "null"} {
			if has(name) {
				return errs.SQL("42601", "cannot specify %s in BINARY mode", strings.ToUpper(name))
			}
		}
		if has("header") {
			return errs.SQL("0A000", "cannot specify HEADER in BINARY mode")
		}
	}
	if c.Format != "csv" {
		for _, o := range [][2]string{{"quote", "quote"}, {"escape", "escape"}, {"force_quote", "force quote"},
			{"force_not_null", "force not null"}, {"force_null", "force null"}} {
			if has(o[0]) {
				return errs.SQL("0A000", "COPY %s available only in CSV mode", o[1])
			}
		}
	}
	switch {
	case has("force_quote") && c.From:
		return errs.SQL("0A000", "COPY force quote only available using COPY TO")
	case has("force_not_null") && !c.From:
		return errs.SQL("0A000", "COPY force not null only available using COPY FROM")
	case has("force_null") && !c.From:
		return errs.SQL("0A000", "COPY force null only available using COPY FROM")
	}
	return nil
}
