package external

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// Databases of different names write to one cluster at once, each with internal topics of its own; a topic that both know they
// share. Only a second writer of the same name fences.
func TestDatabasesOnOneCluster(t *testing.T) {
	brokers := testenv.Kafka(t)
	names := []string{"", "one", "two"}
	logs, topics := map[string]*Log{}, map[string]log.Topic{}
	for _, name := range names {
		in := &instance{t: t, brokers: brokers, name: name, fenced: name == "two"}
		logs[name] = in.start(t)
		topics[name] = logtest.CreateTopic(t, logs[name], "shared", 1, nil)
	}
	put := func(name, value string) error {
		_, err := log.Commit(t.Context(), logs[name], log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: topics[name].ID}, Batch: logtest.Batch(t, 1, value)}}})
		return err
	}
	want := ""
	for range 3 {
		for _, name := range names {
			must(t, put(name, "by"+name))
			want += " by" + name
			for _, reader := range names {
				effects(t, logs[reader], log.Position{}, strings.TrimSpace(want))
			}
		}
	}
	all, err := logs["one"].cluster.admin.ListTopics(t.Context())
	must(t, err)
	for _, name := range []string{"__commits", "__catalog", "__commits.one", "__catalog.one", "__commits.two", "__catalog.two", "shared"} {
		if !all.Has(name) {
			t.Errorf("the cluster has no topic %s: %v", name, all.Names())
		}
	}

	// Who may not follow this cluster changes nothing there.
	no := errs.New(errs.Invalid, "another one")
	if _, err := Open(t.Context(), Options{Brokers: []string{brokers}, Name: "one", Follow: func(string) error { return no }}); !errors.Is(err, no) {
		t.Fatalf("%v, want what Follow said", err)
	}
	must(t, put("one", "still"))

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	second, err := Open(ctx, Options{Brokers: []string{brokers}, Name: "two"})
	must(t, err)
	defer func() { must(t, second.Close()) }()
	if err := put("two", "zombie"); !errors.Is(err, log.ErrProducerFenced) {
		t.Fatalf("%v, want to be fenced", err)
	}
	must(t, put("one", "on"))
	must(t, put("", "on"))
}

func TestNameThatDoesNotFit(t *testing.T) {
	for _, name := range []string{"a/b", "a b", "\u00e9", strings.Repeat("x", maxName+1)} {
		if _, err := Open(t.Context(), Options{Brokers: []string{"127.0.0.1:1"}, Name: name}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}
