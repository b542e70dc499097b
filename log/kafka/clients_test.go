package kafka

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// records is how many records each client produces with each codec.
const records = 200

// client is one stock client of the matrix: it produces `records` records "NAME i xxx…" with a codec, and consumes count
// records of a topic from its beginning.
type client struct {
	name    string
	produce func(t *testing.T, address, codec, topic string)
	consume func(t *testing.T, address, codec, topic string, count int) []string
}

// TestClients: what each stock client has produced with each codec, each reads: its own and the others' records.
func TestClients(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	clients := []client{franzClient("franz"), franzClient("franz-group", kgo.ConsumerGroup("franz")), kcatClient(t), pythonClient(t, "confluent"),
		pythonClient(t, "kafkapython"), javaClient(t)}
	for _, codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			topic := "codec-" + codec
			var want []string
			for _, c := range clients {
				c.produce(t, address, codec, topic)
				if t.Failed() {
					t.Fatalf("%s did not produce", c.name)
				}
				checkCodec(t, l, topic, codec, c.name, int64(len(want)))
				for i := range records {
					want = append(want, value(c.name, i))
				}
			}
			for _, c := range clients {
				got := c.consume(t, address, codec, topic, len(want))
				if !slices.Equal(got, want) {
					t.Errorf("%s consumed %d records, want %d; first difference: %s", c.name, len(got), len(want), difference(got, want))
				}
			}
		})
	}
}

func value(name string, i int) string {
	return fmt.Sprintf("%s %d %s", name, i, strings.Repeat("x", 50))
}

func difference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("%d: %q, want %q", i, got[i], want[i])
		}
	}
	return "length"
}

// checkCodec looks at what the client really sent, from offset on: an old librdkafka that does not like our versions falls
// silently back to no compression.
func checkCodec(t *testing.T, l log.Log, topic, codec, client string, offset int64) {
	t.Helper()
	end := offset
	for _, b := range stored(t, l, topic, offset) {
		if got := b.Codec().String(); got != codec {
			t.Errorf("%s was to send %s and sent %s", client, codec, got)
		}
		end = b.LastOffset() + 1
	}
	if end != offset+records {
		t.Errorf("%s produced %d records, want %d", client, end-offset, records)
	}
}

