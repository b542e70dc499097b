package schemas

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/schema"
)

const (
	// maxReferences bounds what one schema refers to itself; maxReferred and maxReferredText, in bytes, what is referred to in all, as
	// it is read with every schema that refers to it.
	maxReferences   = 100
	maxReferred     = 1000
	maxReferredText = 8 * int(limit.SchemaText)
)

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

// basis is what a decision about a proposal rests on: gathered under the lock, worked on outside of it, and looked at again
// before something is written.
type basis struct {
	mode     Mode
	level    schema.Level
	versions []*Version // of the subject, by number, the deleted ones too
	refs     []Reference
	uses     []*Content // what refs mean
	referred int        // bytes of what they lead to, each once
}

// basis gathers it; the references get their numbers (-1 is the newest version).
func (s *state) basis(name string, p *Proposal) (*basis, error) {
	if !p.Type.Known() {
		return nil, refuse(CodeInvalidSchema, "Invalid schema type %s", p.Type)
	}
	if len(p.References) > maxReferences {
		return nil, refuse(CodeInvalidSchema, "%d references, over the limit of %d", len(p.References), maxReferences)
	}
	b := &basis{mode: s.modeOf(name), level: s.levelOf(name), versions: slices.Clone(s.live(name, true)), refs: slices.Clone(p.References)}
	for i, r := range b.refs {
		v := s.version(r.Subject, r.Version)
		if v == nil {
			return nil, refuse(CodeInvalidSchema, "Invalid schema: no schema reference found for subject \"%s\" and version %d", r.Subject, r.Version)
		}
		b.refs[i].Version = v.Number
		b.uses = append(b.uses, v.Content)
	}
	var err error
	b.referred, err = referred(b.uses)
	return b, err
}

// referred gives the bytes of schemas and of all that they refer to, each once. What is more than a schema may refer to is refused.
func referred(uses []*Content) (texts int, err error) {
	seen, left := map[*Content]bool{}, slices.Clone(uses)
	for len(left) > 0 {
		c := left[len(left)-1]
		left = left[:len(left)-1]
		if c == nil || seen[c] {
			continue
		}
		seen[c] = true
		if texts += len(c.Text); texts > maxReferredText || len(seen) > maxReferred {
			return 0, refuse(CodeInvalidSchema, "Invalid schema: its references lead to more than %d schemas, or %d bytes of them", maxReferred, maxReferredText)
		}
		left = append(left, c.uses...)
	}
	return texts, nil
}

func (b *basis) equal(o *basis) bool {
	return b.mode == o.mode && b.level == o.level && slices.Equal(b.versions, o.versions) && slices.Equal(b.refs, o.refs) && slices.Equal(b.uses, o.uses)
}

