package logtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

func testProperties(s *suite) {
	set := func(values map[string][]byte) error {
		return s.ChangeProperties(s.ctx(), func(*log.Properties) (map[string][]byte, error) { return values, nil })
	}
	want := func(want string) {
		s.Helper()
		var got []string
		all := s.Properties().Values
		for _, name := range slices.Sorted(maps.Keys(all)) {
			got = append(got, name+"="+string(all[name]))
		}
		if strings.Join(got, " ") != want {
			s.Fatalf("properties %q, want %q", got, want)
		}
	}
	want("")
	before := s.Properties()
	s.must(set(map[string][]byte{"a": []byte("1"), "b": {}, "c": []byte("3")}))
	want("a=1 b= c=3")
	if len(before.Values) != 0 || before == s.Properties() {
		s.Fatal("what was given before has changed")
	}
	s.must(set(map[string][]byte{"a": nil, "b": []byte("2"), "never": nil}))
	want("b=2 c=3")

	// All of it or nothing.
	refused := errors.New("no")
	err := s.ChangeProperties(s.ctx(), func(*log.Properties) (map[string][]byte, error) { return map[string][]byte{"b": nil}, refused })
	if !errors.Is(err, refused) {
		s.Fatalf("%v, want what decide said", err)
	}
	if err := set(map[string][]byte{"b": nil, "large": make([]byte, 1<<20)}); !errs.Is(err, errs.Limit) {
		s.Fatalf("a large value: %v", err)
	}
	many := map[string][]byte{"b": nil}
	for i := range 20_001 {
		many[fmt.Sprint(i)] = []byte{}
	}
	if err := set(many); !errs.Is(err, errs.Limit) {
		s.Fatalf("%d properties: %v", len(many), err)
	}
	want("b=2 c=3")
	if s.can&Restart != 0 {
		s.restart()
		want("b=2 c=3")
	}

	// Each decision sees all others.
	var writers sync.WaitGroup
	ctx := s.ctx()
	for range 8 {
		writers.Go(func() {
			for range 5 { // over a Kafka cluster each is a transaction
				if err := s.ChangeProperties(ctx, increment); err != nil {
					s.Error(err)
				}
			}
		})
	}
	writers.Wait()
	want("b=2 c=3 n=40")
}

func increment(p *log.Properties) (map[string][]byte, error) {
	n := 0
	if v, ok := p.Values["n"]; ok {
		if _, err := fmt.Sscan(string(v), &n); err != nil {
			return nil, err
		}
	}
	return map[string][]byte{"n": fmt.Appendf(nil, "%d", n+1)}, nil
}
