package kafka

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/group"
)

// joinGroup answers when the next generation of the group is complete.
func (s *Server) joinGroup(ctx context.Context, r *request, q *kmsg.JoinGroupRequest) answer {
	in := group.Join{Group: q.Group, Member: q.MemberID, Instance: text(q.InstanceID), ClientID: r.clientID, ClientHost: r.conn.clientHost(),
		ProtocolType: q.ProtocolType, SessionTimeout: milliseconds(q.SessionTimeoutMillis),
		RebalanceTimeout: milliseconds(q.RebalanceTimeoutMillis), MemberIDRequired: r.version >= 4}
	if r.version < 1 {
		in.RebalanceTimeout = in.SessionTimeout
	}
	in.NewMember = newMemberID(r.clientID, in.Instance)
	for _, p := range q.Protocols {
		in.Protocols = append(in.Protocols, group.Protocol{Name: p.Name, Metadata: p.Metadata, Subscription: subscription(q.ProtocolType, p.Metadata)})
	}
	a := kmsg.NewPtrJoinGroupResponse()
	got, ok := s.coordinator.ask(ctx, func(t group.Token) group.Input { in.Token = t; return in })
	if !ok {
		a.ErrorCode, a.Generation = kerr.CoordinatorNotAvailable.Code, -1
		return answer{response: a}
	}
	j := got.(group.JoinReply)
	a.ErrorCode, a.Generation, a.LeaderID, a.MemberID = int16(j.Code), j.Generation, j.Leader, j.Member
	if j.Code == 0 {
		a.ProtocolType, a.Protocol = &j.ProtocolType, &j.Protocol
	} else if r.version < 7 {
		a.Protocol = new(string) // not nullable before
	}
	if j.SkipAssignment && r.version < 9 {
		// Such a client would assign again: it is told that it does not lead (GroupCoordinator.scala does the same).
		a.LeaderID, j.Members = "", nil
	}
	a.SkipAssignment = j.SkipAssignment
	for _, m := range j.Members {
		member := kmsg.NewJoinGroupResponseMember()
		member.MemberID, member.InstanceID, member.ProtocolMetadata = m.Member, nullable(m.Instance), m.Metadata
		a.Members = append(a.Members, member)
	}
	return answer{response: a}
}

// subscription is what of a member's metadata asks for another assignment when it changes: of a consumer its topics. All of it
// where it is not known what it means.
func subscription(protocolType string, metadata []byte) string {
	m := kmsg.NewConsumerMemberMetadata()
	if protocolType != "consumer" || m.ReadFrom(metadata) != nil {
		return string(metadata)
	}
	slices.Sort(m.Topics)
	return strings.Join(m.Topics, ",")
}

func milliseconds(n int32) time.Duration { return time.Duration(n) * time.Millisecond }

// text is a nullable string with null as empty, nullable the other way round.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
