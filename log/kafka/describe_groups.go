package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/access"
	"github.com/miracledb/miracledb/log/group"
)

// describeGroups tells of groups and their members; a group that does not exist is Dead, and so is here
// one of the consumer protocol (ConsumerGroupDescribe tells of those).
func (s *Server) describeGroups(_ context.Context, r *request, q *kmsg.DescribeGroupsRequest) answer {
	a := kmsg.NewPtrDescribeGroupsResponse()
	for _, name := range unique(q.Groups, itself) {
		g := kmsg.NewDescribeGroupsResponseGroup()
		if g.Group = name; !s.mayGroup(r, name) {
			g.ErrorCode = kerr.GroupAuthorizationFailed.Code
			a.Groups = append(a.Groups, g)
			continue
		}
		if q.IncludeAuthorizedOperations {
			g.AuthorizedOperations = s.authorizedOperations(r, access.Group, name)
		}
		d := s.coordinator.describe(name)
		g.Group, g.State, g.ProtocolType, g.Protocol = d.Name, string(d.State), d.ProtocolType, d.Protocol
		if d.Type == group.Consumer {
			g.State, g.ProtocolType = string(group.Dead), ""
		}
		for _, m := range d.Members {
			member := kmsg.NewDescribeGroupsResponseGroupMember()
			member.MemberID, member.InstanceID, member.ClientID, member.ClientHost = m.Member, nullable(m.Instance), m.ClientID, m.ClientHost
			member.ProtocolMetadata, member.MemberAssignment = m.Metadata, m.Assignment
			g.Members = append(g.Members, member)
		}
		a.Groups = append(a.Groups, g)
	}
	return answer{response: a}
}
