package access

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// Resource is a kind of thing that ACLs are about, Pattern how an ACL names things of it, Operation what one does with them,
// Permission whether one may. The numbers are the protocol's (ResourceType, PatternType, AclOperation, AclPermissionType).
type (
	Resource   int8
	Pattern    int8
	Operation  int8
	Permission int8
)

// The kinds. ResourceAny is for filters only.
const (
	ResourceAny   Resource = 1
	Topic         Resource = 2
	Group         Resource = 3
	Cluster       Resource = 4
	Transactional Resource = 5
)

// ClusterName is the only thing of the kind Cluster.
const ClusterName = "kafka-cluster"

// The patterns; the first two are for filters only.
const (
	PatternAny   Pattern = 1
	PatternMatch Pattern = 2
	Literal      Pattern = 3 // "*" is all
	Prefixed     Pattern = 4
)

// The operations; OperationAny is for filters only.
const (
	OperationAny    Operation = 1
	All             Operation = 2
	Read            Operation = 3
	Write           Operation = 4
	Create          Operation = 5
	Delete          Operation = 6
	Alter           Operation = 7
	Describe        Operation = 8
	ClusterAction   Operation = 9
	DescribeConfigs Operation = 10
	AlterConfigs    Operation = 11
	IdempotentWrite Operation = 12
)

// The permissions; PermissionAny is for filters only.
const (
	PermissionAny Permission = 1
	Deny          Permission = 2
	Allow         Permission = 3
)

// Operations are what can be done with things of each kind.
var Operations = map[Resource][]Operation{
	Topic:         {Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs},
	Group:         {Read, Delete, Describe, DescribeConfigs, AlterConfigs},
	Cluster:       {Create, ClusterAction, DescribeConfigs, AlterConfigs, Alter, IdempotentWrite, Describe},
	Transactional: {Write, Describe},
}

// implied are the operations whose permission gives another one (AclAuthorizer).
var implied = map[Operation][]Operation{
	Describe:        {Describe, Read, Write, Delete, Alter},
	DescribeConfigs: {DescribeConfigs, AlterConfigs},
}

// ACL says that a principal ("User:*": everybody) from a host ("*": everywhere) may, or may not, do something.
type ACL struct {
	Target     `json:"-"`
	Principal  string     `json:"principal"`
	Host       string     `json:"host"`
	Operation  Operation  `json:"operation"`
	Permission Permission `json:"permission"`
}

// Target is what an ACL is about.
type Target struct {
	Resource Resource
	Pattern  Pattern
	Name     string
}

const (
	aclPrefix   = "acl/" // acl/RESOURCE/PATTERN/NAME
	everybody   = "User:*"
	anywhere    = "*"
	wildcard    = "*"
	maxACLField = 512
)

var resourceWords = map[Resource]string{Topic: "TOPIC", Group: "GROUP", Cluster: "CLUSTER", Transactional: "TRANSACTIONAL_ID"}
var patternWords = map[Pattern]string{Literal: "LITERAL", Prefixed: "PREFIXED"}

func (t Target) property() string {
	return aclPrefix + resourceWords[t.Resource] + "/" + patternWords[t.Pattern] + "/" + t.Name
}

// parseTarget reads the name of a property.
func parseTarget(property string) (t Target, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(property, aclPrefix), "/", 3)
	if len(parts) != 3 {
		return t, false
	}
	for r, word := range resourceWords {
		if word == parts[0] {
			t.Resource = r
		}
	}
	for p, word := range patternWords {
		if word == parts[1] {
			t.Pattern = p
		}
	}
	t.Name = parts[2]
	return t, t.Resource != 0 && t.Pattern != 0
}

// Check refuses what no ACL can be. Errors: Invalid.
func (a ACL) Check() error {
	_, target := resourceWords[a.Resource]
	_, pattern := patternWords[a.Pattern]
	kind, name, found := strings.Cut(a.Principal, ":")
	switch {
	case !target || !pattern:
		return errs.New(errs.Invalid, "ACLs are about a topic, group, cluster or transactional id, by a literal or prefixed name")
	case a.Name == "" || len(a.Name) > maxACLField:
		return errs.New(errs.Invalid, "an ACL is about a name of 1 to %d bytes", maxACLField)
	case a.Resource == Cluster && (a.Pattern != Literal || a.Name != ClusterName && a.Name != wildcard):
		return errs.New(errs.Invalid, "the cluster's name is %s, not %q", ClusterName, a.Name)
	case !found || kind == "" || name == "" || len(a.Principal) > maxACLField:
		return errs.New(errs.Invalid, "a principal is TYPE:NAME, such as User:ann, not %q", a.Principal)
	case a.Host == "" || len(a.Host) > maxACLField:
		return errs.New(errs.Invalid, "an ACL's host is an address, or * for all")
	case a.Operation != All && !slices.Contains(Operations[a.Resource], a.Operation):
		return errs.New(errs.Invalid, "operation %d is none of %s", a.Operation, resourceWords[a.Resource])
	case a.Permission != Allow && a.Permission != Deny:
		return errs.New(errs.Invalid, "an ACL allows or denies")
	}
	return nil
}

// Filter chooses ACLs; nil strings are any.
type Filter struct {
	Resource        Resource
	Pattern         Pattern
	Name            *string
	Principal, Host *string
	Operation       Operation
	Permission      Permission
}

func (f *Filter) matches(a *ACL) bool {
	is := func(want *string, have string) bool { return want == nil || *want == have }
	return (f.Resource == ResourceAny || f.Resource == a.Resource) && f.names(a) && is(f.Principal, a.Principal) && is(f.Host, a.Host) &&
		(f.Operation == OperationAny || f.Operation == a.Operation) && (f.Permission == PermissionAny || f.Permission == a.Permission)
}

