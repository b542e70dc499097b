package schema

import "fmt"

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

func (l Level) transitive() bool {
	return l == BackwardTransitive || l == ForwardTransitive || l == FullTransitive
}

func (l Level) backward() bool {
	return l == Backward || l == BackwardTransitive || l == Full || l == FullTransitive
}

func (l Level) forward() bool {
	return l == Forward || l == ForwardTransitive || l == Full || l == FullTransitive
}

// Follow tells why next may not come after history (oldest first) at a level; none: it may.
func Follow(l Level, next *Schema, history []*Schema) (faults []string) {
	if l == None || len(history) == 0 {
		return nil
	}
	if !l.transitive() {
		history = history[len(history)-1:]
	}
	for i := len(history) - 1; i >= 0 && len(faults) == 0; i-- {
		if l.backward() {
			faults = append(faults, why("the new schema cannot read data written with an earlier one", Reads(next, history[i]))...)
		}
		if l.forward() {
			faults = append(faults, why("an earlier schema cannot read data written with the new one", Reads(history[i], next))...)
		}
	}
	return faults
}

func why(what string, faults []string) []string {
	for i := range faults {
		faults[i] = what + ": " + faults[i]
	}
	return faults
}

// Reads tells why a reader cannot read what a writer wrote; none: it can.
func Reads(reader, writer *Schema) []string {
	if reader.Type != writer.Type {
		return []string{fmt.Sprintf("the types are %s and %s", reader.Type, writer.Type)}
	}
	switch reader.Type {
	case Avro:
		return avroReads(reader.Avro, writer.Avro)
	case Protobuf:
		return protobufReads(reader.File, writer.File)
	}
	return jsonReads(reader.json, writer.json)
}
