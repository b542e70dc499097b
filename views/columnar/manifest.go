package columnar

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdfs "io/fs"

	"github.com/zeebo/xxh3"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/vfs"
)

// manifest is what the store durably is: written whole at each flush, to a new name, synced, renamed, directory synced.
type manifest struct {
	// Seed of the key hashes of this store.
	Seed uint64 `json:"seed"`
	// Position up to which everything was seen: a relation that is not listed had no rows then.
	Position delta.Position `json:"position"`
	// NextFile is above the number of every file ever named.
	NextFile  uint64             `json:"next_file"`
	Relations []manifestRelation `json:"relations"`
}

type manifestRelation struct {
	ID    delta.RelationID `json:"id"`
	Keyed bool             `json:"keyed,omitempty"`
	// Position of what is listed here.
	Position delta.Position    `json:"position"`
	Schemas  [][]manifestField `json:"schemas"` // the last one is the relation's
	Segments []manifestSegment `json:"segments"`
	// Deleted is the file of the segments' deletion vectors; nil: no row is dead.
	Deleted *manifestFile `json:"deleted,omitempty"`
}

type manifestSegment struct {
	Number uint64   `json:"number"`
	Schema int      `json:"schema"`
	Rows   int64    `json:"rows"`
	Data   fileSum  `json:"data"`
	Keys   *fileSum `json:"keys,omitempty"`
}

type manifestFile struct {
	Number uint64 `json:"number"`
	fileSum
}

// The manifest file: manifestMagic, version byte, 3 zero bytes, length of the body as uint64, body (JSON), xxh3 of all
// before it. Little-endian.
const (
	manifestMagic   = "MDBM"
	manifestVersion = 1
	manifestHeader  = 16
	// manifestMax bounds the body: 64 MiB list some 400,000 segments.
	manifestMax = 64 << 20
)

func encodeManifest(m *manifest) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, errs.New(errs.Internal, "columnar: manifest: %w", err)
	}
	if err := limit.Check("the size of the columnar manifest", int64(len(body)), manifestMax); err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, manifestHeader+len(body)+8), manifestMagic...)
	b = append(b, manifestVersion, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(body)))
	b = append(b, body...)
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b)), nil
}

func decodeManifest(b []byte) (*manifest, error) {
	if len(b) < manifestHeader+8 || string(b[:4]) != manifestMagic {
		return nil, errors.New("it is not a manifest")
	}
	if b[4] != manifestVersion {
		return nil, fmt.Errorf("it has version %d, this program reads %d", b[4], manifestVersion)
	}
	if n := binary.LittleEndian.Uint64(b[8:]); n > manifestMax || int(n) != len(b)-manifestHeader-8 {
		return nil, fmt.Errorf("it has %d bytes for a body of %d", len(b), n)
	}
	end := len(b) - 8
	if got, want := xxh3.Hash(b[:end]), binary.LittleEndian.Uint64(b[end:]); got != want {
		return nil, fmt.Errorf("its checksum is %016x, %016x was written", got, want)
	}
	m := &manifest{}
	if err := json.Unmarshal(b[manifestHeader:end], m); err != nil {
		return nil, err
	}
	for _, r := range m.Relations {
		for _, s := range r.Segments {
			if s.Schema < 0 || s.Schema >= len(r.Schemas) || s.Rows < 0 || s.Rows > maxSegmentRows || s.Number >= m.NextFile || r.Keyed != (s.Keys != nil) {
				return nil, fmt.Errorf("segment %d of relation %d makes no sense", s.Number, r.ID)
			}
		}
		if len(r.Schemas) == 0 {
			return nil, fmt.Errorf("relation %d has no schema", r.ID)
		}
	}
	return m, nil
}

const manifestName = "manifest"

// readManifest gives nil when there is none.
func readManifest(fs vfs.FS, dir string) (*manifest, error) {
	path := fs.PathJoin(dir, manifestName)
	f, err := fs.Open(path)
	if errors.Is(err, stdfs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, damaged(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, manifestMax+manifestHeader+9))
	if err != nil {
		return nil, damaged(path, err)
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, damaged(path, err)
	}
	return m, nil
}

// writeManifest replaces the manifest. Files it names are durable already. After an error, tried says that the old one may
// have been replaced: all that needs a descriptor or space comes before that.
func writeManifest(fs vfs.FS, dir string, m *manifest) (tried bool, err error) {
	b, err := encodeManifest(m)
	if err != nil {
		return false, err
	}
	next := fs.PathJoin(dir, manifestName+".new")
	f, err := createSumming(fs, next)
	if err != nil {
		return false, fileError("create", next, err)
	}
	_, err = f.Write(b)
	if _, err = finish(f, err); err != nil {
		return false, fileError("write", next, err)
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return false, fileError("open", dir, err)
	}
	if err = fs.Rename(next, fs.PathJoin(dir, manifestName)); err == nil {
		err = d.Sync()
	}
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return true, err
}
