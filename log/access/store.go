package access

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// Names of the properties begin with what they are. docs/format/properties.md draws the values.
const scramPrefix = "scram/" // scram/MECHANISM/USER

// Store reads and changes what a log's Properties say of access.
type Store struct {
	log log.PropertyStore

	mu struct {
		sync.Mutex
		of      *log.Properties
		current *Snapshot
	}
}

// NewStore makes a Store.
func NewStore(l log.PropertyStore) *Store { return &Store{log: l} }

// Snapshot is what one Properties says of access. It never changes.
type Snapshot struct {
	users  map[string]map[Mechanism]Credential
	acls   acls
	quotas map[QuotaEntity]map[string]float64
}

// Current is the newest durable Snapshot. Values that cannot be read count as not there: nobody comes in by them.
func (s *Store) Current() *Snapshot {
	p := s.log.Properties()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.of != p {
		s.mu.of, s.mu.current = p, read(p)
	}
	return s.mu.current
}

func read(p *log.Properties) *Snapshot {
	s := &Snapshot{users: map[string]map[Mechanism]Credential{}, acls: acls{map[Target][]ACL{}, map[Resource][]int{}}, quotas: map[QuotaEntity]map[string]float64{}}
	for name, value := range p.Values {
		if rest, ok := strings.CutPrefix(name, scramPrefix); ok {
			mechanism, user, _ := strings.Cut(rest, "/")
			var c Credential
			if json.Unmarshal(value, &c) == nil {
				s.user(user)[Mechanism(mechanism)] = c
			}
		} else if strings.HasPrefix(name, aclPrefix) {
			s.acls.read(name, value)
		} else if strings.HasPrefix(name, quotaPrefix) {
			readQuotas(s.quotas, name, value)
		}
	}
	return s
}

func (s *Snapshot) user(name string) map[Mechanism]Credential {
	u := s.users[name]
	if u == nil {
		u = map[Mechanism]Credential{}
		s.users[name] = u
	}
	return u
}

// HasUsers reports whether there is any user.
func (s *Snapshot) HasUsers() bool { return len(s.users) > 0 }

// Users lists the users, by name.
func (s *Snapshot) Users() []string { return slices.Sorted(maps.Keys(s.users)) }

// Credentials are those of a user, none when there is no such user.
func (s *Snapshot) Credentials(user string) map[Mechanism]Credential { return s.users[user] }

// CredentialChange sets a user's credential for a mechanism, or removes it.
type CredentialChange struct {
	User       string
	Mechanism  Mechanism
	Credential *Credential // nil: removed
}

// ErrNoCredential: there is nothing to remove.
var ErrNoCredential = errs.New(errs.NotFound, "there is no such credential")

// AlterCredentials makes changes, each for itself, and gives an error for each that was not made: ErrNoCredential, Invalid.
// err is why none was.
func (s *Store) AlterCredentials(ctx context.Context, changes []CredentialChange) (faults []error, err error) {
	err = s.log.ChangeProperties(ctx, func(p *log.Properties) (map[string][]byte, error) {
		set := map[string][]byte{}
		faults = make([]error, len(changes))
		for i, c := range changes {
			name := scramPrefix + string(c.Mechanism) + "/" + c.User
			if faults[i] = checkUser(c.User); faults[i] != nil {
				continue
			}
			if c.Credential == nil {
				if p.Values[name] == nil {
					faults[i] = errs.New(errs.NotFound, "%w: %s of %s", ErrNoCredential, c.Mechanism, c.User)
					continue
				}
				set[name] = nil
				continue
			}
			if set[name], faults[i] = json.Marshal(c.Credential); faults[i] != nil {
				delete(set, name)
			}
		}
		return set, nil
	})
	return faults, err
}

// AddACLs adds ACLs that Check has taken, all of them or none.
func (s *Store) AddACLs(ctx context.Context, list []ACL) error {
	byTarget := map[Target][]ACL{}
	for _, a := range list {
		byTarget[a.Target] = append(byTarget[a.Target], a)
	}
	return s.log.ChangeProperties(ctx, func(p *log.Properties) (map[string][]byte, error) {
		set := map[string][]byte{}
		for t, more := range byTarget {
			value, err := changeACLs(p, t, func(*ACL) bool { return true }, more...)
			if err != nil {
				return nil, err
			}
			set[t.property()] = value
		}
		return set, nil
	})
}

// DeleteACLs removes the ACLs that any of the filters chooses, and gives those of each.
func (s *Store) DeleteACLs(ctx context.Context, filters []Filter) (gone [][]ACL, err error) {
	err = s.log.ChangeProperties(ctx, func(p *log.Properties) (map[string][]byte, error) {
		all := read(p)
		set, touched := map[string][]byte{}, map[Target]bool{}
		gone = make([][]ACL, len(filters))
		for i, f := range filters {
			gone[i] = all.ACLs(f)
			for _, a := range gone[i] {
				touched[a.Target] = true
			}
		}
		for t := range touched {
			value, err := changeACLs(p, t, func(a *ACL) bool {
				return !slices.ContainsFunc(filters, func(f Filter) bool { return f.matches(a) })
			})
			if err != nil {
				return nil, err
			}
			set[t.property()] = value
		}
		return set, nil
	})
	return gone, err
}
