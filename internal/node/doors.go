package node

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sys/unix"

	doorhttp "github.com/miracledb/miracledb/connectors/http"
	"github.com/miracledb/miracledb/connectors/registry"
	"github.com/miracledb/miracledb/connectors/websocket"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/views/catalog"
)

// The most connections of each door: Kafka's and HTTP's cost two goroutines and their buffers, PostgreSQL's a session.
const (
	maxKafka = 10_000
	maxHTTP  = 10_000
	maxPG    = 2_000
)

// connections is how many connections a door takes: at most so many, and at most a fifth of the process's file descriptors, so
// that the three doors together leave two fifths to files.
func connections(most int) int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return most
	}
	return int(min(uint64(most), max(1, r.Cur/5)))
}

// handler is the HTTP door.
func (n *Node) handler() http.Handler {
	n.metrics.observe(n)
	return doorhttp.New(doorhttp.Options{Database: n.Database, Catalog: n.Catalog, Metrics: n.metrics.registry, Ready: n.ready,
		Backup: n.backup, Log: n.Log, Visible: n.visible, Registry: registry.New(n.Schemas, n.dir.meta.ClusterID),
		Subscribe: websocket.Handler(&websocket.Options{Log: n.Log, Catalog: n.Catalog, Tables: n.Tables, Views: n.Views,
			Versions: n.Versions, Codec: n.codec})})
}

// visible waits until there is a version at or after a Position.
func (n *Node) visible(ctx context.Context, p log.Position) (log.Position, error) {
	held, err := n.Versions.Acquire(ctx, p)
	if err != nil {
		return log.Position{}, err
	}
	at := held.Value.At
	return at, held.Release()
}

// metrics are the node's, for /metrics.
type metrics struct {
	registry        *prometheus.Registry
	rejectedRecords *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(),
		rejectedRecords: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "miracledb_rejected_records_total",
			Help: "Records that could not enter a relation and stand in its __rejected."}, []string{"relation"})}
	m.registry.MustRegister(m.rejectedRecords, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) rejected(rel *catalog.Relation, records int) {
	m.rejectedRecords.WithLabelValues(rel.Schema + "." + rel.Name).Add(float64(records))
}

// observe adds the gauges that are read from the parts when asked.
func (m *metrics) observe(n *Node) {
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("miracledb_log_sequence", "Sequence of the newest durable append.",
		func() float64 { return float64(n.Log.End().Sequence) })
	gauge("miracledb_views_sequence", "Sequence up to which the published version of the views has followed.",
		func() float64 { return float64(n.Runner.Published().Sequence) })
	gauge("miracledb_sessions", "Open SQL sessions.", func() float64 { return float64(len(n.Database.Activities())) })
}
