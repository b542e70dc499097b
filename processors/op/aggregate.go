package op

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/processors"
	"github.com/miracledb/miracledb/processors/state"
)

// AggregateSpec describes an Aggregate.
type AggregateSpec struct {
	// Keys are the columns that name the group, in normal form. Without keys there is one group, which has a row even when
	// the input is empty.
	Keys []int
	// Show are the columns that are put out for the group, taken from the first row that the group had; nil: Keys.
	Show  []int
	Calls []Call
}

// Aggregate groups its input. Its output has the shown keys, then one column per call. For each group that a tick touches
// and changes it puts out the retraction of the old row and the new row; all retractions come first. What it has put out is
// kept, so a retraction is exactly what was inserted.
type Aggregate struct {
	spec   AggregateSpec
	schema *arrow.Schema
	accs   []accumulator
	slabs  []slab
	stride int

	keyCodec  *state.Codec
	showCodec *state.Codec // nil: the keys are shown
	outCodec  *state.Codec // of the calls' results

	groups   state.Table
	words    []int64 // by group: the number of rows, then the calls' words
	shown    []place // by group, in bytes
	emitted  []place // by group, in bytes: the results last put out; none: no row
	distinct []*distinctSet
	bytes    state.Arena
	started  bool

	touchedIn []uint32 // by group: the tick that touched it last
	tick      uint32
	touched   []uint32

	keys, shows, results state.Rows
	ids                  []uint32
	weights              []int64
}

// place is a byte string in an arena; ref 0 is none.
type place struct {
	ref    state.Ref
	length uint32
}

// NewAggregate makes an Aggregate over input columns of schema.
func NewAggregate(schema *arrow.Schema, spec AggregateSpec) (*Aggregate, error) {
	a := &Aggregate{spec: spec, stride: 1}
	var err error
	if a.keyCodec, err = state.NewKeyCodec(pick(schema, spec.Keys), 0); err != nil {
		return nil, err
	}
	shown := spec.Keys
	if spec.Show != nil {
		shown = spec.Show
		if a.showCodec, err = state.NewCodec(pick(schema, spec.Show), 0); err != nil {
			return nil, err
		}
	}
	fields := pick(schema, shown).Fields()
	for i := range spec.Calls {
		c := &spec.Calls[i]
		var arg arrow.DataType
		if c.Arg >= 0 {
			arg = schema.Field(c.Arg).Type
		}
		acc, typ, err := newAccumulator(c, arg)
		if err != nil {
			return nil, err
		}
		c.Result.Type, c.Result.Nullable = typ, c.Kind != Count
		a.accs = append(a.accs, acc)
		a.slabs = append(a.slabs, slab{at: a.stride})
		a.stride += acc.words()
		fields = append(fields, c.Result)
		var d *distinctSet
		if c.Distinct {
			if d, err = newDistinctSet(schema, c.DistinctArg); err != nil {
				return nil, err
			}
		}
		a.distinct = append(a.distinct, d)
	}
	a.schema = arrow.NewSchema(fields, nil)
	a.outCodec, err = state.NewCodec(arrow.NewSchema(fields[len(shown):], nil), 0)
	return a, err
}

func pick(s *arrow.Schema, cols []int) *arrow.Schema {
	fields := make([]arrow.Field, len(cols))
	for i, c := range cols {
		fields[i] = s.Field(c)
	}
	return arrow.NewSchema(fields, nil)
}

func columns(rec arrow.Record, cols []int) []arrow.Array {
	out := make([]arrow.Array, len(cols))
	for i, c := range cols {
		out[i] = rec.Column(c)
	}
	return out
}

// Schema is the output's columns.
func (a *Aggregate) Schema() *arrow.Schema { return a.schema }

// Step implements processors.Operator.
func (a *Aggregate) Step(_ context.Context, _ delta.Position, in []processors.Batch) (processors.Batch, error) {
	a.tick++
	a.touched = a.touched[:0]
	if !a.started && len(a.spec.Keys) == 0 {
		a.resolve(nil, 0, 1)
		a.touch(a.ids)
	}
	a.started = true
	b := in[0]
	for from := 0; from < b.Len(); from += chunkRows {
		n := min(chunkRows, b.Len()-from)
		var weights []int64
		if b.Weights != nil {
			weights = b.Weights[from : from+n]
		}
		if err := a.update(b.Rows, from, n, weights); err != nil {
			return processors.Batch{}, err
		}
	}
	out, err := a.emit()
	for _, d := range a.distinct {
		if d != nil {
			d.sweep()
		}
	}
	return out, err
}

