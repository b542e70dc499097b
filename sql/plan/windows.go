package plan

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
)

// PostgreSQL's FRAMEOPTION bits (nodes/parsenodes.h).
const (
	frameNonDefault     = 1 << 0
	frameRange          = 1 << 1
	frameRows           = 1 << 2
	frameGroups         = 1 << 3
	frameStartUnbounded = 1 << 5
	frameEndUnbounded   = 1 << 8
	frameStartCurrent   = 1 << 9
	frameEndCurrent     = 1 << 10
	frameStartPreceding = 1 << 11
	frameEndPreceding   = 1 << 12
	frameStartFollowing = 1 << 13
	frameEndFollowing   = 1 << 14
	frameExcludeCurrent = 1 << 15
	frameExcludeGroup   = 1 << 16
	frameExcludeTies    = 1 << 17
	frameDefaults       = frameRange | frameStartUnbounded | frameEndCurrent
)

// nameWindows puts the WINDOW clause into a scope.
func (a *analyzer) nameWindows(s *scope, list []*pg.Node) error {
	if len(list) == 0 {
		return nil
	}
	s.windows = map[string]*pg.WindowDef{}
	for _, n := range list {
		def := n.GetWindowDef()
		if s.windows[def.Name] != nil {
			return errs.SQL("42P20", "window %q is already defined", def.Name).At(a.pos(def.Location))
		}
		if def.Refname != "" && s.windows[def.Refname] == nil {
			return errs.SQL("42704", "window %q does not exist", def.Refname).At(a.pos(def.Location))
		}
		s.windows[def.Name] = def
	}
	return nil
}

// checkWindows checks definitions that no call may have used.
func (a *analyzer) checkWindows(s *scope, list []*pg.Node) error {
	for _, n := range list {
		def := n.GetWindowDef()
		if _, _, _, err := a.window(s, def); err != nil {
			return err
		}
	}
	return nil
}

// window resolves a window definition, named or not, for a call at this level.
func (a *analyzer) window(s *scope, def *pg.WindowDef) (partition []expr.Expr, order []SortKey, frame Frame, err error) {
	if def.Name != "" && def.FrameOptions&frameNonDefault == 0 && len(def.PartitionClause)+len(def.OrderClause) == 0 && def.Refname == "" {
		named := s.windows[def.Name]
		if named == nil {
			return nil, nil, Frame{}, errs.SQL("42704", "window %q does not exist", def.Name).At(a.pos(def.Location))
		}
		if named != def {
			return a.window(s, named)
		}
	}
	var base *pg.WindowDef
	if def.Refname != "" {
		if base = s.windows[def.Refname]; base == nil {
			return nil, nil, Frame{}, errs.SQL("42704", "window %q does not exist", def.Refname).At(a.pos(def.Location))
		}
		if partition, order, _, err = a.window(s, base); err != nil {
			return nil, nil, Frame{}, err
		}
		if err := a.copyable(base, def, len(order) > 0); err != nil {
			return nil, nil, Frame{}, err
		}
	}
	for _, n := range def.PartitionClause {
		e, err := a.windowExpr(s, n)
		if err != nil {
			return nil, nil, Frame{}, err
		}
		if err := hasEquality(e.Type()); err != nil {
			return nil, nil, Frame{}, a.at(location(n), err)
		}
		partition = append(partition, e)
	}
	for _, n := range def.OrderClause {
		by := n.GetSortBy()
		e, err := a.windowExpr(s, by.Node)
		if err != nil {
			return nil, nil, Frame{}, err
		}
		k, err := a.sortKey(by, e)
		if err != nil {
			return nil, nil, Frame{}, err
		}
		order = append(order, k)
	}
	frame, err = a.frame(s, def, order)
	return partition, order, frame, err
}

func (a *analyzer) windowExpr(s *scope, n *pg.Node) (expr.Expr, error) {
	e, err := a.expression(s, n, inWindow)
	if err != nil {
		return nil, err
	}
	return a.settle(e), nil
}

// copyable checks that a definition adds to a named window and changes nothing of it.
func (a *analyzer) copyable(base, def *pg.WindowDef, ordered bool) error {
	fail := func(format string) *errs.Error {
		return errs.SQL("42P20", format, def.Refname).At(a.pos(def.Location))
	}
	switch {
	case len(def.PartitionClause) > 0:
		return fail("cannot override PARTITION BY clause of window %q")
	case len(def.OrderClause) > 0 && ordered:
		return fail("cannot override ORDER BY clause of window %q")
	case base.FrameOptions != frameDefaults:
		if def.Name == "" && len(def.OrderClause) == 0 && def.FrameOptions == frameDefaults {
			return fail("cannot copy window %q because it has a frame clause").WithHint("Omit the parentheses in this OVER clause.")
		}
		return fail("cannot copy window %q because it has a frame clause")
	}
	return nil
}

