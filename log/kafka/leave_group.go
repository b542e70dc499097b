package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/group"
)

// leaveGroup ends memberships: many at once from version 3 on (KIP-345).
func (s *Server) leaveGroup(ctx context.Context, r *request, q *kmsg.LeaveGroupRequest) answer {
	in := group.Leave{Group: q.Group}
	if r.version < 3 {
		in.Members = []group.LeaveMember{{Member: q.MemberID}}
	}
	for _, m := range q.Members {
		in.Members = append(in.Members, group.LeaveMember{Member: m.MemberID, Instance: text(m.InstanceID)})
	}
	a := kmsg.NewPtrLeaveGroupResponse()
	got, ok := s.coordinator.ask(ctx, func(t group.Token) group.Input { in.Token = t; return in })
	if !ok {
		a.ErrorCode = kerr.CoordinatorNotAvailable.Code
		return answer{response: a}
	}
	reply := got.(group.LeaveReply)
	a.ErrorCode = int16(reply.Code)
	if r.version < 3 {
		a.ErrorCode = int16(reply.Members[0])
		return answer{response: a}
	}
	for i, code := range reply.Members {
		m := kmsg.NewLeaveGroupResponseMember()
		m.MemberID, m.InstanceID, m.ErrorCode = q.Members[i].MemberID, q.Members[i].InstanceID, int16(code)
		a.Members = append(a.Members, m)
	}
	return answer{response: a}
}
