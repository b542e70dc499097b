package backup

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
)

// Store is a place for named objects. Names are slash-separated and relative. All methods are safe for concurrent use.
type Store interface {
	// Put writes a whole object: when it returns nil the object is durable, and at no moment can another reader see a
	// part of it. An object of the same name is replaced.
	Put(ctx context.Context, name string, data []byte) error
	// Get reads a whole object. Errors: NotFound, Limit (larger than maxBytes).
	Get(ctx context.Context, name string, maxBytes int64) ([]byte, error)
	// Stat describes one object. Errors: NotFound.
	Stat(ctx context.Context, name string) (Object, error)
	// List gives the objects below a folder ("blocks/"), by name.
	List(ctx context.Context, folder string) ([]Object, error)
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, name string) error
	// Lock keeps other writers out until release, or until the process ends. Errors: Unavailable (somebody has it).
	Lock(ctx context.Context) (release func() error, err error)
	// URL names the store to people.
	URL() string
}

// Object is an entry of a Store.
type Object struct {
	Name     string
	Size     int64 // bytes
	Modified time.Time
}

// Open gives the store of a URL: file:///path or a plain path. Errors: Invalid (no URL), Unsupported (other schemes).
func Open(rawURL string) (Store, error) {
	if rawURL == "" {
		return nil, errs.New(errs.Invalid, "no backup repository is named").WithHint("Give one, such as file:///var/backups/miracledb.")
	}
	scheme, _, ok := strings.Cut(rawURL, "://")
	if !ok {
		return openPath(rawURL)
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, errs.New(errs.Invalid, "backup repository %q: %w", rawURL, err)
	case scheme != "file":
		return nil, errs.New(errs.Unsupported, "backup repository %q: %s is not supported yet", rawURL, scheme).
			WithHint("Use a directory: file:///path.")
	case u.Host != "" && u.Host != "localhost":
		return nil, errs.New(errs.Invalid, "backup repository %q names the host %q", rawURL, u.Host).
			WithHint("A path has three slashes: file:///path.")
	case u.Path == "":
		return nil, errs.New(errs.Invalid, "backup repository %q has no path", rawURL).WithHint("Write file:///path.")
	}
	return openPath(u.Path)
}

func openPath(path string) (Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, errs.New(errs.Invalid, "backup repository %q: %w", path, err)
	}
	return NewDirectory(vfs.Default, abs), nil
}
