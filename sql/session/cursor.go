package session

import (
	"context"
	"io"
	"strconv"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
	"github.com/miracledb/miracledb/sql/plan"
)

// cursor is a query that SQL's DECLARE opened; it is read forward only.
type cursor struct {
	columns []sql.Column
	rows    rows
	rest    []row.Row
	hold    bool
}

func (s *Session) declare(ctx context.Context, st *plan.DeclareCursor, args []row.Value) error {
	if !s.block && !st.Hold {
		return errs.SQL("25P01", "DECLARE CURSOR can only be used in transaction blocks")
	}
	if s.cursors[st.Name] != nil {
		return errs.SQL("42P03", "cursor %q already exists", st.Name)
	}
	// The cursor outlives this statement's context: it ends with the transaction.
	r, err := s.queryNode(context.WithoutCancel(ctx), nil, st.Query, args)
	if err != nil {
		return err
	}
	c := &cursor{columns: r.columns, rows: r.rows, hold: st.Hold}
	if st.Hold {
		// WITH HOLD lives past the transaction, whose snapshot does not: its rows are kept.
		for {
			batch, err := c.rows.Next(ctx)
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			for _, r := range batch {
				c.rest = append(c.rest, append(row.Row(nil), r...))
			}
		}
		if err := c.rows.Close(); err != nil {
			return err
		}
		c.rows = &list{}
	}
	s.cursors[st.Name] = c
	return nil
}

// Cursor gives the columns of a cursor.
func (s *Session) Cursor(name string) ([]sql.Column, bool) {
	c, ok := s.cursors[name]
	if !ok {
		return nil, false
	}
	return c.columns, true
}

func (s *Session) fetch(ctx context.Context, st *plan.Fetch) (*result, error) {
	c := s.cursors[st.Name]
	if c == nil {
		return nil, errs.SQL("34000", "cursor %q does not exist", st.Name)
	}
	var out []row.Row
	n := int64(0)
	for st.Count < 0 || n < st.Count {
		if len(c.rest) == 0 {
			batch, err := c.rows.Next(ctx)
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, err
			}
			for _, r := range batch {
				c.rest = append(c.rest, append(row.Row(nil), r...))
			}
		}
		if !st.Move {
			out = append(out, c.rest[0])
		}
		c.rest = c.rest[1:]
		n++
	}
	if st.Move {
		return command("MOVE " + strconv.FormatInt(n, 10)), nil
	}
	return &result{columns: c.columns, rows: &list{out}, word: "FETCH"}, nil
}

func (s *Session) closeCursor(st *plan.CloseCursor) error {
	if st.Name == "" {
		s.closeCursors(true)
		return nil
	}
	c := s.cursors[st.Name]
	if c == nil {
		return errs.SQL("34000", "cursor %q does not exist", st.Name)
	}
	delete(s.cursors, st.Name)
	return c.rows.Close()
}

// closeCursors closes the cursors of the transaction, or all of them.
func (s *Session) closeCursors(held bool) {
	for name, c := range s.cursors {
		if c.hold && !held {
			continue
		}
		_ = c.rows.Close()
		delete(s.cursors, name)
	}
}
