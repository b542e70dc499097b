package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/access"
)

// One node leads every partition: no election is needed, as Kafka with one broker answers.
func TestElectLeaders(t *testing.T) {
	one := func(topic string, partitions ...int32) []kmsg.ElectLeadersRequestTopic {
		return []kmsg.ElectLeadersRequestTopic{{Topic: topic, Partitions: partitions}}
	}
	for broker, address := range besideKafka(t, 2) {
		for _, c := range []struct {
			name   string
			kind   int8
			topics []kmsg.ElectLeadersRequestTopic
			want   string
		}{
			{"the preferred leader", 0, one("t", 1, 0), "0 t/0:84 t/1:84"},
			{"any leader", 1, one("t", 0), "0 t/0:84"},
			{"an unknown partition", 0, one("t", 0, 2, -1), "0 t/-1:3 t/0:84 t/2:3"},
			{"an unknown topic", 0, one("nope", 0), "0 nope/0:3"},
			{"no topics", 0, []kmsg.ElectLeadersRequestTopic{}, "0"},
			{"all topics", 0, nil, "0"}, // with null, partitions that need none are left out
			{"a kind to come", 7, one("t", 0), "42 t/0:42"},
		} {
			for version := int16(1); version <= 2; version++ {
				q := kmsg.NewPtrElectLeadersRequest()
				q.SetVersion(version)
				q.ElectionType, q.Topics, q.TimeoutMillis = c.kind, c.topics, 10_000
				if got := elected(dial(t, address).ask(q).(*kmsg.ElectLeadersResponse)); got != c.want {
					t.Errorf("%s, %s version %d: %s, want %s", broker, c.name, version, got, c.want)
				}
			}
		}
	}
}

// elected writes an answer as its code and topic/partition:code in order.
func elected(a *kmsg.ElectLeadersResponse) string {
	var all []string
	for _, topic := range a.Topics {
		for _, p := range topic.Partitions {
			all = append(all, fmt.Sprintf("%s/%d:%d", topic.Topic, p.Partition, p.ErrorCode))
		}
	}
	slices.Sort(all)
	return strings.Join(append([]string{fmt.Sprint(a.ErrorCode)}, all...), " ")
}

// Who may not alter the cluster may not elect: version 0, which has no place for a code of its own, tells it with each partition.
func TestElectLeadersRefused(t *testing.T) {
	l, catalog := newLog(t)
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	addUser(t, l, "ann", "secret")
	address := serve(t, l, catalog, superUser)
	denied := kerr.ClusterAuthorizationFailed.Code
	for version, want := range []string{fmt.Sprintf("0 t/0:%d", denied), fmt.Sprintf("%d t/0:%[1]d", denied), fmt.Sprintf("%d t/0:%[1]d", denied)} {
		p := dial(t, address)
		p.comeIn("ann", "secret")
		q := kmsg.NewPtrElectLeadersRequest()
		q.SetVersion(int16(version))
		q.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
		if got := elected(p.ask(q).(*kmsg.ElectLeadersResponse)); got != want {
			t.Errorf("version %d: %s, want %s", version, got, want)
		}
	}
	if op := rules[43].cluster; op != access.Alter {
		t.Errorf("asked for %v", op)
	}
}

// Kafka's own tool says so too.
func TestElectLeadersTool(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	if _, err := catalog.CreateTopic(context.Background(), "t", 2, nil); err != nil {
		t.Fatal(err)
	}
	elect := func(args ...string) string {
		return strings.Join(java(t, nil, "org.apache.kafka.tools.LeaderElectionCommand",
			append([]string{"--bootstrap-server", address, "--election-type", "preferred"}, args...)...), "\n")
	}
	if out := elect("--topic", "t", "--partition", "0"); !strings.Contains(out, "Valid replica already elected for partitions t-0") {
		t.Error(out)
	}
	elect("--all-topic-partitions")
}
