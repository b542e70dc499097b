package node

import (
	"context"
	"errors"

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
		l, err := broker.Open(options)
		if err == nil {
			n.Log = l
		}
		return err
	}
	l, err := external.Open(context.Background(), external.Options{Brokers: n.config.Brokers})
	if err != nil {
		return err
	}
	n.Log = l
	for _, w := range l.Warnings() {
		n.slog.Warn(w)
	}
	if err := n.dir.follows("kafka " + l.ClusterID()); err != nil {
		return errors.Join(err, l.Close())
	}
	return nil
}
