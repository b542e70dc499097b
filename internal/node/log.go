package node

import (
	"context"

	"github.com/miracledb/miracledb/backup"
	doorhttp "github.com/miracledb/miracledb/connectors/http"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/external"
)

// Log is the node's log: its own, or a Kafka cluster.
type Log interface {
	doorhttp.Log
	AdmitTxns(log.TxnHook)
	Run(context.Context) error
	Close() error
}

func (n *Node) openLog() error {
	if len(n.config.Brokers) == 0 {
		if err := n.dir.follows(""); err != nil {
			return err
		}
		options := n.config.Log
		options.Dir = n.dir.dir(backup.LogFolder)
		options.Rows = func(ctx context.Context, t log.Topic) (log.Rows, bool) { return n.compaction.Rows(ctx, t) } // asked once the log runs
		options.Uncompacted = func(topic string, partition int32, err error) {
			n.slog.Warn("a partition could not be compacted", "topic", topic, "partition", partition, "error", err)
		}
		l, err := broker.Open(options)
		if err == nil {
			n.Log = l
		}
		return err
	}
	options, err := n.config.Cluster.options()
	if err != nil {
		return err
	}
	options.Brokers, options.Warn = n.config.Brokers, func(text string) { n.slog.Warn(text) }
	options.Follow = func(clusterID string) error {
		name := "kafka " + clusterID
		if options.Name != "" && options.Name != external.DefaultName {
			name += " database " + options.Name
		}
		return n.dir.follows(name)
	}
	l, err := external.Open(context.Background(), options)
	if err == nil {
		n.Log = l
	}
	return err
}