// stored gives the batches of a topic's partition 0 from an offset on.
func stored(t *testing.T, l log.Log, topic string, offset int64) (batches []record.Batch) {
	t.Helper()
	found, _ := l.Topic(topic)
	chunk, err := l.Read(context.Background(), log.Partition{Topic: found.ID}, offset, log.ReadLimit{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for len(chunk) > 0 {
		var b record.Batch
		if b, chunk, err = record.Parse(chunk); err != nil {
			t.Fatal(err)
		}
		batches = append(batches, b)
	}
	return batches
}

func franz(t *testing.T, address string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation()}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func franzClient(name string, options ...kgo.Opt) client {
	compression := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	return client{name,
		func(t *testing.T, address, codec, topic string) {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			defer cancel()
			producer := franz(t, address, kgo.ProducerBatchCompression(compression[codec]))
			defer producer.Close()
			for i := range records {
				producer.Produce(ctx, &kgo.Record{Topic: topic, Value: []byte(value(name, i))}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			if err := producer.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		},
		func(t *testing.T, address, codec, topic string, count int) (got []string) {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			defer cancel()
			consumer := franz(t, address, append(options, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
			defer consumer.Close()
			for len(got) < count {
				fetches := consumer.PollFetches(ctx)
				if err := fetches.Err(); err != nil {
					t.Fatal(err)
				}
				fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
			}
			return got
		}}
}

// run gives a program its input and returns its output, both a line per record.
func run(t *testing.T, input []string, program string, args ...string) []string {
	t.Helper()
	out, err := tryRun(input, program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tryRun is run of a program that may fail; the error has what it says.
func tryRun(input []string, program string, args ...string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(strings.Join(append(input, ""), "\n"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), nil
}

func lines(name string) (out []string) {
	for i := range records {
		out = append(out, value(name, i))
	}
	return out
}

func kcatClient(t *testing.T) client {
	kcat := testenv.Kcat(t)
	return client{"kcat",
		func(t *testing.T, address, codec, topic string) {
			run(t, lines("kcat"), kcat, "-P", "-b", address, "-t", topic, "-z", codec, "-X", "enable.idempotence=true")
		},
		func(t *testing.T, address, codec, topic string, count int) []string {
			grouped := run(t, nil, kcat, "-b", address, "-q", "-X", "auto.offset.reset=earliest", "-c", fmt.Sprint(count), "-G", "kcat-"+codec, topic)
			plain := run(t, nil, kcat, "-C", "-b", address, "-t", topic, "-q", "-o", "beginning", "-e")
			if !slices.Equal(grouped, plain) {
				t.Errorf("kcat in a group read %d records, alone %d", len(grouped), len(plain))
			}
			return plain
		}}
}

func pythonClient(t *testing.T, library string) client {
	python := testenv.PythonVenv(t, testenv.PythonKafka...)
	script := func(t *testing.T, action, address, codec, topic string, count int) []string {
		return run(t, nil, python, "testdata/clients.py", library, action, address, codec, topic, fmt.Sprint(count))
	}
	return client{library,
		func(t *testing.T, address, codec, topic string) { script(t, "produce", address, codec, topic, records) },
		func(t *testing.T, address, codec, topic string, count int) []string {
			return script(t, "consume", address, codec, topic, count)
		}}
}

// java runs one of Kafka's command line tools. One that has found no time to ask anything, on a busy machine, is run again.
func java(t *testing.T, input []string, class string, args ...string) []string {
	t.Helper()
	jars := testenv.KafkaJars(t)
	args = append([]string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jars, class}, args...)
	for try := 1; ; try++ {
		out, err := tryRun(input, testenv.Java(t), args...)
		if err == nil {
			return out
		}
		if try == 3 || !strings.Contains(err.Error(), "Timed out waiting for a node assignment") {
			t.Fatal(err)
		}
	}
}

// groupCommand is kafka-consumer-groups.sh, which waits for 5 s if it is not told how long.
func groupCommand(t *testing.T, address string, args ...string) string {
	t.Helper()
	args = append([]string{"--bootstrap-server", address, "--timeout", "120000"}, args...)
	return strings.Join(java(t, nil, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", args...), "\n")
}

func javaClient(t *testing.T) client {
	testenv.KafkaJars(t)
	testenv.Java(t)
	return client{"java",
		func(t *testing.T, address, codec, topic string) {
			java(t, lines("java"), "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", address, "--topic", topic, "--compression-codec", codec,
				"--request-timeout-ms", "60000")
		},
		func(t *testing.T, address, codec, topic string, count int) []string {
			return java(t, nil, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", address, "--topic", topic,
				"--from-beginning", "--max-messages", fmt.Sprint(count), "--timeout-ms", "120000", "--group", "java-"+codec)
		}}
}

// Kafka's own administration tools see what is there.
func TestJavaTools(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	tool := func(class string, args ...string) string {
		t.Helper()
		return strings.Join(java(t, nil, "org.apache.kafka.tools."+class, append([]string{"--bootstrap-server", address}, args...)...), "\n")
	}
	wants := func(got string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(got, part) {
				t.Errorf("no %q in:\n%s", part, got)
			}
		}
	}
	wants(tool("TopicCommand", "--create", "--topic", "orders", "--partitions", "3", "--config", "retention.ms=1000"), "Created topic orders")
	wants(tool("TopicCommand", "--describe", "--topic", "orders"), "PartitionCount: 3", "retention.ms=1000", "Leader: 1")
	wants(tool("TopicCommand", "--list"), "orders")
	franzClient("franz").produce(t, address, "none", "orders")
	consumer := franz(t, address, kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for n := 0; n < records; {
		n += consumer.PollFetches(ctx).NumRecords()
	}
	if err := consumer.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	wants(groupCommand(t, address, "--describe", "--group", "billing"), "billing", "orders", fmt.Sprint(records))
	wants(groupCommand(t, address, "--list"), "billing")
	wants(tool("GetOffsetShell", "--topic", "orders"), "orders:0:", "orders:2:")
	consumer.Close() // it would make the topic again when it hears of its end
	wants(tool("TopicCommand", "--delete", "--topic", "orders"))
	if _, ok := l.Topic("orders"); ok {
		t.Error("the topic is still there")
	}
}

// Two members of a group share the partitions; when one leaves, the other takes over where it had committed.
func TestGroupRebalance(t *testing.T) { testGroupRebalance(t) }

// testGroupRebalance uses the classic protocol, with options the consumer protocol.
func testGroupRebalance(t *testing.T, options ...kgo.Opt) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog, quick)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	admin := kadm.NewClient(franz(t, address))
	if _, err := admin.CreateTopic(ctx, 4, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	member := func() *kgo.Client {
		return franz(t, address, append(options, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.HeartbeatInterval(50*time.Millisecond), kgo.DisableAutoCommit())...)
	}
	producer := franz(t, address, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	seen := map[string]int{}
	round := func(name string, clients ...*kgo.Client) {
		t.Helper()
		for i := range 40 {
			if err := producer.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: int32(i % 4), Value: fmt.Appendf(nil, "%s%d", name, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		for n, want := len(seen), len(seen)+40; n < want; n = len(seen) {
			for _, c := range clients {
				poll, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				fetches := c.PollFetches(poll)
				cancel()
				fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++ })
				if fetches.NumRecords() > 0 {
					if err := c.CommitUncommittedOffsets(ctx); err != nil {
						t.Fatal(err)
					}
				}
			}
			if ctx.Err() != nil {
				t.Fatalf("round %s: %d of %d records", name, n, want)
			}
		}
	}
	a := member()
	round("one", a)
	b := member()
	for stable := false; !stable; time.Sleep(20 * time.Millisecond) {
		classic, err := admin.DescribeGroups(ctx, "g")
		consumers, err2 := admin.DescribeConsumerGroups(ctx, "g")
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		// Each with its two: before a cooperative rebalance's second step the first may still read what it is to give up.
		halves := 0
		for _, m := range classic["g"].Members {
			if c, ok := m.Assigned.AsConsumer(); ok && len(c.Topics) == 1 && len(c.Topics[0].Partitions) == 2 {
				halves++
			}
		}
		for _, m := range consumers["g"].Members {
			if len(m.Assignment["t"]) == 2 {
				halves++
			}
		}
		stable = halves == 2 && (classic["g"].State == "Stable" || consumers["g"].State == "Stable")
	}
	round("two", a, b)
	a.Close()
	round("three", b)
	for value, n := range seen {
		if n != 1 {
			t.Errorf("%s was seen %d times", value, n)
		}
	}
}
