package backup

import (
	"context"
	"errors"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
)

// PruneOptions say which backups stay. The newest always does.
type PruneOptions struct {
	Store Store
	// Keep is how many of the newest stay; 0: no such rule.
	Keep int
	// OlderThan removes only backups older than it; 0: no such rule. With both, a backup goes when both say so.
	OlderThan time.Duration
	// DryRun finds what would go and removes nothing.
	DryRun bool
	// Clock tells the age. Default: the system's.
	Clock clock.Clock
}

// Pruned is what went, or would go.
type Pruned struct {
	Backups []string `json:"backups"`
	Blocks  int      `json:"blocks"`
	Bytes   int64    `json:"bytes"`
	DryRun  bool     `json:"dry_run,omitempty"`
}

// Prune removes backups, and the blocks that no backup names any more: manifests first, so that one that is there can
// always be restored. With neither rule it removes unnamed blocks only.
//
// Errors: Unavailable (another writer), Corrupt (a manifest cannot be read, so it is not known what it needs; nothing
// was removed).
func Prune(ctx context.Context, o PruneOptions) (p Pruned, err error) {
	if o.Keep < 0 || o.OlderThan < 0 {
		return p, errs.New(errs.Invalid, "prune: keep %d, older than %v", o.Keep, o.OlderThan)
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	p.DryRun = o.DryRun
	release, err := o.Store.Lock(ctx)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, release()) }()
	whole, err := List(ctx, o.Store)
	if err != nil {
		return p, errs.New(errs.KindOf(err), "nothing was removed: %w", err).WithHint("Remove what cannot be read by hand, and prune again.")
	}
	named, err := o.named(ctx, whole)
	if err != nil {
		return p, errs.New(errs.KindOf(err), "nothing was removed: %w", err).WithHint("Run backup verify.")
	}
	for i, m := range whole {
		if !o.goes(i, m) {
			continue
		}
		if err := o.remove(ctx, m.object()); err != nil {
			return p, err
		}
		p.Backups = append(p.Backups, m.ID)
	}
	if _, _, err := o.sweep(ctx, listFolder, named); err != nil {
		return p, err
	}
	p.Blocks, p.Bytes, err = o.sweep(ctx, blockFolder, named)
	return p, err
}

// named gives the objects that the backups which stay need.
func (o *PruneOptions) named(ctx context.Context, whole []*Manifest) (map[string]bool, error) {
	named, lists := map[string]bool{}, newBlockLists(o.Store)
	for i, m := range whole {
		if o.goes(i, m) {
			continue
		}
		blocks, err := lists.all(ctx, m)
		if err != nil {
			return nil, err
		}
		for j := range m.Lists {
			named[m.Lists[j].object()] = true
		}
		for j := range blocks {
			named[blocks[j].object()] = true
		}
	}
	return named, nil
}

// sweep removes the objects of a folder that are not named.
func (o *PruneOptions) sweep(ctx context.Context, folder string, named map[string]bool) (n int, size int64, err error) {
	objects, err := o.Store.List(ctx, folder)
	if err != nil {
		return 0, 0, err
	}
	for _, obj := range objects {
		if named[obj.Name] {
			continue
		}
		if err := o.remove(ctx, obj.Name); err != nil {
			return n, size, err
		}
		n++
		size += obj.Size
	}
	return n, size, nil
}

// goes decides on the backup that is the i-th newest.
func (o *PruneOptions) goes(i int, m *Manifest) bool {
	if i == 0 || o.Keep == 0 && o.OlderThan == 0 {
		return false
	}
	return i >= o.Keep && o.Clock.Now().Sub(m.Created) >= o.OlderThan
}

func (o *PruneOptions) remove(ctx context.Context, name string) error {
	if o.DryRun {
		return nil
	}
	return o.Store.Delete(ctx, name)
}
