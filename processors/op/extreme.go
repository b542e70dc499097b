package op

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/processors/state"
)

// orderedForm turns a column's values into words or bytes whose order is the values', and back.
type orderedForm struct {
	width  int // bytes of a fixed value, 0 for strings
	signed bool
	float  bool
}

func newOrderedForm(t arrow.DataType) (orderedForm, bool) {
	switch t.(type) {
	case *arrow.Int16Type:
		return orderedForm{width: 2, signed: true}, true
	case *arrow.Int32Type, *arrow.Date32Type:
		return orderedForm{width: 4, signed: true}, true
	case *arrow.Int64Type, *arrow.TimestampType, *arrow.Time64Type:
		return orderedForm{width: 8, signed: true}, true
	case *arrow.Float32Type:
		return orderedForm{width: 4, float: true}, true
	case *arrow.Float64Type:
		return orderedForm{width: 8, float: true}, true
	case *arrow.StringType, *arrow.BinaryType:
		return orderedForm{}, true
	}
	return orderedForm{}, false
}

// word is entry i of a fixed-width column as a word whose unsigned order is the values': NaN above all, -0 as 0.
func (o orderedForm) word(src []byte, i int) uint64 {
	var raw uint64
	switch o.width {
	case 2:
		raw = uint64(int64(int16(binary.LittleEndian.Uint16(src[i*2:]))))
	case 4:
		if o.float {
			raw = math.Float64bits(float64(math.Float32frombits(binary.LittleEndian.Uint32(src[i*4:]))))
		} else {
			raw = uint64(int64(int32(binary.LittleEndian.Uint32(src[i*4:]))))
		}
	default:
		raw = binary.LittleEndian.Uint64(src[i*8:])
	}
	if !o.float {
		return raw ^ 1<<63
	}
	switch f := math.Float64frombits(raw); {
	case f != f:
		return math.MaxUint64
	case f == 0:
		return 1 << 63
	case raw>>63 != 0:
		return ^raw
	}
	return raw | 1<<63
}

// put writes the value of word back.
func (o orderedForm) put(dst []byte, word uint64) {
	raw := word ^ 1<<63
	if o.float {
		switch {
		case word == math.MaxUint64:
			raw = math.Float64bits(math.NaN())
		case word>>63 == 0:
			raw = ^word
		}
		if o.width == 4 {
			raw = uint64(math.Float32bits(float32(math.Float64frombits(raw))))
		}
	}
	switch o.width {
	case 2:
		binary.LittleEndian.PutUint16(dst, uint16(raw))
	case 4:
		binary.LittleEndian.PutUint32(dst, uint32(raw))
	default:
		binary.LittleEndian.PutUint64(dst, raw)
	}
}

func newExtreme(c *Call, t arrow.DataType) accumulator {
	o, ok := newOrderedForm(t)
	switch {
	case !ok:
		return nil
	case c.AppendOnly && o.width > 0:
		return &peak{orderedForm: o, typ: t, max: c.Kind == Max}
	}
	return &extreme{orderedForm: o, typ: t, max: c.Kind == Max, appendOnly: c.AppendOnly}
}

// peak is the extreme of fixed-width values without retractions: the value as a word, whether there is one.
type peak struct {
	orderedForm
	typ arrow.DataType
	max bool
}

func (*peak) words() int { return 2 }

func (p *peak) add(s *slab, groups []uint32, col arrow.Array, from int, weights []int64) error {
	src := bytesOf(col.Data(), 1)
	from += col.Data().Offset()
	for i, g := range groups {
		if weights != nil && weights[i] <= 0 {
			continue
		}
		v, words := p.word(src, from+i), s.of(g)[:2]
		if words[1] == 0 || p.max == (v > uint64(words[0])) && v != uint64(words[0]) {
			words[0], words[1] = int64(v), 1
		}
	}
	return nil
}

func (p *peak) result(s *slab, groups []uint32) (arrow.Array, error) {
	return p.build(p.typ, len(groups), func(i int) (uint64, bool) {
		w := s.of(groups[i])
		return uint64(w[0]), w[1] != 0
	}), nil
}

// build makes a fixed-width column of words.
func (o orderedForm) build(t arrow.DataType, n int, word func(i int) (uint64, bool)) arrow.Array {
	data := make([]byte, n*o.width)
	valid := make([]byte, (n+7)/8)
	nulls := 0
	for i := range n {
		w, ok := word(i)
		if !ok {
			nulls++
			continue
		}
		valid[i/8] |= 1 << (i % 8)
		o.put(data[i*o.width:], w)
	}
	d := array.NewData(t, n, []*memory.Buffer{memory.NewBufferBytes(valid), memory.NewBufferBytes(data)}, nil, nulls, 0)
	defer d.Release()
	return array.MakeFromData(d)
}

