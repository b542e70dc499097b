package plan

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/views/catalog"
)

var lockStrengths = map[pg.LockClauseStrength]struct {
	strength LockStrength
	name     string
}{
	pg.LockClauseStrength_LCS_FORKEYSHARE:    {ForKeyShare, "FOR KEY SHARE"},
	pg.LockClauseStrength_LCS_FORSHARE:       {ForShare, "FOR SHARE"},
	pg.LockClauseStrength_LCS_FORNOKEYUPDATE: {ForNoKeyUpdate, "FOR NO KEY UPDATE"},
	pg.LockClauseStrength_LCS_FORUPDATE:      {ForUpdate, "FOR UPDATE"},
}

func lockName(c *pg.LockingClause) string { return lockStrengths[c.Strength].name }

// lock applies FOR UPDATE and its kin to the scans below the query.
func (q *selection) lock() error {
	for _, n := range q.sel.LockingClause {
		c := n.GetLockingClause()
		if err := q.lockable(c); err != nil {
			return err
		}
		if c.WaitPolicy != pg.LockWaitPolicy_LockWaitBlock {
			return errs.SQL("0A000", "%s with NOWAIT or SKIP LOCKED is not supported", lockName(c))
		}
		strength := lockStrengths[c.Strength].strength
		if len(c.LockedRels) == 0 {
			lockScans(q.node, "", strength)
		}
		for _, r := range c.LockedRels {
			if err := q.lockOf(c, r.GetRangeVar(), strength); err != nil {
				return err
			}
		}
	}
	return nil
}

func (q *selection) lockable(c *pg.LockingClause) error {
	what := ""
	switch {
	case len(q.sel.DistinctClause) > 0:
		what = "DISTINCT clause"
	case len(q.sel.GroupClause) > 0:
		what = "GROUP BY clause"
	case q.having != nil:
		what = "HAVING clause"
	case q.groups != nil:
		what = "aggregate functions"
	case q.windows():
		what = "window functions"
	}
	for _, t := range q.targets {
		if what == "" && hasSet(t.expr) {
			what = "set-returning functions in the target list"
		}
	}
	if what != "" {
		return errs.SQL("0A000", "%s is not allowed with %s", lockName(c), what)
	}
	return nil
}

func (q *selection) lockOf(c *pg.LockingClause, rv *pg.RangeVar, strength LockStrength) error {
	for _, it := range q.s.level.items {
		if it.alias != rv.Relname {
			continue
		}
		if it.isJoin {
			return errs.SQL("0A000", "%s cannot be applied to a join", lockName(c)).At(q.a.pos(rv.Location))
		}
		lockScans(q.node, rv.Relname, strength)
		return nil
	}
	return errs.SQL("42P01", "relation %q in %s clause not found in FROM clause", rv.Relname, lockName(c)).At(q.a.pos(rv.Location))
}

// lockScans sets the lock of tables; alias "" means all. The plan is this query's own, still in the making.
func lockScans(n Node, alias string, strength LockStrength) {
	Walk(n, func(n Node) bool {
		if s, ok := n.(*Scan); ok && (alias == "" || s.Alias == alias) && s.Relation.Kind == catalog.Table {
			s.Lock = max(s.Lock, strength)
		}
		return true
	})
}
