package kafka

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/broker/brokertest"
	"github.com/miracledb/miracledb/log/record"
)

// cleaningHistories is how many histories testdata/cleaning.txt has; make conformance plays more.
const cleaningHistories = 6

// What retention and compaction leave of random histories (keys, tombstones, transactions, epochs of idempotent producers, deleted
// records, another cleanup.policy in the midst) is batch by batch what Apache Kafka's cleaner leaves, as testdata/cleaning.txt
// says. Under make conformance Kafka is asked too.
func TestCleaningBesideKafka(t *testing.T) {
	o := brokertest.InMemory()
	o.FS, o.Dir = vfs.Default, t.TempDir()
	o.CleanInterval, o.TailBytes, o.Rows = 10*time.Millisecond, 1, broker.ByKey
	l := brokertest.Start(t, o)
	ours := serve(t, l, logCatalog{l})
	golden := filepath.Join("testdata", "cleaning.txt")
	if testenv.Conformance() {
		kafka := testenv.Kafka(t, "log.cleaner.enable=true", "log.cleaner.backoff.ms=10", "log.retention.check.interval.ms=50",
			"log.initial.task.delay.ms=50", "log.segment.delete.delay.ms=100", "log.cleaner.dedupe.buffer.size=20000000")
		var all strings.Builder
		for seed := range uint64(2 * cleaningHistories) {
			want := playHistory(t, kafka, "internal.segment.bytes", seed)
			sameLines(t, fmt.Sprintf("history %d beside Kafka", seed), playHistory(t, ours, "segment.bytes", seed), want)
			if seed < cleaningHistories {
				all.WriteString(want)
			}
		}
		if *rewrite {
			if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		sameLines(t, golden, all.String(), readText(t, golden))
		return
	}
	var all strings.Builder
	for seed := range uint64(cleaningHistories) {
		all.WriteString(playHistory(t, ours, "segment.bytes", seed))
	}
	sameLines(t, golden, all.String(), readText(t, golden))
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func sameLines(t *testing.T, what, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			from := max(i-8, 0)
			t.Fatalf("%s: line %d\n%s\nwant\n%s", what, i+1, strings.Join(g[from:min(i+3, len(g))], "\n"), strings.Join(w[from:min(i+3, len(w))], "\n"))
		}
	}
}

const (
	cleaningSegment = 1200
	padSize         = 1100              // so that each pad begins a segment
	longToCome      = 4_000_000_000_000 // retention.ms is in no doubt there
)

// history is what one broker is told and answers, in a text that is the same for all brokers that do the same.
type history struct {
	*peer
	rng       *rand.Rand
	topic     string
	policy    string
	producers map[string]*historyProducer
	names     map[int64]string
	endTxn    int16 // the version of EndTxn; from 5 on each end begins an epoch
	values    int
	settling  bool
	text      strings.Builder
}

type historyProducer struct {
	log.TxnProducer
	sequence int32
	open     bool // a transaction
}

// playHistory plays the history of a seed against a broker.
func playHistory(t *testing.T, address, segmentBytes string, seed uint64) string {
	t.Helper()
	h := &history{peer: dial(t, address), rng: rand.New(rand.NewPCG(seed, 5)), topic: fmt.Sprintf("history-%d", seed), endTxn: 3,
		producers: map[string]*historyProducer{}, names: map[int64]string{}}
	if seed%2 == 1 {
		h.endTxn = 5
	}
	h.policy = []string{"compact", "compact", "compact,delete", "delete", "compact", "compact,delete"}[seed%6]
	h.say("history %d: cleanup.policy=%s", seed, h.policy)
	h.create(map[string]string{segmentBytes: strconv.Itoa(cleaningSegment), "cleanup.policy": h.policy, "min.cleanable.dirty.ratio": "0", "retention.ms": "31536000000",
		"delete.retention.ms": []string{"0", "0", "86400000"}[seed%3], "message.timestamp.after.max.ms": "9223372036854775807"})
	for _, name := range []string{"i0", "i1", "x0", "x1", "x2"} {
		h.begin(name)
	}
	for round := range 3 {
		h.play(60)
		h.settle()
		h.left()
		if h.policy == "delete" {
			h.size()
		} else if round == 1 && h.rng.IntN(2) == 0 {
			for _, h.policy = range []string{"delete", "compact"} {
				h.set("cleanup.policy", h.policy)
				h.play(20)
				h.settle()
				h.left()
			}
		}
	}
	return h.text.String()
}

