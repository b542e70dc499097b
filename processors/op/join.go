package op

import (
	"context"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/processors"
	"github.com/miracledb/miracledb/processors/state"
)

// JoinKind is the kind of a Join.
type JoinKind uint8

// The kinds. Semi and Anti put out the left columns only.
const (
	Inner JoinKind = iota
	Left
	Right
	Full
	Semi
	Anti
)

var joinNames = [...]string{"inner", "left", "right", "full", "semi", "anti"}

func (k JoinKind) String() string { return joinNames[k] }

// maxJoinRows bounds the rows that one tick of one join may put out: an accidental product of two large inputs is an error
// and not the end of the process.
const maxJoinRows = 1 << 26

// JoinSpec describes a Join.
type JoinSpec struct {
	Kind JoinKind
	// LeftKeys and RightKeys are the key columns of the two inputs, in normal form and of equal Arrow types. A row with a
	// null key matches nothing. Without keys every pair matches.
	LeftKeys, RightKeys []int
	// LeftColumns and RightColumns are kept and put out, left ones first.
	LeftColumns, RightColumns []int
	// Cond, when not nil, must be true for a pair to match; it sees the left and right columns.
	Cond Predicate
}

// Join joins two inputs, each of which is arranged by its key. For outer, semi and anti joins each row of a preserved side
// knows its degree, the weight of the rows it matches: a degree that leaves or reaches zero takes back or brings the row's
// form without a partner.
//
// A tick is: changes of the right against the old left; the right side's update; changes of the left against the new
// right; the left side's update.
type Join struct {
	spec        JoinSpec
	left, right side
	pairSchema  *arrow.Schema
	outSchema   *arrow.Schema

	out  []processors.Batch
	rows int
	// pending pairs: entry of the arranged side and row of the changing one.
	entries []uint32
	takes   []int32
	weights []int64
	gained  []int64 // by row of the chunk: its degree
}

// side is one input of a Join.
type side struct {
	keys, cols []int
	schema     *arrow.Schema // of cols
	keyCodec   *state.Codec
	rowCodec   *state.Codec
	rows       state.Arrangement
	// preserved sides put out rows without a partner (or, for semi joins, only with one): their entries have degrees.
	preserved bool

	// The entries whose degree changed in this tick, and what it was.
	touchedIn []uint32
	tick      uint32
	touched   []uint32
	was       []int64

	keyRows, encoded state.Rows
	ids              []uint32
}

// NewJoin makes a Join of inputs with the given columns.
func NewJoin(left, right *arrow.Schema, spec JoinSpec) (*Join, error) {
	j := &Join{spec: spec}
	err := j.left.init(left, spec.LeftKeys, spec.LeftColumns)
	if err == nil {
		err = j.right.init(right, spec.RightKeys, spec.RightColumns)
	}
	if err != nil {
		return nil, err
	}
	j.left.preserved = spec.Kind == Left || spec.Kind == Full || spec.Kind == Semi || spec.Kind == Anti
	j.right.preserved = spec.Kind == Right || spec.Kind == Full
	fields := append(append([]arrow.Field(nil), j.left.schema.Fields()...), j.right.schema.Fields()...)
	j.pairSchema = arrow.NewSchema(append([]arrow.Field(nil), fields...), nil)
	n := len(spec.LeftColumns)
	for i := range fields {
		if i < n && j.right.preserved || i >= n && j.left.preserved {
			fields[i].Nullable = true
		}
	}
	if j.pairless() {
		fields = fields[:n]
	}
	j.outSchema = arrow.NewSchema(fields, nil)
	return j, nil
}

func (s *side) init(schema *arrow.Schema, keys, cols []int) (err error) {
	s.keys, s.cols, s.schema = keys, cols, pick(schema, cols)
	if s.keyCodec, err = state.NewKeyCodec(pick(schema, keys), 0); err == nil {
		s.rowCodec, err = state.NewCodec(s.schema, state.RowPrefix)
	}
	return err
}

// pairless joins put out left rows and no pairs.
func (j *Join) pairless() bool { return j.spec.Kind == Semi || j.spec.Kind == Anti }

// Schema is the output's columns.
func (j *Join) Schema() *arrow.Schema { return j.outSchema }

// Step implements processors.Operator.
func (j *Join) Step(_ context.Context, _ delta.Position, in []processors.Batch) (processors.Batch, error) {
	j.out, j.rows = nil, 0
	defer func() {
		for _, b := range j.out {
			b.Release()
		}
		j.out = nil
	}()
	j.left.begin()
	j.right.begin()
	if err := j.change(&j.right, &j.left, in[1]); err != nil {
		return processors.Batch{}, err
	}
	if err := j.transitions(&j.left); err != nil {
		return processors.Batch{}, err
	}
	if err := j.change(&j.left, &j.right, in[0]); err != nil {
		return processors.Batch{}, err
	}
	if err := j.transitions(&j.right); err != nil {
		return processors.Batch{}, err
	}
	j.left.rows.Sweep()
	j.right.rows.Sweep()
	return concat(j.out)
}

