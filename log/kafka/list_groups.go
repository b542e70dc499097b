package kafka

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// listGroups names the groups, those in some states only (KIP-518) or of some types only (KIP-848).
func (s *Server) listGroups(_ context.Context, r *request, q *kmsg.ListGroupsRequest) answer {
	a := kmsg.NewPtrListGroupsResponse()
	wanted := func(filter []string, value string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
	}
	all := s.mayCluster(r)
	for _, d := range s.coordinator.list() {
		if !all && !s.mayGroup(r, d.Name) {
			continue
		}
		if !wanted(q.StatesFilter, string(d.State)) || !wanted(q.TypesFilter, string(d.Type)) {
			continue
		}
		g := kmsg.NewListGroupsResponseGroup()
		g.Group, g.ProtocolType, g.GroupState, g.GroupType = d.Name, d.ProtocolType, string(d.State), string(d.Type)
		a.Groups = append(a.Groups, g)
	}
	return answer{response: a}
}
