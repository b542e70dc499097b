package schema

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2"

	"github.com/miracledb/miracledb/internal/errs"
)

// repeat joins what f gives for 0 to n-1.
func repeat(n int, sep string, f func(int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = f(i)
	}
	return strings.Join(parts, sep)
}

// definitions is a JSON schema whose n definitions are linked, with a last one.
func definitions(n int, last string, f func(this, next string) string) string {
	return `{"$ref":"#/definitions/d0","definitions":{` + repeat(n, "", func(i int) string {
		return fmt.Sprintf(`"d%d":%s,`, i, f(fmt.Sprint(i), fmt.Sprintf(`{"$ref":"#/definitions/d%d"}`, i+1)))
	}) + fmt.Sprintf(`"d%d":%s}}`, n, last)
}

// doubling leads to its last definition on 2^n ways.
func doubling(n int, last string) string {
	return definitions(n, last, func(_, next string) string {
		return `{"type":"object","properties":{"a":` + next + `,"b":` + next + `}}`
	})
}

func choices(n int, last string) string {
	return definitions(n, last, func(_, next string) string { return `{"anyOf":[` + next + `,` + next + `]}` })
}

func cycle(n int) string {
	return definitions(n-1, `{"properties":{"a":{"$ref":"#/definitions/d0"}}}`, func(_, next string) string { return `{"properties":{"a":` + next + `}}` })
}

// wide is a combination of parts beside n other keywords.
func wide(n, parts int, key string) string {
	return `{` + repeat(n, "", func(i int) string { return fmt.Sprintf(`"k%d":1,`, i) }) + `"` + key + `":[` +
		repeat(parts, ",", func(i int) string { return fmt.Sprintf(`{"const":%d}`, i) }) + `]}`
}

// Schemas that are small, or within the limits, cost little to compare, whatever they are; what would cost more is refused.
func TestComparisonsAreBounded(t *testing.T) {
	enum := func(first int) string {
		return `{"enum":[` + repeat(50_000, ",", func(i int) string { return fmt.Sprint(first - i) }) + `]}`
	}
	message := func(around string) string {
		return `syntax = "proto3"; message M { ` + fmt.Sprintf(around, repeat(18_000, "", func(i int) string { return fmt.Sprintf("int32 a%d=%d;", i, i+1) })) + ` }`
	}
	fields := func(at func(i int) int) string {
		return `{"type":"record","name":"r","fields":[` + repeat(14_000, ",", func(i int) string { return fmt.Sprintf(`{"name":"f%d","type":"int"}`, at(i)) }) + `]}`
	}
	union := func(n int, field string) string {
		return "[" + repeat(n, ",", func(i int) string {
			return fmt.Sprintf(`{"type":"record","name":"r%d","fields":[{"name":"%s","type":"int"}]}`, i, field)
		}) + "]"
	}
	for _, c := range []struct {
		name     string
		typ      Type
		old, now string
		want     string // "", a part of a fault, or "Limit"
	}{
		{"the same on many ways", JSON, doubling(40, `{"type":"string"}`), doubling(40, `{"type":"string"}`), ""},
		{"a change on many ways", JSON, doubling(40, `{"type":"string"}`), doubling(40, `{"type":"integer"}`), "type string is not allowed any more"},
		{"choices of choices", JSON, choices(40, `{"type":"string"}`), choices(40, `{"type":"string"}`), ""},
		{"choices of choices, changed", JSON, choices(40, `{"type":"string"}`), choices(40, `{"type":"integer"}`), "no part of anyOf"},
		{"short cycles", JSON, cycle(30), cycle(31), ""},
		{"cycles", JSON, cycle(499), cycle(500), "Limit"},
		{"wide choices", JSON, wide(20_000, 5000, "anyOf"), wide(20_000, 5000, "oneOf"), "Limit"},
		{"wide conjunctions", JSON, wide(20_000, 5000, "allOf"), wide(20_000, 5000, "allOf"), "Limit"},
		{"enums", JSON, enum(0), enum(50_000), "is not allowed any more"},
		{"fields into a oneof", Protobuf, message("%s"), message("oneof o { %s }"), "several fields were moved"},
		{"fields backwards", Avro, fields(func(i int) int { return i }), fields(func(i int) int { return 14_000 - 1 - i }), ""},
		{"unions", Avro, union(300, "a"), union(300, "a"), ""},
		{"long unions", Avro, union(5000, "a"), union(5000, "b"), "Limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, now := parse(t, c.typ, c.old), parse(t, c.typ, c.now)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			faults, err := Follow(t.Context(), MaxSteps, Backward, now, []*Schema{old})
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			t.Logf("%v, %d MiB allocated", took, (after.TotalAlloc-before.TotalAlloc)>>20)
			switch text := strings.Join(faults, "\n"); {
			case c.want == "Limit" && !errs.Is(err, errs.Limit), c.want != "Limit" && err != nil,
				c.want != "Limit" && (c.want == "") != (len(faults) == 0), c.want != "Limit" && !strings.Contains(text, c.want):
				t.Errorf("%.500s, %v; want %q", text, err, c.want)
			case len(text) > 20_000:
				t.Errorf("the reasons have %d bytes", len(text))
			}
			if took > 2*time.Minute || after.TotalAlloc-before.TotalAlloc > 1<<30 {
				t.Errorf("it took %v and %d MiB", took, (after.TotalAlloc-before.TotalAlloc)>>20)
			}
		})
	}
}

