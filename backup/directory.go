package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
)

const (
	unfinishedFolder = "unfinished"
	lockName         = "LOCK"
)

// Directory is a Store in a directory of a file system, which is made at the first Put.
type Directory struct {
	fs   vfs.FS
	root string
}

// NewDirectory gives the store in dir of fs.
func NewDirectory(fs vfs.FS, dir string) *Directory { return &Directory{fs, dir} }

// URL is file:// and the path.
func (d *Directory) URL() string { return "file://" + d.root }

func (d *Directory) path(name string) string {
	return d.fs.PathJoin(append([]string{d.root}, strings.Split(name, "/")...)...)
}

// Put: see Store. The object is written beside the others, synced, and renamed into place.
func (d *Directory) Put(ctx context.Context, name string, data []byte) (err error) {
	defer func() { err = d.wrap("writing", name, err) }()
	if err := ctx.Err(); err != nil {
		return err
	}
	final := d.path(name)
	if err := d.makeFolder(d.fs.PathDir(final)); err != nil {
		return err
	}
	if err := d.makeFolder(d.path(unfinishedFolder)); err != nil {
		return err
	}
	var id [8]byte
	_, _ = rand.Read(id[:])
	temp := d.path(unfinishedFolder + "/" + hex.EncodeToString(id[:]))
	if err := d.write(temp, data); err != nil {
		return errors.Join(err, d.remove(temp))
	}
	if err := d.fs.Rename(temp, final); err != nil {
		return errors.Join(err, d.remove(temp))
	}
	return vfs.SyncDir(d.fs, d.fs.PathDir(final))
}

func (d *Directory) write(path string, data []byte) error {
	f, err := d.fs.Create(path, vfs.WriteCategory)
	if err != nil {
		return err
	}
	// A vfs.File may change what it is given, and data is the caller's.
	if d.fs != vfs.Default {
		data = slices.Clone(data)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// makeFolder makes a folder below root, and every one above that is missing, durably.
func (d *Directory) makeFolder(folder string) error {
	if d.exists(folder) {
		return nil
	}
	parent := d.fs.PathDir(folder)
	if parent != folder {
		if err := d.makeFolder(parent); err != nil {
			return err
		}
	}
	if err := d.fs.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return vfs.SyncDir(d.fs, parent)
}

// Get: see Store.
func (d *Directory) Get(ctx context.Context, name string, maxBytes int64) (_ []byte, err error) {
	defer func() { err = d.wrap("reading", name, err) }()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := d.fs.Open(d.path(name), vfs.SequentialReads)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > maxBytes {
		return nil, errs.New(errs.Limit, "object %s has %d bytes, over the limit of %d", name, st.Size(), maxBytes)
	}
	data := make([]byte, st.Size())
	n, err := io.ReadFull(f, data)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errs.New(errs.Corrupt, "object %s ends after %d of %d bytes", name, n, st.Size())
	}
	if errors.Is(err, io.EOF) {
		err = nil // an empty object
	}
	return data, err
}

// Stat: see Store.
func (d *Directory) Stat(ctx context.Context, name string) (Object, error) {
	if err := ctx.Err(); err != nil {
		return Object{}, err
	}
	st, err := d.fs.Stat(d.path(name))
	if err == nil && st.IsDir() {
		err = os.ErrNotExist
	}
	if err != nil {
		return Object{}, d.wrap("reading", name, err)
	}
	return Object{Name: name, Size: st.Size(), Modified: st.ModTime()}, nil
}

// List: see Store.
func (d *Directory) List(ctx context.Context, folder string) ([]Object, error) {
	var out []Object
	err := d.walk(ctx, strings.TrimSuffix(folder, "/"), func(o Object) { out = append(out, o) })
	if err != nil {
		return nil, d.wrap("listing", folder, err)
	}
	slices.SortFunc(out, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (d *Directory) walk(ctx context.Context, folder string, visit func(Object)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := d.fs.List(d.path(folder))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, base := range names {
		name := folder + "/" + base
		st, err := d.fs.Stat(d.path(name))
		switch {
		case errors.Is(err, os.ErrNotExist): // deleted meanwhile
		case err != nil:
			return err
		case st.IsDir():
			if err := d.walk(ctx, name, visit); err != nil {
				return err
			}
		default:
			visit(Object{Name: name, Size: st.Size(), Modified: st.ModTime()})
		}
	}
	return nil
}

// Delete: see Store.
func (d *Directory) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := d.path(name)
	if err := d.remove(path); err != nil {
		return d.wrap("deleting", name, err)
	}
	if !d.exists(d.fs.PathDir(path)) {
		return nil // no folder, so nothing was deleted
	}
	return d.wrap("deleting", name, vfs.SyncDir(d.fs, d.fs.PathDir(path)))
}

func (d *Directory) remove(path string) error {
	if err := d.fs.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Lock: see Store. It finishes what writers that were cut short have left: their files go, and the folders that they made
// and did not come to sync are synced.
func (d *Directory) Lock(context.Context) (release func() error, err error) {
	if err := d.makeFolder(d.root); err != nil {
		return nil, d.wrap("locking", "the repository", err)
	}
	held, err := d.fs.Lock(d.path(lockName))
	if err != nil {
		return nil, errs.New(errs.Unavailable, "another backup or prune is running on %s: %w", d.URL(), err).
			WithHint("Wait until it has ended.")
	}
	err = errors.Join(d.fs.RemoveAll(d.path(unfinishedFolder)), vfs.SyncDir(d.fs, d.fs.PathDir(d.root)), vfs.SyncDir(d.fs, d.root))
	for _, folder := range []string{manifestFolder, listFolder, blockFolder} {
		if path := d.path(strings.TrimSuffix(folder, "/")); err == nil && d.exists(path) {
			err = vfs.SyncDir(d.fs, path)
		}
	}
	if err != nil {
		return nil, errors.Join(d.wrap("locking", "the repository", err), held.Close())
	}
	return held.Close, nil
}

func (d *Directory) exists(path string) bool {
	_, err := d.fs.Stat(path)
	return err == nil
}

// wrap gives an error its kind and says which repository it is about.
func (d *Directory) wrap(doing, name string, err error) error {
	var known *errs.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC):
		return errs.New(errs.Unavailable, "%s %s: %w", doing, name, err).
			WithHint("The disk of %s is full: free some space, or prune the repository.", d.URL())
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errs.New(errs.Canceled, "%s %s of %s: %w", doing, name, d.URL(), err)
	case errors.Is(err, os.ErrNotExist):
		return errs.New(errs.NotFound, "%s has no object %s: %w", d.URL(), name, err)
	}
	return errs.New(errs.Unavailable, "%s %s of %s: %w", doing, name, d.URL(), err)
}
