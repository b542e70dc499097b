package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log/anomaly"
)

const anomalyPartitions = 3

// jepsen is the workload of Jepsen's Kafka test: single appends, transactions that read and write, polls, while the server is
// killed.
type jepsen struct {
	t     *testing.T
	value atomic.Int64
	ids   atomic.Int64 // of processes

	mu struct {
		sync.Mutex
		ops []anomaly.Op
	}
}

func (j *jepsen) add(op anomaly.Op) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.ops = append(j.mu.ops, op)
}

func (j *jepsen) record(p int32) (*kgo.Record, anomaly.Write) {
	v := j.value.Add(1)
	return &kgo.Record{Topic: "j", Partition: p, Key: fmt.Appendf(nil, "k%d", v%50), Value: strconv.AppendInt(nil, v, 10)},
		anomaly.Write{Partition: p, Value: v, Offset: -1}
}

func (j *jepsen) client(p *nodetest.Process, options ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(p.Kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RetryTimeout(time.Minute), kgo.RecordDeliveryTimeout(time.Minute), kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.FetchIsolationLevel(kgo.ReadCommitted())}, options...)...)
	if err != nil {
		j.t.Error(err)
	}
	return c
}

// produce appends one record after the other.
func (j *jepsen) produce(ctx context.Context, p *nodetest.Process) {
	c := j.client(p)
	end := sync.OnceFunc(c.Close) // two at once race with each other
	defer end()
	defer context.AfterFunc(ctx, end)() // what is under way then fails: its outcome is not known
	process := int(j.ids.Add(1))
	for ctx.Err() == nil {
		r, w := j.record(int32(rand.IntN(anomalyPartitions)))
		op := anomaly.Op{Process: process, Writes: []anomaly.Write{w}}
		if err := c.ProduceSync(ctx, r).FirstErr(); err != nil {
			op.Status = anomaly.Unknown
		} else {
			op.Writes[0].Offset = r.Offset
		}
		j.add(op)
	}
}

var assignAll = func() map[string]map[int32]kgo.Offset {
	all := map[int32]kgo.Offset{}
	for i := range int32(anomalyPartitions) {
		all[i] = kgo.NewOffset().AtStart()
	}
	return map[string]map[int32]kgo.Offset{"j": all}
}()

func (j *jepsen) poll(ctx context.Context, c *kgo.Client) (reads []anomaly.Read) {
	c.PollRecords(ctx, 500).EachRecord(func(r *kgo.Record) {
		if r.Attrs.IsControl() {
			return
		}
		v, err := strconv.ParseInt(string(r.Value), 10, 64)
		if err != nil {
			j.t.Error(err)
		}
		reads = append(reads, anomaly.Read{Partition: r.Partition, Offset: r.Offset, Value: v})
	})
	return reads
}

// consume polls from the start on.
func (j *jepsen) consume(ctx context.Context, p *nodetest.Process) {
	c := j.client(p, kgo.ConsumePartitions(assignAll))
	defer c.Close()
	process := int(j.ids.Add(1))
	for fresh := true; ctx.Err() == nil; fresh = false {
		if reads := j.poll(ctx, c); len(reads) > 0 || fresh {
			j.add(anomaly.Op{Process: process, Fresh: fresh, Reads: reads})
		}
	}
}

// transact reads what others wrote and writes in transactions, some of which it aborts. One that was killed with its
// transaction open is followed by another with its transactional id.
func (j *jepsen) transact(ctx context.Context, p *nodetest.Process, id string) {
	c := j.client(p, kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute), kgo.ConsumePartitions(assignAll))
	end := sync.OnceFunc(c.Close)
	defer end()
	defer context.AfterFunc(ctx, end)()
	process := int(j.ids.Add(1))
	for fresh := true; ctx.Err() == nil; fresh = false {
		if c.BeginTransaction() != nil {
			return
		}
		op := anomaly.Op{Process: process, Fresh: fresh, Status: anomaly.Failed}
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		op.Reads = j.poll(short, c)
		cancel()
		var sent []*kgo.Record
		for range 1 + rand.IntN(5) {
			r, w := j.record(int32(rand.IntN(anomalyPartitions)))
			sent, op.Writes = append(sent, r), append(op.Writes, w)
		}
		err := c.ProduceSync(ctx, sent...).FirstErr()
		if err == nil && rand.IntN(4) > 0 {
			op.Status = anomaly.Unknown
			if err = c.EndTransaction(ctx, kgo.TryCommit); err == nil {
				op.Status = anomaly.OK
				for i, r := range sent {
					op.Writes[i].Offset = r.Offset
				}
			}
		} else if err == nil {
			err = c.EndTransaction(ctx, kgo.TryAbort)
		}
		j.add(op)
		if err != nil {
			return
		}
	}
}

