package session

import (
	"context"
	"io"
	"strconv"

	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
)

// rows is a stream of batches; io.EOF ends it. A batch is valid until the next call.
type rows interface {
	Next(ctx context.Context) ([]row.Row, error)
	Close() error
}

// result is a running statement.
type result struct {
	columns []sql.Column
	rows    rows
	count   int64
	word    string // SELECT: the tag has the number of rows
	tag     string
	copy    *sql.Copy
	// finish runs once at the end of rows, or at Close: errors of it are the statement's.
	finish func(err error)
}

var _ sql.Result = (*result)(nil)

func (r *result) Columns() []sql.Column { return r.columns }

// Next gives the next rows.
func (r *result) Next(ctx context.Context) ([]row.Row, error) {
	if r.rows == nil {
		r.end(nil)
		return nil, io.EOF
	}
	batch, err := r.rows.Next(ctx)
	switch {
	case err == io.EOF:
		if cerr := r.rows.Close(); cerr != nil {
			r.rows = nil
			r.end(cerr)
			return nil, cerr
		}
		r.rows = nil
		r.end(nil)
		return nil, io.EOF
	case err != nil:
		_ = r.rows.Close()
		r.rows = nil
		r.end(err)
		return nil, err
	}
	r.count += int64(len(batch))
	return batch, nil
}

func (r *result) end(err error) {
	if f := r.finish; f != nil {
		r.finish = nil
		f(err)
	}
}

// Tag is the command tag.
func (r *result) Tag() string {
	if r.tag != "" {
		return r.tag
	}
	return r.word + " " + strconv.FormatInt(r.count, 10)
}

// Copy is not nil for a COPY.
func (r *result) Copy() *sql.Copy { return r.copy }

// Close ends the statement early.
func (r *result) Close() error {
	var err error
	if r.rows != nil {
		err = r.rows.Close()
		r.rows = nil
	}
	r.end(err)
	return err
}

// list is rows that are there already.
type list struct{ batch []row.Row }

func (l *list) Next(context.Context) ([]row.Row, error) {
	if len(l.batch) == 0 {
		return nil, io.EOF
	}
	b := l.batch
	l.batch = nil
	return b, nil
}

func (l *list) Close() error { return nil }

// command is the result of a statement that returns no rows.
func command(tag string) *result { return &result{tag: tag} }

// texts is a result of text columns.
func texts(tag string, columns []string, lines [][]string) *result {
	r := &result{tag: tag}
	for _, c := range columns {
		r.columns = append(r.columns, sql.Column{Name: c, Type: row.T(row.Text)})
	}
	batch := make([]row.Row, len(lines))
	for i, line := range lines {
		for _, v := range line {
			batch[i] = append(batch[i], row.NewText(v))
		}
	}
	r.rows = &list{batch}
	return r
}
