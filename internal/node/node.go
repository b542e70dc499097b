package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/runner"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/kafka"
	"github.com/miracledb/miracledb/log/schemas"
	"github.com/miracledb/miracledb/sql/duck"
	"github.com/miracledb/miracledb/sql/ingest"
	"github.com/miracledb/miracledb/sql/ivm"
	"github.com/miracledb/miracledb/sql/pgcatalog"
	"github.com/miracledb/miracledb/sql/pgwire"
	"github.com/miracledb/miracledb/sql/session"
	"github.com/miracledb/miracledb/sql/txn"
	"github.com/miracledb/miracledb/views"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/columnar"
	"github.com/miracledb/miracledb/views/heap"
	"github.com/miracledb/miracledb/views/version"
)

// Node is one server.
type Node struct {
	config Config
	slog   *slog.Logger
	dir    *dataDir

	Log        Log
	Catalog    *catalog.Catalog
	Tables     *heap.Store
	Views      *heap.Store
	Columnar   *columnar.Store
	Versions   *views.Latest[*version.Version]
	Runner     *runner.Runner
	compaction *runner.Compaction
	Sequencer  *txn.Sequencer
	Engine     *duck.Engine
	Database   *session.Database
	Schemas    *schemas.Store

	metrics   *metrics
	listeners struct{ kafka, kafkaTLS, pg, http net.Listener } // kafkaTLS may be nil
	tls       struct{ kafka, pg *certs.Files }                 // nil: none
	ready     chan struct{}
	failed    chan error
	closers   []func() error
}

// Open opens the data directory and recovers; it listens, and answers nobody yet.
func Open(c Config, l *slog.Logger) (_ *Node, err error) {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Node{config: c, slog: l, ready: make(chan struct{}), failed: make(chan error, 8), metrics: newMetrics()}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if n.dir, err = openDataDir(c.Data); err != nil {
		return nil, err
	}
	n.onClose(n.dir.close)
	if err := n.openTLS(); err != nil {
		return nil, err
	}
	if err := n.listen(); err != nil {
		return nil, err
	}
	if err := n.openStores(); err != nil {
		return nil, err
	}
	if err := n.openSQL(); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *Node) onClose(f func() error) { n.closers = append(n.closers, f) }

