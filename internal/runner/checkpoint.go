package runner

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
)

// A checkpoint is a folder with one file per circuit and a manifest, written last and renamed into place. A folder
// without a manifest never counted.
const (
	manifestName    = "manifest.json"
	manifestVersion = 1
)

type manifest struct {
	Version  int               `json:"version"`
	Epoch    uint32            `json:"epoch"`
	Sequence uint64            `json:"sequence"`
	Files    map[string]uint64 `json:"files"` // name → xxh3 of the contents
}

func (m *manifest) position() log.Position { return log.Position{Epoch: m.Epoch, Sequence: m.Sequence} }

// checkpoint writes the state of every circuit at the follower's Position. Every store is durable at or after it when it
// returns: replay starts there at the latest.
func (f *follower) checkpoint() error {
	f.records = 0
	if err := errors.Join(f.o.Tables.Flush(), f.o.Views.Flush(), f.o.Columnar.Flush()); err != nil {
		return err
	}
	dir := f.o.FS.PathJoin(f.o.Dir, strconv.FormatUint(uint64(f.pos.Epoch), 10)+"-"+strconv.FormatUint(f.pos.Sequence, 10))
	if err := f.o.FS.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	m := &manifest{Version: manifestVersion, Epoch: f.pos.Epoch, Sequence: f.pos.Sequence, Files: map[string]uint64{}}
	for _, v := range f.views {
		if !v.synced || v.broken != nil {
			continue
		}
		name := strconv.FormatUint(uint64(v.rel.ID), 10) + ".circuit"
		sum, err := writeSummed(f.o.FS, f.o.FS.PathJoin(dir, name), v.program.Circuit.Checkpoint)
		if err != nil {
			return err
		}
		m.Files[name] = sum
	}
	_, err := writeSummed(f.o.FS, f.o.FS.PathJoin(dir, manifestName+".new"), func(w io.Writer) error {
		return json.NewEncoder(w).Encode(m)
	})
	if err != nil {
		return err
	}
	if err := f.o.FS.Rename(f.o.FS.PathJoin(dir, manifestName+".new"), f.o.FS.PathJoin(dir, manifestName)); err != nil {
		return err
	}
	if err := errors.Join(vfs.SyncDir(f.o.FS, dir), vfs.SyncDir(f.o.FS, f.o.Dir)); err != nil {
		return err
	}
	f.keep(f.pos)
	return f.removeOthers(f.o.FS.PathBase(dir))
}

// keep moves what must stay readable up to p: the log's pin and the undo records.
func (f *follower) keep(p log.Position) {
	_ = f.o.Log.Pin("views", p)
	floor := f.history(p)
	f.o.Tables.SetUndoFloor(floor)
	f.o.Views.SetUndoFloor(floor)
}

func (f *follower) removeOthers(keep string) error {
	names, err := f.o.FS.List(f.o.Dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n != keep {
			err = errors.Join(err, f.o.FS.RemoveAll(f.o.FS.PathJoin(f.o.Dir, n)))
		}
	}
	return err
}

// newestManifest finds the newest whole checkpoint; nil when there is none.
func newestManifest(fs vfs.FS, dir string) (*manifest, string, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, "", err
	}
	var best *manifest
	var where string
	for _, n := range names {
		path := fs.PathJoin(dir, n)
		f, err := fs.Open(fs.PathJoin(path, manifestName))
		if err != nil {
			continue // not finished, or not a checkpoint
		}
		m := &manifest{}
		err = json.NewDecoder(bufio.NewReader(f)).Decode(m)
		if err = errors.Join(err, f.Close()); err != nil || m.Version != manifestVersion {
			continue // damaged: the circuits are synchronised instead
		}
		if best == nil || best.position().Less(m.position()) {
			best, where = m, path
		}
	}
	return best, where, nil
}

// restore brings the circuits to the newest checkpoint. A circuit whose file is missing, damaged or of another plan stays
// empty and is synchronised later.
func (f *follower) restore(m *manifest, dir string) error {
	for _, v := range f.views {
		if v.broken != nil {
			continue
		}
		name := strconv.FormatUint(uint64(v.rel.ID), 10) + ".circuit"
		sum, ok := m.Files[name]
		if !ok {
			continue
		}
		err := readSummed(f.o.FS, f.o.FS.PathJoin(dir, name), sum, v.program.Circuit.Restore)
		switch {
		case err == nil:
			v.synced = true
		case errs.Is(err, errs.Conflict), errs.Is(err, errs.Corrupt):
			again, err := f.open(v.rel)
			if err != nil {
				return err
			}
			*v = *again
		default:
			return err
		}
	}
	return nil
}

// writeSummed writes a synced file and gives the xxh3 of its contents.
func writeSummed(fs vfs.FS, path string, write func(io.Writer) error) (uint64, error) {
	f, err := fs.Create(path, "checkpoint")
	if err != nil {
		return 0, err
	}
	h := xxh3.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, h), 1<<20)
	err = write(w)
	if err = errors.Join(err, w.Flush()); err == nil {
		err = f.Sync()
	}
	return h.Sum64(), errors.Join(err, f.Close())
}

// readSummed reads a whole file through read; other contents than those of sum are Corrupt. The sum is checked first, since
// a reader that has taken damaged bytes for state cannot be trusted to have noticed.
func readSummed(fs vfs.FS, path string, sum uint64, read func(io.Reader) error) error {
	for pass := range 2 {
		f, err := fs.Open(path)
		if err != nil {
			return errs.New(errs.Corrupt, "checkpoint: %w", err)
		}
		r := bufio.NewReaderSize(f, 1<<20)
		if pass == 0 {
			h := xxh3.New()
			if _, err = io.Copy(h, r); err == nil && h.Sum64() != sum {
				err = errs.New(errs.Corrupt, "checkpoint %s: its checksum does not match", path)
			}
		} else {
			err = read(r)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