// parse reads a proposal.
func (b *basis) parse(p *Proposal) (*schema.Schema, error) {
	var imports []schema.Import
	for i, u := range b.uses {
		used, err := u.Schema()
		if err != nil {
			return nil, refuse(CodeInvalidSchema, "Invalid schema: reference %q: %v", b.refs[i].Name, err)
		}
		imports = append(imports, schema.Import{Name: b.refs[i].Name, Schema: used})
	}
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

// same finds the version that has a schema; the newest of several.
func (b *basis) same(p *Proposal, x *schema.Schema, deleted bool) *Version {
	for _, v := range slices.Backward(b.versions) {
		if v.Deleted && !deleted || v.Type != p.Type || !slices.Equal(v.References, b.refs) {
			continue
		}
		if old, err := v.Schema(); err == nil && old.Same(x, p.Normalize) {
			return v
		}
	}
	return nil
}

// follow tells why a schema may not come next.
func (s *Store) follow(ctx context.Context, w *turn, b *basis, x *schema.Schema) ([]string, error) {
	var history []*schema.Schema
	for _, v := range b.versions {
		if v.Deleted {
			continue
		}
		if old, err := v.Schema(); err == nil { // what cannot be read cannot be broken
			history = append(history, old)
		}
	}
	return s.compared(ctx, w, b.level, x, history)
}

func (s *Store) compared(ctx context.Context, w *turn, l schema.Level, x *schema.Schema, history []*schema.Schema) ([]string, error) {
	faults, err := s.compare(ctx, w.steps(), l, x, history)
	if errs.Is(err, errs.Limit) && w.lane == small {
		if err := w.move(ctx, large); err != nil {
			return nil, err
		}
		faults, err = s.compare(ctx, w.steps(), l, x, history)
	}
	if errs.Is(err, errs.Limit) {
		return nil, refuse(CodeInvalidSchema, "Whether the schema may follow earlier ones cannot be decided at compatibility level %s: %v", l, err)
	}
	return faults, err
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

// errMoved says that what a decision rests on is another one by now.
var errMoved = errors.New("the subject has changed meanwhile")

// Register gives the version of a subject that has a schema, writing it when there is none. Schemas are read and compared
// while others read and write; when the subject changes meanwhile, it is done anew.
func (s *Store) Register(ctx context.Context, name string, p Proposal) (*Version, error) {
	if err := checkSubject(name); err != nil {
		return nil, err
	}
	for {
		v, err := s.register(ctx, name, p)
		if !errors.Is(err, errMoved) {
			return v, err
		}
	}
}

func (s *Store) register(ctx context.Context, name string, p Proposal) (out *Version, err error) {
	b, err := s.basis(ctx, name, &p)
	if err != nil {
		return nil, err
	}
	if err := b.takes(name, &p); err != nil {
		return nil, err
	}
	w, err := s.turn(ctx, b, &p)
	if err != nil {
		return nil, err
	}
	defer w.end()
	x, err := b.parse(&p)
	if err != nil {
		return nil, err
	}
	if out = b.same(&p, x, false); out != nil && (p.ID == 0 || p.ID == out.ID && (p.Number <= 0 || p.Number == out.Number)) {
		return out, nil
	}
	if b.mode != Import {
		faults, err := s.follow(ctx, w, b, x)
		if err != nil {
			return nil, err
		}
		if len(faults) > 0 {
			return nil, refuse(CodeIncompatible, "Schema being registered is incompatible with an earlier schema for subject \"%s\", details: %s", name, strings.Join(faults, "; "))
		}
	}
	w.end()
	err = s.write(ctx, func(st *state) ([]entry, error) {
		now, err := st.basis(name, &p)
		if err != nil {
			return nil, err
		}
		if !now.equal(b) {
			return nil, errMoved
		}
		if out, err = st.propose(name, &p, b.refs, x); err != nil {
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

// basis gathers what the topic says now.
func (s *Store) basis(ctx context.Context, name string, p *Proposal) (*basis, error) {
	st, done, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return st.basis(name, p)
}

// takes refuses what the subject's mode does not take.
func (b *basis) takes(name string, p *Proposal) error {
	switch {
	case b.mode == ReadOnly || b.mode == ReadOnlyOverride:
		return refuse(CodeOperationNotPermitted, "Subject %s is in read-only mode", name)
	case p.ID > 0 && b.mode != Import:
		return refuse(CodeOperationNotPermitted, "Subject %s is not in import mode", name)
	case p.ID == 0 && b.mode == Import:
		return refuse(CodeOperationNotPermitted, "Subject %s is in import mode", name)
	}
	return nil
}

// propose gives a new version its id and number.
func (s *state) propose(name string, p *Proposal, refs []Reference, x *schema.Schema) (*Version, error) {
	number := p.Number
	if number <= 0 {
		last := int32(0)
		if sub := s.subjects[name]; sub != nil && len(sub.versions) > 0 {
			last = sub.versions[len(sub.versions)-1].Number
		}
		if last == math.MaxInt32 {
			return nil, refuse(CodeOperationNotPermitted, "Subject %s has a version %d: there is no number after it", name, last)
		}
		number = last + 1
	} else if s.version(name, number) != nil {
		return nil, refuse(CodeOperationNotPermitted, "Version %d of subject %s exists with another schema", number, name)
	}
	v := &Version{Subject: name, Number: number}
	if p.ID == 0 {
		if v.Content = s.byText[textKey(p.Type, x.Text, refs)]; v.Content != nil {
			return v, nil
		}
	} else if c := s.contents[p.ID]; c != nil && (c.Type != p.Type || c.Text != x.Text || !slices.Equal(c.References, refs)) {
		return nil, refuse(CodeOperationNotPermitted, "Overwrite new schema with id %d is not permitted.", p.ID)
	}
	v.Content = &Content{ID: cmp.Or(p.ID, s.nextID()), Type: p.Type, Text: x.Text, References: refs}
	return v, nil
}

// nextID is the id after the largest; once somebody has imported the largest that there is, the smallest that was never given.
func (s *state) nextID() int32 {
	id := s.maxID
	if id == math.MaxInt32 {
		for id = 0; s.contents[id+1] != nil; id++ { // 2^31 contents would need a terabyte
		}
	}
	return id + 1
}

// Latest stands for the newest version of a subject.
const Latest = -1

// Check tells why a schema may not follow a version of a subject (0: all that its level looks at; Latest). Without any version
// everything may.
func (s *Store) Check(ctx context.Context, name string, number int32, p Proposal) (faults []string, err error) {
	b, err := s.basis(ctx, name, &p)
	if err != nil {
		return nil, err
	}
	w, err := s.turn(ctx, b, &p)
	if err != nil {
		return nil, err
	}
	defer w.end()
	x, err := b.parse(&p)
	if err != nil {
		return nil, err
	}
	if number == 0 {
		return s.follow(ctx, w, b, x)
	}
	v, err := s.Version(ctx, name, number, false)
	if err != nil {
		return nil, err
	}
	old, err := v.Schema()
	if err != nil {
		return nil, refuse(CodeInvalidSchema, "Version %d cannot be read: %v", number, err)
	}
	return s.compared(ctx, w, b.level, x, []*schema.Schema{old})
}

// Find gives the version of a subject that has a schema.
func (s *Store) Find(ctx context.Context, name string, p Proposal, deleted bool) (*Version, error) {
	b, err := s.basis(ctx, name, &p)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(b.versions, func(v *Version) bool { return deleted || !v.Deleted }) {
		return nil, refuse(CodeSubjectNotFound, "Subject '%s' not found.", name)
	}
	w, err := s.turn(ctx, b, &p)
	if err != nil {
		return nil, err
	}
	defer w.end()
	x, err := b.parse(&p)
	if err != nil {
		return nil, err
	}
	if v := b.same(&p, x, deleted); v != nil {
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
	if name == "" || name == "__GLOBAL" || name == "__EMPTY" || len(name) > 1024 || strings.ContainsFunc(name, unicode.IsControl) ||
		!utf8.ValidString(name) { // a record would hold it as another name
		return refuse(CodeInvalidSubject, "The specified subject '%s' is not a valid subject.", name)
	}
	if strings.HasPrefix(name, ":") {
		return refuse(CodeInvalidSubject, "The specified subject '%s' is in a context; there is only the default one.", name)
	}
	return nil
}
