package kafka

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (p *peer) alter(op kmsg.IncrementalAlterConfigOp, name, value string) *kmsg.IncrementalAlterConfigsResponseResource {
	p.t.Helper()
	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	q.SetVersion(1)
	q.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t",
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: name, Op: op, Value: &value}}}}
	return &p.ask(q).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
}

func TestAlterConfigs(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	if _, err := catalog.CreateTopic(context.Background(), "t", 2, map[string]string{"retention.ms": "1000"}); err != nil {
		t.Fatal(err)
	}
	want := func(configs map[string]string) {
		t.Helper()
		topic, _ := l.Topic("t")
		for name, value := range configs {
			if topic.Setting(name) != value {
				t.Errorf("%s is %q, want %q", name, topic.Setting(name), value)
			}
		}
	}
	for _, c := range []struct {
		op          kmsg.IncrementalAlterConfigOp
		name, value string
		code        int16
	}{
		{kmsg.IncrementalAlterConfigOpSet, "segment.ms", "5000", 0},
		{kmsg.IncrementalAlterConfigOpAppend, "cleanup.policy", "compact", 0},
		{kmsg.IncrementalAlterConfigOpSubtract, "cleanup.policy", "delete", 0},
		{kmsg.IncrementalAlterConfigOpDelete, "retention.ms", "", 0},
		{kmsg.IncrementalAlterConfigOpSet, "no.such", "1", kerr.InvalidConfig.Code},
		{kmsg.IncrementalAlterConfigOpSet, "retention.bytes", "many", kerr.InvalidConfig.Code},
		{kmsg.IncrementalAlterConfigOpAppend, "retention.bytes", "1", kerr.InvalidConfig.Code},
	} {
		got := p.alter(c.op, c.name, c.value)
		if got.ErrorCode != c.code || c.code != 0 && !strings.Contains(*got.ErrorMessage, c.name) {
			t.Errorf("%s %s: %+v", c.name, c.value, got)
		}
	}
	want(map[string]string{"segment.ms": "5000", "cleanup.policy": "compact", "retention.ms": "604800000"})

	q := kmsg.NewPtrAlterConfigsRequest()
	q.SetVersion(2)
	value := "7"
	resource := kmsg.AlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t",
		Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "retention.bytes", Value: &value}}}
	node := kmsg.AlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1"}
	q.Resources = []kmsg.AlterConfigsRequestResource{resource, node}
	q.ValidateOnly = true
	p.ask(q)
	want(map[string]string{"segment.ms": "5000"})
	q.ValidateOnly = false
	if a := p.ask(q).(*kmsg.AlterConfigsResponse); a.Resources[0].ErrorCode != 0 || a.Resources[1].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("%+v", a)
	}
	want(map[string]string{"segment.ms": "604800000", "retention.bytes": "7", "cleanup.policy": "delete"})
}

func TestDescribeSynonyms(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog))
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, map[string]string{"retention.ms": "1000"}); err != nil {
		t.Fatal(err)
	}
	q := kmsg.NewPtrDescribeConfigsRequest()
	q.SetVersion(4)
	q.IncludeSynonyms = true
	q.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t",
		ConfigNames: []string{"retention.ms", "segment.ms"}}}
	got := p.ask(q).(*kmsg.DescribeConfigsResponse).Resources[0].Configs
	if len(got) != 2 || len(got[0].ConfigSynonyms) != 2 || len(got[1].ConfigSynonyms) != 1 {
		t.Fatalf("%+v", got)
	}
	own, node := got[0].ConfigSynonyms[0], got[0].ConfigSynonyms[1]
	if got[0].Source != kmsg.ConfigSourceDynamicTopicConfig || own.Name != "retention.ms" || *own.Value != "1000" ||
		node.Name != "log.retention.ms" || *node.Value != "604800000" || node.Source != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("%+v", got[0])
	}
	if got[1].Source != kmsg.ConfigSourceDefaultConfig || got[1].ConfigSynonyms[0].Name != "log.roll.ms" || got[1].ConfigType != kmsg.ConfigTypeLong {
		t.Errorf("%+v", got[1])
	}
}

func TestCreatePartitions(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	if _, err := catalog.CreateTopic(context.Background(), "t", 2, nil); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(franz(t, address))
	ctx := context.Background()
	for _, c := range []struct {
		count int
		want  *kerr.Error
	}{{2, kerr.InvalidPartitions}, {1, kerr.InvalidPartitions}, {20_000, kerr.InvalidPartitions}, {5, nil}} {
		got, err := admin.UpdatePartitions(ctx, c.count, "t")
		if err != nil {
			t.Fatal(err)
		}
		if err := got["t"].Err; c.want == nil && err != nil || c.want != nil && err != c.want {
			t.Errorf("%d partitions: %v, want %v", c.count, err, c.want)
		}
	}
	producer := franz(t, address, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := producer.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: 4, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// Kafka's own tool changes and shows the settings of a topic.
func TestJavaConfigs(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, map[string]string{"segment.ms": "60000"}); err != nil {
		t.Fatal(err)
	}
	tool := func(args ...string) string {
		t.Helper()
		return strings.Join(java(t, nil, "kafka.admin.ConfigCommand", append([]string{"--bootstrap-server", address, "--entity-type", "topics", "--entity-name", "t"}, args...)...), "\n")
	}
	tool("--alter", "--add-config", "cleanup.policy=[compact,delete],retention.bytes=1000")
	tool("--alter", "--delete-config", "segment.ms")
	got := tool("--describe")
	for _, want := range []string{"cleanup.policy=compact,delete", "DYNAMIC_TOPIC_CONFIG:retention.bytes=1000, DEFAULT_CONFIG:log.retention.bytes=-1"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "segment.ms=") {
		t.Errorf("segment.ms is still set:\n%s", got)
	}
}
