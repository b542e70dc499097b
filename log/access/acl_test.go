package access

import (
	"context"
	"testing"
)

func TestMay(t *testing.T) {
	s := NewStore(&properties{})
	var list []ACL
	add := func(r Resource, p Pattern, name, principal, host string, op Operation, permission Permission) {
		list = append(list, ACL{Target{r, p, name}, principal, host, op, permission})
	}
	add(Topic, Literal, "orders", "User:ann", "*", Read, Allow)
	add(Topic, Prefixed, "shop-", "User:ann", "*", All, Allow)
	add(Topic, Literal, "shop-secret", "User:*", "*", Read, Deny)
	add(Topic, Literal, "*", "User:bob", "10.0.0.1", Write, Allow)
	add(Topic, Literal, "config", "User:cid", "*", AlterConfigs, Allow)
	add(Cluster, Literal, ClusterName, "User:ann", "*", Alter, Allow)
	for _, a := range list {
		if err := a.Check(); err != nil {
			t.Fatalf("%+v: %v", a, err)
		}
	}
	for range 2 { // twice is once
		if err := s.AddACLs(context.Background(), list); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Current().ACLs(Filter{ResourceAny, PatternAny, nil, nil, nil, OperationAny, PermissionAny})); n != len(list) {
		t.Fatalf("%d ACLs, want %d", n, len(list))
	}
	for _, c := range []struct {
		who, host string
		op        Operation
		kind      Resource
		name      string
		want      bool
	}{
		{"ann", "h", Read, Topic, "orders", true},
		{"ann", "h", Describe, Topic, "orders", true}, // implied
		{"ann", "h", Write, Topic, "orders", false},
		{"ann", "h", Read, Topic, "order", false},
		{"ann", "h", Write, Topic, "shop-a", true},
		{"ann", "h", Write, Topic, "shop-secret", true},
		{"ann", "h", Read, Topic, "shop-secret", false}, // denied to all
		{"ann", "h", Describe, Topic, "shop-secret", true},
		{"bob", "10.0.0.1", Write, Topic, "anything", true},
		{"bob", "10.0.0.2", Write, Topic, "anything", false},
		{"cid", "h", DescribeConfigs, Topic, "config", true},
		{"cid", "h", Describe, Topic, "config", false},
		{"ann", "h", Describe, Cluster, ClusterName, true},
		{"ann", "h", Create, Cluster, ClusterName, false},
		{"bob", "10.0.0.1", Read, Group, "g", false},
		{"root", "h", Read, Topic, "shop-secret", true},
	} {
		policy := Policy{Super: []Principal{"User:root"}}
		if got := s.Current().May(policy, User(c.who), c.host, c.op, c.kind, c.name); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	everyone := Policy{Everyone: true}
	if !s.Current().May(everyone, Anonymous, "h", Read, Group, "g") || s.Current().May(everyone, Anonymous, "h", Read, Topic, "orders") {
		t.Error("everyone may do what no ACL is about, and only that")
	}
	for who, want := range map[Principal]bool{"User:ann": true, "User:cid": false, "User:root": true} {
		if got := s.Current().MayAny(Policy{Super: []Principal{"User:root"}}, who, "h", Write, Topic); got != want {
			t.Errorf("%s may write some topic: %v", who, got)
		}
	}

	name := "shop-a"
	match := Filter{Topic, PatternMatch, &name, nil, nil, OperationAny, PermissionAny}
	gone, err := s.DeleteACLs(context.Background(), []Filter{match, {Cluster, PatternAny, nil, nil, nil, OperationAny, Deny}})
	if err != nil || len(gone) != 2 || len(gone[0]) != 2 || len(gone[1]) != 0 {
		t.Fatalf("%v, %v", gone, err)
	}
	if n := len(s.Current().ACLs(Filter{ResourceAny, PatternAny, nil, nil, nil, OperationAny, PermissionAny})); n != len(list)-2 {
		t.Errorf("%d ACLs are left", n)
	}
}

func TestACLsThatCannotBe(t *testing.T) {
	good := ACL{Target{Topic, Literal, "t"}, "User:ann", "*", Read, Allow}
	for what, change := range map[string]func(*ACL){
		"kind":             func(a *ACL) { a.Resource = ResourceAny },
		"pattern":          func(a *ACL) { a.Pattern = PatternMatch },
		"no name":          func(a *ACL) { a.Name = "" },
		"cluster":          func(a *ACL) { a.Resource, a.Operation = Cluster, Create },
		"principal":        func(a *ACL) { a.Principal = "ann" },
		"host":             func(a *ACL) { a.Host = "" },
		"operation":        func(a *ACL) { a.Operation = ClusterAction },
		"any operation":    func(a *ACL) { a.Operation = OperationAny },
		"permission":       func(a *ACL) { a.Permission = PermissionAny },
		"a long principal": func(a *ACL) { a.Principal = "User:" + string(make([]byte, 1000)) },
	} {
		bad := good
		if change(&bad); bad.Check() == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// Java writes all of an IPv6 address, Go and people what is left of it: an ACL that denies one means the same.
func TestHostsAreAddresses(t *testing.T) {
	for _, c := range []struct {
		acl, host string
		same      bool
	}{
		{"0:0:0:0:0:0:0:1", "::1", true}, {"::1", "::1", true}, {"2001:DB8::1", "2001:db8:0:0:0:0:0:1", true}, {"::ffff:10.0.0.1", "10.0.0.1", true},
		{"10.0.0.1", "10.0.0.1", true}, {"*", "::1", true}, {"::2", "::1", false}, {"10.0.0.1", "::1", false}, {"a:b", "::1", false}, {"::1", "a:b", false},
	} {
		a := ACL{Principal: "User:ann", Host: c.acl}
		if got := a.concerns("User:ann", c.host); got != c.same {
			t.Errorf("an ACL of %s and a client from %s: %v", c.acl, c.host, got)
		}
	}
}
