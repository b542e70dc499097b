package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
)

// Codec is the compression of a batch, in its attributes' lowest three bits.
type Codec uint8

// The codecs of Kafka.
const (
	None Codec = iota
	Gzip
	Snappy // in xerial framing, or raw as some clients send it
	LZ4    // frames
	Zstd
)

func (c Codec) String() string {
	if int(c) < len(codecNames) {
		return codecNames[c]
	}
	return "unknown"
}

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

// xerialMagic begins the framing of snappy-java, which Kafka's clients use: magic, two version numbers of four bytes,
// then blocks, each after its length of four bytes.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHeader = 16
	xerialBlock  = 32 << 10
	// snappyRatio bounds what a snappy block may claim to unfold to: its best copy makes 64 bytes of three.
	snappyRatio = 32
)

type gzipReader struct {
	source bytes.Reader
	gzip.Reader
}

type lz4Reader struct {
	source bytes.Reader
	lz4    *lz4.Reader
}

var (
	gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	lz4Readers  = sync.Pool{New: func() any { return &lz4Reader{lz4: lz4.NewReader(nil)} }}
	lz4Writers  = sync.Pool{New: func() any { return lz4.NewWriter(nil) }}

	// Concurrent use of DecodeAll and EncodeAll is what these are made for: one of each serves the process.
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(uint64(limit.Decompressed)))
		return d
	})
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(2))
		return e
	})
)

// decompress appends what p unfolds to, to dst.
func decompress(dst []byte, c Codec, p []byte) ([]byte, error) {
	var err error
	switch c {
	case Gzip:
		r := gzipReaders.Get().(*gzipReader)
		defer gzipReaders.Put(r)
		r.source.Reset(p)
		if err = r.Reader.Reset(&r.source); err == nil {
			dst, err = readBounded(dst, &r.Reader)
		}
	case Snappy:
		dst, err = decompressSnappy(dst, p)
	case LZ4:
		r := lz4Readers.Get().(*lz4Reader)
		defer lz4Readers.Put(r)
		r.source.Reset(p)
		r.lz4.Reset(&r.source)
		dst, err = readBounded(dst, r.lz4)
	case Zstd:
		dst, err = zstdDecoder().DecodeAll(p, dst)
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
			err = errBomb
		}
	default:
		return dst, corrupt("codec %d is unknown", c)
	}
	switch {
	case err == errBomb:
		return dst, errs.New(errs.Limit, "%w: the %s batch of %d bytes unfolds to more than %v", log.ErrTooLarge, c, len(p), limit.Decompressed)
	case err != nil:
		return dst, corrupt("%s: %v", c, err)
	}
	return dst, nil
}

var errBomb = errors.New("over limit.Decompressed")

// Of an lz4 frame's descriptor (lz4_Frame_format.md 1.6): its magic number, and the bits of its first two bytes that have one
// value in each frame that Kafka's readers know. They know no dependent blocks, no dictionaries, and sizes of blocks from 64 KiB on.
const (
	lz4Magic                  = 0x184d2204
	lz4FlagsMask, lz4Flags    = 0xe3, 0x60 // version 1, independent blocks, a reserved bit, no dictionary
	lz4BlockMask, lz4Block    = 0xcf, 0x40 // sizes 4 to 7, reserved bits
	lz4DescriptorWithoutSizes = 7          // bytes, with the magic number
)

// ValidateFrame checks that what the batch's records are compressed into begins as Kafka's readers want it, without unfolding
// anything: an lz4 frame may be of a kind that others can read and Java's consumers cannot. Errors are ErrInvalidRecord.
func (b *Batch) ValidateFrame() error {
	if b.Codec() != LZ4 {
		return nil
	}
	frame := b.Bytes[HeaderSize:]
	switch {
	case len(frame) < lz4DescriptorWithoutSizes || binary.LittleEndian.Uint32(frame) != lz4Magic:
		return invalid("the records are no lz4 frame")
	case frame[4]&lz4FlagsMask != lz4Flags || frame[5]&lz4BlockMask != lz4Block:
		return invalid("the lz4 frame has dependent blocks, a dictionary or block sizes that Kafka's clients cannot read (flags %02x %02x)", frame[4], frame[5])
	}
	if ok, err := lz4.ValidFrameHeader(frame); !ok {
		return invalid("the lz4 frame's descriptor is damaged: %v", err)
	}
	return nil
}

// readBounded appends all that r gives, growing dst as bytes really come.
func readBounded(dst []byte, r io.Reader) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, make([]byte, max(4096, len(dst)))...)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst) > int(limit.Decompressed) {
			return dst, errBomb
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

func decompressSnappy(dst, p []byte) ([]byte, error) {
	if !bytes.HasPrefix(p, xerialMagic) {
		return snappyBlock(dst, p)
	}
	if len(p) < xerialHeader {
		return dst, io.ErrUnexpectedEOF
	}
	p = p[xerialHeader:]
	for len(p) > 0 {
		if len(p) < 4 {
			return dst, io.ErrUnexpectedEOF
		}
		size := binary.BigEndian.Uint32(p)
		p = p[4:]
		if uint64(size) > uint64(len(p)) {
			return dst, io.ErrUnexpectedEOF
		}
		var err error
		if dst, err = snappyBlock(dst, p[:size]); err != nil {
			return dst, err
		}
		p = p[size:]
	}
	return dst, nil
}

func snappyBlock(dst, p []byte) ([]byte, error) {
	size, err := snappy.DecodedLen(p)
	if err != nil {
		return dst, err
	}
	if size > snappyRatio*len(p) {
		return dst, snappy.ErrCorrupt
	}
	if len(dst)+size > int(limit.Decompressed) {
		return dst, errBomb
	}
	at := len(dst)
	dst = append(dst, make([]byte, size)...)
	if _, err := snappy.Decode(dst[at:at+size], p); err != nil {
		return dst[:at], err
	}
	return dst, nil
}

// compress appends p in codec c to dst.
func compress(dst []byte, c Codec, p []byte) ([]byte, error) {
	switch c {
	case None:
		return append(dst, p...), nil
	case Gzip:
		w := gzipWriters.Get().(*gzip.Writer)
		defer gzipWriters.Put(w)
		buffer := bytes.NewBuffer(dst)
		w.Reset(buffer)
		return writeAll(buffer, w, p)
	case Snappy:
		dst = append(dst, xerialMagic...)
		dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 1)
		for len(p) > 0 {
			n := min(len(p), xerialBlock)
			block := s2.EncodeSnappy(nil, p[:n])
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(block)))
			dst = append(dst, block...)
			p = p[n:]
		}
		return dst, nil
	case LZ4:
		w := lz4Writers.Get().(*lz4.Writer)
		defer lz4Writers.Put(w)
		buffer := bytes.NewBuffer(dst)
		w.Reset(buffer)
		return writeAll(buffer, w, p)
	case Zstd:
		return zstdEncoder().EncodeAll(p, dst), nil
	}
	return dst, errs.New(errs.Invalid, "codec %d is unknown", c)
}

func writeAll(buffer *bytes.Buffer, w io.WriteCloser, p []byte) ([]byte, error) {
	if _, err := w.Write(p); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}
