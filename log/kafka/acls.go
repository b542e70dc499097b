package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/access"
)

// describeACLs lists the ACLs that a filter chooses, by what they are about (KIP-140, KIP-290).
func (s *Server) describeACLs(_ context.Context, _ *request, q *kmsg.DescribeACLsRequest) answer {
	a := kmsg.NewPtrDescribeACLsResponse()
	f, err := aclFilter(int8(q.ResourceType), int8(q.ResourcePatternType), q.ResourceName, q.Principal, q.Host, int8(q.Operation), int8(q.PermissionType))
	if err != nil {
		a.ErrorCode, a.ErrorMessage = errorCode(err), message(err)
		return answer{response: a}
	}
	last := access.Target{}
	for _, one := range s.access.Current().ACLs(f) {
		if one.Target != last {
			r := kmsg.NewDescribeACLsResponseResource()
			r.ResourceType, r.ResourcePatternType, r.ResourceName = kmsg.ACLResourceType(one.Resource), kmsg.ACLResourcePatternType(one.Pattern), one.Name
			a.Resources = append(a.Resources, r)
			last = one.Target
		}
		r := &a.Resources[len(a.Resources)-1]
		acl := kmsg.NewDescribeACLsResponseResourceACL()
		acl.Principal, acl.Host = one.Principal, one.Host
		acl.Operation, acl.PermissionType = kmsg.ACLOperation(one.Operation), kmsg.ACLPermissionType(one.Permission)
		r.ACLs = append(r.ACLs, acl)
	}
	return answer{response: a}
}

// aclFilter reads a filter. Unknown numbers, 0 among them, choose nothing that there could be: the request is invalid.
func aclFilter(resource, pattern int8, name, principal, host *string, operation, permission int8) (access.Filter, error) {
	f := access.Filter{Resource: access.Resource(resource), Pattern: access.Pattern(pattern), Name: name, Principal: principal, Host: host,
		Operation: access.Operation(operation), Permission: access.Permission(permission)}
	if resource < 1 || resource > 7 || pattern < 1 || pattern > 4 || operation < 1 || operation > 15 || permission < 1 || permission > 3 {
		return f, &fault{kerr.InvalidRequest, "the filter has a resource type, pattern, operation or permission that is not known"}
	}
	return f, nil
}

// createACLs adds ACLs, each for itself.
func (s *Server) createACLs(ctx context.Context, _ *request, q *kmsg.CreateACLsRequest) answer {
	a := kmsg.NewPtrCreateACLsResponse()
	var good []access.ACL
	faults := make([]error, len(q.Creations))
	for i, c := range q.Creations {
		one := access.ACL{Target: access.Target{Resource: access.Resource(c.ResourceType), Pattern: access.Pattern(c.ResourcePatternType), Name: c.ResourceName},
			Principal: c.Principal, Host: c.Host, Operation: access.Operation(c.Operation), Permission: access.Permission(c.PermissionType)}
		if faults[i] = one.Check(); faults[i] == nil {
			good = append(good, one)
		}
	}
	err := s.access.AddACLs(ctx, good)
	for _, fault := range faults {
		r := kmsg.NewCreateACLsResponseResult()
		if fault == nil {
			fault = err
		}
		r.ErrorCode, r.ErrorMessage = errorCode(fault), message(fault)
		a.Results = append(a.Results, r)
	}
	return answer{response: a}
}

// deleteACLs removes the ACLs that any of the filters chooses.
func (s *Server) deleteACLs(ctx context.Context, _ *request, q *kmsg.DeleteACLsRequest) answer {
	a := kmsg.NewPtrDeleteACLsResponse()
	var filters []access.Filter
	faults := make([]error, len(q.Filters))
	for i, f := range q.Filters {
		var one access.Filter
		one, faults[i] = aclFilter(int8(f.ResourceType), int8(f.ResourcePatternType), f.ResourceName, f.Principal, f.Host, int8(f.Operation), int8(f.PermissionType))
		if faults[i] == nil {
			filters = append(filters, one)
		}
	}
	gone, err := s.access.DeleteACLs(ctx, filters)
	next := 0
	for _, fault := range faults {
		r := kmsg.NewDeleteACLsResponseResult()
		if fault == nil {
			fault = err
			if err == nil {
				r.MatchingACLs = deletedACLs(gone[next])
				next++
			}
		}
		r.ErrorCode, r.ErrorMessage = errorCode(fault), message(fault)
		a.Results = append(a.Results, r)
	}
	return answer{response: a}
}

func deletedACLs(gone []access.ACL) (out []kmsg.DeleteACLsResponseResultMatchingACL) {
	for _, one := range gone {
		m := kmsg.NewDeleteACLsResponseResultMatchingACL()
		m.ResourceType, m.ResourcePatternType, m.ResourceName = kmsg.ACLResourceType(one.Resource), kmsg.ACLResourcePatternType(one.Pattern), one.Name
		m.Principal, m.Host = one.Principal, one.Host
		m.Operation, m.PermissionType = kmsg.ACLOperation(one.Operation), kmsg.ACLPermissionType(one.Permission)
		out = append(out, m)
	}
	return out
}
