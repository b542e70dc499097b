package columnar

import (
	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
)

// source is rows on their way into a new segment: those of an older segment or of a frozen tail that lived at the cut.
type source struct {
	segment *placed // or
	tail    *tail
	rows    int64
	dead    *roaring.Bitmap // at the cut; nil: none
	base    int64           // the first living row's number in the new segment
}

func (c *source) living() int64 {
	if c.dead == nil {
		return c.rows
	}
	return c.rows - int64(c.dead.GetCardinality())
}

// place gives the new number of a row that lived at the cut.
func (c *source) place(row uint32) uint32 {
	if c.dead == nil {
		return uint32(c.base) + row
	}
	return uint32(c.base) + row - uint32(c.dead.Rank(row))
}

// job is the flush of one relation: what the cut took, and what was made of it.
type job struct {
	r       *relation
	schema  *arrow.Schema
	sources []source
	kept    []*placed // segments that stay
	vectors []vector  // of kept, at the cut

	segment *segment // made of sources; nil: all rows are dead
	entry   manifestRelation
	deleted *manifestFile
}

// flush makes relations durable: all that changed, or only those whose tails are over their budgets. Readers and Apply go
// on meanwhile, except for the moments of the cut and of putting the new segments in.
func (s *Store) flush(all bool) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	jobs, m, old, err := s.cut(all)
	if err != nil || m == nil {
		return err
	}
	if err = s.write(jobs); err == nil {
		var tried bool
		if tried, err = s.commit(jobs, m); err != nil && (tried || !errs.Is(err, errs.Unavailable)) {
			// The new manifest may be the one: as it cannot be told, nothing more is done.
			err = errs.New(errs.Unavailable, "columnar: the manifest in %s: %w", s.opts.Dir, err)
			s.apply.Lock()
			s.apply.failed = err
			s.apply.Unlock()
			return err
		}
	}
	if err == nil {
		s.install(jobs, m, old)
	} else {
		s.abandon(jobs, old)
	}
	s.apply.Lock()
	s.apply.flushErr = err
	s.apply.Unlock()
	return err
}

// Flush makes everything applied so far durable.
func (s *Store) Flush() error { return s.flush(true) }

// cut freezes the tails of the relations to flush and begins the manifest of this moment. m is nil when there is nothing
// to do; old is what the manifest will not name.
func (s *Store) cut(all bool) (jobs []*job, m *manifest, old []*counted, err error) {
	a := &s.apply
	a.Lock()
	defer a.Unlock()
	if a.failed != nil {
		return nil, nil, nil, a.failed
	}
	if a.position.Less(a.readable) {
		return nil, nil, nil, nil // replaying: relations stand at different Positions, a cut would be of no one moment
	}
	m = &manifest{Seed: a.seed, Position: a.position}
	for _, r := range a.relations {
		over := r.memory() >= int64(s.opts.RelationTail) || a.memory >= int64(s.opts.AllTails) && 8*r.memory() >= a.memory
		switch {
		case r.dirty && (all || over):
			j, err := s.cutRelation(r)
			if err != nil {
				a.failed = err
				return nil, nil, nil, err
			}
			jobs = append(jobs, j)
		case r.saved.Schemas != nil:
			entry := r.saved
			if !r.dirty {
				entry.Position = a.position
			}
			m.Relations = append(m.Relations, entry)
		default:
			// Never flushed: what it has is to be replayed, although others are further on.
			b, err := encodeSchema(r.schema)
			if err != nil {
				return nil, nil, nil, err
			}
			m.Relations = append(m.Relations, manifestRelation{ID: r.id, Keyed: r.keyed, Position: a.durable, Schemas: [][]manifestField{b}})
		}
	}
	if len(jobs) == 0 && (!all || a.durable == a.position && len(a.garbage) == 0) {
		return nil, nil, nil, nil
	}
	old, a.garbage = a.garbage, nil
	s.publish()
	return jobs, m, old, nil
}

func (s *Store) cutRelation(r *relation) (*job, error) {
	j := &job{r: r, schema: r.schema, entry: manifestRelation{ID: r.id, Keyed: r.keyed, Position: s.apply.position}}
	if r.tail != nil {
		if err := r.tail.seal(); err != nil {
			return nil, err
		}
		r.frozen = append(r.frozen, r.tail)
		r.tail = nil
		r.changed = true
	}
	fresh := int64(0)
	for _, t := range r.frozen {
		c := source{tail: t, rows: t.rows(), dead: t.dead.share()}
		fresh += c.living()
		j.sources = append(j.sources, c)
	}
	fold := s.foldable(r, fresh)
	var folded []source
	for _, g := range r.segments {
		if fold[g] {
			folded = append(folded, source{segment: g, rows: g.rows, dead: g.dead.share()})
			continue
		}
		j.kept = append(j.kept, g)
		if g.dead.count() > 0 {
			j.vectors = append(j.vectors, vector{g.number, g.dead.share()})
		}
	}
	j.sources = append(folded, j.sources...) // older rows first
	r.dirty = false
	if n := livingRows(j.sources); n > 0 {
		j.segment = s.newSegment(r.id, s.newFile(), r.schema, n)
	}
	if len(j.vectors) > 0 {
		j.deleted = &manifestFile{Number: s.newFile()}
	}
	return j, nil
}

