package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/group"
)

// syncGroup answers with the member's assignment when the leader has sent it.
func (s *Server) syncGroup(ctx context.Context, _ *request, q *kmsg.SyncGroupRequest) answer {
	in := group.Sync{Group: q.Group, Generation: q.Generation, Member: q.MemberID, Instance: text(q.InstanceID),
		ProtocolType: text(q.ProtocolType), Protocol: text(q.Protocol), Assignments: make(map[string][]byte, len(q.GroupAssignment))}
	for _, m := range q.GroupAssignment {
		in.Assignments[m.MemberID] = m.MemberAssignment
	}
	a := kmsg.NewPtrSyncGroupResponse()
	got, ok := s.coordinator.ask(ctx, func(t group.Token) group.Input { in.Token = t; return in })
	if !ok {
		a.ErrorCode = kerr.CoordinatorNotAvailable.Code
		return answer{response: a}
	}
	reply := got.(group.SyncReply)
	a.ErrorCode, a.MemberAssignment = int16(reply.Code), reply.Assignment
	if reply.Code == 0 {
		a.ProtocolType, a.Protocol = &reply.ProtocolType, &reply.Protocol
	}
	return answer{response: a}
}
