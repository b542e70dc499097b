package columnar

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	stdfs "io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/views"
)

var _ views.Store = (*Store)(nil)

// Options says where the store is and what it may take.
type Options struct {
	FS  vfs.FS // nil: the operating system's
	Dir string
	// TailDir holds the tail files; what is in it at Open is removed. "": Dir/tail. A directory in memory (/dev/shm) is
	// faster and as good: tails are computed again after a restart.
	TailDir string

	// RelationTail is the tail memory at which a relation is flushed; 0: 32 MiB.
	RelationTail limit.Bytes
	// AllTails is the tail memory at which the largest tails are flushed; 0: 128 MiB. At twice as much Apply waits for
	// the flush.
	AllTails limit.Bytes
	// FlushEvery is the longest time that rows stay in a tail; 0: 30 s. It bounds replay after a crash.
	FlushEvery time.Duration
	// VerifyAtOpen bounds the bytes of segments whose checksums Open checks; 0: 1 GiB. Run checks the rest.
	VerifyAtOpen limit.Bytes
	// SmallRows is below how many live rows a segment is folded into the next flush; 0: 65,536.
	SmallRows int64
	// Blooms gives the columns of a relation that get a bloom filter in its segments; nil: none do.
	Blooms func(rel delta.RelationID, schema *arrow.Schema) []int
}

func (o *Options) defaults() {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.TailDir == "" {
		o.TailDir = o.FS.PathJoin(o.Dir, "tail")
	}
	if o.RelationTail == 0 {
		o.RelationTail = 32 * limit.MiB
	}
	if o.AllTails == 0 {
		o.AllTails = 128 * limit.MiB
	}
	if o.FlushEvery == 0 {
		o.FlushEvery = 30 * time.Second
	}
	if o.VerifyAtOpen == 0 {
		o.VerifyAtOpen = limit.GiB
	}
	if o.SmallRows == 0 {
		o.SmallRows = 64 << 10
	}
	if o.Blooms == nil {
		o.Blooms = func(delta.RelationID, *arrow.Schema) []int { return nil }
	}
}

// Store is an open column store. One goroutine calls Apply; everything else may be called from any.
type Store struct {
	opts Options
	fs   vfs.FS
	dir  string // of segments

	kick chan struct{} // asks Run for a flush

	published published

	// flushing is held by the one flush that runs. Taken before apply.
	flushing sync.Mutex

	// apply guards what the applier works on and what a flush takes from it and puts back: for moments only.
	apply struct {
		sync.Mutex
		seed      uint64
		position  delta.Position // of the last tick
		readable  delta.Position // the highest Position of a relation at Open: before it the state is of no one moment
		durable   delta.Position // of the manifest: relations it does not list stand there
		nextFile  uint64
		relations map[delta.RelationID]*relation
		garbage   []*counted // named by the newest manifest, not by the next
		memory    int64      // of all tails
		failed    error
		flushErr  error // of the last flush
	}
}

// fileError gives an error of the file system a kind and says which file.
func fileError(op, path string, err error) error {
	if errs.KindOf(err) != errs.Internal {
		return err
	}
	return errs.New(errs.Unavailable, "columnar: %s %s: %w", op, path, err).
		WithHint("Check that the disk has space and works, and that there are file descriptors (ulimit -n); nothing is lost, the log has it.")
}

// Open opens the store in opts.Dir, creating it when there is none. Errors: Corrupt with the file's path when something
// is not what was made durable.
func Open(opts Options) (*Store, error) {
	opts.defaults()
	s := &Store{opts: opts, fs: opts.FS, dir: opts.FS.PathJoin(opts.Dir, "segments"), kick: make(chan struct{}, 1)}
	s.apply.relations = map[delta.RelationID]*relation{}
	for _, dir := range []string{opts.Dir, s.dir, opts.TailDir} {
		if err := makeDir(s.fs, dir); err != nil {
			return nil, fileError("create", dir, err)
		}
	}
	m, err := readManifest(s.fs, opts.Dir)
	if err != nil {
		return nil, err
	}
	files, err := s.fs.List(s.dir)
	if err != nil {
		return nil, fileError("list", s.dir, err)
	}
	if m == nil {
		if err := s.create(files); err != nil {
			return nil, err
		}
	} else if err := s.load(m, files); err != nil {
		s.closeSegments()
		return nil, err
	}
	if err := s.cleanTails(); err != nil {
		s.closeSegments()
		return nil, err
	}
	s.publish()
	return s, nil
}

