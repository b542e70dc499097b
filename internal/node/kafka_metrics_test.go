package node_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

// scrape reads /metrics as Prometheus does and gives the values by series: name{label="value",...}, labels by name. Of
// histograms and summaries it gives the _count and _sum.
func scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	r, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s, %v\n%s", r.Status, err, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("/metrics: %v\n%s", err, body)
	}
	out := map[string]float64{}
	for name, f := range families {
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			slices.Sort(labels)
			suffix := "{" + strings.Join(labels, ",") + "}"
			if suffix == "{}" {
				suffix = ""
			}
			switch {
			case m.Histogram != nil:
				out[name+"_count"+suffix], out[name+"_sum"+suffix] = float64(m.Histogram.GetSampleCount()), m.Histogram.GetSampleSum()
				below := uint64(0)
				for _, b := range m.Histogram.GetBucket() {
					if b.GetCumulativeCount() < below || b.GetCumulativeCount() > m.Histogram.GetSampleCount() {
						t.Errorf("%s%s: the buckets do not grow: %v", name, suffix, m.Histogram)
					}
					below = b.GetCumulativeCount()
				}
			case m.Summary != nil:
				out[name+"_count"+suffix], out[name+"_sum"+suffix] = float64(m.Summary.GetSampleCount()), m.Summary.GetSampleSum()
			default:
				out[name+suffix] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
			}
		}
	}
	return out
}

// wantSeries waits until a scrape has the values and all of them hold, and gives it: a request is counted just after its answer
// has been sent, and the log's files follow its journal.
func wantSeries(t *testing.T, address string, want map[string]float64, holds ...func(got map[string]float64) string) map[string]float64 {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		got, faults := scrape(t, address), []string(nil)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if v, ok := got[name]; !ok || v != want[name] {
				faults = append(faults, fmt.Sprintf("%s is %v (there: %v), want %v", name, v, ok, want[name]))
			}
		}
		for _, f := range holds {
			if fault := f(got); fault != "" {
				faults = append(faults, fault)
			}
		}
		if len(faults) == 0 {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatal(strings.Join(faults, "\n"))
		}
	}
}

