package kafka

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Values of topic settings are taken and refused as Apache Kafka takes and refuses them.
func TestTopicSettingsBesideKafka(t *testing.T) {
	taken := []string{"cleanup.policy=", "cleanup.policy=compact", "cleanup.policy=compact, delete", "cleanup.policy=delete,delete", "retention.ms=-1", "retention.ms= 14 ",
		"retention.bytes=-2", "retention.bytes=+5", "preallocate=TRUE", "unclean.leader.election.enable= false ", "min.cleanable.dirty.ratio=0", "min.cleanable.dirty.ratio=1e-1",
		"min.cleanable.dirty.ratio= 1 ", "segment.bytes=2147483647", "segment.ms=1", "delete.retention.ms=0", "min.compaction.lag.ms=5 max.compaction.lag.ms=5",
		"max.compaction.lag.ms=9223372036854775807", "message.timestamp.type=LogAppendTime", "max.message.bytes=0", "flush.messages=1"}
	refused := []string{"no.such=1", "=1", "cleanup.policy=delete,", "cleanup.policy=,", "cleanup.policy=Delete", "cleanup.policy=none", "retention.ms=-2", "retention.ms=", "retention.ms=1.5",
		"retention.ms=9223372036854775808", "retention.bytes=many", "preallocate=yes", "preallocate=1", "min.cleanable.dirty.ratio=1.1", "min.cleanable.dirty.ratio=-0.1",
		"segment.bytes=2147483648", "segment.bytes=0", "segment.bytes=13", "segment.ms=0", "index.interval.bytes=2147483648", "index.interval.bytes=-1", "segment.index.bytes=3",
		"segment.index.bytes=2147483648", "min.insync.replicas=0", "min.insync.replicas=2147483648", "delete.retention.ms=-1", "max.compaction.lag.ms=0",
		"min.compaction.lag.ms=6 max.compaction.lag.ms=5", "message.timestamp.type=logappendtime", "max.message.bytes=-1",
		"flush.messages=0", "compression.type=Gzip", "segment.jitter.ms=-1", "file.delete.delay.ms=0x10"}
	for broker, address := range besideKafka(t, 1) {
		p := dial(t, address)
		for _, c := range []struct {
			configs []string
			want    int16
		}{{taken, 0}, {refused, kerr.InvalidConfig.Code}} {
			for _, configs := range c.configs {
				if got := p.mayCreate(configs); got.ErrorCode != c.want {
					t.Errorf("%s says %s to %q: %v", broker, codeName(got.ErrorCode), configs, got.ErrorMessage)
				}
			}
		}
	}
}

// mayCreate asks for a topic with settings NAME=VALUE, and does not make it. A space stands before another name.
func (p *peer) mayCreate(configs string) *kmsg.CreateTopicsResponseTopic {
	p.t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	q.SetVersion(5)
	q.ValidateOnly = true
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = "new", 1, 1
	for rest := configs; ; {
		config, next := rest, ""
		if i := strings.Index(rest, " max."); i > 0 {
			config, next = rest[:i], rest[i+1:]
		}
		name, value, _ := strings.Cut(config, "=")
		one.Configs = append(one.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: name, Value: &value})
		if rest = next; rest == "" {
			break
		}
	}
	q.Topics = append(q.Topics, one)
	return &p.ask(q).(*kmsg.CreateTopicsResponse).Topics[0]
}
