package node

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/miracledb/miracledb/backup"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
)

// FormatVersion is that of the data directory as a whole; each store has its own besides.
const FormatVersion = 1

// metaName is the file of a data directory that says what it is.
const metaName = "miracledb.json"

// meta is its contents.
type meta struct {
	Format    int    `json:"format"`
	ClusterID string `json:"cluster_id"` // what Kafka clients know the cluster by
	// Log is the Kafka cluster whose log the stores follow; empty: the log is in the directory.
	Log string `json:"log,omitempty"`
}

// dataDir is a locked data directory.
type dataDir struct {
	path string
	lock *os.File
	meta meta
}

func openDataDir(path string) (*dataDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, errs.New(errs.Unavailable, "data directory: %w", err).
			WithHint("Choose a directory that can be written with --data.")
	}
	d := &dataDir{path: path}
	d.lock, err = os.OpenFile(filepath.Join(path, "LOCK"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, errs.New(errs.Unavailable, "data directory: %w", err)
	}
	// Of a server that was killed just now a child may be on its way, with the lock until it has begun its own program.
	for until := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err = unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil || time.Now().After(until) {
			break
		}
	}
	if err != nil {
		_ = d.lock.Close()
		return nil, errs.New(errs.Unavailable, "another miracledb is using %s", path).
			WithHint("Stop it, or choose another directory with --data.")
	}
	if err = d.checkRestored(); err == nil {
		err = d.readMeta()
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// checkRestored refuses what a restore has begun and not finished.
func (d *dataDir) checkRestored() error {
	if _, err := os.Stat(d.dir(backup.StagingFolder)); !errors.Is(err, os.ErrNotExist) {
		return errs.New(errs.Unavailable, "a restore into %s is under way, or was cut short", d.path).
			WithHint("If none is running, remove the directory and restore again.")
	}
	return nil
}

func (d *dataDir) readMeta() error {
	file := d.dir(metaName)
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		var id [16]byte
		_, _ = rand.Read(id[:])
		d.meta = meta{Format: FormatVersion, ClusterID: base64.RawURLEncoding.EncodeToString(id[:])}
		b, err := json.Marshal(d.meta)
		if err != nil {
			return err
		}
		return d.write(file, append(b, '\n'))
	case err != nil:
		return err
	}
	if err := json.Unmarshal(b, &d.meta); err != nil {
		return errs.New(errs.Corrupt, "%s: %w", file, err)
	}
	if d.meta.Format > FormatVersion {
		return errs.New(errs.Unsupported, "%s has format %d, this program reads up to %d", d.path, d.meta.Format, FormatVersion).
			WithHint("Start a newer miracledb.")
	}
	return nil
}

// follows says which log the stores of the directory follow. Errors: Invalid (they follow another one).
func (d *dataDir) follows(cluster string) error {
	if d.meta.Log == cluster {
		return nil
	}
	for _, name := range []string{backup.LogFolder, "tables"} {
		if _, err := os.Stat(d.dir(name)); !errors.Is(err, os.ErrNotExist) {
			return errs.New(errs.Invalid, "the data directory %s follows another log (%s)", d.path, cmp.Or(d.meta.Log, "its own")).
				WithHint("Choose another directory with --data, or the --brokers that it was made with.")
		}
	}
	d.meta.Log = cluster
	b, err := json.Marshal(d.meta)
	if err != nil {
		return err
	}
	return d.write(d.dir(metaName), append(b, '\n'))
}

// write makes a small file durable.
func (d *dataDir) write(file string, b []byte) error {
	fs := vfs.Default
	f, err := fs.Create(file+".new", "meta")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(file+".new", file); err != nil {
		return err
	}
	return vfs.SyncDir(fs, d.path)
}

func (d *dataDir) dir(name string) string { return filepath.Join(d.path, name) }

func (d *dataDir) close() error { return d.lock.Close() }
