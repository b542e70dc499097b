package schema

import (
	"context"
	"fmt"
)

// Level says which schemas may follow in a subject.
type Level string

// The levels, by the names of Confluent's API. Backward: the new schema reads what its predecessor wrote. Forward: the
// predecessor reads what the new one writes. Full: both. Transitive: not the newest predecessor alone, but all.
const (
	None               Level = "NONE"
	Backward           Level = "BACKWARD"
	BackwardTransitive Level = "BACKWARD_TRANSITIVE"
	Forward            Level = "FORWARD"
	ForwardTransitive  Level = "FORWARD_TRANSITIVE"
	Full               Level = "FULL"
	FullTransitive     Level = "FULL_TRANSITIVE"
)

// Known reports whether l is one of the levels.
func (l Level) Known() bool {
	switch l {
	case None, Backward, BackwardTransitive, Forward, ForwardTransitive, Full, FullTransitive:
		return true
	}
	return false
}

// Transitive reports whether a schema is compared with all before it.
func (l Level) Transitive() bool {
	return l == BackwardTransitive || l == ForwardTransitive || l == FullTransitive
}

func (l Level) backward() bool {
	return l == Backward || l == BackwardTransitive || l == Full || l == FullTransitive
}

func (l Level) forward() bool {
	return l == Forward || l == ForwardTransitive || l == Full || l == FullTransitive
}

// Follow tells why next may not come after history (oldest first) at a level; none: it may. Errors: Limit, when that takes
// more than so many steps (MaxSteps), or leads too deep; the context's.
func Follow(ctx context.Context, steps int, l Level, next *Schema, history []*Schema) (faults []string, err error) {
	if l == None || len(history) == 0 {
		return nil, nil
	}
	if !l.Transitive() {
		history = history[len(history)-1:]
	}
	w := &work{ctx: ctx, steps: steps, left: steps}
	for i := len(history) - 1; i >= 0 && len(faults) == 0; i-- {
		if l.backward() {
			faults = append(faults, why("the new schema cannot read data written with an earlier one", reads(w, next, history[i]))...)
		}
		if l.forward() {
			faults = append(faults, why("an earlier schema cannot read data written with the new one", reads(w, history[i], next))...)
		}
		if w.err != nil {
			return nil, w.err
		}
	}
	return faults, nil
}

func why(what string, faults []fault) []string {
	out := make([]string, len(faults))
	for i, f := range faults {
		out[i] = what + ": " + f.String()
	}
	return out
}

// reads tells why a reader cannot read what a writer wrote; none: it can. When w.err is set it could not be found out.
func reads(w *work, reader, writer *Schema) []fault {
	if reader.Type != writer.Type {
		return []fault{here(fmt.Sprintf("the types are %s and %s", reader.Type, writer.Type))}
	}
	switch reader.Type {
	case Avro:
		return avroReads(w, reader.Avro, writer.Avro)
	case Protobuf:
		return protobufReads(w, reader.File, writer.File)
	}
	return jsonReads(w, reader.json, writer.json)
}
