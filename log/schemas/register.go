package schemas

import (
	"context"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/miracledb/miracledb/internal/schema"
)

// maxReferences bounds what one schema refers to.
const maxReferences = 100

// Proposal is a schema that somebody sends.
type Proposal struct {
	Type       schema.Type
	Text       string
	References []Reference
	// ID and Number are given in mode IMPORT only; 0: none.
	ID, Number int32
	// Normalize takes schemas that differ only in how they are written for the same.
	Normalize bool
}

// parse reads a proposal; its references get their numbers (-1 is the newest version).
func (s *state) parse(p *Proposal) (*schema.Schema, error) {
	if !p.Type.Known() {
		return nil, refuse(CodeInvalidSchema, "Invalid schema type %s", p.Type)
	}
	if len(p.References) > maxReferences {
		return nil, refuse(CodeInvalidSchema, "%d references, over the limit of %d", len(p.References), maxReferences)
	}
	refs := slices.Clone(p.References)
	var imports []schema.Import
	for i := range refs {
		v := s.version(refs[i].Subject, refs[i].Version)
		if v == nil {
			return nil, refuse(CodeInvalidSchema, "Invalid schema: no schema reference found for subject \"%s\" and version %d", refs[i].Subject, refs[i].Version)
		}
		refs[i].Version = v.Number
		used, err := v.Schema()
		if err != nil {
			return nil, refuse(CodeInvalidSchema, "Invalid schema: reference %q: %v", refs[i].Name, err)
		}
		imports = append(imports, schema.Import{Name: refs[i].Name, Schema: used})
	}
	p.References = refs
	x, err := schema.Parse(p.Type, p.Text, imports)
	if err != nil {
		return nil, refuse(CodeInvalidSchema, "Invalid schema of type %s: %v", p.Type, err)
	}
	if p.Normalize && p.Type != schema.Protobuf {
		if x, err = schema.Parse(p.Type, x.Normal(), imports); err != nil {
			return nil, refuse(CodeInvalidSchema, "Invalid schema of type %s: %v", p.Type, err)
		}
	}
	return x, nil
}

// version gives a live version; -1 is the newest. nil: none.
func (s *state) version(name string, number int32) *Version {
	x := s.subjects[name]
	if x == nil {
		return nil
	}
	for _, v := range slices.Backward(x.versions) {
		if !v.Deleted && (number == Latest || v.Number == number) {
			return v
		}
	}
	return nil
}

// same finds a version of a subject that has a schema; the newest of several.
func (s *state) same(name string, p *Proposal, x *schema.Schema, deleted bool) *Version {
	sub := s.subjects[name]
	if sub == nil {
		return nil
	}
	for _, v := range slices.Backward(sub.versions) {
		if v.Deleted && !deleted || v.Type != p.Type || !slices.Equal(v.References, p.References) {
			continue
		}
		if old, err := v.Schema(); err == nil && old.Same(x, p.Normalize) {
			return v
		}
	}
	return nil
}

