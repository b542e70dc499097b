package schemas

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/schema"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker/brokertest"
	"github.com/miracledb/miracledb/log/logtest"
)

// open gives a registry over a log in memory.
func open(t *testing.T) *Store {
	t.Helper()
	b := brokertest.Start(t, brokertest.InMemory())
	return New(Options{Log: b, Clock: clock.System{}, Create: func(_ context.Context, name string, partitions int32, config map[string]string) (log.Topic, error) {
		return logtest.CreateTopic(t, b, name, partitions, config), nil
	}})
}

func avroRecord(fields string) Proposal {
	return Proposal{Type: schema.Avro, Text: `{"type":"record","name":"r","fields":[` + fields + `]}`}
}

func register(t *testing.T, s *Store, name string, p Proposal) *Version {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	v, err := s.Register(ctx, name, p)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// hold has the next comparison wait until it is let go.
func hold(s *Store) (begun chan struct{}, letGo func()) {
	begun, wait, compare := make(chan struct{}), make(chan struct{}), s.compare
	held := make(chan struct{}, 1)
	held <- struct{}{}
	s.compare = func(ctx context.Context, steps int, l schema.Level, x *schema.Schema, h []*schema.Schema) ([]string, error) {
		select {
		case <-held:
			close(begun)
			<-wait
		default:
		}
		return compare(ctx, steps, l, x, h)
	}
	return begun, func() { close(wait) }
}

const (
	plain       = `{"name":"a","type":"int"}`
	withDefault = plain + `,{"name":"b","type":"int","default":0}`
	otherType   = plain + `,{"name":"b","type":"string","default":""}`
)

// However long a comparison takes, others read and write: the same subject too.
func TestNobodyWaitsForAComparison(t *testing.T) {
	for name, compare := range map[string]func(*Store) error{
		"register": func(s *Store) error {
			_, err := s.Register(context.Background(), "s", avroRecord(withDefault))
			return err
		},
		"check": func(s *Store) error {
			_, err := s.Check(context.Background(), "s", 0, avroRecord(withDefault))
			return err
		},
		"check of one": func(s *Store) error {
			_, err := s.Check(context.Background(), "s", 1, avroRecord(withDefault))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			register(t, s, "s", avroRecord(plain))
			begun, letGo := hold(s)
			done := make(chan error, 1)
			go func() { done <- compare(s) }()
			<-begun
			others := make(chan struct{})
			go func() {
				defer close(others)
				register(t, s, "other", avroRecord(plain))
				register(t, s, "other", avroRecord(withDefault))
				if names, err := s.Subjects(context.Background(), "", Which{}); err != nil || len(names) != 2 {
					t.Errorf("subjects: %v %v", names, err)
				}
				if _, err := s.SetLevel(context.Background(), "other", schema.Full); err != nil {
					t.Error(err)
				}
			}()
			select {
			case <-others:
			case <-time.After(time.Minute):
				t.Error("others wait for a comparison")
			}
			letGo()
			if err := <-done; err != nil {
				t.Error(err)
			}
			<-others
		})
	}
}

// What has changed while a schema was compared counts: a version that came, a level, a mode, a reference that went.
func TestDecisionsRestOnWhatIsWritten(t *testing.T) {
	ctx := t.Context()
	for name, c := range map[string]struct {
		meanwhile func(*testing.T, *Store)
		refused   string
	}{
		"a version":            {func(t *testing.T, s *Store) { register(t, s, "s", avroRecord(otherType)) }, "incompatible"},
		"the same":             {func(t *testing.T, s *Store) { register(t, s, "s", avroRecord(withDefault)) }, ""},
		"of another subject":   {func(t *testing.T, s *Store) { register(t, s, "o", avroRecord(otherType)) }, ""},
		"read-only":            {func(t *testing.T, s *Store) { _, _ = s.SetMode(ctx, "s", ReadOnly, false) }, "read-only"},
		"the subject is gone":  {func(t *testing.T, s *Store) { _, _ = s.DeleteSubject(ctx, "s", false) }, ""},
		"a level that is less": {func(t *testing.T, s *Store) { _, _ = s.SetLevel(ctx, "s", schema.None) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			register(t, s, "s", avroRecord(plain))
			begun, letGo := hold(s)
			type result struct {
				v   *Version
				err error
			}
			done := make(chan result, 1)
			go func() {
				v, err := s.Register(context.Background(), "s", avroRecord(withDefault))
				done <- result{v, err}
			}()
			<-begun
			c.meanwhile(t, s)
			letGo()
			r := <-done
			if (r.err == nil) != (c.refused == "") || r.err != nil && !strings.Contains(r.err.Error(), c.refused) {
				t.Errorf("%v, want %q", r.err, c.refused)
			}
			if v, err := s.Version(ctx, "s", Latest, false); r.err == nil && (err != nil || v.ID != r.v.ID || v.Number != 2) {
				t.Errorf("the newest version: %+v %v, registered %+v", v, err, r.v)
			}
		})
	}
}

