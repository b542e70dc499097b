package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/miracledb/miracledb/internal/errs"
)

// LogOptions are those of Log; the zero value of each is the default.
type LogOptions struct {
	Records  int64  // of 100 bytes, of one run; default 5,000,000: under some 100,000 a JVM's start is measured
	Runs     int    // of each side, in turn; default 3
	Jars     string // class path of Apache Kafka; default KafkaJars
	Pprof    string // as in FlightsOptions
	Progress Progress
}

// Validate gives every fault at once.
func (o LogOptions) Validate() error {
	var faults []error
	if o.Records < 0 {
		faults = append(faults, errs.New(errs.Invalid, "--records is %d", o.Records))
	}
	if o.Runs < 0 {
		faults = append(faults, errs.New(errs.Invalid, "--runs is %d", o.Runs))
	}
	return errors.Join(faults...)
}

func (o LogOptions) withDefaults() (_ LogOptions, err error) {
	if o.Records == 0 {
		o.Records = 5_000_000
	}
	if o.Runs == 0 {
		o.Runs = 3
	}
	if o.Jars == "" {
		o.Jars, err = KafkaJars()
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	return o, err
}

const logPartitions = 6

// broker is one of the two sides of Log.
type broker struct {
	name, address string
	pid           int
	// topics have been made so far, of which the last number is the next one's name.
	topics int
}

func (b *broker) cpu() time.Duration { return processorTime(b.pid) }

func (b *broker) resident() float64 { return round(float64(residentTree(b.pid)) / (1 << 20)) }

// topic makes a topic and gives its name.
func (b *broker) topic(ctx context.Context, partitions int32, configs map[string]*string) (string, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.address))
	if err != nil {
		return "", err
	}
	defer client.Close()
	b.topics++
	name := "bench-" + strconv.Itoa(b.topics)
	admin := kadm.NewClient(client)
	if _, err = admin.CreateTopic(ctx, partitions, 1, configs, name); err != nil {
		return "", err
	}
	// Kafka answers before its broker leads the partitions.
	for range 100 {
		ends, err := admin.ListEndOffsets(ctx, name)
		if err == nil && ends.Error() == nil {
			return name, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return "", errs.New(errs.Unavailable, "the partitions of %s get no leader", name)
}

// Log is the log beside Apache Kafka: its own perf tools against both in turn, a lean producer and a lean consumer, one
// record there and back, transactions and memory.
func Log(ctx context.Context, o LogOptions) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "miracledb-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	o.Progress("starting both brokers", 0, 0)
	peer, err := startKafka(ctx, o.Jars, dir)
	if err != nil {
		return nil, err
	}
	defer peer.close()
	own, took, err := startServer(ctx, filepath.Join(dir, "data"), o.Pprof)
	if err != nil {
		return nil, err
	}
	defer own.kill()
	b := &logBench{options: o, dir: dir, own: own, result: &Result{Bench: "log"},
		ours:   &broker{name: "MiracleDB", address: own.kafka, pid: own.cmd.Process.Pid},
		theirs: &broker{name: "Kafka", address: peer.address, pid: peer.cmd.Process.Pid}}
	b.add(Case{Name: "start on an empty directory", Figures: Figures{Seconds: seconds(took)}})
	b.add(Case{Name: "idle", Figures: Figures{PeakRSS: b.ours.resident()}, Peer: &Figures{PeakRSS: b.theirs.resident()}})
	for _, part := range []func(context.Context) error{b.disk, b.warm, b.javaProduce, b.fixedRate, b.endToEnd, b.lag, b.lean, b.volume, b.transactions, b.memory} {
		if err := part(ctx); err != nil {
			return nil, fmt.Errorf("%w\nthe server's last words: %s", err, own.output.String())
		}
	}
	b.result.PeakRSS = own.memory.peakMiB()
	return b.result, nil
}

type logBench struct {
	options      LogOptions
	dir          string
	own          *server
	ours, theirs *broker
	sequential   float64 // MB/s that the disk writes
	result       *Result
}

func (b *logBench) add(c Case) { b.result.Cases = append(b.result.Cases, c) }

// runs are the figures of each run, by side.
type runs map[*broker][]Figures

// both runs a part against both sides in turn.
func (b *logBench) both(ctx context.Context, what string, part func(ctx context.Context, side *broker) (Figures, error)) (runs, error) {
	out := runs{}
	for i := range b.options.Runs {
		b.options.Progress(what, int64(i), int64(b.options.Runs))
		for _, side := range []*broker{b.ours, b.theirs} {
			settle()
			f, err := part(ctx, side)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", what, side.name, err)
			}
			out[side] = append(out[side], f)
		}
	}
	return out, nil
}

