package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/record"
)

// Level says how much Verify looks at; each includes the ones before.
type Level int

// The levels.
const (
	// Quick reads every manifest and looks for every block, by name and size.
	Quick Level = iota
	// Full reads every block, checks its digests and decodes every append and record batch.
	Full
	// Sandbox restores the newest backup into a temporary directory and checks that log.
	Sandbox
)

var levelNames = []string{"quick", "full", "sandbox"}

func (l Level) String() string { return levelNames[l] }

// ParseLevel reads a level's name. Errors: Invalid.
func ParseLevel(s string) (Level, error) {
	for i, name := range levelNames {
		if s == name {
			return Level(i), nil
		}
	}
	return 0, errs.New(errs.Invalid, "%.80q is no level of verification", s).WithHint("Use quick, full or sandbox.")
}

// Report is what Verify found.
type Report struct {
	Backups int `json:"backups"`
	// Blocks are those that some backup needs, Bytes their size as stored.
	Blocks int   `json:"blocks"`
	Bytes  int64 `json:"bytes"`
	// Unused are blocks that no backup needs, which Prune removes.
	Unused int `json:"unused"`
	// Restored is the backup that was restored in the sandbox, Position its end.
	Restored string   `json:"restored,omitempty"`
	Position Position `json:"position,omitzero"`
	// Faults say what is damaged: the object, the appends it holds, and the backups that need it.
	Faults []error `json:"-"`
}

// Verify checks a repository. Damage is in the Report; the error says that the check could not be done. progress may be
// nil; it is told how many bytes are done, of how many.
func Verify(ctx context.Context, s Store, level Level, progress func(done, total int64)) (Report, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	v := verifying{store: s, progress: progress, needed: map[string]*needed{}}
	whole, damaged, err := readManifests(ctx, s)
	if err != nil {
		return v.Report, err
	}
	for i := range damaged {
		v.fault(damaged[i].err)
	}
	v.Backups = len(whole)
	lists := newBlockLists(s)
	for _, m := range whole {
		blocks, err := lists.all(ctx, m)
		if errs.Is(err, errs.Corrupt) {
			v.fault(errs.New(errs.Corrupt, "backup %s: %w", m.ID, err))
			continue
		}
		if err != nil {
			return v.Report, err
		}
		v.need(m, blocks)
	}
	if err := v.presence(ctx); err != nil {
		return v.Report, err
	}
	if level >= Full {
		if err := v.contents(ctx); err != nil {
			return v.Report, err
		}
	}
	if level >= Sandbox && len(whole) > 0 && len(v.Faults) == 0 {
		err = v.sandbox(ctx, whole)
	}
	return v.Report, err
}

// needed is a block with the first backup that names it, and how many do.
type needed struct {
	block   *Block
	backup  string
	backups int
	missing bool
}

type verifying struct {
	Report
	store    Store
	progress func(done, total int64)
	needed   map[string]*needed
	order    []*needed
}

func (v *verifying) fault(err error) { v.Faults = append(v.Faults, err) }

// damage reports a block.
func (v *verifying) damage(n *needed, err error) {
	others := ""
	if n.backups > 1 {
		others = fmt.Sprintf(" and %d more", n.backups-1)
	}
	v.fault(errs.New(errs.KindOf(err), "%w; backup %s%s cannot be restored past it", err, n.backup, others))
}

func (v *verifying) need(m *Manifest, blocks []Block) {
	for i := range blocks {
		b := &blocks[i]
		n := v.needed[b.SHA256]
		if n == nil {
			n = &needed{block: b, backup: m.ID}
			v.needed[b.SHA256] = n
			v.order = append(v.order, n)
			v.Blocks++
			v.Bytes += b.Size
		}
		n.backups++
	}
}

