package state

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/bitutil"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/errs"
)

// Codec turns rows of Arrow columns into byte strings and back. A row is
//
//	prefix (the caller's) · null bits, one per column · fixed-width columns, little-endian · for each other column uvarint
//	length and bytes
//
// A null has its bit set and zero bytes. Two rows have equal bytes if and only if their columns have equal bytes: that is
// the identity of a row in a Z-set, narrower than SQL's equality (numeric 1.0 and 1.00 are two rows).
type Codec struct {
	schema *arrow.Schema
	fields []field
	// keys makes floats equal as SQL does: -0 is 0, every NaN the same.
	keys      bool
	prefix    int
	varying   []int // indexes of the fields without a fixed width
	fixedSize int   // prefix, null bits and fixed columns
}

type field struct {
	width int // 0: not fixed
	at    int // of a fixed field, from the row's start
	bool  bool
	float int // 4 or 8 for floats
}

// NewCodec makes a Codec for the columns of schema; rows begin with prefix bytes that the caller fills. A column type that
// cannot be held is errs.Unsupported.
func NewCodec(schema *arrow.Schema, prefix int) (*Codec, error) {
	c := &Codec{schema: schema, prefix: prefix}
	c.fixedSize = prefix + (schema.NumFields()+7)/8
	for i, f := range schema.Fields() {
		fd, err := newField(f.Type)
		if err != nil {
			return nil, errs.New(errs.Unsupported, "column %s: %w", f.Name, err)
		}
		if fd.width > 0 {
			fd.at = c.fixedSize
			c.fixedSize += fd.width
		} else {
			c.varying = append(c.varying, i)
		}
		c.fields = append(c.fields, fd)
	}
	return c, nil
}

// NewKeyCodec makes a Codec whose bytes are equal when the columns are equal in SQL. That holds for all types of which
// equal values have one form, and floats; others (numeric, interval, character(n), jsonb) must come in a normal form.
func NewKeyCodec(schema *arrow.Schema, prefix int) (*Codec, error) {
	c, err := NewCodec(schema, prefix)
	if err == nil {
		c.keys = true
	}
	return c, err
}

func newField(t arrow.DataType) (field, error) {
	switch dt := t.(type) {
	case *arrow.BooleanType:
		return field{width: 1, bool: true}, nil
	case *arrow.Float32Type:
		return field{width: 4, float: 4}, nil
	case *arrow.Float64Type:
		return field{width: 8, float: 8}, nil
	case *arrow.StringType, *arrow.BinaryType:
		return field{}, nil
	case *arrow.DictionaryType: // its width is that of the index
	case arrow.FixedWidthDataType:
		return field{width: dt.BitWidth() / 8}, nil
	}
	return field{}, errs.New(errs.Unsupported, "a circuit does not hold columns of Arrow type %s", t)
}

// Schema is the columns of the rows.
func (c *Codec) Schema() *arrow.Schema { return c.schema }

// Encode writes rows [from, to) of the columns into dst and hashes them, unless there is a prefix: the caller fills that
// and calls Hash.
func (c *Codec) Encode(cols []arrow.Array, from, to int, dst *Rows) {
	n := to - from
	dst.Reset(n)
	c.lengths(cols, from, n, dst.Offsets)
	for i := range n {
		dst.Offsets[i+1] += dst.Offsets[i]
	}
	size := int(dst.Offsets[n])
	dst.Data = grow(dst.Data, size)
	clear(dst.Data)
	for i := range c.fields {
		c.encodeNulls(i, cols[i], from, dst)
		if f := &c.fields[i]; f.width > 0 {
			f.encode(cols[i], from, n, dst, c.keys)
		}
	}
	c.encodeVarying(cols, from, n, dst)
	if c.prefix == 0 {
		dst.Hash()
	}
}

