package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/errs"
)

const (
	produceKey     = 0
	fetchKey       = 1
	apiVersionsKey = 18
)

// api is one key of the protocol: the versions that we serve, the first flexible one (KIP-482), and how a request of it
// is begun.
type api struct {
	min, max, flexible int16
	begin              func(*Server, context.Context, *request) (finisher, error)
}

// apis are the keys that we serve: Kafka 3.9's highest versions, and Kafka 4's where transactions (KIP-890) and
// consumer groups (KIP-848) need them. The lowest ones are 0 wherever an old client looks for
// an exact old version in its feature table: librdkafka before 2.12 compresses only if Produce 0 is offered, and speaks
// the group protocol only if JoinGroup 0 is. Produce 0 to 2 (message formats 0 and 1) are offered for that alone and
// refused per partition, as Kafka 4 does (KAFKA-18659).
var apis map[int16]api

func init() {
	apis = map[int16]api{
		produceKey:          {0, 13, 9, (*Server).beginProduce},
		fetchKey:            {4, 17, 12, decoded((*Server).fetch)},
		2:                   {0, 9, 6, decoded((*Server).listOffsets)},
		3:                   {0, 12, 9, decoded((*Server).metadata)},
		8:                   {1, 9, 8, decoded((*Server).offsetCommit)},
		9:                   {1, 9, 6, decoded((*Server).offsetFetch)},
		10:                  {0, 6, 3, decoded((*Server).findCoordinator)},
		11:                  {0, 9, 6, decoded((*Server).joinGroup)},
		12:                  {0, 4, 4, decoded((*Server).heartbeat)},
		13:                  {0, 5, 4, decoded((*Server).leaveGroup)},
		14:                  {0, 5, 4, decoded((*Server).syncGroup)},
		15:                  {0, 5, 5, decoded((*Server).describeGroups)},
		16:                  {0, 5, 3, decoded((*Server).listGroups)},
		saslHandshakeKey:    {0, 1, 2, (*Server).beginSASLHandshake},
		apiVersionsKey:      {0, 4, 3, decoded((*Server).apiVersions)},
		19:                  {0, 7, 5, decoded((*Server).createTopics)},
		20:                  {0, 6, 4, decoded((*Server).deleteTopics)},
		21:                  {0, 2, 2, decoded((*Server).deleteRecords)},
		22:                  {0, 5, 2, decoded((*Server).initProducerID)},
		23:                  {2, 4, 4, decoded((*Server).offsetForLeaderEpoch)},
		24:                  {0, 3, 3, decoded((*Server).addPartitionsToTxn)},
		25:                  {0, 4, 3, decoded((*Server).addOffsetsToTxn)},
		26:                  {0, 5, 3, decoded((*Server).endTxn)},
		28:                  {0, 5, 3, decoded((*Server).txnOffsetCommit)},
		29:                  {1, 3, 2, decoded((*Server).describeACLs)},
		30:                  {1, 3, 2, decoded((*Server).createACLs)},
		31:                  {1, 3, 2, decoded((*Server).deleteACLs)},
		32:                  {0, 4, 4, decoded((*Server).describeConfigs)},
		33:                  {0, 2, 2, decoded((*Server).alterConfigs)},
		35:                  {1, 4, 2, decoded((*Server).describeLogDirs)},
		saslAuthenticateKey: {0, 2, 2, (*Server).beginSASLAuthenticate},
		37:                  {0, 3, 2, decoded((*Server).createPartitions)},
		42:                  {0, 2, 2, decoded((*Server).deleteGroups)},
		43:                  {0, 2, 2, decoded((*Server).electLeaders)},
		44:                  {0, 1, 1, decoded((*Server).incrementalAlterConfigs)},
		47:                  {0, 0, 1, decoded((*Server).offsetDelete)},
		48:                  {0, 1, 1, decoded((*Server).describeClientQuotas)},
		49:                  {0, 1, 1, decoded((*Server).alterClientQuotas)},
		50:                  {0, 0, 0, decoded((*Server).describeScramCredentials)},
		51:                  {0, 0, 0, decoded((*Server).alterScramCredentials)},
		60:                  {0, 1, 0, decoded((*Server).describeCluster)},
		61:                  {0, 0, 0, decoded((*Server).describeProducers)},
		65:                  {0, 0, 0, decoded((*Server).describeTransactions)},
		66:                  {0, 1, 0, decoded((*Server).listTransactions)},
		68:                  {0, 1, 0, decoded((*Server).consumerGroupHeartbeat)},
		69:                  {0, 1, 0, decoded((*Server).consumerGroupDescribe)},
	}
}

// decoded begins a request by decoding it, under the server's budget for that, and serves it when its turn comes.
func decoded[Q any, P interface {
	*Q
	kmsg.Request
}](serve func(*Server, context.Context, *request, P) answer) func(*Server, context.Context, *request) (finisher, error) {
	return func(s *Server, ctx context.Context, r *request) (finisher, error) {
		taken, err := s.decoding.take(ctx, int64(len(r.body))*decodeFactor)
		if err != nil {
			return nil, err
		}
		q := P(new(Q))
		q.SetVersion(r.version)
		err = q.ReadFrom(r.body)
		s.decoding.give(taken)
		if err != nil {
			return nil, errs.New(errs.Invalid, "kafka: decoding API key %d version %d: %w", r.key, r.version, err)
		}
		return func(ctx context.Context) (answer, error) {
			if a := s.refused(r, q); a != nil {
				return answer{response: a}, nil
			}
			return serve(s, ctx, r, q), nil
		}, nil
	}
}

// onArrival begins a request by decoding and serving it at once.
func onArrival[Q any, P interface {
	*Q
	kmsg.Request
}](ctx context.Context, s *Server, r *request, serve func(P) answer) (finisher, error) {
	finish, err := decoded(func(_ *Server, _ context.Context, _ *request, q P) answer { return serve(q) })(s, ctx, r)
	if err != nil {
		return nil, err
	}
	a, err := finish(ctx)
	return func(context.Context) (answer, error) { return a, err }, nil
}
