package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/backup"
	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
)

// Over a real Kafka: what a stock client produces there is in the views, SQL writes beside it, a kill loses and doubles
// nothing, and a second node fences the first.
func TestExternalLog(t *testing.T) {
	brokers := testenv.Kafka(t)
	dir := filepath.Join(t.TempDir(), "data")
	p := nodetest.StartProcess(t, dir, brokers)
	if p.Kafka != "" {
		t.Fatalf("the Kafka door is open at %s", p.Kafka)
	}
	c := p.Connect(t)
	nodetest.Exec(t, c,
		"CREATE TABLE clicks (page text, ms int) WITH (append_only)",
		"CREATE TABLE pages (id text PRIMARY KEY, title text)",
		"CREATE MATERIALIZED VIEW per_page AS SELECT page, count(*) AS n, sum(ms) AS ms FROM clicks GROUP BY page",
		"INSERT INTO pages VALUES ('a', 'first'), ('b', 'second')",
		"INSERT INTO clicks VALUES ('a', 1)")

	k, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	produce := func(topic, key, value string) {
		t.Helper()
		r := &kgo.Record{Topic: topic, Value: []byte(value)}
		if key != "" {
			r.Key = []byte(key)
		}
		if err := k.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		produce("clicks", "", `{"page":"a","ms":2}`)
		produce("clicks", "", `{"page":"b","ms":3}`)
	}
	produce("pages", "b", `{"id":"b","title":"changed"}`)
	produce("pages", "c", `{"id":"c","title":"third"}`)
	nodetest.Eventually(t, c, "SELECT * FROM per_page ORDER BY page", "a|101|201\nb|100|300")
	nodetest.Eventually(t, c, "SELECT * FROM pages ORDER BY id", "a|first\nb|changed\nc|third")
	nodetest.Exec(t, c, "BEGIN", "UPDATE pages SET title = 'ours' WHERE id = 'c'", "INSERT INTO clicks VALUES ('c', 9)", "COMMIT")

	// Killed while others produce, and started again: nothing is missing and nothing twice.
	p.Kill()
	for range 50 {
		produce("clicks", "", `{"page":"b","ms":1}`)
	}
	p = nodetest.StartProcess(t, dir, brokers)
	c = p.Connect(t)
	nodetest.Eventually(t, c, "SELECT * FROM per_page ORDER BY page", "a|101|201\nb|150|350\nc|1|9")
	nodetest.Eventually(t, c, "SELECT * FROM pages ORDER BY id", "a|first\nb|changed\nc|ours")
	if got := nodetest.Text(t, c, "SELECT count(*), sum(ms) FROM clicks"); got != "252|560" {
		t.Fatalf("clicks %s", got)
	}

	// A node on another directory has everything from the cluster, and the first one ends.
	second := nodetest.StartWith(t, node.Config{Brokers: []string{brokers}})
	d := second.Connect(t)
	nodetest.Eventually(t, d, "SELECT * FROM per_page ORDER BY page", "a|101|201\nb|150|350\nc|1|9")
	if _, err := c.Exec(t.Context(), "INSERT INTO pages VALUES ('z', 'zombie')"); err == nil {
		t.Fatal("the first node has written after the second came")
	}
	nodetest.Exec(t, d, "INSERT INTO pages VALUES ('d', 'fourth')")
	want := "a|first\nb|changed\nc|ours\nd|fourth"
	nodetest.Eventually(t, d, "SELECT * FROM pages ORDER BY id", want)

	// A backup of it becomes a node of its own.
	store := backup.NewDirectory(vfs.Default, filepath.Join(t.TempDir(), "repository"))
	if _, err := backup.Create(t.Context(), backup.CreateOptions{Log: second.Log, Store: store, ClusterID: "c"}); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	if _, err := node.Restore(t.Context(), backup.RestoreOptions{Store: store, Data: restored, Target: backup.Target{Latest: true}}); err != nil {
		t.Fatal(err)
	}
	e := nodetest.StartOn(t, restored).Connect(t)
	nodetest.Eventually(t, e, "SELECT * FROM pages ORDER BY id", want)
	nodetest.Eventually(t, e, "SELECT * FROM per_page ORDER BY page", "a|101|201\nb|150|350\nc|1|9")
}

// A node that is fenced ends with an error that says so, though nobody writes through it.
func TestExternalZombie(t *testing.T) {
	brokers := testenv.Kafka(t)
	open := func() (*node.Node, chan error) {
		n, err := node.Open(node.Config{Data: filepath.Join(t.TempDir(), "data"), Brokers: []string{brokers},
			PG: node.Address{HostPort: "127.0.0.1:0", Asked: true}, HTTP: node.Address{HostPort: "127.0.0.1:0", Asked: true}}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done, ended := make(chan error, 1), make(chan struct{})
		go func() {
			done <- n.Run(ctx)
			close(ended)
		}()
		t.Cleanup(func() {
			cancel()
			<-ended
			_ = n.Close() // one of them was fenced
		})
		<-n.Ready()
		return n, done
	}
	_, first := open()
	_, second := open()
	select {
	case err := <-first:
		if !errors.Is(err, log.ErrProducerFenced) || !strings.Contains(fmt.Sprint(err), "another node") {
			t.Fatalf("the zombie ended with: %v", err)
		}
	case <-time.After(3 * time.Minute):
		t.Fatal("the zombie goes on")
	}
	select {
	case err := <-second:
		t.Fatalf("the second ended with: %v", err)
	default:
	}
}