// makeDir makes dir and the ones above it where they are missing, durably: a directory that its parent forgets in a power
// cut takes everything synced in it along.
func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil || !errors.Is(err, stdfs.ErrNotExist) {
		return err
	}
	parent := fs.PathDir(dir)
	if parent != dir && parent != "." && parent != "" {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return vfs.SyncDir(fs, parent)
}

// create writes the first manifest, so that a store with segments always has one.
func (s *Store) create(files []string) error {
	for _, name := range files {
		if strings.HasSuffix(name, ".parquet") {
			return damaged(s.fs.PathJoin(s.opts.Dir, manifestName), errors.New("it is missing, but there are segments"))
		}
	}
	var seed [8]byte
	rand.Read(seed[:])
	s.apply.seed = binary.LittleEndian.Uint64(seed[:])
	if _, err := writeManifest(s.fs, s.opts.Dir, &manifest{Seed: s.apply.seed}); err != nil {
		return fileError("write the manifest in", s.opts.Dir, err)
	}
	return nil
}

// load takes over what the manifest names and removes what it does not: files of a flush that did not get so far.
func (s *Store) load(m *manifest, files []string) error {
	a := &s.apply
	a.seed, a.nextFile, a.durable = m.Seed, m.NextFile, m.Position
	a.position, a.readable = m.Position, m.Position
	named := map[string]bool{}
	budget := int64(s.opts.VerifyAtOpen)
	for _, mr := range m.Relations {
		r, err := s.loadRelation(mr, named, &budget)
		if err != nil {
			return err
		}
		a.relations[r.id] = r
		if mr.Position.Less(a.position) {
			a.position = mr.Position
		}
		if a.readable.Less(mr.Position) {
			a.readable = mr.Position
		}
	}
	for _, name := range files {
		if !named[name] {
			if err := s.fs.Remove(s.fs.PathJoin(s.dir, name)); err != nil {
				return fileError("remove", name, err)
			}
		}
	}
	return nil
}