// resolve puts the groups of rows [from, from+n) into ids; rec is nil for the one group without keys.
func (a *Aggregate) resolve(rec arrow.Record, from, n int) {
	if cap(a.ids) < n {
		a.ids = make([]uint32, max(n, chunkRows))
	}
	a.ids = a.ids[:n]
	if len(a.spec.Keys) == 0 {
		clear(a.ids)
		if a.groups.Len() == 0 {
			a.keyCodec.Encode(nil, 0, 1, &a.keys)
			a.groups.Upsert(&a.keys, a.ids[:1])
		}
	} else {
		a.keyCodec.Encode(columns(rec, a.spec.Keys), from, from+n, &a.keys)
		a.groups.Upsert(&a.keys, a.ids)
	}
	m := a.groups.IDs()
	a.words, a.emitted, a.touchedIn = extend(a.words, m*a.stride), extend(a.emitted, m), extend(a.touchedIn, m)
	for i := range a.slabs {
		a.slabs[i].words, a.slabs[i].stride = a.words, a.stride
	}
	if a.showCodec == nil || rec == nil {
		return
	}
	a.shown = extend(a.shown, m)
	a.showCodec.Encode(columns(rec, a.spec.Show), from, from+n, &a.shows)
	for i, g := range a.ids {
		if a.shown[g].ref == 0 {
			b := a.shows.Row(i)
			a.shown[g] = place{a.bytes.Add(b), uint32(len(b))}
		}
	}
}

// extend gives s with at least n elements; new ones are zero.
func extend[T any](s []T, n int) []T {
	if n <= len(s) {
		return s
	}
	if n > cap(s) {
		s = append(make([]T, 0, max(n, len(s)+len(s)/2)), s...)
	}
	return s[:n]
}

func (a *Aggregate) touch(ids []uint32) {
	for _, g := range ids {
		if a.touchedIn[g] != a.tick {
			a.touchedIn[g] = a.tick
			a.touched = append(a.touched, g)
		}
	}
}

func (a *Aggregate) update(rec arrow.Record, from, n int, weights []int64) error {
	a.resolve(rec, from, n)
	a.touch(a.ids)
	rows := slab{words: a.words, stride: a.stride}
	if err := (counter{}).add(&rows, a.ids, nil, 0, weights); err != nil {
		return err
	}
	for i := range a.spec.Calls {
		c := &a.spec.Calls[i]
		ws := a.callWeights(c, rec, from, n, weights)
		if d := a.distinct[i]; d != nil {
			ws = d.first(a.ids, rec.Column(c.DistinctArg), from, ws)
		}
		var col arrow.Array
		if c.Arg >= 0 {
			col = rec.Column(c.Arg)
		}
		if err := a.accs[i].add(&a.slabs[i], a.ids, col, from, ws); err != nil {
			return err
		}
	}
	return nil
}

// callWeights gives the weights of a chunk's rows for one call: 0 where the filter is not true or the argument is null.
func (a *Aggregate) callWeights(c *Call, rec arrow.Record, from, n int, weights []int64) []int64 {
	var arg arrow.Array
	if c.Arg >= 0 && rec.Column(c.Arg).NullN() > 0 {
		arg = rec.Column(c.Arg)
	}
	if arg == nil && c.Filter < 0 {
		return weights
	}
	a.weights = extend(a.weights[:0], n)
	for i := range a.weights {
		a.weights[i] = 1
	}
	if weights != nil {
		copy(a.weights, weights)
	}
	if c.Filter >= 0 {
		f := rec.Column(c.Filter).(*array.Boolean)
		for i := range n {
			if f.IsNull(from+i) || !f.Value(from+i) {
				a.weights[i] = 0
			}
		}
	}
	if arg != nil {
		for i := range n {
			if arg.IsNull(from + i) {
				a.weights[i] = 0
			}
		}
	}
	return a.weights
}