func franz(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	k, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// What a stock client does is in /metrics by the names that Kafka's operators know.
func TestKafkaMetrics(t *testing.T) {
	s := nodetest.Start(t)
	seed := kgo.SeedBrokers(s.Kafka)
	producer := franz(t, seed, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if _, err := kadm.NewClient(producer).CreateTopic(t.Context(), 2, 1, nil, "clicks"); err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		for i := range 5 * int(p+1) {
			r := &kgo.Record{Topic: "clicks", Partition: p, Value: fmt.Appendf(nil, `{"page":"p%d"}`, i)}
			if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := wantSeries(t, s.HTTP, map[string]float64{
		`kafka_server_brokertopicmetrics_messagesin_total{topic="clicks"}`:            15,
		`kafka_server_brokertopicmetrics_messagesin_total{topic=""}`:                  15,
		`kafka_server_brokertopicmetrics_totalproducerequests_total{topic="clicks"}`:  15,
		`kafka_server_brokertopicmetrics_failedproducerequests_total{topic="clicks"}`: 0,
		`kafka_server_brokertopicmetrics_bytesout_total{topic="clicks"}`:              0,
		`kafka_network_requestmetrics_totaltimems_count{request="Produce"}`:           15,
		`kafka_network_requestmetrics_throttletimems_sum{request="Produce"}`:          0,
		`kafka_topic_partitions{topic="clicks"}`:                                      2,
		`kafka_log_log_logstartoffset{partition="1",topic="clicks"}`:                  0,
		`kafka_log_log_logendoffset{partition="0",topic="clicks"}`:                    5,
		`kafka_log_log_logendoffset{partition="1",topic="clicks"}`:                    10,
		`kafka_server_replicamanager_underreplicatedpartitions`:                       0,
		`kafka_controller_kafkacontroller_activecontrollercount`:                      1,
		`kafka_server_socket_server_metrics_connection_count{listener="SSL"}`:         0,
		`kafka_coordinator_group_groupmetadatamanager_numgroups`:                      0,
		`miracledb_kafka_series_left_out`:                                             0,
	}, func(got map[string]float64) string {
		in := got[`kafka_server_brokertopicmetrics_bytesin_total{topic="clicks"}`]
		size := got[`kafka_log_log_size{partition="0",topic="clicks"}`] + got[`kafka_log_log_size{partition="1",topic="clicks"}`]
		if in < 15*61 || in != size {
			return fmt.Sprintf("bytes in are %v, the log has %v", in, size)
		}
		return ""
	})
	in := got[`kafka_server_brokertopicmetrics_bytesin_total{topic="clicks"}`]
	if open := got[`kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT"}`]; open < 1 {
		t.Errorf("%v open connections", open)
	}
	if took := got[`kafka_network_requestmetrics_totaltimems_sum{request="Produce"}`]; took <= 0 || took > 60_000 {
		t.Errorf("15 Produce took %v ms", took)
	}

	consumer := franz(t, seed, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("clicks"), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var records []*kgo.Record
	for len(records) < 15 {
		fetches := consumer.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	first := slices.IndexFunc(records, func(r *kgo.Record) bool { return r.Partition == 1 && r.Offset == 3 })
	if err := consumer.CommitRecords(t.Context(), records[first]); err != nil {
		t.Fatal(err)
	}
	wantSeries(t, s.HTTP, map[string]float64{
		`kafka_server_brokertopicmetrics_bytesout_total{topic="clicks"}`:                     in,
		`kafka_consumergroup_members{consumergroup="g"}`:                                     1,
		`kafka_consumergroup_current_offset{consumergroup="g",partition="1",topic="clicks"}`: 4,
		`kafka_consumergroup_lag{consumergroup="g",partition="1",topic="clicks"}`:            6,
		`kafka_coordinator_group_groupmetadatamanager_numgroups`:                             1,
	})
	if err := consumer.CommitRecords(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
	wantSeries(t, s.HTTP, map[string]float64{
		`kafka_consumergroup_lag{consumergroup="g",partition="0",topic="clicks"}`:         0,
		`kafka_consumergroup_lag{consumergroup="g",partition="1",topic="clicks"}`:         0,
		`kafka_consumergroup_lag_sum{consumergroup="g",topic="clicks"}`:                   0,
		`kafka_network_requestmetrics_requests_total{request="OffsetCommit",version="9"}`: 2,
	})
}

// The faults and limits of clients are counted too; no name of a client's choice spoils the page; a dropped topic's series end.
func TestKafkaMetricsOfFaults(t *testing.T) {
	s := nodetest.Start(t)
	k := franz(t, kgo.SeedBrokers(s.Kafka), kgo.ClientID("slow"), kgo.DefaultProduceTopic("gone"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if _, err := kadm.NewClient(k).CreateTopic(t.Context(), 1, 1, nil, "gone"); err != nil {
		t.Fatal(err)
	}
	quota := kmsg.NewPtrAlterClientQuotasRequest()
	entry := kmsg.NewAlterClientQuotasRequestEntry()
	entity, op := kmsg.NewAlterClientQuotasRequestEntryEntity(), kmsg.NewAlterClientQuotasRequestEntryOp()
	entity.Type, entity.Name = "client-id", kmsg.StringPtr("slow")
	op.Key, op.Value = "producer_byte_rate", 1000
	entry.Entity, entry.Ops = append(entry.Entity, entity), append(entry.Ops, op)
	quota.Entries = append(quota.Entries, entry)
	if _, err := quota.RequestWith(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.Generation = "bad\xff", -1
	topic, partition := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	topic.Topic, topic.Partitions = "gone", append(topic.Partitions, partition)
	commit.Topics = append(commit.Topics, topic)
	if a, err := commit.RequestWith(t.Context(), k); err != nil || a.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal(a, err)
	}
	if err := k.ProduceSync(t.Context(), kgo.StringRecord(`{"page":"`+strings.Repeat("x", 20_000)+`"}`)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	garbage := kmsg.NewPtrProduceRequest()
	garbage.Acks, garbage.TimeoutMillis = -1, 1000
	for _, name := range []string{"gone", "never"} {
		t, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
		p.Records = []byte("no batch")
		t.Topic, t.Partitions = name, append(t.Partitions, p)
		garbage.Topics = append(garbage.Topics, t)
	}
	other := franz(t, kgo.SeedBrokers(s.Kafka), kgo.MaxVersions(kversion.V3_8_0())) // topics by their names
	if _, err := other.SeedBrokers()[0].Request(t.Context(), garbage); err != nil {
		t.Fatal(err)
	}
	wantSeries(t, s.HTTP, map[string]float64{
		`kafka_server_brokertopicmetrics_failedproducerequests_total{topic="gone"}`: 1,
		`kafka_server_brokertopicmetrics_failedproducerequests_total{topic=""}`:     2,
		`kafka_server_brokertopicmetrics_messagesin_total{topic="gone"}`:            1,
		`kafka_coordinator_group_groupmetadatamanager_numgroups`:                    1,
		`miracledb_kafka_series_left_out`:                                           1,
	}, func(got map[string]float64) string {
		if ms := got[`kafka_network_requestmetrics_throttletimems_sum{request="Produce"}`]; ms < 1000 || ms > 30_000 {
			return fmt.Sprintf("the throttled producer was told to wait %v ms", ms)
		}
		return ""
	})
	if _, err := kadm.NewClient(other).DeleteTopic(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	got := wantSeries(t, s.HTTP, map[string]float64{`kafka_server_brokertopicmetrics_messagesin_total{topic=""}`: 1})
	for name := range got {
		if strings.Contains(name, `topic="gone"`) {
			t.Errorf("%s is there after its topic was dropped", name)
		}
	}
}