// lengths puts row i's length into offsets[i+1].
func (c *Codec) lengths(cols []arrow.Array, from, n int, offsets []uint32) {
	for i := range n {
		offsets[i+1] = uint32(c.fixedSize)
	}
	for _, v := range c.varying {
		ends := valueOffsets(cols[v])[from:]
		ends = ends[: n+1 : n+1]
		if cols[v].NullN() == 0 {
			for i := range n {
				l := int(ends[i+1] - ends[i])
				offsets[i+1] += uint32(uvarintLen(l) + l)
			}
			continue
		}
		for i := range n {
			l := int(ends[i+1] - ends[i])
			if cols[v].IsNull(from + i) { // its bytes are undefined
				l = 0
			}
			offsets[i+1] += uint32(uvarintLen(l) + l)
		}
	}
}

func uvarintLen(n int) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}

// valueOffsets are the offsets of a String or Binary column, from its first row.
func valueOffsets(a arrow.Array) []int32 {
	d := a.Data()
	if d.Buffers()[1] == nil || d.Len() == 0 {
		return make([]int32, d.Len()+1)
	}
	return arrow.Int32Traits.CastFromBytes(d.Buffers()[1].Bytes())[d.Offset() : d.Offset()+d.Len()+1]
}

func bufferBytes(a arrow.Array, i int) []byte {
	if b := a.Data().Buffers()[i]; b != nil {
		return b.Bytes()
	}
	return nil
}

func (c *Codec) encodeNulls(i int, a arrow.Array, from int, dst *Rows) {
	if a.NullN() == 0 {
		return
	}
	at, bit := uint32(c.prefix+i/8), byte(1)<<(i%8)
	for j := range dst.Len() {
		if a.IsNull(from + j) {
			dst.Data[dst.Offsets[j]+at] |= bit
		}
	}
}

// encode writes a fixed-width column.
func (f *field) encode(a arrow.Array, from, n int, dst *Rows, keys bool) {
	data, offsets, at := dst.Data, dst.Offsets[:n], uint32(f.at)
	nulls := a.NullN() > 0
	from += a.Data().Offset()
	src := bufferBytes(a, 1)
	switch {
	case f.bool:
		for i, o := range offsets {
			if bitutil.BitIsSet(src, from+i) && (!nulls || a.IsValid(from+i-a.Data().Offset())) {
				data[o+at] = 1
			}
		}
		return
	case f.width == 8:
		words := arrow.Uint64Traits.CastFromBytes(src)[from:]
		for i, o := range offsets {
			binary.LittleEndian.PutUint64(data[o+at:], words[i])
		}
	case f.width == 4:
		words := arrow.Uint32Traits.CastFromBytes(src)[from:]
		for i, o := range offsets {
			binary.LittleEndian.PutUint32(data[o+at:], words[i])
		}
	default:
		w := f.width
		for i, o := range offsets {
			copy(data[o+at:], src[(from+i)*w:(from+i+1)*w])
		}
	}
	if keys && f.float > 0 {
		f.normalFloats(data, offsets)
	}
	if nulls {
		from -= a.Data().Offset()
		for i, o := range offsets {
			if a.IsNull(from + i) {
				clear(data[o+at : o+at+uint32(f.width)])
			}
		}
	}
}

func (f *field) normalFloats(data []byte, offsets []uint32) {
	for _, o := range offsets {
		b := data[o+uint32(f.at):]
		if f.float == 8 {
			x := math.Float64frombits(binary.LittleEndian.Uint64(b))
			if x == 0 {
				binary.LittleEndian.PutUint64(b, 0)
			} else if math.IsNaN(x) {
				binary.LittleEndian.PutUint64(b, math.Float64bits(math.NaN()))
			}
			continue
		}
		x := math.Float32frombits(binary.LittleEndian.Uint32(b))
		if x == 0 {
			binary.LittleEndian.PutUint32(b, 0)
		} else if x != x {
			binary.LittleEndian.PutUint32(b, math.Float32bits(float32(math.NaN())))
		}
	}
}