// A comparison that takes too long is refused with a code, and nothing is registered.
func TestComparisonsThatTakeTooLong(t *testing.T) {
	s := open(t)
	cycle := func(n int) Proposal {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, `,"d%d":{"properties":{"a":{"$ref":"#/definitions/d%d"}}}`, i, (i+1)%n)
		}
		return Proposal{Type: schema.JSON, Text: `{"$ref":"#/definitions/d0","definitions":{` + text.String()[1:] + `}}`}
	}
	register(t, s, "s", cycle(499))
	_, err := s.Register(t.Context(), "s", cycle(500))
	var r *Refusal
	if !errors.As(err, &r) || r.Code != CodeInvalidSchema || !strings.Contains(r.Message, "nested more than") {
		t.Errorf("registered, or refused with: %v", err)
	}
	if _, err := s.Check(t.Context(), "s", 1, cycle(500)); !errors.As(err, &r) || r.Code != CodeInvalidSchema {
		t.Errorf("checked: %v", err)
	}
	if vs, err := s.Versions(t.Context(), "s", Which{}); err != nil || len(vs) != 1 {
		t.Errorf("versions: %v %v", vs, err)
	}
}

// Whoever imports the largest id takes no id from others: they get the smallest that was never given. Confluent's registry gives
// 1 next, and from then on "an ID that is already in use".
func TestTheLargestIDIsImported(t *testing.T) {
	s, ctx := open(t), t.Context()
	one := register(t, s, "one", avroRecord(plain))
	mode := func(m Mode) {
		t.Helper()
		if _, err := s.SetMode(ctx, "imported", m, true); err != nil {
			t.Fatal(err)
		}
	}
	imported := func(id int32, fields string) error {
		p := avroRecord(fields)
		p.ID = id
		_, err := s.Register(ctx, "imported", p)
		return err
	}
	mode(Import)
	for id, fields := range map[int32]string{3: withDefault, math.MaxInt32: otherType} {
		if err := imported(id, fields); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int32]bool{one.ID: true, 3: true, math.MaxInt32: true}
	for i, want := range []int32{2, 4, 5} {
		name := "new" + strings.Repeat("x", i)
		v := register(t, s, name, avroRecord(`{"name":"`+name+`","type":"int"}`))
		if v.ID != want || seen[v.ID] {
			t.Errorf("%s has id %d, want %d", name, v.ID, want)
		}
		seen[v.ID] = true
		if found, err := s.Version(ctx, name, Latest, false); err != nil || found.ID != v.ID {
			t.Errorf("%s afterwards: %+v %v", name, found, err)
		}
	}
	var r *Refusal
	if err := imported(2, plain); !errors.As(err, &r) || r.Code != CodeOperationNotPermitted {
		t.Errorf("an import with an id that was given: %v", err)
	}
	mode("")
	if v := register(t, s, "imported", avroRecord(`{"name":"z","type":"int","default":1}`)); v.ID != 6 {
		t.Errorf("the next id is %d", v.ID)
	}
	if v := register(t, s, "again", avroRecord(otherType)); v.ID != math.MaxInt32 {
		t.Errorf("the same schema has the ids %d and %d", v.ID, math.MaxInt32)
	}
}

// A subject whose last version has the largest number takes no more, whether the schema is known elsewhere or not, or imported.
func TestTheLargestVersionIsImported(t *testing.T) {
	s, ctx := open(t), t.Context()
	register(t, s, "o", avroRecord(withDefault))
	for _, m := range []Mode{Import, ""} {
		if _, err := s.SetMode(ctx, "s", m, false); err != nil {
			t.Fatal(err)
		}
		for i, fields := range []string{plain, withDefault, plain + `,{"name":"c","type":"int","default":0}`} {
			p := avroRecord(fields)
			if m == Import {
				p.ID = int32(i + 10)
			}
			if i == 0 && m == Import {
				p.Number = math.MaxInt32
				register(t, s, "s", p)
				continue
			}
			v, err := s.Register(ctx, "s", p)
			var r *Refusal
			if i == 0 && err == nil && v.Number == math.MaxInt32 {
				continue
			}
			if !errors.As(err, &r) || r.Code != CodeOperationNotPermitted {
				t.Errorf("mode %q, schema %d: %+v %v", m, i, v, err)
			}
		}
	}
	if vs, err := s.Versions(ctx, "s", Which{Deleted: true}); err != nil || len(vs) != 1 {
		t.Errorf("versions: %+v %v", vs, err)
	}
}
