package schema

import (
	"context"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
)

const (
	// MaxSteps is the most that a call of Follow may take, in keywords, fields and branches looked at: half a second or so.
	// Combinations of combinations multiply, and a level that is transitive looks at all that was ever registered.
	MaxSteps = 2_000_000
	// pairWork is what remembering a pair counts, so that the memory is bounded too.
	pairWork = 10
	// maxNesting bounds the recursion: two cycles of references whose lengths have no common factor lead through all pairs.
	maxNesting = 5_000
	// maxFaults is how many reasons are told, of one pair and in all; maxFaultText how long one may be, in bytes.
	maxFaults    = 10
	maxFaultText = 500
)

// work is what one call of Follow may still do, of so many steps. err is set once it may do no more.
type work struct {
	ctx         context.Context
	steps, left int
	err         error
}

// given stands for the faults that are not looked for, as work.err is set.
var given = []fault{{text: "given up"}}

// spend reports whether n more steps may be done.
func (w *work) spend(n int) bool {
	if w.err != nil {
		return false
	}
	before := w.left
	if w.left -= n; w.left < 0 {
		w.err = errs.New(errs.Limit, "the schemas are too large to compare: it takes more than %d steps", w.steps)
	} else if before>>12 != w.left>>12 {
		w.err = w.ctx.Err()
	}
	return w.err == nil
}

// fault is a reason why a schema cannot read another, and the place within the two that it is of.
type fault struct {
	at   *place
	text string
}

// place is a step into a schema and, from there, the place within.
type place struct {
	step   string
	within *place
}

// under gives the faults of a schema as those of the one around it.
func under(step string, faults []fault) []fault {
	out := make([]fault, len(faults))
	for i, f := range faults {
		out[i] = fault{&place{step, f.at}, f.text}
	}
	return out
}

// add collects up to maxFaults.
func add(faults []fault, more ...fault) []fault {
	return append(faults, more[:min(len(more), maxFaults-len(faults))]...)
}

func here(text string) fault { return fault{text: text} }

// String writes "place: text".
func (f fault) String() string {
	var b strings.Builder
	for at := f.at; at != nil && b.Len() < maxFaultText; at = at.within {
		b.WriteString(at.step)
	}
	if b.Len() > maxFaultText {
		return cut(b.String()) + "...: " + cut(f.text)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	return b.String() + cut(f.text)
}

func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxFaultText)], "") }

// pair is a reader's and a writer's schema within the two that are compared, by identity.
type pair struct{ reader, writer any }

// comparison remembers what was found of the pairs of schemas within two.
type comparison struct {
	*work
	found map[pair][]fault // none: the reader reads what was written
	// reading are the pairs found to read, in that order, those among them that are being compared yet.
	reading []pair
	nesting int
}

func newComparison(w *work) *comparison { return &comparison{work: w, found: map[pair][]fault{}} }

// once compares a pair if it has not been. A pair within itself is taken to read: what is outside decides. When that turns
// out wrong, what was concluded from it is forgotten; that a pair does not read is never concluded from that another one does.
func (c *comparison) once(p pair, compare func() []fault) []fault {
	if faults, done := c.found[p]; done {
		return faults
	}
	if !c.spend(pairWork) {
		return given
	}
	if c.nesting++; c.nesting > maxNesting {
		c.err = errs.New(errs.Limit, "the schemas are nested more than %d deep", maxNesting)
	}
	defer func() { c.nesting-- }()
	since := len(c.reading)
	c.found[p], c.reading = nil, append(c.reading, p)
	faults := compare()
	if len(faults) > 0 {
		for _, q := range c.reading[since:] {
			delete(c.found, q)
		}
		c.found[p], c.reading = faults, c.reading[:since]
	}
	return faults
}
