package plan

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

func itoa(n int) string { return strconv.Itoa(n) }

// targets checks a target list (RETURNING) in a scope: * and t.* expanded, names given.
func (a *analyzer) targets(s *scope, list []*pg.Node, in place) ([]expr.Expr, []Column, error) {
	ts, err := a.targetList(s, list, in)
	if err != nil {
		return nil, nil, err
	}
	exprs, cols := make([]expr.Expr, len(ts)), make([]Column, len(ts))
	for i, t := range ts {
		exprs[i], cols[i] = a.settle(t.expr), t.col
		cols[i].Type = exprs[i].Type()
	}
	return exprs, cols, nil
}

func (a *analyzer) targetList(s *scope, list []*pg.Node, in place) ([]target, error) {
	var out []target
	for _, n := range list {
		rt := n.GetResTarget()
		stars, ok, err := a.star(s, rt, in)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, stars...)
			continue
		}
		e, err := a.expression(s, rt.Val, in)
		if err != nil {
			return nil, err
		}
		t := target{expr: e, loc: location(rt.Val), col: Column{Name: rt.Name, Type: e.Type()}}
		if rt.Name == "" {
			t.col.Name = outputName(rt.Val)
		}
		t.col.Relation, t.col.Attribute = origin(s, e)
		if e.Type().OID == row.Record {
			if fields := a.fieldsOf(e); fields != nil {
				t.col.Fields = &row.Schema{Columns: fields}
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// origin is the table column that an expression is; zero for none.
func origin(s *scope, e expr.Expr) (relation uint32, attribute int16) {
	c, ok := e.(*expr.Column)
	if !ok || c.Depth != 0 || s == nil {
		return 0, 0
	}
	for _, it := range s.items {
		for i := range it.columns {
			x, ok := it.columns[i].expr.(*expr.Column)
			if ok && x.Index == c.Index && it.columns[i].Relation != 0 {
				return it.columns[i].Relation, it.columns[i].Attribute
			}
		}
	}
	return 0, 0
}

// star expands *, t.* and (row).*; ok is false for anything else.
func (a *analyzer) star(s *scope, rt *pg.ResTarget, in place) (out []target, ok bool, err error) {
	if ind := rt.Val.GetAIndirection(); ind != nil {
		last := ind.Indirection[len(ind.Indirection)-1]
		if last.GetAStar() == nil {
			return nil, false, nil
		}
		out, err = a.recordStar(s, ind, in)
		return out, true, err
	}
	ref := rt.Val.GetColumnRef()
	if ref == nil || ref.Fields[len(ref.Fields)-1].GetAStar() == nil {
		return nil, false, nil
	}
	if len(ref.Fields) == 1 {
		for _, it := range s.items {
			if !it.hidden {
				out = a.starItem(out, it, 0, ref.Location)
			}
		}
		a.noteStar(s, s.items, ref.Location)
		if len(s.items) == 0 {
			return nil, true, errs.SQL("42601", "SELECT * with no tables specified is not valid").At(a.pos(ref.Location))
		}
		a.noteStar(s, s.items, ref.Location)
		return out, true, nil
	}
	names := make([]string, len(ref.Fields)-1)
	for i := range names {
		names[i] = ref.Fields[i].GetString_().Sval
	}
	if len(names) > 3 {
		return nil, true, errs.SQL("42601", "improper qualified name (too many dotted names): %s.*", strings.Join(names, ".")).At(a.pos(ref.Location))
	}
	name, schema := names[len(names)-1], ""
	if len(names) > 1 {
		schema = names[len(names)-2]
	}
	it, depth, err := a.lookupItem(s, schema, name, ref.Location)
	if err != nil {
		return nil, true, err
	}
	if it == nil {
		return nil, true, a.missingItem(s, schema, name, ref.Location)
	}
	listed := *it
	listed.hidden = false
	a.noteStar(s, []*item{&listed}, ref.Location)
	a.noteStar(s, []*item{{alias: it.alias, columns: it.columns}}, ref.Location)
	return a.starItem(nil, it, depth, ref.Location), true, nil
}

func (a *analyzer) starItem(out []target, it *item, depth int, loc int32) []target {
	for i := range it.columns {
		c := &it.columns[i]
		if c.unlisted {
			continue
		}
		t := target{expr: a.reference(c, depth, loc), col: c.Column, loc: loc}
		if depth > 0 {
			t.col.Relation, t.col.Attribute = 0, 0
		}
		out = append(out, t)
	}
	return out
}

// recordStar expands (row).*.
func (a *analyzer) recordStar(s *scope, ind *pg.A_Indirection, in place) ([]target, error) {
	arg := ind.Arg
	if len(ind.Indirection) > 1 {
		inner := &pg.A_Indirection{Arg: ind.Arg, Indirection: ind.Indirection[:len(ind.Indirection)-1]}
		arg = &pg.Node{Node: &pg.Node_AIndirection{AIndirection: inner}}
	}
	e, err := a.expression(s, arg, in)
	if err != nil {
		return nil, err
	}
	var out []target
	if r, ok := e.(*expr.Record); ok {
		for i, f := range r.Fields {
			name := "f" + itoa(i+1)
			if i < len(r.Names) {
				name = r.Names[i]
			}
			out = append(out, target{expr: f, col: Column{Name: name, Type: f.Type()}, loc: location(arg)})
		}
		return out, nil
	}
	if fields := a.fieldsOf(e); len(fields) > 1 {
		for i, c := range fields {
			f := &expr.Field{Arg: e, Index: i, Typ: c.Type}
			out = append(out, target{expr: f, col: Column{Name: c.Name, Type: c.Type}, loc: location(arg)})
		}
		return out, nil
	}
	return nil, errs.SQL("42809", "type %s is not composite", e.Type()).At(a.pos(location(arg)))
}
