package session

import (
	"context"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// checkAltered checks the rows that are there for what ALTER TABLE demands of them now: next is the relation as it is to be.
func (s *Session) checkAltered(ctx context.Context, st *plan.Alter, next *catalog.Relation) error {
	for _, col := range st.CheckNotNull {
		if err := s.checkNotNull(ctx, next, col); err != nil {
			return err
		}
	}
	for _, i := range st.CheckUnique {
		if err := s.checkUnique(ctx, next, &next.Indexes[i]); err != nil {
			return err
		}
	}
	if len(st.CheckRows) > 0 {
		if err := s.checkRows(ctx, next, st.CheckRows); err != nil {
			return err
		}
	}
	for _, i := range st.CheckReferences {
		if err := s.checkReferences(ctx, next, &next.ForeignKeys[i]); err != nil {
			return err
		}
	}
	return nil
}

// eachRow calls fn with every row of a table as this transaction will leave it.
func (s *Session) eachRow(ctx context.Context, rel *catalog.Relation, fn func(row.Row) error) error {
	for _, c := range s.tx.Changed(rel.ID) {
		if c.New == nil {
			continue
		}
		r := append(row.Row{}, c.New...)
		for i := len(r); i < len(rel.Columns); i++ {
			v, err := rel.Columns[i].Missing()
			if err != nil {
				return err
			}
			r = append(r, v)
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	it := s.db.o.Tables.Scan(rel.ID, nil, nil, false)
	defer func() { _ = it.Close() }()
	for it.Next() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, changed := s.tx.Own(rel.ID, it.Key()); changed {
			continue
		}
		r, err := ingest.DecodeRow(rel, it.Value())
		if err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return it.Err()
}

func (s *Session) checkNotNull(ctx context.Context, rel *catalog.Relation, col int) error {
	return s.eachRow(ctx, rel, func(r row.Row) error {
		if r[col].IsNull() {
			return errs.SQL("23502", "column %q of relation %q contains null values", rel.Columns[col].Name, rel.Name)
		}
		return nil
	})
}

// checkUnique fails when two rows of a table have the same entry in a new index.
func (s *Session) checkUnique(ctx context.Context, rel *catalog.Relation, x *catalog.Index) error {
	seen := map[string]bool{}
	return s.eachRow(ctx, rel, func(r row.Row) error {
		entry, ok := ingest.EntryKey(rel, x, r)
		if ok && seen[string(entry)] {
			return errs.SQL("23505", "could not create unique index %q", x.Name).WithDetail("Some key is there twice.")
		}
		seen[string(entry)] = ok
		return nil
	})
}

// checkRows fails when a row breaks one of the CHECK constraints.
func (s *Session) checkRows(ctx context.Context, rel *catalog.Relation, which []int) error {
	checks, err := Checks(rel)
	if err != nil {
		return err
	}
	return s.eachRow(ctx, rel, func(r row.Row) error {
		for _, i := range which {
			ok, err := checks[i].Holds(r)
			if err != nil {
				return err
			}
			if !ok {
				return &errs.Error{Kind: errs.Constraint, State: "23514", Schema: rel.Schema, Table: rel.Name, Constraint: checks[i].Name,
					Message: "check constraint \"" + checks[i].Name + "\" of relation \"" + rel.Name + "\" is violated by some row"}
			}
		}
		return nil
	})
}

// checkReferences fails when a row refers to a row that is not there.
func (s *Session) checkReferences(ctx context.Context, rel *catalog.Relation, fk *catalog.ForeignKey) error {
	snap, err := s.snapshot().With(&catalog.Record{ID: rel.ID, Version: s.snapshot().Version(rel.ID) + 1, Relation: rel})
	if err != nil {
		return err
	}
	return s.eachRow(ctx, rel, func(r row.Row) error {
		ok, err := ingest.Refers(seenRows{s}, snap, fk, r)
		if err != nil {
			return err
		}
		if !ok {
			return &errs.Error{Kind: errs.Constraint, State: "23503", Schema: rel.Schema, Table: rel.Name, Constraint: fk.Name,
				Message: "insert or update on table \"" + rel.Name + "\" violates foreign key constraint \"" + fk.Name + "\""}
		}
		return nil
	})
}

// seenRows reads rows as this transaction will leave them.
type seenRows struct{ s *Session }

func (o seenRows) Get(rel delta.RelationID, key []byte) ([]byte, bool, error) {
	if r, changed := o.s.tx.Own(rel, key); changed {
		return nil, r != nil, nil
	}
	return o.s.db.o.Sequencer.Newest(rel, key)
}