func livingRows(sources []source) (n int64) {
	for i := range sources {
		n += sources[i].living()
	}
	return n
}

// foldable chooses the segments that are written again together with fresh new rows: those with a quarter of their rows
// dead, and small ones where that lowers the number of files.
func (s *Store) foldable(r *relation, fresh int64) map[*placed]bool {
	fold := map[*placed]bool{}
	var small []*placed
	total := fresh
	for _, g := range r.segments {
		dead := g.dead.count()
		switch live := g.rows - dead; {
		case dead > 0 && 4*dead >= g.rows && total+live <= maxSegmentRows/4:
			fold[g] = true
			total += live
		case live < s.opts.SmallRows:
			small = append(small, g)
		}
	}
	if len(small) > 1 || total > 0 {
		for _, g := range small {
			if live := g.rows - g.dead.count(); total+live <= maxSegmentRows/4 {
				fold[g] = true
				total += live
			}
		}
	}
	return fold
}

// write makes the files of all jobs, durable but not yet named.
func (s *Store) write(jobs []*job) error {
	for _, j := range jobs {
		if j.segment != nil {
			if err := s.writeSegment(j); err != nil {
				return err
			}
		}
		if j.deleted != nil {
			path := s.deletedPath(j.r.id, j.deleted.Number)
			f, err := createSumming(s.fs, path)
			if err != nil {
				return fileError("create", path, err)
			}
			err = writeDeleted(f, j.vectors)
			if j.deleted.fileSum, err = finish(f, err); err != nil {
				return fileError("write", path, err)
			}
		}
	}
	if len(jobs) > 0 {
		if err := vfs.SyncDir(s.fs, s.dir); err != nil {
			return fileError("sync", s.dir, err)
		}
	}
	return nil
}

// finish ends a file whose writing ended with err.
func finish(f *summingFile, err error) (fileSum, error) {
	sum, ferr := f.finish()
	if err == nil {
		err = ferr
	}
	return sum, err
}

func (s *Store) writeSegment(j *job) error {
	g := j.segment
	f, err := createSumming(s.fs, g.path)
	if err != nil {
		return fileError("create", g.path, err)
	}
	entries, err := s.writeRows(f, j)
	if g.data, err = finish(f, err); err != nil {
		return fileError("write", g.path, err)
	}
	g.verified.Store(true)
	if !j.r.keyed {
		return nil
	}
	if f, err = createSumming(s.fs, g.keyPath); err != nil {
		return fileError("create", g.keyPath, err)
	}
	err = writeKeys(f, entries)
	sum, err := finish(f, err)
	if err != nil {
		return fileError("write", g.keyPath, err)
	}
	g.keys = &sum
	g.index, err = openKeys(s.fs, g.keyPath, g.rows)
	return err
}

// writeRows writes the living rows of all sources and gives their keys.
func (s *Store) writeRows(f *summingFile, j *job) (entries []keyEntry, err error) {
	w, err := newSegmentWriter(f, j.schema, s.opts.Blooms(j.r.id, j.schema))
	if err != nil {
		return nil, err
	}
	if j.r.keyed {
		entries = make([]keyEntry, 0, j.segment.rows)
	}
	put := func(first int64, rec arrow.Record, dead *roaring.Bitmap) error {
		rec, err := living(rec, first, dead)
		if err != nil {
			return err
		}
		wide, err := padded(rec, j.schema)
		if err != nil {
			return err
		}
		return w.write(wide)
	}
	for i := range j.sources {
		c := &j.sources[i]
		c.base = w.rows
		if c.tail != nil {
			first := int64(0)
			for _, rec := range c.tail.sealed {
				if err := put(first, rec, c.dead); err != nil {
					return nil, err
				}
				first += rec.NumRows()
			}
			for row, h := range c.tail.hashes {
				if c.dead == nil || !c.dead.Contains(uint32(row)) {
					entries = append(entries, keyEntry{h, c.place(uint32(row))})
				}
			}
			continue
		}
		err := s.readSegment(c.segment.segment, allOf(c.segment.schema), func(first int64, rec arrow.Record) error {
			return put(first, rec, c.dead)
		})
		if err != nil {
			return nil, err
		}
		for k := range c.segment.index.len() {
			if e := c.segment.index.at(k); c.dead == nil || !c.dead.Contains(e.row) {
				entries = append(entries, keyEntry{e.hash, c.place(e.row)})
			}
		}
	}
	return entries, w.close()
}

