package session

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql/duck"
	"github.com/miracledb/miracledb/sql/exec"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/columnar"
	"github.com/miracledb/miracledb/views/heap"
	"github.com/miracledb/miracledb/views/version"
)

// analytic runs a translated plan in the analytical engine at one version.
func (s *Session) analytic(ctx context.Context, r *route, t *duck.Translated) (rows, error) {
	held, err := s.version(ctx, r)
	if err == nil && held == nil {
		held, err = s.acquire(ctx, r.views)
	}
	if err != nil {
		return nil, err
	}
	sources := make([]*duck.Source, len(t.Relations))
	for i, rel := range t.Relations {
		s.read(rel)
		if sources[i], err = s.db.source(ctx, held.Value, rel); err != nil {
			return nil, errors.Join(err, held.Release())
		}
	}
	rs, err := s.db.o.Engine.Query(ctx, t, sources)
	if err != nil {
		return nil, errors.Join(err, held.Release())
	}
	return &analyticRows{rs, held}, nil
}

// source says what one relation of a version consists of.
func (d *Database) source(ctx context.Context, v *version.Version, rel *catalog.Relation) (*duck.Source, error) {
	src := &duck.Source{Name: rel.Name, Columns: rel.RowSchema().Columns}
	switch rel.Kind {
	case catalog.Table, catalog.Stream:
		r, ok := v.Columnar.Relation(rel.ID)
		if !ok {
			return src, nil // no row was ever there
		}
		return columns(src, r)
	case catalog.MaterializedView:
		recs, key, err := d.images.of(ctx, v, rel)
		if err != nil {
			return nil, err
		}
		src.Inline = []duck.Inline{{Records: recs, CacheKey: key}}
		return src, nil
	}
	return nil, errs.New(errs.Internal, "the analytical engine does not read %s %q", rel.Kind, rel.Name)
}

// columns describes the column store's snapshot of a relation to the engine.
func columns(src *duck.Source, r *columnar.Relation) (*duck.Source, error) {
	for _, seg := range r.Segments {
		src.Segments = append(src.Segments, duck.Segment{Path: seg.Path, Rows: seg.Rows, Deleted: dead(seg.Deleted),
			Columns: fileColumns(src, seg)})
	}
	for _, t := range r.Tails {
		src.Tails = append(src.Tails, duck.Tail{Path: t.Path, Bytes: t.Bytes, Rows: t.Rows, Deleted: dead(t.Deleted)})
	}
	open, err := r.Open()
	if err != nil {
		return nil, err
	}
	if open != nil && open.NumRows() > 0 {
		src.Inline = []duck.Inline{{Records: []arrow.Record{open}}}
	}
	return src, nil
}

// dead names a file's set of dead rows: it only grows, so its size is its version.
func dead(rows *roaring.Bitmap) duck.Deleted {
	if rows == nil {
		return duck.Deleted{}
	}
	return duck.Deleted{Rows: rows, Version: rows.GetCardinality()}
}

// fileColumns are a segment's own names of the relation's columns: an older file lacks those added since.
func fileColumns(src *duck.Source, seg columnar.Segment) []string {
	names := make([]string, len(src.Columns))
	for i := range min(len(names), seg.Schema.NumFields()) {
		names[i] = seg.Schema.Field(i).Name
	}
	return names
}

// images are the rows of views as Arrow records, made once per change of the view.
type images struct {
	mu struct {
		sync.Mutex
		byID map[relationID]*image
	}
}

type image struct {
	changed log.Position
	records []arrow.Record
	key     string
}

// of gives a view's rows at a version. The records are Go memory and live as long as somebody holds them.
func (im *images) of(ctx context.Context, v *version.Version, rel *catalog.Relation) ([]arrow.Record, string, error) {
	changed := v.Changed[rel.ID]
	im.mu.Lock()
	have := im.mu.byID[rel.ID]
	im.mu.Unlock()
	if have != nil && have.changed == changed {
		return have.records, have.key, nil
	}
	recs, err := imageOf(ctx, v.Views, rel)
	if err != nil {
		return nil, "", err
	}
	made := &image{changed: changed, records: recs, key: fmt.Sprintf("%d@%v", rel.ID, changed)}
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.mu.byID == nil {
		im.mu.byID = map[relationID]*image{}
	}
	if old := im.mu.byID[rel.ID]; old == nil || old.changed.Less(changed) {
		im.mu.byID[rel.ID] = made
	}
	return made.records, made.key, nil
}

// imageRows is the size of an image's records: what the engine's table function takes at once.
const imageRows = 2048

func imageOf(ctx context.Context, r heap.Reader, rel *catalog.Relation) (recs []arrow.Record, err error) {
	b := row.NewBuilder(nil, rel.RowSchema())
	it, err := (&exec.HeapSource{Reader: r}).Scan(ctx, &exec.ScanRequest{Relation: rel})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for {
		batch, err := it.Next()
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if len(batch) == 0 {
			break
		}
		for _, r := range batch {
			b.AppendRow(r)
			if b.Len() == imageRows {
				recs = append(recs, b.NewRecord())
			}
		}
	}
	if b.Len() > 0 {
		recs = append(recs, b.NewRecord())
	}
	return recs, nil
}
