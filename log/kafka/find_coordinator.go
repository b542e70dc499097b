package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// findCoordinator names this node as the coordinator of every group and transactional id; many keys at once from version 4 on (KIP-699).
func (s *Server) findCoordinator(_ context.Context, r *request, q *kmsg.FindCoordinatorRequest) answer {
	a := kmsg.NewPtrFindCoordinatorResponse()
	err := error(nil)
	switch q.CoordinatorType {
	case 0, 1:
	default:
		err = &fault{kerr.InvalidRequest, "only consumer groups and transactions have a coordinator"}
	}
	place := func(key string) (node int32, host string, port int32, _ error) {
		switch {
		case err != nil:
			return -1, "", -1, err
		case q.CoordinatorType == 0 && !s.mayGroup(r, key):
			return -1, "", -1, kerr.GroupAuthorizationFailed
		case q.CoordinatorType == 1 && !s.mayTxn(r, key):
			return -1, "", -1, kerr.TransactionalIDAuthorizationFailed
		}
		host, port = r.conn.advertised()
		return s.options.NodeID, host, port, nil
	}
	if r.version < 4 {
		node, host, port, err := place(q.CoordinatorKey)
		a.ErrorCode, a.ErrorMessage = errorCode(err), message(err)
		a.NodeID, a.Host, a.Port = node, host, port
		return answer{response: a}
	}
	for _, key := range q.CoordinatorKeys {
		node, host, port, err := place(key)
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.NodeID, c.Host, c.Port = key, node, host, port
		c.ErrorCode, c.ErrorMessage = errorCode(err), message(err)
		a.Coordinators = append(a.Coordinators, c)
	}
	return answer{response: a}
}
