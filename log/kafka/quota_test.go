package kafka

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/access"
)

func setQuota(t *testing.T, l log.PropertyStore, e access.QuotaEntity, key string, limit float64) {
	t.Helper()
	c := access.QuotaChange{Entity: e, Set: map[string]*float64{key: &limit}}
	if err := access.NewStore(l).AlterQuotas(context.Background(), []access.QuotaChange{c}); err != nil {
		t.Fatal(err)
	}
}

// A rate over its limit has its client wait until the windows' average is within it; a client that has just come may use
// what it has not used.
func TestRate(t *testing.T) {
	var r rates
	of := rateOf{key: access.ProducerByteRate}
	now := time.Unix(1000, 0)
	if wait := r.charge(of, 900, 100, now); wait != 0 {
		t.Errorf("within: %v", wait)
	}
	if wait := r.charge(of, 300, 100, now); wait != 2*time.Second {
		t.Errorf("200 over 100 a second: %v", wait)
	}
	if wait := r.charge(of, 0, 100, now.Add(11*time.Second)); wait > 0 {
		t.Errorf("when the windows are over: %v", wait)
	}
	if wait := r.charge(of, 1100, 100, now.Add(40*time.Second)); wait != time.Second {
		t.Errorf("much later nothing is remembered: %v", wait)
	}
	if wait := r.charge(of, 1e12, 100, now.Add(40*time.Second)); wait != maxThrottle {
		t.Errorf("the longest: %v", wait)
	}
}

// Produce and Fetch over their quota are answered with the time, and the client is not listened to until it is over;
// other clients are not disturbed.
func TestThrottle(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog, func(o *Options) { o.Clock = clock.NewManual(time.Unix(1_000_000, 0)) })
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p := dial(t, address)
	data := batch(t, 0, string(bytes.Repeat([]byte("x"), 20_000)))
	if a := p.ask(produce(9, "t", 0, data)).(*kmsg.ProduceResponse); a.ThrottleMillis != 0 {
		t.Fatalf("no quota, and %d ms", a.ThrottleMillis)
	}
	setQuota(t, l, access.QuotaEntity{ClientID: "peer"}, access.ProducerByteRate, 1700)
	began := time.Now()
	a := p.ask(produce(9, "t", 0, data)).(*kmsg.ProduceResponse)
	if a.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal("a throttled record is not taken")
	}
	wait := time.Duration(a.ThrottleMillis) * time.Millisecond
	if wait < 100*time.Millisecond || wait > 2*time.Second {
		t.Errorf("throttled for %v", wait)
	}
	p.ask(metadata())
	if took := time.Since(began); took < wait {
		t.Errorf("told to wait %v and answered after %v", wait, took)
	}
	setQuota(t, l, access.QuotaEntity{ClientID: "peer"}, access.ProducerByteRate, 1)
	if a := p.ask(produce(9, "t", 0, data)).(*kmsg.ProduceResponse); time.Duration(a.ThrottleMillis)*time.Millisecond != maxThrottle {
		t.Errorf("throttled for %d ms", a.ThrottleMillis)
	}
	p.send(metadata())
	began = time.Now()
	other := dial(t, address)
	other.ask(metadata())
	if took := time.Since(began); took > maxThrottle/2 {
		t.Errorf("another connection waited %v", took)
	}

	setQuota(t, l, access.QuotaEntity{User: access.DefaultEntity}, access.ConsumerByteRate, 1700)
	f := kmsg.NewPtrFetchRequest()
	f.SetVersion(12)
	f.MaxBytes, f.SessionEpoch = 1<<20, -1
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.PartitionMaxBytes, partition.CurrentLeaderEpoch = 1<<20, -1
	f.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{partition}}}
	if got := other.ask(f).(*kmsg.FetchResponse); got.ThrottleMillis < 1000 || len(got.Topics[0].Partitions[0].RecordBatches) < 40_000 {
		t.Errorf("a fetch of 60 kB at 1.7 kB/s: throttled for %d ms", got.ThrottleMillis)
	}
}

// Kafka's own tool sets and shows quotas.
func TestQuotaTool(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	configs := func(args ...string) string {
		t.Helper()
		return strings.Join(java(t, nil, configCommand, append([]string{"--bootstrap-server", address}, args...)...), "\n")
	}
	configs("--alter", "--entity-type", "users", "--entity-name", "ann", "--entity-type", "clients", "--entity-default", "--add-config", "producer_byte_rate=1024,request_percentage=50")
	configs("--alter", "--entity-type", "clients", "--entity-name", "c", "--add-config", "consumer_byte_rate=2048")
	if out := configs("--describe", "--entity-type", "clients", "--entity-name", "c"); !strings.Contains(out, "consumer_byte_rate=2048.0") {
		t.Errorf("--describe: %s", out)
	}
	if limit, _, ok := access.NewStore(l).Current().Quota(access.RequestPercentage, "ann", "x"); !ok || limit != 50 {
		t.Errorf("%v, %v", limit, ok)
	}
	configs("--alter", "--entity-type", "clients", "--entity-name", "c", "--delete-config", "consumer_byte_rate")
	if _, _, ok := access.NewStore(l).Current().Quota(access.ConsumerByteRate, "x", "c"); ok {
		t.Error("the quota is still there")
	}
}

func TestQuotaFaults(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	alter := func(kind, key string, value float64) int16 {
		q := kmsg.NewPtrAlterClientQuotasRequest()
		q.Entries = []kmsg.AlterClientQuotasRequestEntry{{Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: kind}},
			Ops: []kmsg.AlterClientQuotasRequestEntryOp{{Key: key, Value: value}}}}
		return p.ask(q).(*kmsg.AlterClientQuotasResponse).Entries[0].ErrorCode
	}
	for i, c := range []struct {
		kind, key string
		value     float64
		want      int16
	}{
		{"user", access.ProducerByteRate, 1, 0},
		{"ip", access.ProducerByteRate, 1, kerr.UnsupportedVersion.Code},
		{"user", "nonsense", 1, kerr.InvalidRequest.Code},
		{"user", access.ProducerByteRate, -1, kerr.InvalidRequest.Code},
	} {
		if got := alter(c.kind, c.key, c.value); got != c.want {
			t.Errorf("%d: %v", i, kerr.ErrorForCode(got))
		}
	}
}
