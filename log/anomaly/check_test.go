package anomaly

import (
	"slices"
	"testing"
)

func w(p int32, value, offset int64) Write { return Write{p, value, offset} }
func r(p int32, offset, value int64) Read  { return Read{p, offset, value} }

// Each anomaly is found in the smallest history that has it, and nothing else is.
func TestCheck(t *testing.T) {
	all := Op{Process: 9, Reads: []Read{r(0, 0, 1), r(0, 1, 2), r(0, 3, 3)}}
	write := func(status Status, ws ...Write) Op { return Op{Process: 1, Status: status, Writes: ws} }
	for name, c := range map[string]struct {
		ops  []Op
		want []Kind
	}{
		"none":                  {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1)), write(Unknown, w(0, 3, -1)), write(Failed, w(0, 4, -1)), write(Unknown, w(0, 5, -1)), all}, nil},
		"behind the last read":  {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1), w(0, 3, 3), w(0, 4, 7)), all}, nil},
		"lost":                  {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1)), write(OK, w(0, 4, 2)), write(OK, w(0, 3, 3)), all}, []Kind{LostWrite}},
		"lost, offset not told": {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1), w(0, 3, 3)), write(OK, w(0, 4, -1)), all}, []Kind{LostWrite}},
		"aborted":               {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1)), write(Failed, w(0, 3, -1)), all}, []Kind{AbortedRead}},
		"invented":              {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1)), all}, []Kind{UnknownValue}},
		"inconsistent": {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1), w(0, 3, 3)), all, write(OK, w(0, 4, -1)), {Process: 8, Reads: []Read{r(0, 1, 4)}}},
			[]Kind{InconsistentOffsets}},
		"duplicate":     {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1), w(0, 3, 3)), all, {Process: 8, Reads: []Read{r(0, 5, 3)}}}, []Kind{Duplicate}},
		"back":          {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1), w(0, 3, 3)), all, {Process: 9, Reads: []Read{r(0, 1, 2)}}}, []Kind{NonmonotonicPoll}},
		"back, seeking": {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1), w(0, 3, 3)), all, {Process: 9, Fresh: true, Reads: []Read{r(0, 1, 2)}}}, nil},
		"skip": {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1), w(0, 3, 3)), all, {Process: 8, Reads: []Read{r(0, 0, 1)}}, {Process: 8, Reads: []Read{r(0, 3, 3)}}},
			[]Kind{SkippedPoll}},
		"send order": {[]Op{write(OK, w(0, 2, 1), w(0, 1, 0)), write(OK, w(0, 3, 3)), all}, []Kind{NonmonotonicSend}},
		"torn":       {[]Op{write(OK, w(0, 1, 0), w(0, 2, 1)), write(Unknown, w(0, 3, -1), w(0, 4, -1)), all}, []Kind{TornWrite}},
		"G0":         {[]Op{write(OK, w(0, 1, 0), w(1, 2, 1)), write(OK, w(0, 3, 1), w(1, 4, 0))}, []Kind{G0}},
		"G1c by reads": {[]Op{{Process: 1, Writes: []Write{w(0, 1, 0)}, Reads: []Read{r(1, 0, 2)}},
			{Process: 2, Writes: []Write{w(1, 2, 0)}, Reads: []Read{r(0, 0, 1)}}}, []Kind{G1cReads}},
		"G1c": {[]Op{{Process: 1, Writes: []Write{w(0, 1, 0)}, Reads: []Read{r(1, 0, 2)}}, {Process: 2, Writes: []Write{w(1, 2, 0), w(0, 3, 1)}},
			{Process: 3, Reads: []Read{r(0, 0, 1), r(0, 1, 3)}}}, []Kind{G1c}},
	} {
		t.Run(name, func(t *testing.T) {
			var kinds []Kind
			got := Check(c.ops)
			for _, a := range got {
				kinds = append(kinds, a.Kind)
			}
			slices.Sort(kinds)
			if kinds = slices.Compact(kinds); !slices.Equal(kinds, c.want) {
				t.Fatalf("%v, want %v", got, c.want)
			}
		})
	}
}
