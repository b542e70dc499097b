package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/group"
)

// heartbeat keeps a member's session, and tells it of a rebalance.
func (s *Server) heartbeat(ctx context.Context, _ *request, q *kmsg.HeartbeatRequest) answer {
	a := kmsg.NewPtrHeartbeatResponse()
	got, ok := s.coordinator.ask(ctx, func(t group.Token) group.Input {
		return group.Heartbeat{Token: t, Group: q.Group, Generation: q.Generation, Member: q.MemberID, Instance: text(q.InstanceID)}
	})
	if !ok {
		a.ErrorCode = kerr.CoordinatorNotAvailable.Code
		return answer{response: a}
	}
	a.ErrorCode = int16(got.(group.CodeReply).Code)
	return answer{response: a}
}
