package node

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/miracledb/miracledb/backup"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log/broker"
)

// backup makes a backup of the running node.
func (n *Node) backup(ctx context.Context, o backup.CreateOptions) (*backup.Manifest, error) {
	o.Log, o.ClusterID, o.Tool = n.Log, n.dir.meta.ClusterID, tool()
	return backup.Create(ctx, o)
}

// tool is this program, as a backup's manifest names it.
func tool() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return "miracledb " + b.Main.Version
	}
	return "miracledb"
}

// BackupStopped makes a backup of the data directory of a server that does not run. Errors: NotFound (there is no
// server's data), Unavailable (a server uses it), and those of backup.Create.
func BackupStopped(ctx context.Context, data string, o backup.CreateOptions) (_ *backup.Manifest, err error) {
	if _, err := os.Stat(filepath.Join(data, backup.LogFolder)); err != nil {
		return nil, errs.New(errs.NotFound, "there is no log in %s: %w", data, err).WithHint("Name the server's data directory with --data.")
	}
	d, err := openDataDir(data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	l, err := broker.Open(broker.Options{Dir: d.dir(backup.LogFolder)})
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- l.Run(running) }() // keeps what the backup pins
	defer func() {
		stop()
		err = errors.Join(err, <-done, l.Close())
	}()
	o.Log, o.ClusterID, o.Tool = l, d.meta.ClusterID, tool()
	return backup.Create(ctx, o)
}

// Restore builds a data directory that a server can be started on. Errors: those of backup.Restore.
func Restore(ctx context.Context, o backup.RestoreOptions) (*backup.Result, error) {
	o.Finish = func(folder string, r *backup.Result) error {
		b, err := json.Marshal(meta{Format: FormatVersion, ClusterID: r.ClusterID})
		if err != nil {
			return err
		}
		d := dataDir{path: folder}
		return d.write(d.dir(metaName), append(b, '\n'))
	}
	return backup.Restore(ctx, o)
}
