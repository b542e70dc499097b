package external

import (
	"context"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// KeyOffsets: see log.KeyReader. A cluster has no key index. Errors: Invalid.
func (l *Log) KeyOffsets(context.Context, log.Partition, []byte, int64, int) ([]int64, error) {
	return nil, errs.New(errs.Invalid, "topics on a Kafka cluster have no key index")
}

// Txns lists the transactions of other clients that the log's topics have seen: the newest of each producer. Its transactional
// id, epoch and timeout are the cluster's to tell (kafka-transactions.sh).
func (l *Log) Txns() []log.Txn {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mu.index.txns()
}