// settle has the kernel write what either side has left to it, so that nobody's figures hold another's writes: Kafka leaves all of
// its own.
func settle() { unix.Sync() }

// medians of each figure.
func medians(fs []Figures) Figures {
	of := func(field func(Figures) float64) float64 {
		var all []float64
		for _, f := range fs {
			all = append(all, field(f))
		}
		return medianRate(all)
	}
	return Figures{
		EventsPerSecond: of(func(f Figures) float64 { return f.EventsPerSecond }), QPS: of(func(f Figures) float64 { return f.QPS }),
		P50: of(func(f Figures) float64 { return f.P50 }), P99: of(func(f Figures) float64 { return f.P99 }),
		Seconds: of(func(f Figures) float64 { return f.Seconds }), CPU: of(func(f Figures) float64 { return f.CPU }),
		PeakRSS: of(func(f Figures) float64 { return f.PeakRSS }),
	}
}

// compare adds a case of medians; ratio takes the figure that the ratio is of.
func (b *logBench) compare(name string, of runs, ratio func(Figures) float64) {
	own, peer := medians(of[b.ours]), medians(of[b.theirs])
	c := Case{Name: name, Figures: own, Peer: &peer}
	if r := ratio(peer); r > 0 {
		c.Ratio = round(ratio(own) / r)
	}
	b.add(c)
}

func rate(f Figures) float64      { return f.EventsPerSecond }
func slowest(f Figures) float64   { return f.P99 }
func processor(f Figures) float64 { return f.CPU }

// disk measures what the disk gives: writing in sequence, and a small append made durable.
func (b *logBench) disk(context.Context) error {
	settle()
	f, err := os.Create(filepath.Join(b.dir, "disk"))
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer func() { _ = f.Close() }() // its bytes do not matter any more
	chunk := make([]byte, 1<<20)
	for i := range chunk {
		chunk[i] = byte(rand.Uint32())
	}
	const chunks = 1024
	began := time.Now()
	for range chunks {
		if _, err := f.Write(chunk); err != nil {
			return err
		}
	}
	if err := syscall.Fdatasync(int(f.Fd())); err != nil {
		return err
	}
	took := time.Since(began)
	b.sequential = chunks * float64(len(chunk)) / 1e6 / took.Seconds()
	b.add(Case{Name: "disk: 1 GiB in sequence, MB/s", Figures: Figures{Seconds: seconds(took), QPS: round(b.sequential)}})
	syncs, err := b.syncs(500, 0)
	if err != nil {
		return err
	}
	b.add(Case{Name: "disk: fdatasync of 4 KiB", Figures: Figures{P50: milliseconds(median(syncs)), P99: milliseconds(quantile(syncs, 0.99))}})
	return nil
}

// warm gives both brokers two million records that do not count.
func (b *logBench) warm(ctx context.Context) error {
	for _, side := range []*broker{b.ours, b.theirs} {
		b.options.Progress("warming "+side.name, 0, 0)
		topic, err := side.topic(ctx, logPartitions, nil)
		if err != nil {
			return err
		}
		if _, err := b.perf(ctx, side, topic, min(2_000_000, b.options.Records), 100, -1); err != nil {
			return err
		}
	}
	return nil
}

// perfLine is the last line of Kafka's ProducerPerformance.
var perfLine = regexp.MustCompile(`(\d+) records sent, ([\d.]+) records/sec .* ([\d.]+) ms avg latency, ([\d.]+) ms max latency, (\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th`)

// perf runs Kafka's own producer, acks=all; perSecond -1 is as fast as it can.
func (b *logBench) perf(ctx context.Context, side *broker, topic string, records int64, size, perSecond int) (f Figures, err error) {
	before := side.cpu()
	out, err := javaTool(ctx, b.options.Jars, "org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server", side.address, "--topic", topic,
		"--num-records", strconv.FormatInt(records, 10), "--record-size", strconv.Itoa(size), "--throughput", strconv.Itoa(perSecond), "--command-property", "acks=all")
	if err != nil {
		return f, err
	}
	lines := perfLine.FindAllStringSubmatch(out, -1)
	if len(lines) == 0 {
		return f, errs.New(errs.Internal, "ProducerPerformance printed no result: %s", out)
	}
	last := lines[len(lines)-1]
	f.EventsPerSecond, f.P50, f.P99 = toFloat(last[2]), toFloat(last[5]), toFloat(last[7])
	f.CPU = seconds(side.cpu() - before)
	return f, nil
}

func toFloat(s string) float64 {
	f, _ := strconv.ParseFloat(strings.TrimSpace(s), 64) // a pattern has matched it
	return f
}

