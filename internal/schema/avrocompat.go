package schema

import (
	"fmt"
	"slices"

	"github.com/hamba/avro/v2"
)

// avroComparison follows "Schema Resolution" of the Avro specification, with the names and defaults as Java's
// SchemaCompatibility takes them. hamba/avro's own comparison looks each field up in a list, and cannot be stopped.
type avroComparison struct{ *comparison }

func avroReads(w *work, reader, writer avro.Schema) []fault {
	return avroComparison{newComparison(w)}.reads(reader, writer)
}

func (c avroComparison) reads(reader, writer avro.Schema) []fault {
	if x, ok := reader.(*avro.RefSchema); ok {
		reader = x.Schema()
	}
	if x, ok := writer.(*avro.RefSchema); ok {
		writer = x.Schema()
	}
	return c.once(pair{reader, writer}, func() []fault { return c.compare(reader, writer) })
}

func (c avroComparison) compare(reader, writer avro.Schema) (faults []fault) {
	if w, ok := writer.(*avro.UnionSchema); ok {
		for _, branch := range w.Types() {
			faults = add(faults, c.reads(reader, branch)...)
		}
		return faults
	}
	switch r := reader.(type) {
	case *avro.UnionSchema:
		for _, branch := range r.Types() {
			if len(c.reads(branch, writer)) == 0 {
				return nil
			}
		}
		return []fault{here(fmt.Sprintf("reader union lacking writer schema %s", writer.Type()))}
	case *avro.ArraySchema:
		if w, ok := writer.(*avro.ArraySchema); ok {
			return under("/items", c.reads(r.Items(), w.Items()))
		}
	case *avro.MapSchema:
		if w, ok := writer.(*avro.MapSchema); ok {
			return under("/values", c.reads(r.Values(), w.Values()))
		}
	case *avro.FixedSchema:
		if w, ok := writer.(*avro.FixedSchema); ok {
			if faults = named(r, w); r.Size() != w.Size() {
				faults = add(faults, here(r.FullName()+" reader and writer fixed sizes do not match"))
			}
			return faults
		}
	case *avro.EnumSchema:
		if w, ok := writer.(*avro.EnumSchema); ok {
			return c.enums(r, w)
		}
	case *avro.RecordSchema:
		if w, ok := writer.(*avro.RecordSchema); ok {
			return c.records(r, w)
		}
	}
	if !promotes(writer.Type(), reader.Type()) {
		return []fault{here(fmt.Sprintf("reader schema %s not compatible with writer schema %s", reader.Type(), writer.Type()))}
	}
	return nil
}

// promotes reports whether a value of one plain type is read as one of another.
func promotes(from, to avro.Type) bool {
	switch from {
	case avro.Int:
		return to == avro.Int || to == avro.Long || to == avro.Float || to == avro.Double
	case avro.Long:
		return to == avro.Long || to == avro.Float || to == avro.Double
	case avro.Float:
		return to == avro.Float || to == avro.Double
	case avro.String, avro.Bytes:
		return to == avro.String || to == avro.Bytes
	}
	return from == to
}

func named(r, w avro.NamedSchema) []fault {
	if r.Name() == w.Name() || slices.Contains(r.Aliases(), w.FullName()) {
		return nil
	}
	return []fault{here(fmt.Sprintf("reader schema %s and writer schema %s names do not match", r.FullName(), w.FullName()))}
}

func (c avroComparison) enums(r, w *avro.EnumSchema) []fault {
	if faults := named(r, w); faults != nil || r.HasDefault() || !c.spend(len(r.Symbols())+len(w.Symbols())) {
		return faults
	}
	have := setOf(r.Symbols())
	var faults []fault
	for _, symbol := range w.Symbols() {
		if !have[symbol] {
			faults = add(faults, here(fmt.Sprintf("reader %s is missing symbol %s", r.FullName(), symbol)))
		}
	}
	return faults
}

func (c avroComparison) records(r, w *avro.RecordSchema) []fault {
	faults := named(r, w)
	if faults != nil || !c.spend(len(r.Fields())+len(w.Fields())) {
		return faults
	}
	written := make(map[string]*avro.Field, len(w.Fields()))
	for _, f := range w.Fields() {
		written[f.Name()] = f
	}
	for _, f := range r.Fields() {
		from := written[f.Name()]
		for _, alias := range f.Aliases() {
			if from == nil {
				from = written[alias]
			}
		}
		if from != nil {
			if found := c.reads(f.Type(), from.Type()); found != nil {
				faults = add(faults, under("/fields/"+f.Name(), found)...)
			}
		} else if !f.HasDefault() {
			faults = add(faults, here(fmt.Sprintf("reader field %s is missing in writer schema and has no default", f.Name())))
		}
	}
	return faults
}

// setOf gives what a list holds.
func setOf[T comparable](list []T) map[T]bool {
	set := make(map[T]bool, len(list))
	for _, x := range list {
		set[x] = true
	}
	return set
}