// emit puts out the touched groups' changes and removes the groups that are empty.
func (a *Aggregate) emit() (processors.Batch, error) {
	var present, gone []uint32
	for _, g := range a.touched {
		if a.words[int(g)*a.stride] != 0 || len(a.spec.Keys) == 0 {
			present = append(present, g)
		} else {
			gone = append(gone, g)
		}
	}
	cols := make([]arrow.Array, len(a.accs))
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, acc := range a.accs {
		col, err := acc.result(&a.slabs[i], present)
		if err != nil {
			return processors.Batch{}, err
		}
		cols[i] = col
	}
	a.outCodec.Encode(cols, 0, len(present), &a.results)
	var old []uint32 // groups whose row is retracted
	var changed []int32
	for i, g := range present {
		e := a.emitted[g]
		if e.ref != 0 {
			if string(a.bytes.At(e.ref, int(e.length))) == string(a.results.Row(i)) {
				continue
			}
			old = append(old, g)
		}
		changed = append(changed, int32(i))
	}
	for _, g := range gone {
		if a.emitted[g].ref != 0 {
			old = append(old, g)
		}
	}
	out := a.changes(old, present, changed, cols)
	a.settle(old, present, changed, gone)
	return out, nil
}

// changes builds the batch: the old rows of groups old, then the new rows of present[changed].
func (a *Aggregate) changes(old, present []uint32, changed []int32, cols []arrow.Array) processors.Batch {
	n := len(old) + len(changed)
	if n == 0 {
		return processors.Batch{}
	}
	groups := make([]uint32, 0, n)
	groups = append(groups, old...)
	for _, i := range changed {
		groups = append(groups, present[i])
	}
	keyRow, codec := func(i int) []byte { return a.groups.Key(groups[i]) }, a.keyCodec
	if a.showCodec != nil {
		codec = a.showCodec
		keyRow = func(i int) []byte { p := a.shown[groups[i]]; return a.bytes.At(p.ref, int(p.length)) }
	}
	out := codec.Decode(n, keyRow)
	olds := a.outCodec.Decode(len(old), func(i int) []byte {
		p := a.emitted[old[i]]
		return a.bytes.At(p.ref, int(p.length))
	})
	for i, col := range cols {
		now := Take(col, changed)
		both, err := array.Concatenate([]arrow.Array{olds[i], now}, memory.DefaultAllocator)
		if err != nil { // only for differing types
			panic(err)
		}
		now.Release()
		olds[i].Release()
		out = append(out, both)
	}
	b := processors.Batch{Rows: newRecord(a.schema, out, n)}
	if len(old) > 0 {
		b.Weights = make([]int64, n)
		for i := range b.Weights {
			b.Weights[i] = 1
			if i < len(old) {
				b.Weights[i] = -1
			}
		}
	}
	return b
}

// settle remembers what was put out, and forgets the groups that are gone.
func (a *Aggregate) settle(old, present []uint32, changed []int32, gone []uint32) {
	for _, g := range old {
		a.bytes.Remove(a.emitted[g].ref, int(a.emitted[g].length))
		a.emitted[g] = place{}
	}
	for _, i := range changed {
		b := a.results.Row(int(i))
		a.emitted[present[i]] = place{a.bytes.Add(b), uint32(len(b))}
	}
	for _, g := range gone {
		words := a.words[int(g)*a.stride:][:a.stride]
		for i, acc := range a.accs {
			if h, ok := acc.(heavy); ok {
				h.drop(words[a.slabs[i].at:])
			}
		}
		clear(words)
		if a.showCodec != nil {
			a.bytes.Remove(a.shown[g].ref, int(a.shown[g].length))
			a.shown[g] = place{}
		}
		a.groups.Delete(g)
	}
}

// Size implements processors.Stateful.
func (a *Aggregate) Size() (int, limit.Bytes) {
	m := a.groups.Memory() + a.bytes.Memory() + int64(cap(a.words))*8 + int64(cap(a.shown)+cap(a.emitted))*8 + int64(cap(a.touchedIn))*4
	for i, acc := range a.accs {
		if h, ok := acc.(heavy); ok {
			m += h.set().Memory()
		}
		if d := a.distinct[i]; d != nil {
			m += d.values.Memory() + int64(cap(d.counts))*8
		}
	}
	return a.groups.Len(), limit.Bytes(m)
}

// Checkpoint implements processors.Stateful.
func (a *Aggregate) Checkpoint(out io.Writer) error {
	w := state.NewWriter(out)
	w.Bool(a.started)
	a.groups.Checkpoint(w)
	state.WriteWords(w, a.words)
	writePlaces(w, a.shown)
	writePlaces(w, a.emitted)
	a.bytes.Checkpoint(w)
	for i, acc := range a.accs {
		if h, ok := acc.(heavy); ok {
			h.set().Checkpoint(w)
		}
		if d := a.distinct[i]; d != nil {
			d.values.Checkpoint(w)
			state.WriteWords(w, d.counts)
		}
	}
	return w.Close()
}

