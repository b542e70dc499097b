package plan

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
)

// statement checks any statement.
func (a *analyzer) statement(n *pg.Node) (Statement, error) {
	switch t := n.Node.(type) {
	case *pg.Node_SelectStmt:
		return a.selection(t.SelectStmt)
	case *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt:
		return a.modification(n, nil)
	case *pg.Node_CopyStmt:
		return a.copy(t.CopyStmt)
	case *pg.Node_TruncateStmt:
		return a.truncate(t.TruncateStmt)
	case *pg.Node_TransactionStmt:
		return a.transaction(t.TransactionStmt)
	}
	if s, err := a.definition(n); s != nil || err != nil {
		return s, err
	}
	if s, err := a.sessionStatement(n); s != nil || err != nil {
		return s, err
	}
	return a.utility(n)
}

// selection checks a SELECT that stands alone.
func (a *analyzer) selection(sel *pg.SelectStmt) (Statement, error) {
	if into := intoOf(sel); into != nil {
		return a.selectInto(sel, into)
	}
	q, err := a.query(sel, nil, nil)
	if err != nil {
		return nil, err
	}
	return &Select{q}, nil
}

// modification checks a statement that writes rows, at the top or as a WITH binding, whose outer scope then has the
// bindings before it.
func (a *analyzer) modification(n *pg.Node, outer *scope) (Statement, error) {
	switch t := n.Node.(type) {
	case *pg.Node_InsertStmt:
		return a.insert(t.InsertStmt, outer)
	case *pg.Node_UpdateStmt:
		return a.update(t.UpdateStmt, outer)
	case *pg.Node_DeleteStmt:
		return a.delete(t.DeleteStmt, outer)
	case *pg.Node_MergeStmt:
		return nil, errs.SQL("0A000", "MERGE is not supported").WithHint("Use INSERT ... ON CONFLICT, or UPDATE and INSERT.")
	}
	return nil, errs.SQL("0A000", "this statement cannot stand in WITH")
}

// definition checks a statement that changes the catalog; nil for another one.
func (a *analyzer) definition(n *pg.Node) (Statement, error) {
	switch t := n.Node.(type) {
	case *pg.Node_CreateStmt:
		return a.createTable(t.CreateStmt)
	case *pg.Node_CreateTableAsStmt:
		return a.createTableAs(t.CreateTableAsStmt)
	case *pg.Node_ViewStmt:
		return a.createView(t.ViewStmt)
	case *pg.Node_IndexStmt:
		return a.createIndex(t.IndexStmt)
	case *pg.Node_CreateSchemaStmt:
		return a.createSchema(t.CreateSchemaStmt)
	case *pg.Node_DropStmt:
		return a.drop(t.DropStmt)
	case *pg.Node_AlterTableStmt:
		return a.alterTable(t.AlterTableStmt)
	case *pg.Node_RenameStmt:
		return a.rename(t.RenameStmt)
	case *pg.Node_AlterObjectSchemaStmt:
		return a.setSchema(t.AlterObjectSchemaStmt)
	case *pg.Node_CommentStmt:
		return a.comment(t.CommentStmt)
	case *pg.Node_RefreshMatViewStmt:
		return a.refresh(t.RefreshMatViewStmt)
	}
	return nil, nil
}

// sessionStatement checks a statement about the session: settings, prepared statements, cursors, locks; nil for another
// one.
func (a *analyzer) sessionStatement(n *pg.Node) (Statement, error) {
	switch t := n.Node.(type) {
	case *pg.Node_VariableSetStmt:
		return a.set(t.VariableSetStmt)
	case *pg.Node_VariableShowStmt:
		return &Show{t.VariableShowStmt.Name}, nil
	case *pg.Node_ExplainStmt:
		return a.explain(t.ExplainStmt)
	case *pg.Node_PrepareStmt:
		return a.prepare(t.PrepareStmt)
	case *pg.Node_ExecuteStmt:
		return a.execute(t.ExecuteStmt)
	case *pg.Node_DeallocateStmt:
		return &Deallocate{t.DeallocateStmt.Name}, nil
	case *pg.Node_DeclareCursorStmt:
		return a.declareCursor(t.DeclareCursorStmt)
	case *pg.Node_FetchStmt:
		return a.fetch(t.FetchStmt)
	case *pg.Node_ClosePortalStmt:
		return &CloseCursor{t.ClosePortalStmt.Portalname}, nil
	case *pg.Node_LockStmt:
		return a.lock(t.LockStmt)
	case *pg.Node_DiscardStmt:
		return a.discard(t.DiscardStmt)
	}
	return nil, nil
}

// utility accepts the statements that have nothing to do here, and refuses all others by name.
func (a *analyzer) utility(n *pg.Node) (Statement, error) {
	switch t := n.Node.(type) {
	case *pg.Node_VacuumStmt:
		return a.vacuum(t.VacuumStmt)
	case *pg.Node_CheckPointStmt:
		return &Utility{"CHECKPOINT"}, nil
	case *pg.Node_ReindexStmt:
		return &Utility{"REINDEX"}, nil // an index is never behind its table
	case *pg.Node_UnlistenStmt:
		return &Utility{"UNLISTEN"}, nil // nothing can be listened to
	case *pg.Node_AlterOwnerStmt:
		return a.setOwner(t.AlterOwnerStmt)
	case *pg.Node_ConstraintsSetStmt:
		if !t.ConstraintsSetStmt.Deferred {
			return &Utility{"SET CONSTRAINTS"}, nil // every constraint is checked at once
		}
	case *pg.Node_CreateExtensionStmt:
		if t.CreateExtensionStmt.IfNotExists && t.CreateExtensionStmt.Extname == "plpgsql" {
			return &Utility{"CREATE EXTENSION"}, nil // what pg_dump writes, for a language that is there in every database
		}
	}
	return nil, errs.SQL("0A000", "%s is not supported", a.firstWords())
}

// firstWords names a statement by its first words: CREATE FUNCTION, LISTEN.
func (a *analyzer) firstWords() string {
	var out []string
	for _, w := range strings.Fields(a.st.Text()) {
		w = strings.ToUpper(strings.TrimRight(w, ";"))
		switch w {
		case "OR", "REPLACE", "TEMP", "TEMPORARY", "UNLOGGED", "GLOBAL", "LOCAL":
			continue
		}
		if strings.Trim(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			break
		}
		if out = append(out, w); len(out) == 2 || !twoWords[out[0]] {
			break
		}
	}
	return strings.Join(out, " ")
}

// twoWords are the words that name a statement only with the next one.
var twoWords = map[string]bool{"CREATE": true, "ALTER": true, "DROP": true, "SET": true, "IMPORT": true, "SECURITY": true, "REASSIGN": true}

func (a *analyzer) vacuum(s *pg.VacuumStmt) (Statement, error) {
	for _, n := range s.Rels {
		if rv := n.GetVacuumRelation().GetRelation(); rv != nil {
			if _, err := a.relation(rv); err != nil {
				return nil, withoutPosition(err)
			}
		}
	}
	if s.IsVacuumcmd {
		return &Utility{"VACUUM"}, nil
	}
	return &Utility{"ANALYZE"}, nil
}

func (a *analyzer) setOwner(s *pg.AlterOwnerStmt) (Statement, error) {
	word := objectWord(s.ObjectType)
	if word == "" {
		return nil, errs.SQL("0A000", "%s is not supported", a.firstWords())
	}
	return &Utility{"ALTER " + word}, nil
}
