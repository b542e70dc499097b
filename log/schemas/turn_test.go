package schemas

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/schema"
)

// Large schemas, and small ones that take long to compare, wait for each other; nobody else waits for them.
func TestLargeSchemasTakeTurns(t *testing.T) {
	choices := func(n int, key string) Proposal {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(`{"const":%d}`, i))
		}
		return Proposal{Type: schema.JSON, Text: `{"` + key + `":[` + strings.Join(parts, ",") + `]}`}
	}
	var fields strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&fields, `{"name":"f%d","type":"int"},`, i)
	}
	for name, p := range map[string]Proposal{
		"large":            avroRecord(fields.String() + withDefault),
		"long to compare":  choices(150, "oneOf"),
		"many before them": {Type: schema.Avro, Text: `"int"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			if _, err := s.SetLevel(t.Context(), "many", schema.None); err != nil {
				t.Fatal(err)
			}
			if p.Type == schema.JSON {
				register(t, s, "many", choices(150, "anyOf"))
			} else if len(p.Text) < 10 {
				register(t, s, "many", avroRecord(fields.String()+plain))
			}
			if _, err := s.SetLevel(t.Context(), "many", schema.Full); err != nil {
				t.Fatal(err)
			}
			for range cap(s.lanes[large]) {
				s.lanes[large] <- struct{}{}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := s.Check(ctx, "many", 0, p); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it did not wait for its turn: %v", err)
			}
			register(t, s, "others", avroRecord(plain))
			register(t, s, "others", avroRecord(withDefault))
			for range cap(s.lanes[large]) {
				<-s.lanes[large]
			}
			if _, err := s.Check(t.Context(), "many", 0, p); err != nil {
				t.Error(err)
			}
			if len(s.lanes[small])+len(s.lanes[large]) > 0 {
				t.Error("places were not given back")
			}
		})
	}
}

// What references lead to is bounded, by number and by bytes; on however many ways they lead there.
func TestReferencesAreBounded(t *testing.T) {
	chain := func(n, ways int, text string) (last *Content) {
		for range n {
			last = &Content{Text: text, uses: slices.Repeat([]*Content{last}, ways)}
		}
		return last
	}
	for name, c := range map[string]struct {
		uses  []*Content
		bytes int // -1: refused
	}{
		"none":      {nil, 0},
		"chain":     {[]*Content{chain(maxReferred, 1, "ab")}, 2 * maxReferred},
		"long":      {[]*Content{chain(maxReferred+1, 1, "ab")}, -1},
		"fat":       {[]*Content{chain(9, 1, strings.Repeat("x", int(limit.SchemaText)))}, -1},
		"many ways": {[]*Content{chain(200, 2, "x")}, 200},
	} {
		got, err := referred(c.uses)
		if (err != nil) != (c.bytes < 0) || err == nil && got != c.bytes {
			t.Errorf("%s: %d bytes, %v", name, got, err)
		}
	}
}
