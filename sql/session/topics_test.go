package session_test

import (
	"context"
	"testing"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/log"
)

// alter sets one setting of a topic beside those it has, and its partitions.
func alter(t *testing.T, s *nodetest.Server, name, setting, value string, partitions int32) error {
	t.Helper()
	topic, ok := s.Log.Topic(name)
	if !ok {
		t.Fatalf("no topic %s", name)
	}
	return s.Database.AlterTopic(context.Background(), topic, func(t *log.Topic) error {
		config := map[string]string{setting: value}
		for have, value := range t.Config {
			if have != setting {
				config[have] = value
			}
		}
		t.Config, t.Partitions = config, partitions
		return nil
	})
}

func TestAlterTopic(t *testing.T) {
	s := nodetest.Start(t)
	ctx := context.Background()
	if _, err := s.Database.CreateTopic(ctx, "raw", 1, map[string]string{"retention.ms": "1000"}); err != nil {
		t.Fatal(err)
	}
	if err := alter(t, s, "raw", "segment.ms", "5000", 3); err != nil {
		t.Fatal(err)
	}
	topic, _ := s.Log.Topic("raw")
	if topic.Partitions != 3 || topic.Setting("segment.ms") != "5000" || topic.Setting("retention.ms") != "1000" {
		t.Errorf("%+v", topic)
	}
	if err := alter(t, s, "raw", "cleanup.policy", "sometimes", 3); !errs.Is(err, errs.Invalid) {
		t.Errorf("a wrong value: %v", err)
	}
	if err := alter(t, s, "raw", "segment.ms", "1", 2); !errs.Is(err, errs.Invalid) {
		t.Errorf("fewer partitions: %v", err)
	}
}

// What holds a table's rows is never cleaned; what a Kafka client has set stays over DDL.
func TestAlterTopicOfTable(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE rows (id int PRIMARY KEY)", "CREATE TABLE events (id int) WITH (append_only)")
	for _, name := range []string{"events", "rows"} {
		if err := alter(t, s, name, "segment.ms", "5000", 3); err != nil {
			t.Fatal(err)
		}
	}
	if err := alter(t, s, "events", "retention.ms", "9", 3); err != nil {
		t.Fatal(err)
	}
	if err := alter(t, s, "rows", "cleanup.policy", "delete", 3); !errs.Is(err, errs.Denied) {
		t.Errorf("cutting the topic of a table: %v", err)
	}
	nodetest.Exec(t, c, "INSERT INTO rows SELECT generate_series(1, 100)", "ALTER TABLE rows ADD COLUMN v int")
	topic, _ := s.Log.Topic("rows")
	if cut, compact := topic.Cleanup(); cut || compact || topic.Partitions != 3 || topic.Setting("segment.ms") != "5000" {
		t.Errorf("%+v", topic)
	}
}