// extreme keeps all values of a group (one when there are no retractions) in order; its word is the multiset's root.
type extreme struct {
	orderedForm
	typ             arrow.DataType
	max, appendOnly bool
	values          state.Ordered
	scratch         []byte
}

func (*extreme) words() int { return 1 }

func (e *extreme) drop(words []int64)    { e.values.Clear(uint32(words[0])) }
func (e *extreme) set() *state.Ordered   { return &e.values }
func (e *extreme) root(w []int64) uint32 { return uint32(w[0]) }

func (e *extreme) add(s *slab, groups []uint32, col arrow.Array, from int, weights []int64) error {
	var src []byte
	at := from
	if e.width > 0 {
		src, at = bytesOf(col.Data(), 1), from+col.Data().Offset()
	}
	var buf [8]byte
	for i, g := range groups {
		w := int64(1)
		if weights != nil {
			w = weights[i]
		}
		if w == 0 {
			continue
		}
		var key []byte
		if e.width > 0 {
			binary.BigEndian.PutUint64(buf[:], e.word(src, at+i))
			key = buf[:]
		} else {
			key = stringAt(col, from+i)
		}
		words := s.of(g)
		if e.appendOnly {
			words[0] = int64(e.replace(e.root(words), key))
			continue
		}
		words[0] = int64(e.values.Add(e.root(words), key, w))
	}
	return nil
}

// replace keeps key alone when it is beyond the multiset's only value.
func (e *extreme) replace(root uint32, key []byte) uint32 {
	old, ok := e.values.First(root, e.scratch[:0])
	e.scratch = old
	if ok && (string(key) > string(old)) != e.max || ok && string(key) == string(old) {
		return root
	}
	e.values.Clear(root)
	return e.values.Add(0, key, 1)
}

func stringAt(col arrow.Array, i int) []byte {
	ends := arrow.Int32Traits.CastFromBytes(bytesOf(col.Data(), 1))[col.Data().Offset()+i:]
	return bytesOf(col.Data(), 2)[ends[0]:ends[1]]
}

func (e *extreme) result(s *slab, groups []uint32) (arrow.Array, error) {
	end := func(i int) (key []byte, ok bool) {
		e.scratch = e.scratch[:0]
		if e.max {
			return e.values.Last(e.root(s.of(groups[i])), e.scratch)
		}
		return e.values.First(e.root(s.of(groups[i])), e.scratch)
	}
	if e.width > 0 {
		return e.build(e.typ, len(groups), func(i int) (uint64, bool) {
			key, ok := end(i)
			if !ok {
				return 0, false
			}
			return binary.BigEndian.Uint64(key), true
		}), nil
	}
	b := array.NewBuilder(memory.DefaultAllocator, e.typ)
	defer b.Release()
	for i := range groups {
		key, ok := end(i)
		switch b := b.(type) {
		case *array.StringBuilder:
			if ok {
				b.BinaryBuilder.Append(key)
			} else {
				b.AppendNull()
			}
		case *array.BinaryBuilder:
			if ok {
				b.Append(key)
			} else {
				b.AppendNull()
			}
		}
	}
	return b.NewArray(), nil
}

// fold keeps all values of a group; its word is the multiset's root.
type fold struct {
	f      FoldFunc
	typ    arrow.DataType
	values state.Ordered
}

func (*fold) words() int            { return 1 }
func (f *fold) drop(words []int64)  { f.values.Clear(uint32(words[0])) }
func (f *fold) set() *state.Ordered { return &f.values }

func (f *fold) add(s *slab, groups []uint32, col arrow.Array, from int, weights []int64) error {
	for i, g := range groups {
		w := int64(1)
		if weights != nil {
			w = weights[i]
		}
		if w != 0 {
			words := s.of(g)
			words[0] = int64(f.values.Add(uint32(words[0]), stringAt(col, from+i), w))
		}
	}
	return nil
}

func (f *fold) result(s *slab, groups []uint32) (arrow.Array, error) {
	b := array.NewBuilder(memory.DefaultAllocator, f.typ)
	defer b.Release()
	var key []byte
	for _, g := range groups {
		err := f.f(b, func(yield func([]byte, int64) bool) {
			f.values.Ascend(uint32(s.of(g)[0]), func(n uint32, count int64) bool {
				key = f.values.AppendKey(key[:0], n)
				return yield(key, count)
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return b.NewArray(), nil
}
