package node_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/backup"
	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log/anomaly"
	"github.com/miracledb/miracledb/log/broker"
)

// mountings are how ext4 differs in what a cut leaves of what was not synced.
var mountings = []string{"", "data=writeback,commit=1000", "commit=1", "nodelalloc,data=writeback"}

// The power of a server's disk is cut under load: the log has no damage, what was acknowledged is there once, the tables and views
// are what the log says, and clients see no anomaly.
func TestPowerCuts(t *testing.T) {
	if testing.Short() {
		t.Skip("cuts take a while")
	}
	if !testenv.OwnMounts(t) {
		return
	}
	rounds := 2
	if testenv.Conformance() {
		rounds = 60
	}
	c := newCuts(t)
	for i := range rounds {
		c.load(i)
		c.restart(i)
		c.check(fmt.Sprintf("after round %d", i))
		if i%10 == 1 || i == rounds-1 {
			c.checkRebuilt()
		}
	}
	c.jepsen.finish(c.server, cutTransactors)
	c.checkAnomalies(rounds)
}

const (
	cutTransactors = 3
	cutProducers   = 2
)

// cuts is a server on a disk whose power is cut, and its clients.
type cuts struct {
	*testing.T
	disk   *testenv.Disk
	dir    string
	server *nodetest.Process
	kafka  atomic.Pointer[string] // the server's address
	jepsen *jepsen
	acked  *acknowledged
	steady []*kgo.Client // produce events; none has a record given up
	next   []int         // its next event, by client
	count  int           // of cuts
	replay int           // journal entries that recoveries replayed
}

func newCuts(t *testing.T) *cuts {
	c := &cuts{T: t, disk: testenv.NewDisk(t, 4<<30), jepsen: &jepsen{t: t},
		acked: &acknowledged{events: map[string]bool{}, rows: map[int]int{}}, next: make([]int, cutProducers)}
	c.dir = filepath.Join(c.disk.Dir, "data")
	c.start()
	createModel(t, c.server.Connect(t))
	admin := c.jepsen.client(c.server)
	defer admin.Close()
	if _, err := kadm.NewClient(admin).CreateTopic(t.Context(), anomalyPartitions, 1, nil, "j"); err != nil {
		t.Fatal(err)
	}
	for range cutProducers {
		c.steady = append(c.steady, c.steadyClient())
	}
	return c
}

func (c *cuts) start() {
	c.Helper()
	c.server = nodetest.StartProcess(c, c.dir)
	c.kafka.Store(&c.server.Kafka)
}

// steadyClient is an idempotent producer that outlives the server: what is not acknowledged it sends again to the next one. It never
// waits for room: there is no next one until its load has ended.
func (c *cuts) steadyClient() *kgo.Client {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, *c.kafka.Load())
	}
	k, err := kgo.NewClient(kgo.SeedBrokers(c.server.Kafka), kgo.Dialer(dial), kgo.ProducerLinger(time.Millisecond), kgo.MaxBufferedRecords(1_000_000),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.DefaultProduceTopic("e"))
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(k.Close)
	return k
}