// One who does not wait any longer ends the work.
func TestComparisonsCanBeEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Follow(ctx, MaxSteps, Backward, parse(t, JSON, cycle(60)), []*Schema{parse(t, JSON, cycle(61))}); !errors.Is(err, context.Canceled) {
		t.Errorf("a comparison for nobody: %v", err)
	}
}

// What was taken to read within itself, and does not, is not believed elsewhere: b is compared within a first, and by itself then.
func TestWrongAssumptionsAreForgotten(t *testing.T) {
	text := func(s string) string {
		return `{"definitions":{"a":{"properties":{"b":{"$ref":"#/definitions/b"},"c":{"type":"` + s + `"}}},"b":{"properties":{"a":{"$ref":"#/definitions/a"}}}},
			"properties":{"x":{"anyOf":[{"$ref":"#/definitions/a"},{"properties":{"b":{"$ref":"#/definitions/b"}}}]}}}`
	}
	old := parse(t, JSON, strings.Replace(text("string"), `{"anyOf":[{"$ref":"#/definitions/a"},{"properties":{"b":{"$ref":"#/definitions/b"}}}]}`, `{"$ref":"#/definitions/a"}`, 1))
	faults, err := Follow(t.Context(), MaxSteps, Backward, parse(t, JSON, text("integer")), []*Schema{old})
	if err != nil || len(faults) == 0 {
		t.Errorf("a string is read as an integer: %v", err)
	}
}

// The verdicts about Avro are those of hamba/avro, which decodes by them.
func FuzzAvroReads(f *testing.F) {
	record := func(fields string) string { return `{"type":"record","name":"r","fields":[` + fields + `]}` }
	seeds := []string{`"int"`, `"long"`, `"string"`, `["null","int"]`, `["int",{"type":"array","items":"long"}]`, `{"type":"map","values":"bytes"}`,
		`{"type":"enum","name":"e","symbols":["A","B"]}`, `{"type":"enum","name":"e","symbols":["A"],"default":"A"}`, `{"type":"enum","name":"n.e","symbols":["B"]}`,
		`{"type":"fixed","name":"f","size":4}`, `{"type":"fixed","name":"g","aliases":["f"],"size":4}`, record(`{"name":"a","type":"int"}`),
		record(`{"name":"b","aliases":["a"],"type":["null","long"]}`), record(`{"name":"a","type":"int"},{"name":"n","type":["null","r"],"default":null}`),
		record(`{"name":"n","type":["null","r","float"],"default":null},{"name":"a","type":"double","default":0}`)}
	for _, a := range seeds {
		for _, b := range seeds {
			f.Add(a, b)
		}
	}
	f.Fuzz(func(t *testing.T, reader, writer string) {
		if len(reader)+len(writer) > 4096 {
			return
		}
		r, err := Parse(Avro, reader, nil)
		if err != nil {
			return
		}
		w, err := Parse(Avro, writer, nil)
		if err != nil {
			return
		}
		faults, err := Follow(t.Context(), MaxSteps, Backward, r, []*Schema{w})
		if err != nil {
			return
		}
		if want := avro.NewSchemaCompatibility().Compatible(r.Avro, w.Avro); (want == nil) != (len(faults) == 0) {
			t.Fatalf("%s reading %s: %v, want %v", reader, writer, faults, want)
		}
	})
}
