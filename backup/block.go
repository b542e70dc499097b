package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
)

const (
	blockMagic   = "MDBBLOK"
	blockVersion = 1
	blockHeader  = len(blockMagic) + 1

	// blockSize is about how much one block holds before compression: it bounds what is read again for one append, and
	// the memory of a worker.
	blockSize = int(4 * limit.MiB)
	// maxBlock bounds what is taken into memory for one block: a record batch is never cut, and one may hold
	// limit.Decompressed bytes.
	maxBlock = int64(blockSize) + 2*int64(limit.Decompressed)
)

// Sizes in bytes of an item's and a batch's fields before the batch's own bytes.
const (
	itemFields  = 1 + 4 + 8 + 8 + 8 + 8 + 8 + 4
	batchFields = 16 + 4 + 8 + 4 + 4
)

// Flags of an item: an append over blockSize is cut into several.
const (
	moreFollows = 1 << 0 // the next item belongs to the same append
	continues   = 1 << 1 // so does the one before
)

// item is an append of the log, or a piece of one.
type item struct {
	flags byte
	entry log.Entry
}

func encodedSize(e *log.Entry) int {
	size := itemFields + len(e.Batches)*batchFields
	for i := range e.Batches {
		size += len(e.Batches[i].Batch)
	}
	return size
}

func appendItem(p []byte, flags byte, e *log.Entry, batches []log.PartitionBatch) []byte {
	be := binary.BigEndian
	p = append(p, flags)
	p = be.AppendUint32(p, e.Position.Epoch)
	p = be.AppendUint64(p, e.Position.Sequence)
	p = be.AppendUint64(p, uint64(e.Time.UnixNano()))
	p = be.AppendUint64(p, e.Txn)
	p = be.AppendUint64(p, e.Term)
	p = be.AppendUint64(p, e.Index)
	p = be.AppendUint32(p, uint32(len(batches)))
	for i := range batches {
		b := &batches[i]
		p = append(p, b.Partition.Topic[:]...)
		p = be.AppendUint32(p, uint32(b.Partition.Index))
		p = be.AppendUint64(p, uint64(b.BaseOffset))
		p = be.AppendUint32(p, uint32(b.Records))
		p = be.AppendUint32(p, uint32(len(b.Batch)))
		p = append(p, b.Batch...)
	}
	return p
}

var errBlock = errs.New(errs.Corrupt, "block is malformed")

// decodeBlock visits the items of a block's contents in order. Batches alias p.
func decodeBlock(p []byte, visit func(item) error) error {
	if len(p) < blockHeader || string(p[:len(blockMagic)]) != blockMagic {
		return errBlock
	}
	if v := p[len(blockMagic)]; v != blockVersion {
		return errs.New(errs.Unsupported, "block has format version %d, this program reads %d", v, blockVersion).
			WithHint("Use a newer miracledb.")
	}
	for p = p[blockHeader:]; len(p) > 0; {
		it, rest, err := decodeItem(p)
		if err != nil {
			return err
		}
		if err := visit(it); err != nil {
			return err
		}
		p = rest
	}
	return nil
}

func decodeItem(p []byte) (it item, rest []byte, err error) {
	be := binary.BigEndian
	if len(p) < itemFields || p[0]&^(moreFollows|continues) != 0 {
		return it, nil, errBlock
	}
	it.flags = p[0]
	e := &it.entry
	e.Position = log.Position{Epoch: be.Uint32(p[1:]), Sequence: be.Uint64(p[5:])}
	e.Time = time.Unix(0, int64(be.Uint64(p[13:]))).UTC()
	e.Txn, e.Term, e.Index = be.Uint64(p[21:]), be.Uint64(p[29:]), be.Uint64(p[37:])
	n := be.Uint32(p[45:])
	p = p[itemFields:]
	if uint64(n)*uint64(batchFields) > uint64(len(p)) {
		return it, nil, errBlock
	}
	e.Batches = make([]log.PartitionBatch, n)
	for i := range e.Batches {
		if len(p) < batchFields {
			return it, nil, errBlock
		}
		b := &e.Batches[i]
		copy(b.Partition.Topic[:], p)
		b.Partition.Index = int32(be.Uint32(p[16:]))
		b.BaseOffset = int64(be.Uint64(p[20:]))
		b.Records = int32(be.Uint32(p[28:]))
		size := be.Uint32(p[32:])
		p = p[batchFields:]
		if uint64(size) > uint64(len(p)) {
			return it, nil, errBlock
		}
		b.Batch, p = p[:size:size], p[size:]
	}
	return it, p, nil
}

// Block describes one block of a repository.
type Block struct {
	// SHA256 is the digest of the stored bytes in hex: the block's name.
	SHA256 string `json:"sha256"`
	// XXH3 is the 64-bit digest of the contents in hex.
	XXH3 string `json:"xxh3"`
	// Size is the stored bytes, Raw those of the contents.
	Size int64 `json:"size"`
	Raw  int64 `json:"raw"`
	// First and Last are the appends that the block holds, or parts of them, with their commit times.
	First     Position  `json:"first"`
	Last      Position  `json:"last"`
	FirstTime time.Time `json:"first_time"`
	LastTime  time.Time `json:"last_time"`
}

const blockFolder = "blocks/"

// object is the name of the block in its store: folders of one 256th keep directories small.
func (b *Block) object() string { return blockFolder + b.SHA256[:2] + "/" + b.SHA256 + ".zst" }