func allOf(s *arrow.Schema) []int {
	columns := make([]int, s.NumFields())
	for i := range columns {
		columns[i] = i
	}
	return columns
}

// readSegment reads a segment, whose checksum it has checked.
func (s *Store) readSegment(g *segment, columns []int, fn func(first int64, rec arrow.Record) error) error {
	if err := g.verify(s.fs); err != nil {
		return err
	}
	r, err := openSegment(s.fs, g.path, g.data.Bytes, g.schema)
	if err != nil {
		return err
	}
	defer r.close()
	return r.read(columns, fn)
}

// commit makes the manifest durable that names what the jobs made. tried is that of writeManifest.
func (s *Store) commit(jobs []*job, m *manifest) (tried bool, err error) {
	for _, j := range jobs {
		schemas := map[*arrow.Schema]int{}
		list := append([]*placed(nil), j.kept...)
		if j.segment != nil {
			list = append(list, &placed{segment: j.segment})
		}
		add := func(schema *arrow.Schema) (int, error) {
			i, ok := schemas[schema]
			if !ok {
				b, err := encodeSchema(schema)
				if err != nil {
					return 0, err
				}
				i = len(j.entry.Schemas)
				schemas[schema] = i
				j.entry.Schemas = append(j.entry.Schemas, b)
			}
			return i, nil
		}
		for _, g := range list {
			i, err := add(g.schema)
			if err != nil {
				return false, err
			}
			j.entry.Segments = append(j.entry.Segments, manifestSegment{Number: g.number, Schema: i, Rows: g.rows, Data: g.data, Keys: g.keys})
		}
		// The last schema is the relation's, whether a segment has it or not.
		if i, ok := schemas[j.schema]; !ok || i != len(j.entry.Schemas)-1 {
			b, err := encodeSchema(j.schema)
			if err != nil {
				return false, err
			}
			j.entry.Schemas = append(j.entry.Schemas, b)
		}
		j.entry.Deleted = j.deleted
		m.Relations = append(m.Relations, j.entry)
	}
	s.apply.Lock()
	m.NextFile = s.apply.nextFile
	s.apply.Unlock()
	return writeManifest(s.fs, s.opts.Dir, m)
}

// install puts the new segments in the place of their sources. old is what the new manifest names no more.
func (s *Store) install(jobs []*job, m *manifest, old []*counted) {
	a := &s.apply
	a.Lock()
	defer a.Unlock()
	for _, j := range jobs {
		if a.relations[j.r.id] == j.r {
			old = append(old, s.installRelation(j)...)
			continue
		}
		// Dropped meanwhile: this manifest names what was made, the next one will not.
		if j.segment != nil {
			a.garbage = append(a.garbage, &j.segment.counted)
		}
		if j.deleted != nil {
			a.garbage = append(a.garbage, s.obsoleteFile(s.deletedPath(j.r.id, j.deleted.Number)))
		}
	}
	for _, e := range m.Relations {
		if r := a.relations[e.ID]; r != nil {
			r.saved = e
		}
	}
	a.durable = m.Position
	s.publish() // before the release below: the newest version must not name what goes
	for _, c := range old {
		c.obsolete.Store(true)
		c.release()
	}
}

// installRelation gives the files that the manifest names no more. Rows that died since the cut are marked where they
// stand now.
func (s *Store) installRelation(j *job) (old []*counted) {
	r := j.r
	if d := r.saved.Deleted; d != nil {
		old = append(old, s.obsoleteFile(s.deletedPath(r.id, d.Number)))
	}
	r.segments = j.kept
	var made *placed
	if j.segment != nil {
		made = &placed{segment: j.segment}
		r.segments = append(r.segments, made)
	}
	for i := range j.sources {
		c := &j.sources[i]
		var dead *deadRows
		if c.tail != nil {
			dead = &c.tail.dead
			old = append(old, &c.tail.counted)
		} else {
			dead = &c.segment.dead
			old = append(old, &c.segment.counted)
		}
		if dead.rows == nil {
			continue
		}
		for it := dead.rows.Iterator(); it.HasNext(); {
			if row := it.Next(); c.dead == nil || !c.dead.Contains(row) {
				made.dead.add(c.place(row))
			}
		}
	}
	r.frozen = nil
	r.changed = true
	return old
}

// abandon puts everything back after a flush that failed: the frozen tails are flushed with the next one.
func (s *Store) abandon(jobs []*job, old []*counted) {
	a := &s.apply
	a.Lock()
	defer a.Unlock()
	a.garbage = append(a.garbage, old...)
	for _, j := range jobs {
		j.r.dirty = true
		if j.segment != nil {
			j.segment.obsolete.Store(true)
			j.segment.release()
		}
		if j.deleted != nil {
			s.fs.Remove(s.deletedPath(j.r.id, j.deleted.Number))
		}
	}
}