// encodeVarying writes the columns without a fixed width behind the fixed ones.
func (c *Codec) encodeVarying(cols []arrow.Array, from, n int, dst *Rows) {
	if len(c.varying) == 0 {
		return
	}
	var cursors []uint32
	if len(c.varying) > 1 {
		cursors = make([]uint32, n)
		for i := range cursors {
			cursors[i] = dst.Offsets[i] + uint32(c.fixedSize)
		}
	}
	put := func(i int, b []byte) {
		at := uint32(0)
		if cursors != nil {
			at = cursors[i]
		} else {
			at = dst.Offsets[i] + uint32(c.fixedSize)
		}
		if len(b) < 0x80 {
			dst.Data[at] = byte(len(b))
			at++
		} else {
			at += uint32(binary.PutUvarint(dst.Data[at:], uint64(len(b))))
		}
		copy(dst.Data[at:], b)
		if cursors != nil {
			cursors[i] = at + uint32(len(b))
		}
	}
	for _, v := range c.varying {
		ends, bytes := valueOffsets(cols[v])[from:], bufferBytes(cols[v], 2)
		nulls := cols[v].NullN() > 0
		for i := range n {
			if nulls && cols[v].IsNull(from+i) {
				put(i, nil)
				continue
			}
			put(i, bytes[ends[i]:ends[i+1]])
		}
	}
}

// Decode builds the columns of n rows; row gives the bytes of row i and must give the same each time.
func (c *Codec) Decode(n int, row func(i int) []byte) []arrow.Array {
	cols := make([]arrow.Array, len(c.fields))
	cursors := make([]int, 0)
	if len(c.varying) > 0 {
		cursors = make([]int, n)
		for i := range cursors {
			cursors[i] = c.fixedSize
		}
	}
	for i := range c.fields {
		f := &c.fields[i]
		t := c.schema.Field(i).Type
		valid, nulls := c.decodeNulls(i, n, row)
		if f.width > 0 {
			cols[i] = makeArray(t, n, nulls, valid, memory.NewBufferBytes(f.decode(n, row)))
			continue
		}
		ends, bytes := decodeVarying(n, row, cursors)
		cols[i] = makeArray(t, n, nulls, valid, ends, bytes)
	}
	return cols
}

func makeArray(t arrow.DataType, n, nulls int, buffers ...*memory.Buffer) arrow.Array {
	d := array.NewData(t, n, buffers, nil, nulls, 0)
	defer d.Release()
	return array.MakeFromData(d)
}

func (c *Codec) decodeNulls(i, n int, row func(int) []byte) (*memory.Buffer, int) {
	at, bit := c.prefix+i/8, byte(1)<<(i%8)
	var bits []byte
	nulls := 0
	for j := range n {
		if row(j)[at]&bit != 0 {
			if bits == nil {
				bits = make([]byte, (n+7)/8)
				for k := range bits {
					bits[k] = 0xff
				}
			}
			bitutil.ClearBit(bits, j)
			nulls++
		}
	}
	if bits == nil {
		return nil, 0
	}
	return memory.NewBufferBytes(bits), nulls
}

func (f *field) decode(n int, row func(int) []byte) []byte {
	if f.bool {
		b := make([]byte, (n+7)/8)
		for i := range n {
			if row(i)[f.at] != 0 {
				bitutil.SetBit(b, i)
			}
		}
		return b
	}
	w := f.width
	b := make([]byte, n*w)
	if w == 8 {
		for i := range n {
			binary.LittleEndian.PutUint64(b[i*8:], binary.LittleEndian.Uint64(row(i)[f.at:]))
		}
		return b
	}
	for i := range n {
		copy(b[i*w:(i+1)*w], row(i)[f.at:f.at+w])
	}
	return b
}

func decodeVarying(n int, row func(int) []byte, cursors []int) (ends, data *memory.Buffer) {
	offsets := make([]int32, n+1)
	bytes := make([]byte, 0, n*8)
	for i := range n {
		b := row(i)[cursors[i]:]
		l, k := uint64(b[0]), 1
		if l >= 0x80 {
			l, k = binary.Uvarint(b)
		}
		bytes = append(bytes, b[k:k+int(l)]...)
		cursors[i] += k + int(l)
		offsets[i+1] = int32(len(bytes))
	}
	return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)), memory.NewBufferBytes(bytes)
}
