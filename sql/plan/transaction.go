package plan

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
)

// transaction checks BEGIN, COMMIT, ROLLBACK and the savepoints.
func (a *analyzer) transaction(n *pg.TransactionStmt) (Statement, error) {
	t := &Transaction{Name: n.SavepointName, Chain: n.Chain}
	switch n.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN, pg.TransactionStmtKind_TRANS_STMT_START:
		t.Kind = Begin
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		t.Kind = Commit
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		t.Kind = Rollback
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		t.Kind = Savepoint
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		t.Kind = ReleaseSavepoint
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		t.Kind = RollbackTo
	case pg.TransactionStmtKind_TRANS_STMT_PREPARE:
		return nil, errs.SQL("0A000", "PREPARE TRANSACTION is not supported")
	default:
		return nil, errs.SQL("0A000", "%s PREPARED is not supported", strings.Fields(strings.ToUpper(a.st.Text()))[0])
	}
	modes, err := a.modes(n.Options)
	if err != nil {
		return nil, err
	}
	t.Isolation, t.ReadOnly = modes.isolation, modes.readOnly
	return t, nil
}

// transactionModes are the modes of BEGIN and SET TRANSACTION.
type transactionModes struct {
	isolation string
	readOnly  *bool
}

func (a *analyzer) modes(list []*pg.Node) (m transactionModes, err error) {
	for _, n := range list {
		d := n.GetDefElem()
		v, _ := defText(d)
		switch d.Defname {
		case "transaction_isolation":
			m.isolation = strings.ToLower(v)
		case "transaction_read_only":
			on := v != "0"
			m.readOnly = &on
		case "transaction_deferrable": // about waiting before a read-only transaction; here none ever fails
		default:
			return m, errs.SQL("0A000", "transaction mode %q is not supported", d.Defname)
		}
	}
	return m, nil
}