// consume runs Kafka's own consumer; the figure wanted is its rate of fetching, without the time to join a group.
func (b *logBench) consume(ctx context.Context, side *broker, topic string, records int64) (f Figures, err error) {
	before := side.cpu()
	out, err := javaTool(ctx, b.options.Jars, "org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", side.address, "--topic", topic,
		"--num-records", strconv.FormatInt(records, 10), "--timeout", "60000")
	if err != nil {
		return f, err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	columns := strings.Split(lines[len(lines)-1], ",")
	if len(columns) < 10 {
		return f, errs.New(errs.Internal, "ConsumerPerformance printed no result: %s", out)
	}
	f.EventsPerSecond, f.CPU = toFloat(columns[9]), seconds(side.cpu()-before)
	return f, nil
}

// javaProduce runs Kafka's perf tools with small and large records.
func (b *logBench) javaProduce(ctx context.Context) error {
	for _, work := range []struct {
		size    int
		records int64
	}{{100, b.options.Records}, {1000, b.options.Records / 5}} {
		consumed := runs{}
		name := fmt.Sprintf("%d records of %d B", work.records, work.size)
		of, err := b.both(ctx, "Java client: "+name, func(ctx context.Context, side *broker) (Figures, error) {
			topic, err := side.topic(ctx, logPartitions, nil)
			if err != nil {
				return Figures{}, err
			}
			f, err := b.perf(ctx, side, topic, work.records, work.size, -1)
			if err != nil {
				return f, err
			}
			c, err := b.consume(ctx, side, topic, work.records)
			consumed[side] = append(consumed[side], c)
			return f, err
		})
		if err != nil {
			return err
		}
		b.compare("Java producer: "+name, of, rate)
		b.compare("  its broker's CPU", of, processor)
		b.compare("Java consumer: "+name, consumed, rate)
		b.compare("  its broker's CPU", consumed, processor)
	}
	return nil
}

// fixedRate is the latency at 10,000 records a second.
func (b *logBench) fixedRate(ctx context.Context) error {
	of, err := b.both(ctx, "Java producer at 10,000/s", func(ctx context.Context, side *broker) (Figures, error) {
		topic, err := side.topic(ctx, logPartitions, nil)
		if err != nil {
			return Figures{}, err
		}
		return b.perf(ctx, side, topic, 100_000, 100, 10_000)
	})
	if err != nil {
		return err
	}
	b.compare("Java producer at 10,000/s: p99", of, slowest)
	return nil
}

// durably is what makes Kafka as durable as this log.
var (
	one     = "1"
	durably = map[string]*string{"flush.messages": &one}
)

// durableTopic makes a topic that has each batch on disk before it is acknowledged, on both sides.
func (b *logBench) durableTopic(ctx context.Context, side *broker, partitions int32) (string, error) {
	if side == b.ours {
		return side.topic(ctx, partitions, nil)
	}
	return side.topic(ctx, partitions, durably)
}

var endToEndLines = regexp.MustCompile(`(?s)Avg latency: ([\d.]+) ms.*50th = (\d+), 99th = (\d+)`)

// endToEnd is one record there and back.
func (b *logBench) endToEnd(ctx context.Context) error {
	of, err := b.both(ctx, "one record there and back", func(ctx context.Context, side *broker) (f Figures, err error) {
		topic, err := b.durableTopic(ctx, side, 1)
		if err != nil {
			return f, err
		}
		out, err := javaTool(ctx, b.options.Jars, "org.apache.kafka.tools.EndToEndLatency", side.address, topic, "3000", "all", "100")
		if err != nil {
			return f, err
		}
		found := endToEndLines.FindStringSubmatch(out)
		if found == nil {
			return f, errs.New(errs.Internal, "EndToEndLatency printed no result: %s", out)
		}
		f.Seconds, f.P50, f.P99 = round(toFloat(found[1])/1000), toFloat(found[2]), toFloat(found[3])
		f.QPS = round(1000 / toFloat(found[1]))
		return f, nil
	})
	if err != nil {
		return err
	}
	b.compare("there and back, Kafka with flush.messages=1: 1/mean", of, func(f Figures) float64 { return f.QPS })
	return nil
}

// lean is a producer that costs nothing: the broker alone is measured. Then a consumer like it.
func (b *logBench) lean(ctx context.Context) error {
	drained := runs{}
	run := func(durable bool) func(ctx context.Context, side *broker) (Figures, error) {
		return func(ctx context.Context, side *broker) (f Figures, err error) {
			configs := map[string]*string(nil)
			if durable && side == b.theirs {
				configs = durably
			}
			topic, err := side.topic(ctx, logPartitions, configs)
			if err != nil {
				return f, err
			}
			before := side.cpu()
			got, err := replay(ctx, side.address, replaying{topic: topic, partitions: logPartitions, recordSize: 100, records: b.options.Records})
			if err != nil {
				return f, err
			}
			f.EventsPerSecond = round(float64(got.records) / got.took.Seconds())
			f.P50, f.P99 = milliseconds(median(got.latencies)), milliseconds(quantile(got.latencies, 0.99))
			f.CPU = seconds(side.cpu() - before)
			if durable {
				return f, nil
			}
			ends := make([]int64, logPartitions)
			for i := range ends {
				ends[i] = got.records / logPartitions
			}
			settle()
			began, before := time.Now(), side.cpu()
			bytes, err := drain(ctx, side.address, topic, ends)
			drained[side] = append(drained[side], Figures{QPS: round(float64(bytes) / 1e6 / time.Since(began).Seconds()), CPU: seconds(side.cpu() - before)})
			return f, err
		}
	}
	of, err := b.both(ctx, "lean producer", run(false))
	if err != nil {
		return err
	}
	b.compare("lean producer, 100 B: records/s", of, rate)
	b.compare("  its broker's CPU", of, processor)
	b.compare("lean consumer: MB/s", drained, func(f Figures) float64 { return f.QPS })
	if of, err = b.both(ctx, "lean producer, Kafka with flush.messages=1", run(true)); err != nil {
		return err
	}
	b.compare("lean producer, Kafka with flush.messages=1: records/s", of, rate)
	b.compare("  p99", of, slowest)
	return nil
}

// volume is how near the disk's own speed the log writes, each byte once into the journal and once into a segment, when a client
// gives it large batches.
func (b *logBench) volume(ctx context.Context) error {
	const size, batch, volumeRecords = 1000, 256 << 10, 1_000_000
	var rates, cpu []float64
	for i := range b.options.Runs {
		b.options.Progress("lean producer, large batches", int64(i), int64(b.options.Runs))
		topic, err := b.ours.topic(ctx, logPartitions, nil)
		if err != nil {
			return err
		}
		settle()
		before := b.ours.cpu()
		got, err := replay(ctx, b.ours.address, replaying{topic: topic, partitions: logPartitions, recordSize: size, batch: batch, records: min(b.options.Records, volumeRecords)})
		if err != nil {
			return err
		}
		rates = append(rates, 2*size*float64(got.records)/1e6/got.took.Seconds())
		cpu = append(cpu, seconds(b.ours.cpu()-before))
	}
	b.add(Case{Name: "lean producer, 1,000 B in batches of 256 KiB: MB/s into journal and segments",
		Figures: Figures{QPS: round(medianRate(rates)), CPU: medianRate(cpu)}, Peer: &Figures{QPS: round(b.sequential)}, Ratio: round(medianRate(rates) / b.sequential)})
	return nil
}

// transactions are of ten records over three partitions, by one producer and by sixteen.
func (b *logBench) transactions(ctx context.Context) error {
	for _, producers := range []int{1, 16} {
		name := fmt.Sprintf("transactions of 10 records over 3 partitions, %d producers", producers)
		of, err := b.both(ctx, name, func(ctx context.Context, side *broker) (f Figures, err error) {
			topic, err := b.durableTopic(ctx, side, txnPartitions)
			if err != nil {
				return f, err
			}
			all := make([][]time.Duration, producers)
			g, gctx := errgroup.WithContext(ctx)
			for i := range producers {
				g.Go(func() (err error) {
					all[i], err = transact(gctx, side.address, topic, fmt.Sprintf("%s-%d-%d", topic, producers, i))
					return err
				})
			}
			if err := g.Wait(); err != nil {
				return f, err
			}
			var latencies []time.Duration
			for _, l := range all {
				latencies = append(latencies, l...)
			}
			f.P50, f.P99, f.QPS = milliseconds(median(latencies)), milliseconds(quantile(latencies, 0.99)), round(float64(len(latencies))/txnMeasured.Seconds())
			return f, nil
		})
		if err != nil {
			return err
		}
		b.compare(name, of, func(f Figures) float64 { return f.QPS })
	}
	return nil
}

// memory is what the brokers hold some seconds after all that.
func (b *logBench) memory(context.Context) error {
	time.Sleep(12 * time.Second)
	own, peer := b.ours.resident(), b.theirs.resident()
	b.add(Case{Name: "resident after the load", Figures: Figures{PeakRSS: own}, Peer: &Figures{PeakRSS: peer}, Ratio: round(own / peer)})
	return nil
}
