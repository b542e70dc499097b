package external

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// create asks for a topic and gives the refusal.
func create(t *testing.T, l *Log, name string, config map[string]string) error {
	t.Helper()
	_, err := log.Commit(t.Context(), l, log.Append{Batches: []log.PartitionBatch{logtest.Catalog(t,
		log.TopicRecord{ID: logtest.NewTopicID().String(), Name: name, Partitions: 1, Config: config})}})
	return err
}

// Settings that are this product's own are refused by name, when a topic is made and later.
func TestSettingsOfOurs(t *testing.T) {
	in := &instance{t: t, brokers: testenv.Kafka(t)}
	l := in.start(t)
	for _, name := range []string{log.ConfigKeyIndex, log.ConfigConditional, log.ConfigValueValidation} {
		if err := create(t, l, "ours", map[string]string{name: "true"}); !errors.Is(err, log.ErrInvalidConfig) || !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	topic := logtest.CreateTopic(t, l, "ours", 1, map[string]string{"max.message.bytes": "1000000"})
	_, err := log.Commit(t.Context(), l, log.Append{Batches: []log.PartitionBatch{logtest.Catalog(t,
		log.TopicRecord{ID: topic.ID.String(), Name: "ours", Partitions: 1, Config: map[string]string{log.ConfigKeyIndex: "true"}})}})
	if !errors.Is(err, log.ErrInvalidConfig) {
		t.Errorf("altered: %v", err)
	}
}

// A topic that the cluster cuts cannot become a table's; others are warned of, and so is one that is cut later.
func TestAdoptedRetention(t *testing.T) {
	brokers := testenv.Kafka(t)
	in := &instance{t: t, brokers: brokers}
	l := in.start(t)
	kept := map[string]string{"cleanup.policy": ""} // what SQL asks for a table's topic
	there := func(name string, config map[string]string) {
		t.Helper()
		c := map[string]*string{}
		for k, v := range config {
			c[k] = &v
		}
		if _, err := l.cluster.admin.CreateTopic(t.Context(), 1, 1, c, name); err != nil {
			t.Fatal(err)
		}
	}
	forever := map[string]string{"retention.ms": "-1", "retention.bytes": "-1"}
	there("cut", nil) // Kafka's default is a week
	there("full", map[string]string{"retention.ms": "-1", "retention.bytes": "1000000"})
	there("kept", forever)
	there("stream", nil)
	there("keys", map[string]string{"cleanup.policy": "compact"})
	put(t, stock(t, brokers), "kept", "k", "before")

	for name, says := range map[string]string{"cut": "retention.ms=604800000", "full": "retention.bytes=1000000"} {
		if err := create(t, l, name, kept); !errors.Is(err, log.ErrInvalidTopic) || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := l.Topic(name); ok {
			t.Errorf("%s was refused and is there", name)
		}
	}
	warned := in.warned
	must(t, create(t, l, "kept", kept))
	if in.warned != warned {
		t.Errorf("warned of a topic that keeps everything: %s", in.warned)
	}
	effects(t, l, log.Position{}, "before")
	must(t, create(t, l, "stream", nil))
	must(t, create(t, l, "keys", kept))
	for _, says := range []string{"records of topic stream (retention.ms=604800000)", "compacts topic keys"} {
		if !strings.Contains(in.warned, says) {
			t.Errorf("no warning %q in: %s", says, in.warned)
		}
	}

	// What was cut and refused is taken once it is kept.
	_, err := l.cluster.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: kadm.StringPtr("-1")}}, "cut")
	must(t, err)
	must(t, create(t, l, "cut", kept))

	_, err = l.cluster.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: kadm.StringPtr("1000")}}, "kept")
	must(t, err)
	_, err = l.cluster.admin.UpdatePartitions(t.Context(), 2, "stream")
	must(t, err)
	_, err = l.cluster.admin.DeleteTopics(t.Context(), "keys")
	must(t, err)
	in.Stop()
	in.warned = ""
	in.start(t)
	for _, says := range []string{"topic kept by time or size (retention.ms=1000)", "stream has 2 partitions in the cluster, of which the first 1 are read",
		"keys is not in the cluster any more"} {
		if !strings.Contains(in.warned, says) {
			t.Errorf("no warning %q in: %s", says, in.warned)
		}
	}
	if strings.Contains(in.warned, "topic cut") {
		t.Errorf("warned of what is kept: %s", in.warned)
	}
}