func (b *Block) String() string {
	return fmt.Sprintf("block %s (appends %v to %v)", b.SHA256, b.First, b.Last)
}

func (b *Block) validate() error {
	if err := validDigest(b.SHA256); err != nil {
		return err
	}
	if b.Raw < int64(blockHeader) || b.Raw > maxBlock || b.Size <= 0 || b.Size > maxBlock {
		return errs.New(errs.Corrupt, "block %s of %d bytes, %d unpacked", b.SHA256, b.Size, b.Raw)
	}
	if b.LastTime.Before(b.FirstTime) {
		return errs.New(errs.Corrupt, "%v ends before it begins", b)
	}
	return nil
}

// validDigest refuses what is no SHA-256 in hex: it is used as a name.
func validDigest(s string) error {
	if d, err := hex.DecodeString(s); err != nil || len(d) != sha256.Size || strings.ToLower(s) != s {
		return errs.New(errs.Corrupt, "%.80q is no SHA-256", s)
	}
	return nil
}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err) // constant options
	}
	return e
})

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(uint64(maxBlock)),
		zstd.WithDecodeAllCapLimit(true)) // never more than what the manifest says
	if err != nil {
		panic(err) // constant options
	}
	return d
})

// seal packs a block's contents and fills in sizes and digests.
func (b *Block) seal(raw []byte) (stored []byte) {
	stored = encoder().EncodeAll(raw, make([]byte, 0, len(raw)/2))
	b.SHA256 = hexSum(stored)
	b.XXH3 = hexXXH3(raw)
	b.Size, b.Raw = int64(len(stored)), int64(len(raw))
	return stored
}

func hexSum(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

func hexXXH3(p []byte) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, xxh3.Hash(p)))
}

// unseal checks stored bytes against b and unpacks them. Errors are Corrupt and name the block and what it holds.
func (b *Block) unseal(stored []byte) ([]byte, error) {
	if int64(len(stored)) != b.Size {
		return nil, errs.New(errs.Corrupt, "%v has %d bytes, want %d", b, len(stored), b.Size)
	}
	if sum := hexSum(stored); sum != b.SHA256 {
		return nil, errs.New(errs.Corrupt, "%v is damaged: its SHA-256 is %s", b, sum)
	}
	raw, err := decoder().DecodeAll(stored, make([]byte, 0, b.Raw))
	if err != nil {
		return nil, errs.New(errs.Corrupt, "%v cannot be unpacked: %w", b, err)
	}
	if sum := hexXXH3(raw); int64(len(raw)) != b.Raw || sum != b.XXH3 {
		return nil, errs.New(errs.Corrupt, "%v unpacks to other contents: %d bytes with xxh3 %s, want %d with %s", b, len(raw), sum, b.Raw, b.XXH3)
	}
	return raw, nil
}

// builder cuts a sequence of appends into blocks. Where it cuts depends on the appends and cuts alone.
type builder struct {
	size int // about the largest contents
	// cuts are appends that end a block even so.
	cuts  map[log.Position]bool
	raw   []byte
	block Block
	// full takes a finished block; raw is its own.
	full func(b Block, raw []byte) error
}

func (b *builder) add(e *log.Entry) error {
	if size := encodedSize(e); len(b.raw) > 0 && len(b.raw)+size > b.size {
		if err := b.flush(); err != nil {
			return err
		}
	}
	for flags, rest := byte(0), e.Batches; ; flags = continues {
		n := b.pieceOf(rest)
		if n < len(rest) {
			flags |= moreFollows
		}
		if err := b.append(flags, e, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
		if len(rest) > 0 || b.cuts[e.Position] {
			if err := b.flush(); err != nil {
				return err
			}
		}
		if len(rest) == 0 {
			return nil
		}
	}
}

// pieceOf is how many of the batches fit one block, at least one.
func (b *builder) pieceOf(batches []log.PartitionBatch) int {
	size := blockHeader + itemFields
	for i := range batches {
		if size += batchFields + len(batches[i].Batch); i > 0 && size > b.size {
			return i
		}
	}
	return len(batches)
}

func (b *builder) append(flags byte, e *log.Entry, batches []log.PartitionBatch) error {
	if len(b.raw) == 0 {
		b.raw = append(append(slices.Grow(b.raw, b.size), blockMagic...), blockVersion)
		b.block = Block{First: Position{e.Position}, FirstTime: e.Time}
	}
	b.raw = appendItem(b.raw, flags, e, batches)
	b.block.Last, b.block.LastTime = Position{e.Position}, e.Time
	return limit.Check("a block's contents", int64(len(b.raw)), maxBlock)
}

func (b *builder) flush() error {
	if len(b.raw) == 0 {
		return nil
	}
	raw := b.raw
	b.raw = nil
	return b.full(b.block, raw)
}

// joiner puts the pieces of an append together again.
type joiner struct {
	entry  log.Entry
	inside bool
}

// add gives the append that it completes, if it does.
func (j *joiner) add(it item) (e log.Entry, whole bool, err error) {
	if it.flags&continues != 0 != j.inside || j.inside && it.entry.Position != j.entry.Position {
		return e, false, errs.New(errs.Corrupt, "the pieces of append %v do not follow each other", it.entry.Position)
	}
	if j.inside {
		j.entry.Batches = append(j.entry.Batches, it.entry.Batches...)
	} else {
		j.entry = it.entry
	}
	j.inside = it.flags&moreFollows != 0
	return j.entry, !j.inside, nil
}