func (s *Store) loadRelation(mr manifestRelation, named map[string]bool, budget *int64) (*relation, error) {
	r := &relation{id: mr.ID, keyed: mr.Keyed, saved: mr, changed: true}
	schemas := make([]*arrow.Schema, len(mr.Schemas))
	for i, b := range mr.Schemas {
		var err error
		if schemas[i], err = decodeSchema(b); err != nil {
			return nil, damaged(s.fs.PathJoin(s.opts.Dir, manifestName), err)
		}
	}
	r.schema = schemas[len(schemas)-1]
	for _, ms := range mr.Segments {
		g := s.newSegment(mr.ID, ms.Number, schemas[ms.Schema], ms.Rows)
		g.data, g.keys = ms.Data, ms.Keys
		r.segments = append(r.segments, &placed{segment: g})
		r.live += g.rows
		named[baseName(s.fs, g.path)] = true
		if g.keys != nil {
			named[baseName(s.fs, g.keyPath)] = true
			if err := g.keys.verify(s.fs, g.keyPath); err != nil {
				return nil, err
			}
			var err error
			if g.index, err = openKeys(s.fs, g.keyPath, g.rows); err != nil {
				return nil, err
			}
		}
		if *budget -= g.data.Bytes; *budget >= 0 {
			if err := g.verify(s.fs); err != nil {
				return nil, err
			}
		} else if st, err := s.fs.Stat(g.path); err != nil || st.Size() != g.data.Bytes {
			return nil, damaged(g.path, errors.Join(err, fmt.Errorf("want %d bytes", g.data.Bytes)))
		}
	}
	if mr.Deleted != nil {
		path := s.deletedPath(mr.ID, mr.Deleted.Number)
		named[baseName(s.fs, path)] = true
		if err := readDeleted(s.fs, path, mr.Deleted.fileSum, r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (s *Store) newSegment(rel delta.RelationID, number uint64, schema *arrow.Schema, rows int64) *segment {
	g := &segment{number: number, schema: schema, rows: rows}
	g.path = s.fs.PathJoin(s.dir, fmt.Sprintf("r%d-%d.parquet", rel, number))
	g.keyPath = s.fs.PathJoin(s.dir, fmt.Sprintf("r%d-%d.keys", rel, number))
	g.refs.Store(1)
	g.free = func(obsolete bool) {
		g.index.close()
		if obsolete {
			s.fs.Remove(g.path)
			s.fs.Remove(g.keyPath) // which a relation without keys does not have
		}
	}
	return g
}

func (s *Store) deletedPath(rel delta.RelationID, number uint64) string {
	return s.fs.PathJoin(s.dir, fmt.Sprintf("r%d-%d.deleted", rel, number))
}

func baseName(fs vfs.FS, path string) string { return fs.PathBase(path) }

// verify checks the data file once in a run of the program.
func (g *segment) verify(fs vfs.FS) error {
	if g.verified.Load() {
		return nil
	}
	if err := g.data.verify(fs, g.path); err != nil {
		return err
	}
	g.verified.Store(true)
	return nil
}

func (s *Store) cleanTails() error {
	names, err := s.fs.List(s.opts.TailDir)
	if err != nil {
		return fileError("list", s.opts.TailDir, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".tail") {
			path := s.fs.PathJoin(s.opts.TailDir, name)
			if err := s.fs.Remove(path); err != nil && !errors.Is(err, stdfs.ErrNotExist) {
				return fileError("remove", path, err)
			}
		}
	}
	return nil
}

// Position is that of the last tick applied; after Open the lowest of any relation's.
func (s *Store) Position() delta.Position {
	s.apply.Lock()
	defer s.apply.Unlock()
	return s.apply.position
}

// DurablePosition is the lowest Position of any relation in the manifest: replay starts after it.
func (s *Store) DurablePosition() delta.Position {
	return s.Positions()[0]
}

// Positions gives the Positions in the manifest, lowest first: while replaying, a tick must end at each of them.
func (s *Store) Positions() []delta.Position {
	s.apply.Lock()
	defer s.apply.Unlock()
	all := []delta.Position{s.apply.durable}
	for _, r := range s.apply.relations {
		if r.saved.Schemas != nil {
			all = append(all, r.saved.Position)
		}
	}
	slices.SortFunc(all, delta.Position.Compare)
	return slices.Compact(all)
}

// Err gives the reason why the store takes no more ticks, else that of the last flush that failed and will be tried again
// (a full disk); nil when all is well.
func (s *Store) Err() error {
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.apply.failed != nil {
		return s.apply.failed
	}
	return s.apply.flushErr
}

// Run flushes in the background until ctx ends; its last act is none: Close flushes. It returns an error that makes the
// store useless: damage, or a manifest whose fate is not known.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(s.opts.FlushEvery)
	defer tick.Stop()
	for verified := false; ; {
		if !verified {
			err := s.Verify(ctx)
			if err != nil && !errs.Is(err, errs.Unavailable) {
				return err
			}
			verified = err == nil // else again after the next flush
		}
		all := false
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			all = true
		case <-s.kick:
		}
		if err := s.flush(all); err != nil && (errs.Is(err, errs.Corrupt) || s.Stopped() != nil) {
			return err
		}
	}
}

// Stopped gives the reason why the store takes no more ticks; nil while it does. An Unavailable error of Apply or Flush without
// it is for now: the same call may succeed later.
func (s *Store) Stopped() error {
	s.apply.Lock()
	defer s.apply.Unlock()
	return s.apply.failed
}

// Verify checks the checksum of each segment not yet checked in this run of the program. Errors: Corrupt with the path;
// Unavailable while there are no descriptors.
func (s *Store) Verify(ctx context.Context) error {
	v := s.published.acquire()
	defer v.release()
	for _, r := range v.relations {
		for _, g := range r.Segments {
			if ctx.Err() != nil {
				return nil
			}
			if err := g.segment.verify(s.fs); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close flushes and frees everything. Run must have returned and snapshots must be closed before.
func (s *Store) Close() error {
	err := s.Stopped()
	if err == nil {
		err = s.flush(true)
	}
	s.published.replace(nil)
	s.closeSegments()
	return err
}

// closeSegments lets go of all files without removing segments.
func (s *Store) closeSegments() {
	s.apply.Lock()
	defer s.apply.Unlock()
	for _, r := range s.apply.relations {
		for _, g := range r.segments {
			g.release()
		}
		for _, t := range r.tails() {
			t.release()
		}
	}
	for _, c := range s.apply.garbage {
		c.release()
	}
	s.apply.relations, s.apply.garbage = nil, nil
	if s.apply.failed == nil {
		s.apply.failed = errs.New(errs.Unavailable, "columnar: the store is closed")
	}
}