func (v *verifying) presence(ctx context.Context) error {
	objects, err := v.store.List(ctx, blockFolder)
	if err != nil {
		return err
	}
	sizes := make(map[string]int64, len(objects))
	for _, o := range objects {
		sizes[o.Name] = o.Size
	}
	for _, n := range v.order {
		size, ok := sizes[n.block.object()]
		switch {
		case !ok:
			n.missing = true
			v.damage(n, errs.New(errs.Corrupt, "%v is missing", n.block))
		case size != n.block.Size:
			n.missing = true
			v.damage(n, errs.New(errs.Corrupt, "%v has %d bytes, want %d", n.block, size, n.block.Size))
		}
		delete(sizes, n.block.object())
	}
	v.Unused = len(sizes)
	return nil
}

func (v *verifying) contents(ctx context.Context) error {
	var blocks []Block
	for _, n := range v.order {
		if !n.missing {
			blocks = append(blocks, *n.block)
		}
	}
	done := int64(0)
	for c := range fetchAll(ctx, v.store, blocks) {
		err := c.err
		if err == nil {
			err = c.block.visit(c.raw, checkBatches)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			v.damage(v.needed[c.block.SHA256], err)
		}
		done += c.block.Size
		v.progress(done, v.Bytes)
	}
	return nil
}

// checkBatches parses every record batch of an append.
func checkBatches(it item) error {
	for i := range it.entry.Batches {
		for rest := it.entry.Batches[i].Batch; len(rest) > 0; {
			var err error
			if _, rest, err = record.Parse(rest); err != nil {
				return errs.New(errs.Corrupt, "append %v: %w", it.entry.Position, err)
			}
		}
	}
	return nil
}

// sandbox restores what --to-latest would, checks the log's files and compares where it ends.
func (v *verifying) sandbox(ctx context.Context, whole []*Manifest) (err error) {
	dir, err := os.MkdirTemp("", "miracledb-verify-")
	if err != nil {
		return errs.New(errs.Unavailable, "verify: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := Restore(ctx, RestoreOptions{Store: v.store, Data: filepath.Join(dir, "data"), Target: Target{Latest: true}, Progress: v.progress})
	if errs.Is(err, errs.Corrupt) || errs.Is(err, errs.Invalid) {
		v.fault(errs.New(errs.Corrupt, "the newest backup cannot be restored: %w", err))
		return nil
	}
	if err != nil {
		return err
	}
	v.Restored, v.Position = r.Backup, r.Position
	opts := broker.Options{Dir: filepath.Join(dir, "data", LogFolder)}
	checked, err := broker.Check(opts)
	if err != nil {
		return err
	}
	for _, f := range checked.Faults {
		v.fault(errs.New(errs.Corrupt, "the log restored from backup %s: %w", r.Backup, f))
	}
	m := whole[slices.IndexFunc(whole, func(m *Manifest) bool { return m.ID == r.Backup })]
	return v.compare(opts, m)
}

// compare holds the bounds of every partition of the restored log against the manifest.
func (v *verifying) compare(opts broker.Options, m *Manifest) (err error) {
	l, err := broker.Open(opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if l.End().Sequence < m.To.Sequence {
		v.fault(errs.New(errs.Corrupt, "the log restored from backup %s ends at append %v, want %v", m.ID, l.End(), m.To))
	}
	for i := range m.Topics {
		t := &m.Topics[i]
		id, err := parseTopicID(t.ID)
		if err != nil {
			return err
		}
		if t.Dropped != nil || t.Name == log.OffsetsTopic { // clamped offsets are appended to it
			continue
		}
		for p, want := range t.Partitions {
			got, err := l.Bounds(log.Partition{Topic: id, Index: int32(p)})
			if err != nil {
				v.fault(errs.New(errs.Corrupt, "the log restored from backup %s: %w", m.ID, err))
			} else if got.Start != want.Start || got.End != want.End {
				v.fault(errs.New(errs.Corrupt, "the log restored from backup %s holds offsets %d to %d of %s partition %d, want %d to %d",
					m.ID, got.Start, got.End, t.Name, p, want.Start, want.End))
			}
		}
	}
	return nil
}