// Register gives the version of a subject that has a schema, writing it when there is none.
func (s *Store) Register(ctx context.Context, name string, p Proposal) (out *Version, err error) {
	if err := checkSubject(name); err != nil {
		return nil, err
	}
	err = s.write(ctx, func(st *state) ([]entry, error) {
		p := p
		mode := st.modeOf(name)
		if mode == ReadOnly || mode == ReadOnlyOverride {
			return nil, refuse(CodeOperationNotPermitted, "Subject %s is in read-only mode", name)
		}
		if (p.ID > 0) != (mode == Import) {
			if p.ID > 0 {
				return nil, refuse(CodeOperationNotPermitted, "Subject %s is not in import mode", name)
			}
			return nil, refuse(CodeOperationNotPermitted, "Subject %s is in import mode", name)
		}
		x, err := st.parse(&p)
		if err != nil {
			return nil, err
		}
		if out = st.same(name, &p, x, false); out != nil && (p.ID == 0 || p.ID == out.ID && (p.Number <= 0 || p.Number == out.Number)) {
			return nil, nil
		}
		if mode != Import {
			if faults := st.follow(name, x, ""); len(faults) > 0 {
				return nil, refuse(CodeIncompatible, "Schema being registered is incompatible with an earlier schema for subject \"%s\", details: %s", name, strings.Join(faults, "; "))
			}
		}
		if out, err = st.propose(name, &p, x); err != nil {
			return nil, err
		}
		e, err := schemaEntry(out, false)
		return []entry{e}, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// propose gives a new version its id and number.
func (s *state) propose(name string, p *Proposal, x *schema.Schema) (*Version, error) {
	last := int32(0)
	if sub := s.subjects[name]; sub != nil && len(sub.versions) > 0 {
		last = sub.versions[len(sub.versions)-1].Number
	}
	v := &Version{Content: &Content{ID: s.maxID + 1, Type: p.Type, Text: x.Text, References: p.References}, Subject: name, Number: last + 1}
	known := s.byText[textKey(p.Type, x.Text, p.References)]
	if p.ID == 0 {
		if known != nil {
			v.Content = known
		} else if s.maxID == math.MaxInt32 || last == math.MaxInt32 {
			return nil, refuse(CodeOperationNotPermitted, "There are no ids left")
		}
		return v, nil
	}
	if c := s.contents[p.ID]; c != nil && (c.Type != p.Type || c.Text != x.Text || !slices.Equal(c.References, p.References)) {
		return nil, refuse(CodeOperationNotPermitted, "Overwrite new schema with id %d is not permitted.", p.ID)
	}
	v.Content.ID = p.ID
	if p.Number > 0 {
		v.Number = p.Number
		if s.version(name, p.Number) != nil {
			return nil, refuse(CodeOperationNotPermitted, "Version %d of subject %s exists with another schema", p.Number, name)
		}
	}
	return v, nil
}

// follow tells why a schema may not come next in a subject; level "": the subject's.
func (s *state) follow(name string, x *schema.Schema, level schema.Level) []string {
	sub := s.subjects[name]
	if sub == nil {
		return nil
	}
	var history []*schema.Schema
	for _, v := range sub.versions {
		if v.Deleted {
			continue
		}
		if old, err := v.Schema(); err == nil { // what cannot be read cannot be broken
			history = append(history, old)
		}
	}
	if level == "" {
		level = s.levelOf(name)
	}
	return schema.Follow(level, x, history)
}

// Latest stands for the newest version of a subject.
const Latest = -1

// Check tells why a schema may not follow a version of a subject (0: all that its level looks at; Latest). Without any version
// everything may.
func (s *Store) Check(ctx context.Context, name string, number int32, p Proposal) (faults []string, err error) {
	st, done, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	x, err := st.parse(&p)
	if err != nil {
		return nil, err
	}
	if number == 0 {
		return st.follow(name, x, ""), nil
	}
	if st.subjects[name] == nil {
		return nil, refuse(CodeSubjectNotFound, "Subject '%s' not found.", name)
	}
	v := st.version(name, number)
	if v == nil {
		return nil, refuse(CodeVersionNotFound, "Version %d not found.", number)
	}
	old, err := v.Schema()
	if err != nil {
		return nil, refuse(CodeInvalidSchema, "Version %d cannot be read: %v", number, err)
	}
	return schema.Follow(st.levelOf(name), x, []*schema.Schema{old}), nil
}

// Find gives the version of a subject that has a schema.
func (s *Store) Find(ctx context.Context, name string, p Proposal, deleted bool) (*Version, error) {
	st, done, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if len(st.live(name, deleted)) == 0 {
		return nil, refuse(CodeSubjectNotFound, "Subject '%s' not found.", name)
	}
	x, err := st.parse(&p)
	if err != nil {
		return nil, err
	}
	if v := st.same(name, &p, x, deleted); v != nil {
		return v, nil
	}
	return nil, refuse(CodeSchemaNotFound, "Schema not found")
}

// Has reports whether an id stands in a live version of a subject.
func (s *Store) Has(ctx context.Context, name string, id int32) (bool, error) {
	s.mu.RLock()
	found := s.mu.has(name, id)
	s.mu.RUnlock()
	if found {
		return true, nil
	}
	st, done, err := s.read(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	return st.has(name, id), nil
}

func (s *state) has(name string, id int32) bool {
	return slices.ContainsFunc(s.live(name, false), func(v *Version) bool { return v.ID == id })
}

// live lists the versions of a subject, with the deleted ones where asked.
func (s *state) live(name string, deleted bool) []*Version {
	sub := s.subjects[name]
	if sub == nil {
		return nil
	}
	if deleted {
		return sub.versions
	}
	return slices.DeleteFunc(slices.Clone(sub.versions), func(v *Version) bool { return v.Deleted })
}

// checkSubject refuses names that a registry cannot hold.
func checkSubject(name string) error {
	if name == "" || name == "__GLOBAL" || name == "__EMPTY" || len(name) > 1024 || strings.ContainsFunc(name, unicode.IsControl) {
		return refuse(CodeInvalidSubject, "The specified subject '%s' is not a valid subject.", name)
	}
	if strings.HasPrefix(name, ":") {
		return refuse(CodeInvalidSubject, "The specified subject '%s' is in a context; there is only the default one.", name)
	}
	return nil
}
