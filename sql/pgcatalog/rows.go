package pgcatalog

import (
	"slices"
	"time"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

// Rows are the rows of a system relation, as the session sees them now. They must not be changed.
func Rows(s Session, rel *catalog.Relation) ([]row.Row, error) {
	r, ok := relationOf[rel.ID]
	if !ok {
		return nil, errs.New(errs.Internal, "%q is no system relation", rel.Name)
	}
	c := &scan{session: s, snapshot: s.Snapshot(), rel: r}
	if r.builder.kind != live {
		c.keep()
	}
	if r.rows != nil && r.builder.kind != constant {
		c.over = c.users()
		r.rows(c)
	}
	return c.out, nil
}

// keep takes the rows that do not change, and computes them at the first time.
func (c *scan) keep() {
	database := c.session.Database()
	rows, ok := c.rel.kept.Load(database)
	if !ok {
		k := &scan{session: c.session, snapshot: c.snapshot, rel: c.rel, over: Relations()}
		c.rel.rows(k)
		rows, _ = c.rel.kept.LoadOrStore(database, k.out)
	}
	c.out = slices.Clip(rows.([]row.Row))
}

// scan computes the rows of one relation.
type scan struct {
	session  Session
	snapshot *catalog.Snapshot
	rel      *relation
	// over are the relations that a byRelation builder goes over.
	over []*catalog.Relation
	out  []row.Row
}

// fields are a row's values by column. A column that is left out is NULL or, if it may not be, its type's zero.
type fields map[string]row.Value

func (c *scan) add(f fields) {
	r := make(row.Row, len(c.rel.Columns))
	for i := range c.rel.Columns {
		if c.rel.Columns[i].NotNull {
			r[i] = zeroOf(c.rel.Columns[i].Type)
		}
	}
	for name, v := range f {
		i, ok := c.rel.column[name]
		if !ok {
			panic("pgcatalog: " + c.rel.Name + " has no column " + name)
		}
		r[i] = v
	}
	c.out = append(c.out, r)
}

func zeroOf(t row.Type) row.Value {
	switch row.KindOf(t.OID) {
	case row.KindBool:
		return row.NewBool(false)
	case row.KindInt:
		return row.NewInt(0)
	case row.KindFloat:
		return row.NewFloat(0)
	case row.KindList:
		return row.NewList([]row.Value{})
	case row.KindBytes:
		return row.NewBytes(nil)
	}
	return row.NewText("")
}

// integer is any number or OID.
type integer interface {
	~int | ~int16 | ~int32 | ~int64 | ~uint32
}

func num[T integer](n T) row.Value { return row.NewInt(int64(n)) }

func text(s string) row.Value { return row.NewText(s) }

// some is text, or NULL for "".
func some(s string) row.Value {
	if s == "" {
		return row.Null
	}
	return row.NewText(s)
}

func boolean(b bool) row.Value { return row.NewBool(b) }

// yesNo is information_schema's boolean.
func yesNo(b bool) row.Value {
	if b {
		return text("YES")
	}
	return text("NO")
}

func char(b byte) row.Value { return row.NewText(string(rune(b))) }

func numbers[T integer](ns []T) row.Value {
	list := make([]row.Value, len(ns))
	for i, n := range ns {
		list[i] = num(n)
	}
	return row.NewList(list)
}

func texts(ss []string) row.Value {
	list := make([]row.Value, len(ss))
	for i, s := range ss {
		list[i] = text(s)
	}
	return row.NewList(list)
}

func instant(t time.Time) row.Value {
	if t.IsZero() {
		return row.Null
	}
	return row.NewTimestamp(t.UnixMicro())
}

// id makes the int that a value of type oid holds a relation id.
func id(v row.Value) delta.RelationID { return delta.RelationID(v.Int()) }
