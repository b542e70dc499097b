package columnar

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/miracledb/miracledb/internal/vfs"
)

// A file of deletion vectors is deletedMagic, a version byte, 3 zero bytes, the number of vectors as uint64, and per
// vector: segment number uint64, length uint64, a roaring bitmap in its portable format. Little-endian. Its checksum is in
// the manifest.
const (
	deletedMagic   = "MDBD"
	deletedVersion = 1
	deletedHeader  = 16
)

// vector is the dead rows of a segment at one moment.
type vector struct {
	segment uint64
	dead    *roaring.Bitmap
}

func writeDeleted(to io.Writer, vectors []vector) error {
	b := append([]byte(deletedMagic), deletedVersion, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(vectors)))
	if _, err := to.Write(b); err != nil {
		return err
	}
	for _, v := range vectors {
		bits, err := v.dead.ToBytes()
		if err != nil {
			return err
		}
		b = binary.LittleEndian.AppendUint64(b[:0], v.segment)
		b = binary.LittleEndian.AppendUint64(b, uint64(len(bits)))
		if _, err := to.Write(b); err != nil {
			return err
		}
		if _, err := to.Write(bits); err != nil {
			return err
		}
	}
	return nil
}

// decodeDeleted reads what writeDeleted wrote. The bitmaps hold no memory of b.
func decodeDeleted(b []byte) ([]vector, error) {
	if len(b) < deletedHeader || string(b[:4]) != deletedMagic {
		return nil, fmt.Errorf("it is not a file of deletion vectors")
	}
	if b[4] != deletedVersion {
		return nil, fmt.Errorf("it has version %d, this program reads %d", b[4], deletedVersion)
	}
	n := binary.LittleEndian.Uint64(b[8:])
	b = b[deletedHeader:]
	var vectors []vector
	for ; n > 0; n-- {
		if len(b) < 16 {
			return nil, io.ErrUnexpectedEOF
		}
		number, size := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		b = b[16:]
		if size > uint64(len(b)) {
			return nil, io.ErrUnexpectedEOF
		}
		dead := roaring.New()
		if err := dead.UnmarshalBinary(b[:size:size]); err != nil {
			return nil, err
		}
		if err := dead.Validate(); err != nil {
			return nil, err
		}
		vectors = append(vectors, vector{number, dead})
		b = b[size:]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%d bytes stand after its end", len(b))
	}
	return vectors, nil
}

// readDeleted gives the segments of r their dead rows.
func readDeleted(fs vfs.FS, path string, sum fileSum, r *relation) error {
	if err := sum.verify(fs, path); err != nil {
		return err
	}
	b, free, err := mapFile(fs, path)
	if err != nil {
		return damaged(path, err)
	}
	defer free()
	vectors, err := decodeDeleted(b)
	if err != nil {
		return damaged(path, err)
	}
	byNumber := map[uint64]*placed{}
	for _, g := range r.segments {
		byNumber[g.number] = g
	}
	for _, v := range vectors {
		g := byNumber[v.segment]
		if g == nil || !v.dead.IsEmpty() && int64(v.dead.Maximum()) >= g.rows {
			return damaged(path, fmt.Errorf("segment %d does not fit", v.segment))
		}
		v.dead.SetCopyOnWrite(true)
		g.dead.rows = v.dead
		r.live -= g.dead.count()
	}
	return nil
}