// names reports whether the filter's name and pattern choose an ACL: PatternMatch chooses all that are about the name.
func (f *Filter) names(a *ACL) bool {
	switch {
	case f.Pattern == PatternMatch && f.Name != nil:
		return a.covers(*f.Name)
	case f.Pattern != PatternAny && f.Pattern != PatternMatch && f.Pattern != a.Pattern:
		return false
	}
	return f.Name == nil || *f.Name == a.Name
}

// covers reports whether the target is about a name.
func (t *Target) covers(name string) bool {
	if t.Pattern == Prefixed {
		return strings.HasPrefix(name, t.Name)
	}
	return t.Name == name || t.Name == wildcard
}

// acls are the ACLs of a Snapshot.
type acls struct {
	byTarget map[Target][]ACL
	// prefixes are the lengths of the prefixed names of each kind.
	prefixes map[Resource][]int
}

func (s *acls) read(property string, value []byte) {
	t, ok := parseTarget(property)
	var list []ACL
	if !ok || json.Unmarshal(value, &list) != nil {
		return
	}
	for i := range list {
		list[i].Target = t
	}
	s.byTarget[t] = list
	if t.Pattern == Prefixed && !slices.Contains(s.prefixes[t.Resource], len(t.Name)) {
		s.prefixes[t.Resource] = append(s.prefixes[t.Resource], len(t.Name))
	}
}

// ACLs lists those that a filter chooses.
func (s *Snapshot) ACLs(f Filter) (out []ACL) {
	for _, list := range s.acls.byTarget {
		for i := range list {
			if f.matches(&list[i]) {
				out = append(out, list[i])
			}
		}
	}
	slices.SortFunc(out, func(a, b ACL) int { return strings.Compare(a.property(), b.property()) })
	return out
}

// about visits the ACLs that are about a thing, until visit gives false.
func (s *acls) about(r Resource, name string, visit func(*ACL) bool) {
	each := func(t Target) bool {
		list := s.byTarget[t]
		for i := range list {
			if !visit(&list[i]) {
				return false
			}
		}
		return true
	}
	if !each(Target{r, Literal, name}) || (name != wildcard && !each(Target{r, Literal, wildcard})) {
		return
	}
	for _, n := range s.prefixes[r] {
		if n <= len(name) && !each(Target{r, Prefixed, name[:n]}) {
			return
		}
	}
}

// Policy is what holds beside the ACLs.
type Policy struct {
	// Super may do everything.
	Super []Principal
	// Everyone may do what no ACL is about (allow.everyone.if.no.acl.found).
	Everyone bool
}

// May reports whether a principal from a host may do something: an ACL that denies wins over all that allow it.
func (s *Snapshot) May(p Policy, who Principal, host string, op Operation, r Resource, name string) bool {
	if slices.Contains(p.Super, who) {
		return true
	}
	found, allowed, denied := false, false, false
	s.acls.about(r, name, func(a *ACL) bool {
		found = true
		if !a.concerns(who, host) {
			return true
		}
		if a.Permission == Deny {
			denied = a.Operation == op || a.Operation == All
		} else {
			allowed = allowed || a.grants(op)
		}
		return !denied
	})
	if !found {
		return p.Everyone
	}
	return allowed && !denied
}

func (a *ACL) concerns(who Principal, host string) bool {
	return (a.Principal == everybody || a.Principal == string(who)) && (a.Host == anywhere || sameHost(a.Host, host))
}

// sameHost reports whether two texts are one address: of IPv6 there are several.
func sameHost(a, b string) bool {
	if a == b || !strings.Contains(a, ":") {
		return a == b
	}
	x, err := netip.ParseAddr(a)
	y, err2 := netip.ParseAddr(b)
	return err == nil && err2 == nil && x.Unmap() == y.Unmap()
}

func (a *ACL) grants(op Operation) bool {
	return a.Operation == All || a.Operation == op || slices.Contains(implied[op], a.Operation)
}

// MayAny reports whether there is any thing of a kind that a principal may do something with: one that an ACL allows, and
// that none denies whole.
func (s *Snapshot) MayAny(p Policy, who Principal, host string, op Operation, r Resource) bool {
	if slices.Contains(p.Super, who) {
		return true
	}
	var denied []Target
	for t, list := range s.acls.byTarget {
		for i := range list {
			if a := &list[i]; t.Resource == r && a.Permission == Deny && a.concerns(who, host) && (a.Operation == op || a.Operation == All) {
				denied = append(denied, t)
			}
		}
	}
	whole := func(t Target) bool {
		return slices.ContainsFunc(denied, func(d Target) bool {
			return d == t || d.Pattern == Literal && d.Name == wildcard || d.Pattern == Prefixed && strings.HasPrefix(t.Name, d.Name)
		})
	}
	if p.Everyone {
		return !whole(Target{r, Literal, wildcard})
	}
	for t, list := range s.acls.byTarget {
		for i := range list {
			if a := &list[i]; t.Resource == r && a.Permission == Allow && a.concerns(who, host) && a.grants(op) && !whole(t) {
				return true
			}
		}
	}
	return false
}

// changeACLs gives the property of a target whose ACLs are those that keep leaves, and more; nil: none are left.
func changeACLs(p *log.Properties, t Target, keep func(*ACL) bool, more ...ACL) ([]byte, error) {
	var list []ACL
	if value, ok := p.Values[t.property()]; ok {
		if err := json.Unmarshal(value, &list); err != nil {
			return nil, errs.New(errs.Corrupt, "property %s: %w", t.property(), err)
		}
	}
	list = slices.DeleteFunc(list, func(a ACL) bool { a.Target = t; return !keep(&a) })
	for _, a := range more {
		a.Target = Target{}
		if !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	return json.Marshal(list)
}
