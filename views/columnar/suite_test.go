package columnar_test

import (
	"context"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/views/columnar"
	"github.com/miracledb/miracledb/views/viewstest"
)

type subject struct{ *columnar.Store }

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "key", Type: arrow.BinaryTypes.String}, {Name: "value", Type: arrow.BinaryTypes.String}}, nil)

func (s subject) Tick(pos delta.Position, writes []viewstest.Write) error {
	c := columnar.Change{Relation: 1}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, w := range writes {
		if w.Delete {
			c.Deletes = append(c.Deletes, []byte(w.Key))
			continue
		}
		c.Keys = append(c.Keys, []byte(w.Key))
		b.Field(0).(*array.StringBuilder).Append(w.Key)
		b.Field(1).(*array.StringBuilder).Append(w.Value)
	}
	if c.Keys != nil {
		c.Rows = b.NewRecord()
	}
	return s.Apply(pos, c)
}

func (s subject) View() (viewstest.View, error) {
	snap, err := s.Snapshot()
	return view{snap}, err
}

type view struct{ *columnar.Snapshot }

func (v view) Rows() (map[string]string, error) {
	rows := map[string]string{}
	r, ok := v.Relation(1)
	if !ok {
		return rows, nil
	}
	err := r.Read(context.Background(), nil, func(rec arrow.Record) error {
		for i := range int(rec.NumRows()) {
			rows[rec.Column(0).ValueStr(i)] = rec.Column(1).ValueStr(i)
		}
		return nil
	})
	return rows, err
}

func TestStore(t *testing.T) {
	viewstest.Run(t, func(fs vfs.FS, dir string) (viewstest.Subject, error) {
		s, err := columnar.Open(columnar.Options{FS: fs, Dir: dir})
		return subject{s}, err
	})
}
