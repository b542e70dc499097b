package plan

import (
	"math"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/views/catalog"
)

// The options of DECLARE (parsenodes.h).
const (
	cursorBinary = 0x0001
	cursorScroll = 0x0002
	cursorHold   = 0x0020
)

// declareCursor checks DECLARE.
func (a *analyzer) declareCursor(n *pg.DeclareCursorStmt) (Statement, error) {
	if n.Options&cursorBinary != 0 {
		return nil, errs.SQL("0A000", "DECLARE BINARY CURSOR is not supported")
	}
	if n.Options&cursorScroll != 0 {
		return nil, errs.SQL("0A000", "DECLARE SCROLL CURSOR is not supported").WithHint("A cursor is read forward.")
	}
	sel := n.Query.GetSelectStmt()
	if sel == nil {
		return nil, errs.SQL("42P11", "cannot open a cursor on a statement that is no query")
	}
	if into := intoOf(sel); into != nil {
		return nil, errs.SQL("42601", "SELECT INTO is not allowed here").At(a.pos(into.Rel.Location))
	}
	q, err := a.query(sel, nil, nil)
	if err != nil {
		return nil, err
	}
	if modifies(q) {
		return nil, errs.SQL("0A000", "DECLARE CURSOR must not contain data-modifying statements in WITH")
	}
	return &DeclareCursor{n.Portalname, q, n.Options&cursorHold != 0}, nil
}

// fetch checks FETCH and MOVE, forward only.
func (a *analyzer) fetch(n *pg.FetchStmt) (Statement, error) {
	out := &Fetch{Name: n.Portalname, Count: n.HowMany, Move: n.Ismove}
	backward := errs.SQL("55000", "cursor can only scan forward").WithHint("Cursors of MiracleDB have no SCROLL.")
	switch {
	case n.Direction == pg.FetchDirection_FETCH_BACKWARD, n.HowMany < 0, n.HowMany == 0:
		return nil, backward
	case n.Direction == pg.FetchDirection_FETCH_ABSOLUTE:
		return nil, errs.SQL("0A000", "FETCH ABSOLUTE, FIRST and LAST are not supported").WithHint("A cursor is read forward: FETCH NEXT.")
	case n.Direction == pg.FetchDirection_FETCH_RELATIVE && n.HowMany > 1:
		return nil, errs.SQL("0A000", "FETCH RELATIVE is not supported").WithHint("MOVE, then FETCH NEXT.")
	}
	if n.HowMany >= math.MaxInt32 { // ALL
		out.Count = -1
	}
	return out, nil
}

// lock checks LOCK TABLE. Every mode is taken as the strongest.
func (a *analyzer) lock(n *pg.LockStmt) (Statement, error) {
	if n.Nowait {
		return nil, errs.SQL("0A000", "LOCK TABLE ... NOWAIT is not supported").WithHint("SET lock_timeout.")
	}
	out := &Lock{}
	for _, o := range n.Relations {
		r, err := a.relation(o.GetRangeVar())
		if err != nil {
			return nil, withoutPosition(err)
		}
		if r.Kind != catalog.Table && r.Kind != catalog.Stream && r.Kind != catalog.View {
			return nil, errs.SQL("42809", "cannot lock relation %q", r.Name).
				WithDetail("This operation is not supported for %ss.", relationWord(r.Kind))
		}
		out.Tables = append(out.Tables, r)
	}
	return out, nil
}