func (h *history) say(format string, args ...any) { fmt.Fprintf(&h.text, format+"\n", args...) }

// ready waits for a broker whose topic or coordinator is still to come.
func ready(code int16) bool {
	switch kerr.ErrorForCode(code) {
	case kerr.UnknownTopicOrPartition, kerr.NotLeaderForPartition, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress,
		kerr.ConcurrentTransactions:
		time.Sleep(10 * time.Millisecond)
		return false
	}
	return true
}

func codeName(code int16) string {
	if code == 0 {
		return "ok"
	}
	return kerr.TypedErrorForCode(code).Message
}

func (h *history) create(config map[string]string) {
	h.t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	q.SetVersion(5)
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = h.topic, 1, 1
	for name, value := range config {
		one.Configs = append(one.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: &value})
	}
	q.Topics = append(q.Topics, one)
	if a := h.ask(q).(*kmsg.CreateTopicsResponse).Topics[0]; a.ErrorCode != 0 {
		h.t.Fatalf("create %v: %s", config, codeName(a.ErrorCode))
	}
}

func (h *history) set(name, value string) {
	h.t.Helper()
	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	q.SetVersion(1)
	q.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: h.topic,
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: name, Op: kmsg.IncrementalAlterConfigOpSet, Value: &value}}}}
	h.say("set %s=%s: %s", name, value, codeName(h.ask(q).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode))
}

// begin asks for a producer id: of an x a transactional one.
func (h *history) begin(name string) {
	h.t.Helper()
	q := kmsg.NewPtrInitProducerIDRequest()
	q.SetVersion(4)
	q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = 600_000, -1, -1
	if name[0] == 'x' {
		id := h.topic + name
		q.TransactionalID = &id
	}
	a := h.ask(q).(*kmsg.InitProducerIDResponse)
	for !ready(a.ErrorCode) {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.SetVersion(3)
		find.CoordinatorKey, find.CoordinatorType = h.topic+name, 1
		h.ask(find)
		a = h.ask(q).(*kmsg.InitProducerIDResponse)
	}
	h.producers[name] = &historyProducer{TxnProducer: log.TxnProducer{ID: a.ProducerID, Epoch: a.ProducerEpoch}}
	h.names[a.ProducerID] = name
}

// play takes random steps.
func (h *history) play(steps int) {
	h.t.Helper()
	for range steps {
		switch r := h.rng.IntN(100); {
		case r < 25:
			h.write("", h.records())
		case r < 50:
			h.write(fmt.Sprint("i", h.rng.IntN(2)), h.records())
		case r < 77:
			h.write(fmt.Sprint("x", h.rng.IntN(3)), h.records())
		case r < 94:
			h.end(fmt.Sprint("x", h.rng.IntN(3)))
		case r < 97:
			h.deleteRecords()
		default:
			if name := fmt.Sprint("x", h.rng.IntN(3)); !h.producers[name].open {
				h.begin(name)
			}
		}
	}
	for i := range 3 {
		h.end(fmt.Sprint("x", i))
	}
}

// records are a few of few keys.
func (h *history) records() []record.Record {
	var rs []record.Record
	for range 1 + h.rng.IntN(5) {
		h.values++
		r := record.Record{Timestamp: longToCome + h.rng.Int64N(1e9), Key: fmt.Appendf(nil, "k%d", h.rng.IntN(10)), Value: fmt.Appendf(nil, "v%d", h.values)}
		if h.rng.IntN(4) == 0 {
			r.Value = nil
		}
		if h.rng.IntN(3) == 0 {
			r.Headers = append(r.Headers, record.Header{Key: []byte("h"), Value: fmt.Append(nil, h.values)})
		}
		rs = append(rs, r)
	}
	return rs
}