func (a *analyzer) frame(s *scope, def *pg.WindowDef, order []SortKey) (Frame, error) {
	o := def.FrameOptions
	f := Frame{}
	switch {
	case o&frameRows != 0:
		f.Mode = Rows
	case o&frameGroups != 0:
		f.Mode = Groups
		if len(order) == 0 {
			return f, errs.SQL("42P20", "GROUPS mode requires an ORDER BY clause").At(a.pos(def.Location))
		}
	}
	switch {
	case o&frameExcludeCurrent != 0:
		f.Exclude = ExcludeCurrentRow
	case o&frameExcludeGroup != 0:
		f.Exclude = ExcludeGroup
	case o&frameExcludeTies != 0:
		f.Exclude = ExcludeTies
	}
	f.Start.Kind, f.End.Kind = UnboundedPreceding, CurrentRow
	switch {
	case o&frameStartCurrent != 0:
		f.Start.Kind = CurrentRow
	case o&frameStartPreceding != 0:
		f.Start.Kind = Preceding
	case o&frameStartFollowing != 0:
		f.Start.Kind = Following
	}
	switch {
	case o&frameEndUnbounded != 0:
		f.End.Kind = UnboundedFollowing
	case o&frameEndPreceding != 0:
		f.End.Kind = Preceding
	case o&frameEndFollowing != 0:
		f.End.Kind = Following
	}
	offsets := o&(frameStartPreceding|frameStartFollowing|frameEndPreceding|frameEndFollowing) != 0
	if f.Mode == Range && offsets && len(order) != 1 {
		return f, errs.SQL("42P20", "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column").At(a.pos(def.Location))
	}
	var err error
	if f.Start.Kind == Preceding || f.Start.Kind == Following {
		if f.Start.Offset, err = a.frameOffset(s, def.StartOffset, f.Mode, order); err != nil {
			return f, err
		}
	}
	if f.End.Kind == Preceding || f.End.Kind == Following {
		f.End.Offset, err = a.frameOffset(s, def.EndOffset, f.Mode, order)
	}
	return f, err
}

// frameOffset checks the distance of a frame's end: a number of rows or groups, or for RANGE what the key moves by.
func (a *analyzer) frameOffset(s *scope, n *pg.Node, mode FrameMode, order []SortKey) (expr.Expr, error) {
	what := [...]string{"RANGE", "ROWS", "GROUPS"}[mode]
	e, err := a.expression(s, n, inWindow)
	if err != nil {
		return nil, err
	}
	to := row.T(row.Int8)
	if mode == Range {
		key := order[0].Expr.Type()
		if to, err = a.rangeOffset(key, e.Type()); err != nil {
			return nil, a.at(location(n), err)
		}
	}
	if e, err = a.coerce(e, to, expr.Assignment, location(n), "argument of "+what); err != nil {
		return nil, err
	}
	columnsOf(e, func(c *expr.Column) {
		err = errs.SQL("42P10", "argument of %s must not contain variables", what).At(a.pos(a.locations[c]))
	})
	return e, err
}

// rangeOffset is the type by which a key of RANGE moves (PostgreSQL's in_range functions).
func (a *analyzer) rangeOffset(key, offset row.Type) (row.Type, error) {
	var accepted []row.OID
	switch key.OID {
	case row.Int2, row.Int4:
		accepted = []row.OID{row.Int8, row.Int4, row.Int2}
	case row.Int8:
		accepted = []row.OID{row.Int8}
	case row.Float4, row.Float8:
		accepted = []row.OID{row.Float8}
	case row.Numeric:
		accepted = []row.OID{row.Numeric}
	case row.Date, row.Timestamp, row.TimestampTZ, row.Time, row.TimeTZ, row.Interval:
		accepted = []row.OID{row.Interval}
	default:
		return row.Type{}, errs.SQL("0A000", "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s", key)
	}
	if offset.OID == row.Unknown {
		return row.T(accepted[0]), nil
	}
	for _, t := range accepted {
		if t == offset.OID {
			return offset, nil
		}
	}
	for _, t := range accepted {
		if expr.CanCast(offset.OID, t, expr.Implicit) {
			return row.T(t), nil
		}
	}
	return row.Type{}, errs.SQL("0A000", "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s and offset type %s", key, offset).
		WithHint("Cast the offset value to an appropriate type.")
}

// mapWindow gives a call with f applied to its expressions.
func mapWindow(c *WindowCall, f func(expr.Expr) expr.Expr) *WindowCall {
	m := &exprMapper{f: f}
	out := *c
	out.Args, out.Filter, out.PartitionBy, out.OrderBy = m.list(c.Args), m.one(c.Filter), m.list(c.PartitionBy), m.keys(c.OrderBy)
	out.Frame.Start.Offset, out.Frame.End.Offset = m.one(c.Frame.Start.Offset), m.one(c.Frame.End.Offset)
	return &out
}

// windowed computes the window calls in expressions and gives the expressions over the result.
func windowed(n Node, exprs []expr.Expr) (Node, []expr.Expr) {
	width := len(n.Columns())
	w := &Window{Input: n}
	place := func(c *WindowCall) int {
		for i := range w.Calls {
			if sameWindow(&w.Calls[i], c) {
				return i
			}
		}
		w.Calls = append(w.Calls, *c)
		return len(w.Calls) - 1
	}
	out := make([]expr.Expr, len(exprs))
	for i, e := range exprs {
		out[i] = expr.Rewrite(e, func(e expr.Expr) expr.Expr {
			if ref, ok := e.(*windowRef); ok {
				return &expr.Column{Index: width + place(ref.call), Typ: ref.call.Typ, Name: ref.call.Func.Name}
			}
			return e
		})
	}
	if len(w.Calls) == 0 {
		return n, exprs
	}
	w.Cols = append(w.Cols, n.Columns()...)
	for _, c := range w.Calls {
		w.Cols = append(w.Cols, Column{Name: c.Func.Name, Type: c.Typ})
	}
	return w, out
}

// windows reports whether the query has a window function.
func (q *selection) windows() bool {
	for _, t := range q.targets {
		found := false
		expr.Walk(t.expr, func(e expr.Expr) bool {
			_, ok := e.(*windowRef)
			found = found || ok
			return !found
		})
		if found {
			return true
		}
	}
	return false
}
