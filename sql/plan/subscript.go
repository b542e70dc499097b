package plan

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// array checks ARRAY[...]; typ, when not zero, is the array type that a cast around it asks for.
func (a *analyzer) array(s *scope, x *pg.A_ArrayExpr, typ row.Type, in place) (expr.Expr, error) {
	elems := make([]expr.Expr, len(x.Elements))
	nested := false
	for i, n := range x.Elements {
		var err error
		if inner := n.GetAArrayExpr(); inner != nil {
			elems[i], err = a.array(s, inner, typ, in)
			nested = true
		} else {
			elems[i], err = a.expression(s, n, in)
		}
		if err != nil {
			return nil, err
		}
		nested = nested || row.IsArray(elems[i].Type().OID)
	}
	locs := locations(x.Elements)
	switch {
	case typ.OID != 0:
		want := typ
		if !nested {
			want = typ.Element()
		}
		for i := range elems {
			var err error
			if elems[i], err = a.coerce(elems[i], want, expr.Explicit, locs[i], ""); err != nil {
				return nil, err
			}
		}
		return &expr.Array{Elems: elems, Nested: nested, Typ: typ}, nil
	case len(elems) == 0:
		return nil, a.at(x.Location, errs.SQL("42P18", "cannot determine type of empty array").
			WithHint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."))
	}
	elems, common, err := a.common(elems, locs, "ARRAY")
	if err != nil {
		return nil, err
	}
	if nested {
		if !row.IsArray(common.OID) {
			return nil, a.at(x.Location, errs.SQL("42704", "could not find element type for data type %s", baseName(common)))
		}
		return &expr.Array{Elems: elems, Nested: true, Typ: common}, nil
	}
	if typ = common.Array(); typ.OID == 0 {
		return nil, a.at(x.Location, errs.SQL("42704", "could not find array type for data type %s", baseName(common)))
	}
	return &expr.Array{Elems: elems, Typ: typ}, nil
}

// indirection is what follows a value: [subscripts] and .fields.
func (a *analyzer) indirection(s *scope, x *pg.A_Indirection, in place) (expr.Expr, error) {
	e, err := a.expression(s, x.Arg, in)
	if err != nil {
		return nil, err
	}
	loc := location(x.Arg)
	for i := 0; i < len(x.Indirection); {
		switch n := x.Indirection[i]; {
		case n.GetAStar() != nil:
			return nil, a.at(loc, errs.SQL("42601", "row expansion via \"*\" is not supported here"))
		case n.GetString_() != nil:
			name := n.GetString_().Sval
			f, err := a.field(e, name, loc)
			if table := x.Arg.GetColumnRef().GetFields(); err != nil && i == 0 && len(table) == 1 && e.Type().OID == row.Record {
				return nil, a.at(loc, errs.SQL("42703", "column %s.%s does not exist", lastName(table), name))
			}
			if err != nil {
				return nil, err
			}
			e = f
			i++
		default:
			var list []*pg.A_Indices
			for ; i < len(x.Indirection) && x.Indirection[i].GetAIndices() != nil; i++ {
				list = append(list, x.Indirection[i].GetAIndices())
			}
			if e, err = a.subscript(s, e, list, loc, in); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

// subscript is e[i] and e[l:u].
func (a *analyzer) subscript(s *scope, e expr.Expr, list []*pg.A_Indices, loc int32, in place) (expr.Expr, error) {
	t := e.Type()
	out := &expr.Subscript{Arg: e}
	elem := t.Element()
	switch {
	case t.OID == row.JSONB:
		out.Typ = t
	case elem.OID != 0:
		out.Typ = elem
	default:
		return nil, a.at(loc, errs.SQL("42804", "cannot subscript type %s because it does not support subscripting", baseName(t)))
	}
	for _, n := range list {
		out.Slice = out.Slice || n.IsSlice
		if n.IsSlice && t.OID == row.JSONB {
			at := location(n.Uidx)
			if n.Uidx == nil {
				at = location(n.Lidx)
			}
			return nil, a.at(at, errs.SQL("42804", "jsonb subscript does not support slices"))
		}
	}
	if out.Slice {
		out.Typ = t
	}
	for _, n := range list {
		lower, err := a.bound(s, n.Lidx, t, in)
		if err != nil {
			return nil, err
		}
		upper, err := a.bound(s, n.Uidx, t, in)
		if err != nil {
			return nil, err
		}
		switch {
		case !out.Slice:
			out.Lower = append(out.Lower, upper)
			continue
		case !n.IsSlice: // a[2:3][2] is a[2:3][1:2]
			lower = &expr.Const{Value: row.NewInt(1), Typ: row.T(row.Int4)}
		}
		out.Lower, out.Upper = append(out.Lower, lower), append(out.Upper, upper)
	}
	return out, nil
}

// bound is one subscript; nil where a slice leaves it out.
func (a *analyzer) bound(s *scope, n *pg.Node, container row.Type, in place) (expr.Expr, error) {
	if n == nil {
		return nil, nil
	}
	e, err := a.expression(s, n, in)
	if err != nil {
		return nil, err
	}
	loc := location(n)
	if container.OID != row.JSONB {
		if !expr.CanCast(e.Type().OID, row.Int4, expr.Assignment) {
			return nil, a.at(loc, errs.SQL("42804", "array subscript must have type integer"))
		}
		return a.coerce(e, row.T(row.Int4), expr.Assignment, loc, "")
	}
	t := row.T(row.Text)
	switch oid := e.Type().OID; {
	case oid == row.Unknown:
	case expr.CanCast(oid, row.Int4, expr.Implicit):
		t = row.T(row.Int4)
	case !expr.CanCast(oid, row.Text, expr.Implicit):
		return nil, a.at(loc, errs.SQL("42804", "subscript type %s is not supported", baseName(e.Type())).
			WithHint("jsonb subscript must be coercible to either integer or text."))
	}
	return a.coerce(e, t, expr.Implicit, loc, "")
}

// field is (e).name.
func (a *analyzer) field(e expr.Expr, name string, loc int32) (expr.Expr, error) {
	if e.Type().OID != row.Record {
		return nil, a.at(loc, errs.SQL("42809", "column notation .%s applied to type %s, which is not a composite type", name, baseName(e.Type())))
	}
	e = a.settle(e)
	for i, c := range a.fieldsOf(e) {
		if c.Name == name {
			return &expr.Field{Arg: e, Index: i, Typ: c.Type}, nil
		}
	}
	return nil, a.at(loc, errs.SQL("42703", "could not identify column \"%s\" in record data type", name))
}

// fieldsOf are the fields of a record, nil where only its values know them.
func (a *analyzer) fieldsOf(e expr.Expr) []row.Column {
	var out []row.Column
	switch x := e.(type) {
	case *expr.Record:
		for i, f := range x.Fields {
			if i < len(x.Names) {
				out = append(out, row.Column{Name: x.Names[i], Type: f.Type()})
			}
		}
	case *expr.Call:
		out = setColumns(x)
	case *expr.Column:
		out = a.records[x]
	case *expr.Subquery:
		if n, ok := x.Plan.(Node); ok && len(n.Columns()) > 1 {
			for _, c := range n.Columns() {
				out = append(out, row.Column{Name: c.Name, Type: c.Type})
			}
		}
	}
	return out
}

// record is ROW(...); its fields are named f1, f2...
func (a *analyzer) record(s *scope, x *pg.RowExpr, in place) (expr.Expr, error) {
	fields, err := a.expressions(s, x.Args, in)
	if err != nil {
		return nil, err
	}
	out := &expr.Record{Fields: fields, Names: make([]string, len(fields))}
	for i := range fields {
		out.Names[i] = fieldName(i)
	}
	return out, nil
}