// Restore implements processors.Stateful.
func (a *Aggregate) Restore(in io.Reader) error {
	r := state.NewReader(in)
	a.started = r.Bool()
	a.groups.Restore(r)
	a.words = state.ReadWords[int64](r, maxWords)
	a.shown, a.emitted = readPlaces(r), readPlaces(r)
	a.bytes.Restore(r)
	n := a.groups.IDs()
	if len(a.words) != n*a.stride || len(a.emitted) != n || a.showCodec != nil && len(a.shown) != n {
		r.Fail("an aggregate's parts have different lengths")
	}
	for _, p := range append(append([]place(nil), a.shown...), a.emitted...) {
		if p.ref != 0 && !a.bytes.Valid(p.ref, int(p.length)) {
			r.Fail("an aggregate's row is outside its arena")
		}
	}
	for i, acc := range a.accs {
		if h, ok := acc.(heavy); ok {
			h.set().Restore(r)
			for g := 0; r.Err() == nil && g < n; g++ {
				if w := a.words[g*a.stride+a.slabs[i].at]; w != int64(uint32(w)) || !h.set().Valid(uint32(w)) {
					r.Fail("an aggregate's values are outside their set")
				}
			}
		}
		if d := a.distinct[i]; d != nil {
			d.values.Restore(r)
			d.counts = state.ReadWords[int64](r, maxWords)
			if len(d.counts) != d.values.IDs() {
				r.Fail("an aggregate's distinct values have no counts")
			}
		}
	}
	a.touchedIn, a.tick = make([]uint32, n), 0
	return r.Close()
}

const maxWords = 1 << 36

func writePlaces(w *state.Writer, ps []place) {
	words := make([]uint64, len(ps))
	for i, p := range ps {
		words[i] = uint64(p.ref)<<32 | uint64(p.length)
	}
	state.WriteWords(w, words)
}

func readPlaces(r *state.Reader) []place {
	words := state.ReadWords[uint64](r, maxWords)
	ps := make([]place, len(words))
	for i, u := range words {
		ps[i] = place{state.Ref(u >> 32), uint32(u)}
	}
	return ps
}

// distinctSet counts each value of one call's argument per group.
type distinctSet struct {
	codec   *state.Codec
	values  state.Table // group id and value
	counts  []int64
	rows    state.Rows
	ids     []uint32
	weights []int64
	zero    []uint32
}

func newDistinctSet(schema *arrow.Schema, col int) (*distinctSet, error) {
	c, err := state.NewKeyCodec(pick(schema, []int{col}), groupPrefix)
	if err != nil {
		return nil, err
	}
	return &distinctSet{codec: c}, nil
}

const groupPrefix = 4

// first gives the weights with which values come into sight (1) and go out of it (-1). A row whose weight is 0 (a null, or
// filtered) has none.
func (d *distinctSet) first(groups []uint32, col arrow.Array, from int, weights []int64) []int64 {
	n := len(groups)
	d.codec.Encode([]arrow.Array{col}, from, from+n, &d.rows)
	for i, g := range groups {
		binary.LittleEndian.PutUint32(d.rows.Data[d.rows.Offsets[i]:], g)
	}
	d.rows.Hash()
	if cap(d.ids) < n {
		d.ids = make([]uint32, max(n, chunkRows))
	}
	d.ids = d.ids[:n]
	d.values.Upsert(&d.rows, d.ids)
	d.counts = extend(d.counts, d.values.IDs())
	d.weights = extend(d.weights[:0], n)
	for i, v := range d.ids {
		w := int64(1)
		if weights != nil {
			w = weights[i]
		}
		was := d.counts[v]
		d.counts[v] += w
		d.weights[i] = 0
		switch now := d.counts[v]; {
		case was <= 0 && now > 0:
			d.weights[i] = 1
		case was > 0 && now <= 0:
			d.weights[i] = -1
		}
		if d.counts[v] == 0 {
			d.zero = append(d.zero, v)
		}
	}
	return d.weights
}

func (d *distinctSet) sweep() {
	for _, v := range d.zero {
		if d.values.Has(v) && d.counts[v] == 0 {
			d.values.Delete(v)
		}
	}
	d.zero = d.zero[:0]
}
