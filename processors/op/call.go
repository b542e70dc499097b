package op

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/processors/state"
)

// CallKind says what an aggregate computes.
type CallKind uint8

// The kinds. All but Count ignore nulls and are null over no value.
const (
	// Count is the number of rows (Arg < 0) or of those with a value. int64.
	Count CallKind = iota
	// SumInt adds int16, int32, int64 or decimal128 values exactly: 128 bits. decimal128(38, the argument's scale), or
	// int64 for int16 and int32, where a sum that does not fit is SQLSTATE 22003. A decimal NaN (row.IsDecimalNaN) makes
	// the sum NaN for as long as it is there.
	SumInt
	// SumFloat adds float32 or float64 values; float64. The sum is kept in three floats with their errors (about 150 bits),
	// so that it does not depend on the order of rows or the cut into ticks and retracting a value takes out just what it
	// had put in; it may differ from an addition in some order by that one's rounding. NaN and infinities are counted
	// apart: the sum is NaN or infinite for as long as they are there. Finite values whose sum is over the range are
	// SQLSTATE 22003.
	SumFloat
	// Min and Max are the extremes of fixed-width numbers, times, strings and binaries, by value and by bytes. The result
	// has the argument's type.
	Min
	Max
	// BoolAnd and BoolOr. bool.
	BoolAnd
	BoolOr
	// Fold keeps all values, a binary column, as an ordered multiset per group, and computes Call.Fold over those of each
	// touched group. It is what every other aggregate becomes; a tick costs the size of the groups it touches.
	Fold
)

var callNames = [...]string{"count", "sum", "sum_float", "min", "max", "bool_and", "bool_or", "fold"}

func (k CallKind) String() string { return callNames[k] }

// FoldFunc appends one value to b. each calls f with every value of the group in the order of their bytes; count is how
// often it stands there.
type FoldFunc func(b array.Builder, each func(f func(value []byte, count int64) bool)) error

// Call is one aggregate of an Aggregate.
type Call struct {
	Kind CallKind
	// Arg is the argument's column, -1 for count(*).
	Arg int
	// Filter is a boolean column that must be true, -1: none.
	Filter int
	// Distinct counts each value once; DistinctArg is the argument in normal form (usually Arg).
	Distinct    bool
	DistinctArg int
	// AppendOnly promises that the input has no retractions: Min and Max keep the extreme alone.
	AppendOnly bool
	Fold       FoldFunc
	// Result is the output column; Name and, for Fold, Type are the caller's, the others' Type is set by NewAggregate.
	Result arrow.Field
}

func (c *Call) String() string {
	s := fmt.Sprintf("%s($%d)", c.Kind, c.Arg)
	if c.Arg < 0 {
		s = c.Kind.String() + "(*)"
	}
	if c.Distinct {
		s += fmt.Sprintf(" distinct $%d", c.DistinctArg)
	}
	if c.Filter >= 0 {
		s += fmt.Sprintf(" filter $%d", c.Filter)
	}
	if c.AppendOnly && (c.Kind == Min || c.Kind == Max) {
		s += " append-only"
	}
	return s
}

// accumulator is the state of one call over all groups: its words stand in each group's row of words.
type accumulator interface {
	// words is how many words a group has.
	words() int
	// add puts rows [from, from+len(groups)) of col into their groups' words; weights nil is 1 each. A null value has
	// weight 0 already.
	add(s *slab, groups []uint32, col arrow.Array, from int, weights []int64) error
	// result builds the column for groups.
	result(s *slab, groups []uint32) (arrow.Array, error)
}

// heavy is an accumulator with memory of its own.
type heavy interface {
	drop(words []int64)
	set() *state.Ordered
}

// slab is the words of all groups for one call: group g has words[g*stride+at : +n].
type slab struct {
	words      []int64
	stride, at int
}

func (s *slab) of(g uint32) []int64 { return s.words[int(g)*s.stride+s.at:] }

func newAccumulator(c *Call, arg arrow.DataType) (accumulator, arrow.DataType, error) {
	switch c.Kind {
	case Count:
		return counter{}, arrow.PrimitiveTypes.Int64, nil
	case SumInt:
		switch t := arg.(type) {
		case *arrow.Int16Type, *arrow.Int32Type:
			return &intSum{narrow: true}, arrow.PrimitiveTypes.Int64, nil
		case *arrow.Int64Type:
			out := &arrow.Decimal128Type{Precision: 38}
			return &intSum{out: out}, out, nil
		case *arrow.Decimal128Type:
			out := &arrow.Decimal128Type{Precision: 38, Scale: t.Scale}
			return &intSum{out: out}, out, nil
		}
	case SumFloat:
		switch arg.(type) {
		case *arrow.Float32Type, *arrow.Float64Type:
			return floatSum{}, arrow.PrimitiveTypes.Float64, nil
		}
	case Min, Max:
		if e := newExtreme(c, arg); e != nil {
			return e, arg, nil
		}
	case BoolAnd, BoolOr:
		if _, ok := arg.(*arrow.BooleanType); ok {
			return truth{and: c.Kind == BoolAnd}, arrow.FixedWidthTypes.Boolean, nil
		}
	case Fold:
		if _, ok := arg.(*arrow.BinaryType); ok {
			return &fold{f: c.Fold, typ: c.Result.Type}, c.Result.Type, nil
		}
	}
	return nil, nil, errs.New(errs.Unsupported, "aggregate %s over Arrow type %s", c.Kind, arg)
}
