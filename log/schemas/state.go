package schemas

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/schema"
	"github.com/miracledb/miracledb/log"
)

// Mode says what may be written.
type Mode string

// The modes, by the names of Confluent's API.
const (
	ReadWrite        Mode = "READWRITE"
	ReadOnly         Mode = "READONLY"
	ReadOnlyOverride Mode = "READONLY_OVERRIDE"
	Import           Mode = "IMPORT"
)

// Known reports whether m is one of the modes.
func (m Mode) Known() bool {
	return m == ReadWrite || m == ReadOnly || m == ReadOnlyOverride || m == Import
}

// Content is a schema with its id.
type Content struct {
	ID         int32
	Type       schema.Type
	Text       string
	References []Reference
	// Since is the append that registered the id.
	Since log.Position

	uses   []*Content // what References meant when the schema was registered; nil: not there
	once   sync.Once
	parsed *schema.Schema
	err    error
}

// Schema is the schema read, which is done once. What a registry would not have taken gives errs.Invalid.
func (c *Content) Schema() (*schema.Schema, error) {
	c.once.Do(func() {
		imports := make([]schema.Import, 0, len(c.uses))
		for i, u := range c.uses {
			if u == nil {
				c.err = errs.New(errs.Invalid, "reference %q: there is no version %d of subject %q", c.References[i].Name, c.References[i].Version, c.References[i].Subject)
				return
			}
			s, err := u.Schema()
			if err != nil {
				c.err = errs.New(errs.Invalid, "reference %q: %w", c.References[i].Name, err)
				return
			}
			imports = append(imports, schema.Import{Name: c.References[i].Name, Schema: s})
		}
		c.parsed, c.err = schema.Parse(c.Type, c.Text, imports)
	})
	return c.parsed, c.err
}

// Version is one version of a subject.
type Version struct {
	*Content
	Subject string
	Number  int32
	Deleted bool
}

// subject is what the records say of one subject.
type subject struct {
	versions []*Version // by number, the deleted ones too
	level    schema.Level
	mode     Mode
}

func (s *subject) find(number int32) *Version {
	if i, ok := slices.BinarySearchFunc(s.versions, number, func(v *Version, n int32) int { return cmp.Compare(v.Number, n) }); ok {
		return s.versions[i]
	}
	return nil
}

// state is what the records up to an offset say.
type state struct {
	contents map[int32]*Content
	byText   map[string]*Content
	maxID    int32
	subjects map[string]*subject
	level    schema.Level
	mode     Mode
}

func newState() *state {
	return &state{contents: map[int32]*Content{}, byText: map[string]*Content{}, subjects: map[string]*subject{},
		level: schema.Backward, mode: ReadWrite}
}

// textKey finds equal schemas.
func textKey(t schema.Type, text string, refs []Reference) string {
	var b strings.Builder
	b.WriteString(string(t))
	for _, r := range refs {
		b.WriteString("\x00" + r.Name + "\x00" + r.Subject + "\x00" + strconv.Itoa(int(r.Version)))
	}
	return b.String() + "\x00\x00" + text
}

func (s *state) subject(name string) *subject {
	x := s.subjects[name]
	if x == nil {
		x = &subject{}
		s.subjects[name] = x
	}
	return x
}

// apply takes in one record. One that no registry writes is passed over: anybody may write to the topic.
func (s *state) apply(key, value []byte, at log.Position) {
	var k recordKey
	if json.Unmarshal(key, &k) != nil {
		return
	}
	name := ""
	if k.Subject != nil {
		name = *k.Subject
	}
	switch k.KeyType {
	case keySchema:
		s.applySchema(name, k.Version, value, at)
	case keyConfig:
		v := configValue{}
		if value != nil && (json.Unmarshal(value, &v) != nil || !v.Level.Known()) {
			return
		}
		if name == "" {
			s.level = cmp.Or(v.Level, schema.Backward)
		} else {
			s.subject(name).level = v.Level
		}
	case keyMode:
		v := modeValue{}
		if value != nil && (json.Unmarshal(value, &v) != nil || !v.Mode.Known()) {
			return
		}
		if name == "" {
			s.mode = cmp.Or(v.Mode, ReadWrite)
		} else {
			s.subject(name).mode = v.Mode
		}
	case keyDeleteSubject, keyClearSubject:
		s.applySubject(k.KeyType, name, value)
	}
	if x := s.subjects[name]; x != nil && len(x.versions) == 0 && x.level == "" && x.mode == "" {
		delete(s.subjects, name)
	}
}

func (s *state) applySchema(name string, number int32, value []byte, at log.Position) {
	x := s.subject(name)
	x.versions = slices.DeleteFunc(x.versions, func(v *Version) bool { return v.Number == number })
	var v schemaValue
	if value == nil || json.Unmarshal(value, &v) != nil || v.ID <= 0 || number <= 0 {
		return
	}
	v.SchemaType = cmp.Or(v.SchemaType, schema.Avro)
	c := s.contents[v.ID]
	if c == nil {
		c = &Content{ID: v.ID, Type: v.SchemaType, Text: v.Schema, References: v.References, Since: at}
		for _, r := range v.References {
			var uses *Content
			if u := s.subjects[r.Subject]; u != nil {
				if v := u.find(r.Version); v != nil {
					uses = v.Content
				}
			}
			c.uses = append(c.uses, uses)
		}
		s.contents[v.ID] = c
		if k := textKey(c.Type, c.Text, c.References); s.byText[k] == nil {
			s.byText[k] = c
		}
		s.maxID = max(s.maxID, v.ID)
	}
	x.versions = append(x.versions, &Version{Content: c, Subject: name, Number: number, Deleted: v.Deleted})
	slices.SortFunc(x.versions, func(a, b *Version) int { return cmp.Compare(a.Number, b.Number) })
}

// applySubject deletes versions up to one softly, or forgets them.
func (s *state) applySubject(keyType, name string, value []byte) {
	x := s.subjects[name]
	v := subjectValue{}
	if x == nil || value == nil || json.Unmarshal(value, &v) != nil {
		return
	}
	if keyType == keyClearSubject {
		x.versions = nil
		return
	}
	for i, old := range x.versions {
		if old.Number <= v.Version && !old.Deleted {
			x.versions[i] = &Version{Content: old.Content, Subject: old.Subject, Number: old.Number, Deleted: true}
		}
	}
}

// users lists the ids of the live versions that refer to one.
func (s *state) users(name string, number int32) (ids []int32) {
	for _, x := range s.subjects {
		for _, v := range x.versions {
			if !v.Deleted && slices.ContainsFunc(v.References, func(r Reference) bool { return r.Subject == name && r.Version == number }) {
				ids = append(ids, v.ID)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