// wrote counts the operations that wrote.
func (j *jepsen) wrote() map[anomaly.Status]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	status := map[anomaly.Status]int{}
	for _, op := range j.mu.ops {
		if len(op.Writes) > 0 {
			status[op.Status]++
		}
	}
	return status
}

// underLoad waits until clients have done something of every sort, and a moment more.
func (j *jepsen) underLoad() {
	j.t.Helper()
	before := j.wrote()
	for range 6000 {
		now := j.wrote()
		if now[anomaly.OK] >= before[anomaly.OK]+10 && now[anomaly.Failed] > before[anomaly.Failed] {
			time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	j.t.Fatalf("there is hardly any load: %v, two minutes before %v", j.wrote(), before)
}

// finish ends what was left open, and reads everything.
func (j *jepsen) finish(p *nodetest.Process, transactors int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for i := range transactors {
		c := j.client(p, kgo.TransactionalID(fmt.Sprintf("t%d", i)))
		if _, _, err := c.ProducerID(ctx); err != nil {
			j.t.Fatal(err)
		}
		c.Close()
	}
	c := j.client(p, kgo.ConsumePartitions(assignAll), kgo.KeepControlRecords())
	defer c.Close()
	admin := kadm.NewClient(c)
	end, err := admin.ListEndOffsets(ctx, "j")
	if err != nil {
		j.t.Fatal(err)
	}
	stable, err := admin.ListCommittedOffsets(ctx, "j")
	if err != nil {
		j.t.Fatal(err)
	}
	left := map[int32]int64{}
	for i, e := range end["j"] {
		if stable["j"][i].Offset != e.Offset {
			j.t.Fatalf("partition %d is open from %d on, its end is %d", i, stable["j"][i].Offset, e.Offset)
		}
		if e.Offset > 0 {
			left[i] = e.Offset
		}
	}
	op := anomaly.Op{Process: int(j.ids.Add(1)), Fresh: true}
	for len(left) > 0 {
		fetches := c.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			j.t.Fatalf("%v: left are %v", err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				v, _ := strconv.ParseInt(string(r.Value), 10, 64)
				op.Reads = append(op.Reads, anomaly.Read{Partition: r.Partition, Offset: r.Offset, Value: v})
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	j.add(op)
}

// The anomalies of Jepsen's Kafka workload over kills with transactions open, as Kafka's clients see it: none but cycles through
// the order of writes, which Kafka's transactions allow.
func TestKillAnomalies(t *testing.T) {
	if testing.Short() {
		t.Skip("kills take a while")
	}
	kills := 4
	if testenv.Conformance() {
		kills = 200
	}
	const transactors = 3
	dir := filepath.Join(t.TempDir(), "data")
	j := &jepsen{t: t}
	p := nodetest.StartProcess(t, dir)
	admin := j.client(p)
	if _, err := kadm.NewClient(admin).CreateTopic(t.Context(), anomalyPartitions, 1, nil, "j"); err != nil {
		t.Fatal(err)
	}
	admin.Close()
	for range kills {
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		for range 2 {
			load.Go(func() { j.produce(ctx, p) })
		}
		for i := range transactors {
			load.Go(func() { j.transact(ctx, p, fmt.Sprintf("t%d", i)) })
		}
		load.Go(func() { j.consume(ctx, p) })
		j.underLoad()
		p.Kill()
		cancel()
		load.Wait()
		p = nodetest.StartProcess(t, dir)
	}
	j.finish(p, transactors)
	status := j.wrote()
	t.Logf("%d kills, %d values; operations that wrote: %d acknowledged, %d failed, %d unknown", kills, j.value.Load(),
		status[anomaly.OK], status[anomaly.Failed], status[anomaly.Unknown])
	if status[anomaly.OK] < 10*kills || status[anomaly.Failed] < kills {
		t.Error("there was hardly any load")
	}
	for _, a := range anomaly.Check(j.mu.ops) {
		if a.Kind == anomaly.G0 || a.Kind == anomaly.G1c {
			t.Log(a.Kind)
			continue
		}
		t.Error(a)
	}
}
