package logtest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// Capability is something that not every Log can do.
type Capability uint

// The capabilities.
const (
	Restart      Capability = 1 << iota // an Instance keeps its data over Stop and Start
	Idempotence                         // retries of a numbered producer are found
	Attachments                         // ReadFrom at the tail gives the Attachment
	NextOffset                          // Expect.NextOffset
	Topics                              // catalog records create and drop topics
	Deletion                            // DeleteRecords
	Transactions                        // InitTxn, AddTxnPartitions, EndTxn
	KeyIndex                            // Expect.Key, log.KeyReader
	Verbatim                            // batches stand as they were appended, without gaps between their offsets

	Everything = Restart | Idempotence | Attachments | NextOffset | Topics | Deletion | Transactions | KeyIndex | Verbatim
)

var capabilityNames = map[Capability]string{
	Restart: "restart", Idempotence: "idempotence", Attachments: "attachments", NextOffset: "next offset expectations", Topics: "topics",
	Deletion: "deletion of records", Transactions: "Kafka transactions", KeyIndex: "key indexes", Verbatim: "batches as they were appended",
}

// String names the capabilities of a set.
func (c Capability) String() string {
	var names []string
	for bit := Capability(1); bit <= c; bit <<= 1 {
		if c&bit != 0 {
			names = append(names, capabilityNames[bit])
		}
	}
	return strings.Join(names, ", ")
}

// Instance is one log, with its data.
type Instance interface {
	// Start opens the log and runs it until Stop or the end of the test.
	Start() log.Log
	Stop()
}

// Implementation is what Run tests.
type Implementation struct {
	// Open makes an Instance without data.
	Open func(t *testing.T) Instance
	Can  Capability
}

// Run runs the suite.
func Run(t *testing.T, impl Implementation) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if missing := c.needs &^ impl.Can; missing != 0 {
				t.Skipf("this log cannot do: %s", missing)
			}
			in := impl.Open(t)
			c.run(&suite{T: t, in: in, contract: in.Start(), can: impl.Can})
		})
	}
}

var cases = []struct {
	name  string
	needs Capability
	run   func(*suite)
}{
	{"AppendRead", 0, testAppendRead},
	{"TotalOrder", 0, testTotalOrder},
	{"ConcurrentSubmits", 0, testConcurrentSubmits},
	{"ReadLimits", 0, testReadLimits},
	{"ReadFromWaits", 0, testReadFromWaits},
	{"LargeAppend", 0, testLargeAppend},
	{"Refusals", 0, testRefusals},
	{"Expectations", NextOffset, testExpectations},
	{"Idempotence", Idempotence, testIdempotence},
	{"TopicLife", Topics, testTopicLife},
	{"TopicInOneAppend", Topics, testTopicInOneAppend},
	{"Times", 0, testTimes},
	{"Positions", 0, testPositions},
	{"Admission", 0, testAdmission},
	{"Notify", 0, testNotify},
	{"Attachment", Attachments, testAttachment},
	{"Restart", Restart, testRestart},
	{"Properties", 0, testProperties},
	{"DeleteRecords", Deletion, testDeleteRecords},
	{"Transactions", Transactions, testTransactions},
	{"KeyExpectations", KeyIndex | Topics, testKeyExpectations},
	{"KeyExpectationsTransactions", KeyIndex | Topics | Transactions, testKeysOfTransactions},
	{"KeyIndexLater", KeyIndex | Topics | Deletion, testKeyIndexLater},
	{"ExpectationHeaders", KeyIndex | Topics, testExpectationHeaders},
}

// contract is embedded under this name because testing.T has a method Log.
type contract = log.Log

type suite struct {
	*testing.T
	contract
	in  Instance
	can Capability
}

// Restart stops the log and opens it again.
func (s *suite) restart() {
	s.in.Stop()
	s.contract = s.in.Start()
}

func (s *suite) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	s.Cleanup(cancel)
	return ctx
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// CreateTopic appends the catalog record that makes a topic, and gives the topic.
func CreateTopic(t testing.TB, l log.Log, name string, partitions int32, config map[string]string) log.Topic {
	t.Helper()
	r := log.TopicRecord{ID: NewTopicID().String(), Name: name, Partitions: partitions, Config: config}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if _, err := log.Commit(ctx, l, log.Append{Batches: []log.PartitionBatch{Catalog(t, r)}}); err != nil {
		t.Fatal(err)
	}
	topic, ok := l.Topic(name)
	if !ok {
		t.Fatalf("topic %s is not there after its record is durable", name)
	}
	return topic
}

// NewTopicID gives a random id.
func NewTopicID() (id log.TopicID) {
	rand.Read(id[:])
	return id
}

// Catalog is the batch for the catalog topic with the given topic records.
func Catalog(t testing.TB, records ...log.TopicRecord) log.PartitionBatch {
	t.Helper()
	var b record.Builder
	for _, r := range records {
		value, err := json.Marshal(log.CatalogRecord{Topic: &r})
		if err != nil {
			t.Fatal(err)
		}
		b.Add(time.Now().UnixMilli(), []byte(r.ID+"/1"), value)
	}
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return log.PartitionBatch{Partition: log.Partition{Topic: log.CatalogTopicID}, Batch: p}
}

// Batch is a record batch with one record per value, keyed by its number.
func Batch(t testing.TB, timestamp int64, values ...string) []byte {
	t.Helper()
	var b record.Builder
	for i, v := range values {
		b.Add(timestamp, fmt.Appendf(nil, "k%d", i), []byte(v))
	}
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Values are the values of all records in p, which is whole batches, with the first and last offset.
func Values(t testing.TB, p []byte) (values []string, first, last int64) {
	t.Helper()
	first, last = -1, -1
	var it record.Iterator
	for len(p) > 0 {
		b, rest, err := record.Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := it.Reset(b); err != nil {
			t.Fatal(err)
		}
		for it.Next() {
			r := it.Record()
			if r.Offset <= last {
				t.Fatalf("offset %d after %d", r.Offset, last)
			}
			if first < 0 {
				first = r.Offset
			}
			last = r.Offset
			values = append(values, string(r.Value))
		}
		if it.Err() != nil {
			t.Fatal(it.Err())
		}
		p = rest
	}
	return values, first, last
}

// ReadAll gives the values of all records of a partition, read from the offset behind what was read before.
func ReadAll(t testing.TB, l log.Log, p log.Partition) []string {
	t.Helper()
	bounds, err := l.Bounds(p)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for at := bounds.Start; at < bounds.End; {
		data, err := l.Read(context.Background(), p, at, log.ReadLimit{})
		if err != nil {
			t.Fatal(err)
		}
		values, first, last := Values(t, data)
		if first < at {
			t.Fatalf("asked for offset %d, got %d", at, first)
		}
		all = append(all, values...)
		at = last + 1
	}
	return all
}

// Entries reads every entry after a position, up to the end.
func Entries(t testing.TB, l log.Log, after log.Position) []log.Entry {
	t.Helper()
	var all []log.Entry
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for end := l.End(); after.Less(end); {
		got, err := l.ReadFrom(ctx, after, 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got...)
		after = got[len(got)-1].Position
	}
	return all
}
