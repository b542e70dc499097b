package schemas

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/miracledb/miracledb/internal/schema"
)

// Which says which versions a listing has.
type Which struct {
	// Deleted lists the deleted ones too, DeletedOnly no others.
	Deleted, DeletedOnly bool
}

func (w Which) has(v *Version) bool {
	return v.Deleted && (w.Deleted || w.DeletedOnly) || !v.Deleted && !w.DeletedOnly
}

// Subjects lists the subjects that begin with a prefix and have versions, by name.
func (s *Store) Subjects(ctx context.Context, prefix string, w Which) ([]string, error) {
	st, done, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(st.subjects)) {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		vs := st.subjects[name].versions
		gone := len(st.live(name, false)) == 0
		if len(vs) > 0 && (gone && (w.Deleted || w.DeletedOnly) || !gone && !w.DeletedOnly) {
			names = append(names, name)
		}
	}
	return names, nil
}

// All lists the versions of the subjects that begin with a prefix.
func (s *Store) All(ctx context.Context, prefix string, w Which, latestOnly bool) ([]*Version, error) {
	st, done, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var out []*Version
	for _, name := range slices.Sorted(maps.Keys(st.subjects)) {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		vs := slices.DeleteFunc(slices.Clone(st.subjects[name].versions), func(v *Version) bool { return !w.has(v) })
		if latestOnly && len(vs) > 1 {
			vs = vs[len(vs)-1:]
		}
		out = append(out, vs...)
	}
	return out, nil
}

// Versions lists the versions of a subject.
func (s *Store) Versions(ctx context.Context, name string, w Which) ([]*Version, error) {
	st, done, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	vs := slices.DeleteFunc(slices.Clone(st.live(name, true)), func(v *Version) bool { return !w.has(v) })
	if len(vs) == 0 {
		return nil, refuse(CodeSubjectNotFound, "Subject '%s' not found.", name)
	}
	return vs, nil
}

// Version gives one version of a subject.
func (s *Store) Version(ctx context.Context, name string, number int32, deleted bool) (*Version, error) {
	st, done, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	vs := st.live(name, deleted)
	if len(vs) == 0 {
		return nil, refuse(CodeSubjectNotFound, "Subject '%s' not found.", name)
	}
	for _, v := range slices.Backward(vs) {
		if number == Latest || v.Number == number {
			return v, nil
		}
	}
	return nil, refuse(CodeVersionNotFound, "Version %d not found.", number)
}

// Users lists the ids of the live schemas that refer to a version.
func (s *Store) Users(ctx context.Context, name string, number int32) ([]int32, error) {
	v, err := s.Version(ctx, name, number, true)
	if err != nil {
		return nil, err
	}
	st, done, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return append([]int32{}, st.users(name, v.Number)...), nil
}

// ByID gives the schema of an id, and the largest id. It must stand in a version, a deleted one too.
func (s *Store) ByID(ctx context.Context, id int32) (c *Content, maxID int32, err error) {
	st, done, err := s.read(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer done()
	if c = st.contents[id]; c == nil || len(st.places(id, true)) == 0 {
		return nil, 0, refuse(CodeSchemaNotFound, "Schema %d not found", id)
	}
	return c, st.maxID, nil
}

// Places lists the versions in which an id stands.
func (s *Store) Places(ctx context.Context, id int32, deleted bool) ([]*Version, error) {
	if _, _, err := s.ByID(ctx, id); err != nil {
		return nil, err
	}
	st, done, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return st.places(id, deleted), nil
}

func (s *state) places(id int32, deleted bool) (out []*Version) {
	for name := range s.subjects {
		for _, v := range s.live(name, deleted) {
			if v.ID == id {
				out = append(out, v)
			}
		}
	}
	slices.SortFunc(out, func(a, b *Version) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Number, b.Number))
	})
	return out
}

// DeleteVersion deletes a version softly, or (permanent) forgets one that was deleted softly. It gives its number.
func (s *Store) DeleteVersion(ctx context.Context, name string, number int32, permanent bool) (deleted int32, err error) {
	err = s.write(ctx, func(st *state) ([]entry, error) {
		if err := st.writable(name); err != nil {
			return nil, err
		}
		all := st.live(name, true)
		if len(all) == 0 {
			return nil, refuse(CodeSubjectNotFound, "Subject '%s' not found.", name)
		}
		v := st.subjects[name].find(number)
		if number == Latest {
			v = st.version(name, Latest)
		}
		switch {
		case v == nil:
			return nil, refuse(CodeVersionNotFound, "Version %d not found.", number)
		case v.Deleted && !permanent:
			return nil, refuse(CodeVersionSoftDeleted, "Subject '%s' Version %d was soft deleted. Set permanent=true to delete permanently", name, v.Number)
		case !v.Deleted && permanent:
			return nil, refuse(CodeVersionNotSoftDeleted, "Subject '%s' Version %d was not deleted first before being permanently deleted", name, v.Number)
		case len(st.users(name, v.Number)) > 0:
			return nil, refuse(CodeReferenceExists, "One or more references exist to the schema {subject=%s,version=%d}.", name, v.Number)
		}
		deleted = v.Number
		var e entry
		var err error
		if permanent {
			e, err = encode(schemaKey(name, v.Number), nil)
		} else {
			e, err = schemaEntry(v, true)
		}
		return []entry{e}, err
	})
	return deleted, err
}