func (c *cuts) produceSteadily(ctx context.Context, worker int) {
	for ; ctx.Err() == nil; c.next[worker]++ {
		at := worker*10_000_000 + c.next[worker]
		c.steady[worker].Produce(c.Context(), &kgo.Record{Value: fmt.Appendf(nil, `{"k":"s%d","at":%d}`, worker, at)}, func(_ *kgo.Record, err error) {
			if errors.Is(err, kgo.ErrClientClosed) { // the test has failed
				return
			}
			if err != nil {
				c.Errorf("event %d: %v", at, err)
				return
			}
			c.acked.Lock()
			c.acked.events[fmt.Sprint(at)] = true
			c.acked.Unlock()
		})
		if c.next[worker]%20 == 19 {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// cut cuts the power; the server lives on for a moment without its disk.
func (c *cuts) cut(server *nodetest.Process) {
	c.Helper()
	if err := c.disk.Cut(); err != nil {
		c.Fatal(err)
	}
	c.count++
	time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
	server.Kill()
}

// load runs clients of every sort until the power is cut.
func (c *cuts) load(round int) {
	ctx, cancel := context.WithTimeout(c.Context(), 5*time.Minute)
	defer cancel()
	var clients sync.WaitGroup
	for w := range cutProducers {
		clients.Go(func() { c.produceSteadily(ctx, w) })
		clients.Go(func() { writeRows(ctx, c.server, c.acked, round, w) })
		clients.Go(func() { c.jepsen.produce(ctx, c.server) })
	}
	for i := range cutTransactors {
		clients.Go(func() { c.jepsen.transact(ctx, c.server, fmt.Sprintf("t%d", i)) })
	}
	clients.Go(func() { c.jepsen.consume(ctx, c.server) })
	clients.Go(func() { c.changeModel(ctx, rand.New(rand.NewPCG(uint64(round), 2))) })
	c.jepsen.underLoad()
	c.cut(c.server)
	cancel()
	clients.Wait()
}

// changeModel runs random transactions of SQL.
func (c *cuts) changeModel(ctx context.Context, r *rand.Rand) {
	conn, err := pgx.Connect(ctx, c.server.DSN())
	if err != nil {
		return
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for ctx.Err() == nil {
		for _, statement := range []string{"BEGIN", randomWrite(r), randomWrite(r), []string{"COMMIT", "ROLLBACK"}[r.IntN(2)]} {
			if _, err := conn.Exec(ctx, statement); err != nil && conn.IsClosed() {
				return
			}
		}
	}
}

// restart starts the server after a cut, and after every third one more that comes while it recovers.
func (c *cuts) restart(round int) {
	c.Helper()
	c.remount(round)
	if round%3 == 1 {
		recovering := nodetest.Launch(c, c.dir)
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // an idle machine is ready after about 100
		c.cut(recovering)
		c.remount(round)
	}
	c.start()
}

// remount mounts the disk again and checks the log as it is there.
func (c *cuts) remount(round int) {
	c.Helper()
	if err := c.disk.Unmount(); err != nil {
		c.Fatal(err)
	}
	if err := c.disk.Mount(mountings[round%len(mountings)]); err != nil {
		c.Fatal(err)
	}
	report, err := broker.Check(broker.Options{Dir: filepath.Join(c.dir, backup.LogFolder)})
	if err != nil {
		c.Fatal(err)
	}
	for _, fault := range report.Faults {
		c.Errorf("the log after round %d: %v", round, fault)
	}
	c.replay += report.JournalEntries
}

func (c *cuts) check(when string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), 3*time.Minute)
	defer cancel()
	for i, k := range c.steady {
		if err := k.Flush(ctx); err != nil {
			c.Fatalf("%s: producer %d has %d records that nobody acknowledges: %v", when, i, k.BufferedProduceRecords(), err)
		}
	}
	if sent := c.next[0] + c.next[1]; len(c.acked.events) != sent {
		c.Fatalf("%s: %d of %d events are acknowledged", when, len(c.acked.events), sent)
	}
	conn := c.server.Connect(c)
	c.acked.check(c.T, conn, when)
	checkModel(c.T, conn, when)
	_ = conn.Close(ctx)
	if c.Failed() {
		c.FailNow()
	}
}

// checkRebuilt holds every table and view against those that a server makes from the log alone.
func (c *cuts) checkRebuilt() {
	c.server.Kill()
	alone := filepath.Join(c.TempDir(), "data")
	if err := os.CopyFS(filepath.Join(alone, backup.LogFolder), os.DirFS(filepath.Join(c.dir, backup.LogFolder))); err != nil {
		c.Fatal(err)
	}
	c.start()
	rebuilt := nodetest.StartProcess(c, alone)
	defer rebuilt.Kill()
	got, want := c.server.Connect(c), rebuilt.Connect(c)
	for _, name := range append(slices.Sorted(maps.Keys(modelViews)), "t", "u", "e") {
		query := "SELECT * FROM " + name
		if sorted(nodetest.Text(c, got, query)) != sorted(nodetest.Text(c, want, query)) {
			c.Errorf("%s is not what the log says", name)
		}
	}
}

func (c *cuts) checkAnomalies(rounds int) {
	status := c.jepsen.wrote()
	c.Logf("%d cuts, %d events, %d rows; of %d values, operations: %d acknowledged, %d failed, %d unknown; %d appends replayed from the journal",
		c.count, len(c.acked.events), len(c.acked.rows), c.jepsen.value.Load(), status[anomaly.OK], status[anomaly.Failed], status[anomaly.Unknown], c.replay)
	if status[anomaly.OK] < 10*rounds || status[anomaly.Failed] < rounds {
		c.Error("there was hardly any load")
	}
	for _, a := range anomaly.Check(c.jepsen.mu.ops) {
		if a.Kind == anomaly.G0 || a.Kind == anomaly.G1c {
			continue // Kafka's transactions allow them
		}
		c.Error(a)
	}
}
