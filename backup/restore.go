package backup

import (
	"context"
	"errors"
	"iter"
	"os"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
)

// LogFolder is where the log is in a data directory.
const LogFolder = "log"

// StagingFolder is where a restore builds, inside the data directory, so that moving out of it is a rename. A directory
// in which it is must not be used.
const StagingFolder = "restoring"

// RestoreOptions say what is restored, and where to.
type RestoreOptions struct {
	Store Store
	// Backup is the id of the backup to restore from; empty: the newest that reaches the target.
	Backup string
	Target Target
	// Data is the new data directory: not there, or empty. FS is where it is. Default: the operating system's.
	Data string
	FS   vfs.FS
	// Finish, when set, writes what else belongs into a data directory; it is given the folder to write into.
	Finish func(folder string, r *Result) error
	// DryRun finds the target and restores nothing.
	DryRun bool
	// Progress is told how many bytes of blocks are done, of how many: for a target by offset once while it is looked
	// for, and again while it is restored.
	Progress func(done, total int64)
}

// Result says what was restored, or would be.
type Result struct {
	Backup    string `json:"backup"`
	ClusterID string `json:"cluster_id"`
	// Position and Time are the last append's.
	Position Position  `json:"position"`
	Time     time.Time `json:"time"`
	Appends  uint64    `json:"appends"`
	// Blocks and Bytes are what is read from the repository; Bytes before compression.
	Blocks int   `json:"blocks"`
	Bytes  int64 `json:"bytes"`
	DryRun bool  `json:"dry_run,omitempty"`
	// Topics and Clamped are known after a restore.
	Topics  []Topic `json:"topics,omitempty"`
	Clamped []Clamp `json:"clamped,omitempty"`
}

// Restore builds a data directory whose log is that of the backup up to the target; the next append opens a new epoch.
// The log gets its place when it is whole: after an error, or when the process ends before, there is none.
//
// Errors: Exists (Data is not empty), NotFound (no backup reaches the target), Corrupt (damage, with the block and the
// appends that it holds).
func Restore(ctx context.Context, o RestoreOptions) (*Result, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	there, err := o.checkEmpty()
	if err != nil {
		return nil, err
	}
	p, err := planTo(ctx, o.Store, o.Backup, o.Target, o.Progress)
	if err != nil {
		return nil, err
	}
	r := &Result{Backup: p.manifest.ID, ClusterID: p.manifest.ClusterID, Position: Position{p.at}, Time: p.time,
		Appends: p.appends(), Blocks: len(p.blocks), Bytes: p.bytes(), DryRun: o.DryRun}
	if o.DryRun {
		return r, nil
	}
	staging := o.FS.PathJoin(o.Data, StagingFolder)
	if err := o.FS.MkdirAll(staging, 0o755); err != nil {
		return nil, errs.New(errs.Unavailable, "restore: %w", err)
	}
	if err := o.build(ctx, p, r, staging); err != nil {
		err = errors.Join(err, o.FS.RemoveAll(staging))
		if !there {
			err = errors.Join(err, o.FS.Remove(o.Data))
		}
		return nil, err
	}
	return r, o.publish(staging)
}

// checkEmpty reports whether Data is there, and refuses one with anything in it.
func (o *RestoreOptions) checkEmpty() (there bool, err error) {
	names, err := o.FS.List(o.Data)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, errs.New(errs.Unavailable, "restore: %w", err)
	}
	for _, name := range names {
		if name == StagingFolder {
			return true, errs.New(errs.Exists, "a restore into %s is under way, or was cut short", o.Data).
				WithHint("If none is running, remove %s and restore again.", o.Data)
		}
		if name != "lost+found" { // the root of a file system of its own
			return true, errs.New(errs.Exists, "%s is not empty", o.Data).WithHint("Restore into a new directory.")
		}
	}
	return true, nil
}

// build makes the new directory's contents in folder.
func (o *RestoreOptions) build(ctx context.Context, p *plan, r *Result, folder string) error {
	opts := broker.Options{FS: o.FS, Dir: o.FS.PathJoin(folder, LogFolder)}
	state, err := newTopics(nil)
	if err != nil {
		return err
	}
	groups := groupOffsets{}
	end, err := broker.Restore(ctx, opts, o.upTo(ctx, p, state, groups))
	if err != nil {
		return err
	}
	if end != p.at {
		return errs.New(errs.Corrupt, "backup %s ends at append %v, want %v", p.manifest.ID, end, p.at)
	}
	r.Topics = state.snapshot()
	r.Clamped = groups.beyond(state)
	if len(r.Clamped)+len(p.manifest.Properties) > 0 {
		err := running(ctx, opts, func(l log.Log) error {
			if len(r.Clamped) > 0 {
				if err := groups.clamp(ctx, l, r.Clamped); err != nil {
					return err
				}
			}
			return l.ChangeProperties(ctx, func(*log.Properties) (map[string][]byte, error) { return p.manifest.Properties, nil })
		})
		if err != nil {
			return err
		}
	}
	if o.Finish != nil {
		return o.Finish(folder, r)
	}
	return nil
}

// running runs the restored log while f adds to it, in its new epoch.
func running(ctx context.Context, opts broker.Options, f func(log.Log) error) (err error) {
	l, err := broker.Open(opts)
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- l.Run(run) }()
	defer func() {
		stop()
		err = errors.Join(err, <-done, l.Close())
	}()
	return f(l)
}

// upTo gives the appends of a plan, and keeps account of topics and committed offsets.
func (o *RestoreOptions) upTo(ctx context.Context, p *plan, state *topics, groups groupOffsets) iter.Seq2[log.Entry, error] {
	return func(yield func(log.Entry, error) bool) {
		done, total := int64(0), p.bytes()
		for e, err := range entries(ctx, o.Store, p.blocks, func(b *Block) { done += b.Raw; o.Progress(done, total) }) {
			if err == nil && p.at.Less(e.Position) {
				o.Progress(total, total)
				return
			}
			if err == nil {
				err = state.observe(&e)
			}
			if err == nil {
				err = groups.observe(&e, state)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// publish moves what was built to its place, the log first: all else in a data directory follows from it.
func (o *RestoreOptions) publish(staging string) error {
	names, err := o.FS.List(staging)
	if err != nil {
		return errs.New(errs.Unavailable, "restore: %w", err)
	}
	move := func(name string) error {
		return o.FS.Rename(o.FS.PathJoin(staging, name), o.FS.PathJoin(o.Data, name))
	}
	err = errors.Join(vfs.SyncDir(o.FS, staging), move(LogFolder))
	for _, name := range names {
		if err == nil && name != LogFolder {
			err = move(name)
		}
	}
	if err == nil {
		err = errors.Join(vfs.SyncDir(o.FS, o.Data), vfs.SyncDir(o.FS, o.FS.PathDir(o.Data)))
	}
	if err == nil {
		err = o.FS.RemoveAll(staging)
	}
	if err != nil {
		return errs.New(errs.Unavailable, "restore: %w", err)
	}
	return nil
}