// DeleteSubject deletes all versions of a subject softly, with its level and mode, or (permanent) forgets a subject that was
// deleted softly. It gives their numbers.
func (s *Store) DeleteSubject(ctx context.Context, name string, permanent bool) (numbers []int32, err error) {
	err = s.write(ctx, func(st *state) ([]entry, error) {
		numbers = []int32{}
		if err := st.writable(name); err != nil {
			return nil, err
		}
		live, all := st.live(name, false), st.live(name, true)
		switch {
		case len(all) == 0:
			return nil, refuse(CodeSubjectNotFound, "Subject '%s' not found.", name)
		case len(live) == 0 && !permanent:
			return nil, refuse(CodeSubjectSoftDeleted, "Subject '%s' was soft deleted. Set permanent=true to delete permanently", name)
		case len(live) > 0 && permanent:
			return nil, refuse(CodeSubjectNotSoftDeleted, "Subject '%s' was not deleted first before being permanently deleted", name)
		}
		gone := live
		if permanent {
			gone = all
		}
		var entries []entry
		for _, v := range gone {
			if len(st.users(name, v.Number)) > 0 {
				return nil, refuse(CodeReferenceExists, "One or more references exist to the schema {subject=%s,version=%d}.", name, v.Number)
			}
			numbers = append(numbers, v.Number)
			if permanent {
				e, err := encode(schemaKey(name, v.Number), nil)
				if err != nil {
					return nil, err
				}
				entries = append(entries, e)
			}
		}
		if permanent {
			return entries, nil
		}
		return st.softDelete(name, numbers[len(numbers)-1])
	})
	return numbers, err
}

func (s *state) softDelete(name string, last int32) (entries []entry, err error) {
	e, err := encode(settingKey(keyDeleteSubject, name), subjectValue{name, last})
	if err != nil {
		return nil, err
	}
	entries = append(entries, e)
	for keyType, set := range map[string]bool{keyConfig: s.subjects[name].level != "", keyMode: s.subjects[name].mode != ""} {
		if !set {
			continue
		}
		if e, err = encode(settingKey(keyType, name), nil); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// writable refuses changes of a subject that may only be read.
func (s *state) writable(name string) error {
	if m := s.modeOf(name); m == ReadOnly || m == ReadOnlyOverride {
		return refuse(CodeOperationNotPermitted, "Subject %s is in read-only mode", name)
	}
	return nil
}

func (s *state) levelOf(name string) schema.Level {
	if x := s.subjects[name]; x != nil && x.level != "" {
		return x.level
	}
	return s.level
}

func (s *state) modeOf(name string) Mode {
	if s.mode == ReadOnlyOverride {
		return s.mode
	}
	if x := s.subjects[name]; x != nil && x.mode != "" {
		return x.mode
	}
	return s.mode
}

// Level gives the compatibility level of a subject, or of all ("").
func (s *Store) Level(ctx context.Context, name string, orGlobal bool) (schema.Level, error) {
	st, done, err := s.read(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	if name == "" || orGlobal {
		return st.levelOf(name), nil
	}
	if x := st.subjects[name]; x != nil && x.level != "" {
		return x.level, nil
	}
	return "", refuse(CodeLevelNotSet, "Subject '%s' does not have subject-level compatibility configured", name)
}

// SetLevel sets it; "" takes it back. It gives the level before.
func (s *Store) SetLevel(ctx context.Context, name string, l schema.Level) (before schema.Level, err error) {
	if l != "" && !l.Known() {
		return "", refuse(CodeInvalidLevel, "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive")
	}
	if name != "" {
		if err := checkSubject(name); err != nil {
			return "", err
		}
	}
	err = s.write(ctx, func(st *state) ([]entry, error) {
		if err := st.writable(name); err != nil {
			return nil, err
		}
		before = st.level
		if name != "" {
			before = ""
			if x := st.subjects[name]; x != nil {
				before = x.level
			}
			if l == "" && before == "" {
				return nil, refuse(CodeSubjectNotFound, "Subject '%s' not found.", name)
			}
		}
		var v any
		if l != "" {
			v = configValue{name, l}
		}
		e, err := encode(settingKey(keyConfig, name), v)
		return []entry{e}, err
	})
	return before, err
}

// Mode gives the mode of a subject, or of all ("").
func (s *Store) Mode(ctx context.Context, name string, orGlobal bool) (Mode, error) {
	st, done, err := s.read(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	if name == "" || orGlobal {
		return st.modeOf(name), nil
	}
	if x := st.subjects[name]; x != nil && x.mode != "" {
		return x.mode, nil
	}
	return "", refuse(CodeModeNotSet, "Subject '%s' does not have subject-level mode configured", name)
}

// SetMode sets it; "" takes it back. It gives the mode before. Import, where ids are given by who registers, needs a registry
// or subject without versions, unless forced.
func (s *Store) SetMode(ctx context.Context, name string, m Mode, force bool) (before Mode, err error) {
	if m != "" && !m.Known() {
		return "", refuse(CodeInvalidMode, "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, and IMPORT")
	}
	if name != "" {
		if err := checkSubject(name); err != nil {
			return "", err
		}
	}
	err = s.write(ctx, func(st *state) ([]entry, error) {
		before = st.mode
		if name != "" {
			before = ""
			if x := st.subjects[name]; x != nil {
				before = x.mode
			}
			if m == "" && before == "" {
				return nil, refuse(CodeSubjectNotFound, "Subject '%s' not found.", name)
			}
		}
		if m == Import && !force && st.modeOf(name) != Import && st.filled(name) {
			return nil, refuse(CodeOperationNotPermitted, "Cannot import since found existing subjects")
		}
		var v any
		if m != "" {
			v = modeValue{name, m}
		}
		e, err := encode(settingKey(keyMode, name), v)
		return []entry{e}, err
	})
	return before, err
}

// filled reports whether a subject, or any ("") has live versions.
func (s *state) filled(name string) bool {
	if name != "" {
		return len(s.live(name, false)) > 0
	}
	for other := range s.subjects {
		if len(s.live(other, false)) > 0 {
			return true
		}
	}
	return false
}