func (n *Node) listen() error {
	for _, d := range []struct {
		name string
		a    Address
		ln   *net.Listener
	}{{"Kafka", n.config.kafkaDoor(n.config.Kafka), &n.listeners.kafka}, {"Kafka with TLS", n.config.kafkaDoor(n.config.KafkaTLS), &n.listeners.kafkaTLS},
		{"PostgreSQL", n.config.PG, &n.listeners.pg}, {"HTTP", n.config.HTTP, &n.listeners.http}} {
		if d.a.HostPort == "" {
			continue
		}
		ln, err := listen(d.a)
		if err != nil {
			return err
		}
		*d.ln = ln
		n.onClose(func() error {
			if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
		if ln.Addr().String() != d.a.HostPort && !d.a.Asked {
			n.slog.Warn(d.name+" moved: its usual port is taken", "usual", d.a.HostPort, "now", ln.Addr().String())
		}
	}
	return nil
}

// openTLS reads the certificate. PostgreSQL clients are not asked for theirs: nothing is made of it there.
func (n *Node) openTLS() (err error) {
	o := n.config.TLS
	if !o.Enabled() {
		return nil
	}
	o.Report = n.report
	if n.tls.kafka, err = certs.Open(o); err != nil {
		return err
	}
	n.tls.pg, err = certs.Open(certs.Options{Cert: o.Cert, Key: o.Key, Report: o.Report})
	return err
}

// heapCacheShare of the machine's memory is the most that blocks of table rows are cached in: what is read fits, where it can.
const heapCacheShare = 16

func (n *Node) openStores() (err error) {
	if err := n.openLog(); err != nil {
		return err
	}
	n.onClose(n.Log.Close)
	if n.Tables, err = heap.Open(heap.Options{Dir: n.dir.dir("tables"), Cache: max(limit.Machine()/heapCacheShare, 64*limit.MiB), Fatal: n.fatal}); err != nil {
		return err
	}
	n.onClose(n.Tables.Close)
	if n.Views, err = heap.Open(heap.Options{Dir: n.dir.dir("views"), Fatal: n.fatal}); err != nil {
		return err
	}
	n.onClose(n.Views.Close)
	if n.Columnar, err = columnar.Open(columnar.Options{Dir: n.dir.dir("columnar")}); err != nil {
		return err
	}
	n.onClose(n.Columnar.Close)
	n.Versions = &views.Latest[*version.Version]{}
	n.onClose(n.Versions.Close)
	n.Engine, err = duck.Open(duck.Options{Command: n.config.EngineCommand, MemoryLimit: n.config.EngineMemory,
		TempDir: n.dir.dir("engine"), Directories: []string{n.dir.dir("columnar")}})
	if err != nil {
		return err
	}
	n.onClose(n.Engine.Close)
	return nil
}

// fatal is a fault after which the process must stop and recover from the log (DESIGN rule 2).
func (n *Node) fatal(err error) {
	n.slog.Error("stopping: the disk cannot be trusted any more", "error", err)
	select {
	case n.failed <- err:
	default:
	}
	select {} // whoever called must not go on; Run ends the process
}

func (n *Node) openSQL() (err error) {
	n.Catalog = catalog.New(pgcatalog.Relations()...)
	n.Schemas = schemas.New(schemas.Options{Log: n.Log, Clock: clock.System{},
		Create: func(ctx context.Context, name string, partitions int32, config map[string]string) (log.Topic, error) {
			return n.Database.CreateTopic(ctx, name, partitions, config)
		}})
	n.Sequencer = txn.New(txn.Options{Log: n.Log, Rows: n.Tables, Codec: n.codec,
		Applied: func(ctx context.Context, p log.Position) error { return n.Runner.WaitApplied(ctx, p) }})
	n.compaction = runner.NewCompaction(n.Log, n.codec)
	n.Runner, err = runner.Open(runner.Options{FS: vfs.Default, Dir: n.dir.dir("circuits"), Log: n.Log, Catalog: n.Catalog,
		Tables: n.Tables, Views: n.Views, Columnar: n.Columnar, Versions: n.Versions, Clock: clock.System{},
		Codec: n.codec, Compile: n.compile, Applied: n.Sequencer.Applied, Defined: n.defined,
		Rejected: n.metrics.rejected, Broken: n.broken, Delayed: n.delayed})
	if err != nil {
		return err
	}
	n.Log.AdmitTxns(n.Sequencer.AdmitTxn(func(id log.TopicID) *catalog.Relation {
		rel, _ := n.Catalog.Current().ByTopic(id)
		return rel
	}))
	n.Database = session.New(session.Options{Log: n.Log, Catalog: n.Catalog, Tables: n.Tables, Views: n.Views,
		Versions: n.Versions, Sequencer: n.Sequencer, Engine: n.Engine, MaxTransaction: n.config.MaxTransaction, Applied: n.Runner.WaitApplied, Circuit: n.Runner.Explain,
		CanonicalKeys: len(n.config.Brokers) > 0})
	return nil
}

func (n *Node) codec(rel *catalog.Relation) (*ingest.Codec, error) {
	checks, err := session.Checks(rel)
	if err != nil {
		return nil, err
	}
	return ingest.New(rel, checks, n.Schemas)
}

// compile compiles a view against the catalog as it was when the view was made.
func (n *Node) compile(rel *catalog.Relation, snap *catalog.Snapshot, query ivm.Query) (*ivm.Program, error) {
	return session.CompileView(rel, snap, query)
}

// defined keeps a table's topic under the sequencer's order, and topics that want schemas under the registry's.
func (n *Node) defined(before, after *catalog.Relation) {
	if after == nil {
		if before != nil && !before.Topic.IsZero() {
			n.Log.Admit(before.Topic, nil)
		}
		return
	}
	var hook log.AdmissionHook
	if after.Kind == catalog.Table {
		id := after.ID
		hook = n.Sequencer.Admit(func() *catalog.Relation {
			rel, _ := n.Catalog.Current().ByID(id)
			return rel
		})
	}
	if t, ok := n.Log.TopicByID(after.Topic); ok {
		if schemas.Validates(&t) {
			hook = n.Schemas.Admit(t.ID, hook)
		}
		n.Log.Admit(t.ID, hook)
	}
}

func (n *Node) broken(rel *catalog.Relation, err error) {
	n.slog.Error("a materialized view has stopped following", "view", rel.Name, "error", err)
}

func (n *Node) delayed(err error) {
	n.slog.Warn("the views wait until the system gives what they need, and try again", "error", err)
}

// Addresses are where the doors listen.
func (n *Node) Addresses() (kafkaAddr, pgAddr, httpAddr string) {
	if n.listeners.kafka != nil {
		kafkaAddr = n.listeners.kafka.Addr().String()
	}
	return kafkaAddr, n.listeners.pg.Addr().String(), n.listeners.http.Addr().String()
}

// KafkaTLSAddress is where Kafka clients that speak TLS connect, "" when there is no such door.
func (n *Node) KafkaTLSAddress() string {
	if n.listeners.kafkaTLS == nil {
		return ""
	}
	return n.listeners.kafkaTLS.Addr().String()
}

// Ready is closed once recovery is over and every door answers.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// group runs functions until the first of them fails or its context ends.
type group struct {
	wg     sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
	fail   func(error)
}

func newGroup(ctx context.Context, fail func(error)) *group {
	g := &group{fail: fail}
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

func (g *group) run(name string, f func(context.Context) error) {
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		if err := f(g.ctx); err != nil && !errors.Is(err, context.Canceled) {
			g.fail(errs.New(errs.KindOf(err), "%s: %w", name, err))
		} else if g.ctx.Err() == nil {
			g.fail(errs.New(errs.Internal, "%s ended by itself", name))
		}
	}()
}

func (g *group) stop() {
	g.cancel()
	g.wg.Wait()
}

// Run serves until ctx ends or a part fails, and gives the fault.
func (n *Node) Run(ctx context.Context) error {
	started := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	base := context.WithoutCancel(ctx)
	ground, follow, doors := newGroup(base, cancel0(cancel)), newGroup(base, cancel0(cancel)), newGroup(base, cancel0(cancel))
	ground.run("memory", returnMemory)
	ground.run("log", n.Log.Run)
	follow.run("analytical engine", n.Engine.Run)
	follow.run("column store", n.Columnar.Run)
	follow.run("views", n.Runner.Run)
	doors.run("HTTP", func(ctx context.Context) error { // health is answered while recovery goes on
		return serveHTTP(ctx, n.listeners.http, n.handler(), httpLimits{connections: connections(maxHTTP),
			header: 10 * time.Second, idle: 2 * time.Minute, stall: time.Minute, parting: 2 * time.Second})
	})
	if err := n.serveWhenReady(ctx, doors, started); err != nil {
		cancel(err)
	}
	select {
	case <-ctx.Done():
	case err := <-n.failed:
		cancel(err)
	}
	doors.stop()
	follow.stop()
	err := n.Runner.Close()
	ground.stop()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

func cancel0(cancel context.CancelCauseFunc) func(error) { return func(err error) { cancel(err) } }

// serveKafka opens the Kafka door; over a Kafka cluster there is none, clients go there.
func (n *Node) serveKafka(ctx context.Context, doors *group) error {
	l, ok := n.Log.(kafka.Log)
	if !ok {
		return nil
	}
	ks, err := kafka.Open(ctx, kafka.Options{Log: l, Catalog: n.Database, ClusterID: n.dir.meta.ClusterID, NodeID: 1, Report: n.report,
		MaxConnections: connections(maxKafka),
		Authentication: n.config.KafkaAuth, SessionLifetime: n.config.KafkaSession, OffsetsRetention: n.config.OffsetsRetention,
		SuperUsers: n.config.SuperUsers, EveryoneWithoutACL: n.config.EveryoneWithoutACL})
	if err != nil {
		return err
	}
	n.metrics.registry.MustRegister(kafkaMetrics{ks})
	kafkaDoors := []net.Listener{n.listeners.kafka}
	if n.listeners.kafkaTLS != nil {
		kafkaDoors = append(kafkaDoors, tls.NewListener(n.listeners.kafkaTLS, n.tls.kafka.Config()))
	}
	doors.run("Kafka", func(ctx context.Context) error { return ks.Serve(ctx, kafkaDoors...) })
	return nil
}

// serveWhenReady waits for recovery, then opens the doors.
func (n *Node) serveWhenReady(ctx context.Context, doors *group, started time.Time) error {
	if err := n.Database.Start(ctx); err != nil {
		return err
	}
	if err := n.bootstrapUser(ctx); err != nil {
		return err
	}
	if err := n.serveKafka(ctx, doors); err != nil {
		return err
	}
	po := pgwire.Options{Database: n.Database, Report: n.report, MaxConnections: connections(maxPG)}
	if n.tls.pg != nil {
		po.TLS = n.tls.pg.Config()
	}
	ps := pgwire.New(po)
	doors.run("PostgreSQL", func(ctx context.Context) error { return ps.Serve(ctx, n.listeners.pg) })
	close(n.ready)
	k, p, h := n.Addresses()
	if len(n.config.Brokers) > 0 {
		k = strings.Join(n.config.Brokers, ",")
	}
	told := []any{"kafka", k, "postgresql", p, "http", "http://" + h, "data", n.dir.path, "after", time.Since(started).Round(time.Millisecond).String()}
	if a := n.KafkaTLSAddress(); a != "" {
		told = append(told, "kafka-tls", a)
	}
	n.slog.Info("ready", told...)
	return nil
}

func (n *Node) report(err error) { n.slog.Error("a connection failed", "error", err) }

// Close lets go of everything, newest first. Run has returned.
func (n *Node) Close() error {
	var err error
	for i := len(n.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, n.closers[i]())
	}
	n.closers = nil
	return err
}
