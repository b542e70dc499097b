package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// initProducerID gives an idempotent producer a new id (KIP-98). One that comes back with its old id (KIP-360) gets a new
// one too: only a transactional id ties it to its past.
func (s *Server) initProducerID(ctx context.Context, _ *request, q *kmsg.InitProducerIDRequest) answer {
	a := kmsg.NewPtrInitProducerIDResponse()
	a.ProducerID, a.ProducerEpoch = -1, -1
	if q.TransactionalID != nil {
		a.ErrorCode = errorCode(errTransactions)
		return answer{response: a}
	}
	id, err := s.log.NextProducerID(ctx)
	if err != nil {
		a.ErrorCode = kerr.CoordinatorNotAvailable.Code // retriable
		return answer{response: a}
	}
	a.ProducerID, a.ProducerEpoch = id, 0
	return answer{response: a}
}
