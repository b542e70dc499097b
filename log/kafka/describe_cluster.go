package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeCluster tells of the cluster's only node (KIP-700). There are no controllers to be asked for (KIP-919).
func (s *Server) describeCluster(_ context.Context, r *request, q *kmsg.DescribeClusterRequest) answer {
	a := kmsg.NewPtrDescribeClusterResponse()
	a.ClusterID, a.ControllerID = s.options.ClusterID, s.options.NodeID
	if r.version >= 1 && q.EndpointType != 1 {
		a.ErrorCode, a.ErrorMessage = kerr.UnsupportedEndpointType.Code, message(kerr.UnsupportedEndpointType)
		return answer{response: a}
	}
	if q.IncludeClusterAuthorizedOperations {
		a.ClusterAuthorizedOperations = s.clusterOperations(r)
	}
	b := kmsg.NewDescribeClusterResponseBroker()
	b.NodeID = s.options.NodeID
	b.Host, b.Port = r.conn.advertised()
	a.Brokers = append(a.Brokers, b)
	return answer{response: a}
}
