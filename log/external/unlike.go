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

// Txns lists the Kafka transactions that this log keeps: none, they are the cluster's.
func (l *Log) Txns() []log.Txn { return nil }