func (s *side) begin() {
	s.tick++
	s.touched, s.was = s.touched[:0], s.was[:0]
}

// change runs the changes b of side s against the other side and then adds them to s.
func (j *Join) change(s, other *side, b processors.Batch) error {
	for from := 0; from < b.Len(); from += chunkRows {
		n := min(chunkRows, b.Len()-from)
		chunk := processors.Batch{Rows: b.Rows.NewSlice(int64(from), int64(from+n))}
		if b.Weights != nil {
			chunk.Weights = b.Weights[from : from+n]
		}
		err := j.changeChunk(s, other, chunk)
		chunk.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *Join) changeChunk(s, other *side, b processors.Batch) error {
	keyed, keyless := s.splitNullKeys(b.Rows)
	if keyless != nil {
		if s.preserved && j.spec.Kind != Semi {
			if err := j.alone(s, columnsOf(b.Rows, s.cols, keyless), selectWeights(b.Weights, keyless), len(keyless)); err != nil {
				return err
			}
		}
		b = processors.Batch{Rows: TakeRecord(b.Rows, keyed), Weights: selectWeights(b.Weights, keyed)}
		defer b.Release()
	}
	n := b.Len()
	if n == 0 {
		return nil
	}
	s.keyCodec.Encode(columns(b.Rows, s.keys), 0, n, &s.keyRows)
	s.ids = extend(s.ids[:0], n)
	other.rows.Lookup(&s.keyRows, s.ids)
	j.gained = extend(j.gained[:0], n)
	clear(j.gained)
	if err := j.match(s, other, b); err != nil {
		return err
	}
	s.rowCodec.Encode(columns(b.Rows, s.cols), 0, n, &s.encoded)
	s.rows.Update(&s.keyRows, &s.encoded, b.Weights, s.ids)
	if !s.preserved {
		return nil
	}
	var lone []int32
	for i, e := range s.ids {
		s.rows.SetDegree(e, j.gained[i])
		if (j.gained[i] > 0) == (j.spec.Kind == Semi) {
			lone = append(lone, int32(i))
		}
	}
	if len(lone) == 0 {
		return nil
	}
	return j.alone(s, columnsOf(b.Rows, s.cols, lone), selectWeights(b.Weights, lone), len(lone))
}

// splitNullKeys gives the rows with and without a key; keyless is nil when all have one.
func (s *side) splitNullKeys(rec arrow.Record) (keyed, keyless []int32) {
	some := false
	for _, k := range s.keys {
		some = some || rec.Column(k).NullN() > 0
	}
	if !some {
		return nil, nil
	}
	for i := range int(rec.NumRows()) {
		null := false
		for _, k := range s.keys {
			null = null || rec.Column(k).IsNull(i)
		}
		if null {
			keyless = append(keyless, int32(i))
		} else {
			keyed = append(keyed, int32(i))
		}
	}
	return keyed, keyless
}

func columnsOf(rec arrow.Record, cols []int, rows []int32) []arrow.Array {
	out := make([]arrow.Array, len(cols))
	for i, c := range cols {
		out[i] = Take(rec.Column(c), rows)
	}
	return out
}

func selectWeights(w []int64, rows []int32) []int64 {
	if w == nil {
		return nil
	}
	return takeWeights(w, rows)
}

// match finds the pairs of b's rows with the other side's entries and puts them out.
func (j *Join) match(s, other *side, b processors.Batch) error {
	j.entries, j.takes, j.weights = j.entries[:0], j.takes[:0], j.weights[:0]
	for i, key := range s.ids {
		if key == state.None {
			continue
		}
		for e := other.rows.First(key); e != state.None; e = other.rows.Next(e) {
			w := other.rows.Weight(e)
			if w == 0 {
				continue
			}
			j.entries, j.takes, j.weights = append(j.entries, e), append(j.takes, int32(i)), append(j.weights, w)
		}
		if len(j.entries) >= chunkRows {
			if err := j.flush(s, other, b); err != nil {
				return err
			}
		}
	}
	return j.flush(s, other, b)
}

// flush checks the condition on the pending pairs, counts degrees and puts the pairs out.
func (j *Join) flush(s, other *side, b processors.Batch) error {
	n := len(j.entries)
	if n == 0 {
		return nil
	}
	var rec arrow.Record
	if j.spec.Cond != nil || !j.pairless() {
		rec = j.pairs(s, other, b)
		defer func() { rec.Release() }()
	}
	if j.spec.Cond != nil {
		mask, err := j.spec.Cond(rec)
		if err != nil {
			return err
		}
		rows := selected(mask)
		mask.Release()
		if len(rows) < n {
			kept := TakeRecord(rec, rows)
			rec.Release()
			rec = kept
			for i, r := range rows {
				j.entries[i], j.takes[i], j.weights[i] = j.entries[r], j.takes[r], j.weights[r]
			}
			n = len(rows)
		}
	}
	ones := true
	for i := range n {
		e, r, w := j.entries[i], j.takes[i], b.Weight(int(j.takes[i]))
		j.gained[r] += j.weights[i]
		if other.preserved {
			other.shift(e, w)
		}
		j.weights[i] *= w
		ones = ones && j.weights[i] == 1
	}
	weights := append([]int64(nil), j.weights[:n]...)
	j.entries, j.takes, j.weights = j.entries[:0], j.takes[:0], j.weights[:0]
	if j.pairless() || n == 0 {
		return nil
	}
	if ones {
		weights = nil
	}
	return j.put(array.NewRecord(j.outSchema, rec.Columns(), int64(n)), weights)
}

// pairs builds the record of the pending pairs: left columns, then right ones.
func (j *Join) pairs(s, other *side, b processors.Batch) arrow.Record {
	n := len(j.entries)
	changing := columnsOf(b.Rows, s.cols, j.takes)
	arranged := other.rowCodec.Decode(n, func(i int) []byte { return other.rows.Row(j.entries[i]) })
	if s == &j.left {
		return newRecord(j.pairSchema, append(changing, arranged...), n)
	}
	return newRecord(j.pairSchema, append(arranged, changing...), n)
}

// shift adds w to an entry's degree.
func (s *side) shift(e uint32, w int64) {
	s.touchedIn = extend(s.touchedIn, int(e)+1)
	d := s.rows.Degree(e)
	if s.touchedIn[e] != s.tick {
		s.touchedIn[e] = s.tick
		s.touched, s.was = append(s.touched, e), append(s.was, d)
	}
	s.rows.SetDegree(e, d+w)
}

// transitions puts out what changes for the rows of s whose degree left or reached zero.
func (j *Join) transitions(s *side) error {
	var entries []uint32
	var weights []int64
	for i, e := range s.touched {
		had, has := s.was[i] > 0, s.rows.Degree(e) > 0
		w := s.rows.Weight(e)
		if had == has || w == 0 {
			continue
		}
		if has != (j.spec.Kind == Semi) {
			w = -w
		}
		entries, weights = append(entries, e), append(weights, w)
	}
	if len(entries) == 0 {
		return nil
	}
	cols := s.rowCodec.Decode(len(entries), func(i int) []byte { return s.rows.Row(entries[i]) })
	return j.alone(s, cols, weights, len(entries))
}

// alone puts out n rows of s without a partner: nulls stand for the other side's columns. It takes cols over.
func (j *Join) alone(s *side, cols []arrow.Array, weights []int64, n int) error {
	if !j.pairless() {
		other := &j.right
		if s == &j.right {
			other = &j.left
		}
		nulls := make([]arrow.Array, len(other.cols))
		for i, f := range other.schema.Fields() {
			nulls[i] = allNull(f.Type, n)
		}
		if s == &j.left {
			cols = append(cols, nulls...)
		} else {
			cols = append(nulls, cols...)
		}
	}
	return j.put(newRecord(j.outSchema, cols, n), append([]int64(nil), weights...))
}

func allNull(t arrow.DataType, n int) arrow.Array {
	return array.MakeArrayOfNull(memory.DefaultAllocator, t, n)
}

func (j *Join) put(rec arrow.Record, weights []int64) error {
	if len(weights) == 0 {
		weights = nil
	}
	j.out = append(j.out, processors.Batch{Rows: rec, Weights: weights})
	j.rows += int(rec.NumRows())
	return limit.Check("the number of rows that a join of a materialized view makes from one change", int64(j.rows), maxJoinRows)
}

// Size implements processors.Stateful.
func (j *Join) Size() (int, limit.Bytes) {
	return j.left.rows.Len() + j.right.rows.Len(),
		limit.Bytes(j.left.rows.Memory() + j.right.rows.Memory() + int64(cap(j.left.touchedIn)+cap(j.right.touchedIn))*4)
}

// Checkpoint implements processors.Stateful.
func (j *Join) Checkpoint(out io.Writer) error {
	w := state.NewWriter(out)
	j.left.rows.Checkpoint(w)
	j.right.rows.Checkpoint(w)
	return w.Close()
}

// Restore implements processors.Stateful.
func (j *Join) Restore(in io.Reader) error {
	r := state.NewReader(in)
	j.left.rows.Restore(r)
	j.right.rows.Restore(r)
	for _, s := range []*side{&j.left, &j.right} {
		s.touchedIn, s.tick = nil, 0
	}
	if err := r.Close(); err != nil {
		return errs.New(errs.KindOf(err), "join: %w", err)
	}
	return nil
}
