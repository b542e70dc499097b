package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/backup"
	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log/access"
	"github.com/miracledb/miracledb/sql/ingest"
)

// What other clients of the cluster do: transactions that go on and that abort show nowhere, and a record of a table that is not its
// row's canonical key in its partition is rejected.
func TestExternalForeign(t *testing.T) {
	brokers := testenv.Kafka(t)
	s := nodetest.StartWith(t, node.Config{Brokers: []string{brokers}, Cluster: node.Cluster{Name: "orders"}})
	c := s.Connect(t)
	nodetest.Exec(t, c,
		"CREATE TABLE clicks (page text, ms int) WITH (append_only)",
		"CREATE TABLE pages (id int PRIMARY KEY, title text) WITH (partitions = 3)",
		"CREATE MATERIALIZED VIEW per_page AS SELECT page, count(*) AS n FROM clicks GROUP BY page")
	if _, err := s.Database.CreateTopic(t.Context(), "raw", 1, nil); err != nil {
		t.Fatal(err)
	}
	client := func(opts ...kgo.Opt) *kgo.Client {
		k, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.Close)
		return k
	}
	produce := func(k *kgo.Client, topic string, partition int32, key, value string) {
		t.Helper()
		r := &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)}
		if key != "" {
			r.Key = []byte(key)
		}
		if err := k.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	home := func(key string) int32 { return ingest.PartitionOf([]byte(key), 3) }

	plain, aborts, commits := client(), client(kgo.TransactionalID("aborts")), client(kgo.TransactionalID("commits"))
	round := func(k *kgo.Client, name string, id int) {
		t.Helper()
		if err := k.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(k, "raw", 0, "", name)
		produce(k, "clicks", 0, "", fmt.Sprintf(`{"page":"%s","ms":1}`, name))
		produce(k, "pages", home(fmt.Sprint(id)), fmt.Sprint(id), fmt.Sprintf(`{"id":%d,"title":"%s"}`, id, name))
	}
	produce(plain, "raw", 0, "", "first")
	round(aborts, "aborted", 1)
	round(commits, "committed", 2)
	produce(plain, "raw", 0, "", "behind")
	produce(plain, "clicks", 0, "", `{"page":"behind","ms":1}`)
	nodetest.Eventually(t, c, "SELECT * FROM per_page ORDER BY page", "behind|1") // past the records of open transactions
	nodetest.Eventually(t, c, "SELECT _value FROM raw ORDER BY _offset", "first") // as far as Kafka's committed reads go
	if err := aborts.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	if err := commits.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	nodetest.Eventually(t, c, "SELECT _value FROM raw ORDER BY _offset", "first\ncommitted\nbehind")
	nodetest.Eventually(t, c, "SELECT * FROM per_page ORDER BY page", "behind|1\ncommitted|1")
	nodetest.Eventually(t, c, "SELECT * FROM pages ORDER BY id", "2|committed")

	const wrongKey = `the record's key is not the row's canonical key "7"`
	produce(plain, "pages", home("7"), "7", `{"id":7,"title":"right"}`)
	produce(plain, "pages", home(`{"id":7}`), `{"id":7}`, `{"id":7,"title":"another form"}`)
	produce(plain, "pages", home("7"), "", `{"id":7,"title":"no key"}`)
	elsewhere := (home("7") + 1) % 3
	produce(plain, "pages", elsewhere, "7", `{"id":7,"title":"elsewhere"}`)
	nodetest.Eventually(t, c, "SELECT reason, _key FROM pages__rejected ORDER BY reason, _key",
		fmt.Sprintf("the record stands in partition %d: of 3 partitions its key belongs in %d|7\n", elsewhere, home("7"))+wrongKey+"|{\"id\":7}\n"+wrongKey+"|")
	nodetest.Eventually(t, c, "SELECT * FROM pages ORDER BY id", "2|committed\n7|right")
	nodetest.Exec(t, c, "UPDATE pages SET title = 'ours' WHERE id = 7", "DELETE FROM pages WHERE id = 2")
	const want = "7|ours"
	nodetest.Eventually(t, c, "SELECT * FROM pages", want)

	// Another directory computes the same from the cluster.
	s.Stop(t)
	again := nodetest.StartWith(t, node.Config{Brokers: []string{brokers}, Cluster: node.Cluster{Name: "orders"}})
	d := again.Connect(t)
	nodetest.Eventually(t, d, "SELECT * FROM pages", want)
	nodetest.Eventually(t, d, "SELECT count(*) FROM pages__rejected", "3")
	nodetest.Eventually(t, d, "SELECT _value FROM raw ORDER BY _offset", "first\ncommitted\nbehind")

	// So does a node of its own from a backup.
	store := backup.NewDirectory(vfs.Default, filepath.Join(t.TempDir(), "repository"))
	if _, err := backup.Create(t.Context(), backup.CreateOptions{Log: again.Log, Store: store, ClusterID: "c"}); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	if _, err := node.Restore(t.Context(), backup.RestoreOptions{Store: store, Data: restored, Target: backup.Target{Latest: true}}); err != nil {
		t.Fatal(err)
	}
	e := nodetest.StartOn(t, restored).Connect(t)
	nodetest.Eventually(t, e, "SELECT * FROM pages", want)
	nodetest.Eventually(t, e, "SELECT count(*) FROM pages__rejected", "3")
	nodetest.Eventually(t, e, "SELECT _value FROM raw ORDER BY _offset", "first\ncommitted\nbehind")
	again.Stop(t)

	// A directory of this database is no other's.
	_, err := node.Open(node.Config{Data: again.Data, Brokers: []string{brokers}, PG: node.Address{HostPort: "127.0.0.1:0", Asked: true},
		HTTP: node.Address{HostPort: "127.0.0.1:0", Asked: true}, Cluster: node.Cluster{Name: "another"}}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "follows another log") || !strings.Contains(err.Error(), "database orders") {
		t.Fatalf("opened as another database: %v", err)
	}
}

// Settings of the Kafka port, which --brokers closes, and of a cluster that is not named, are refused by their names.
func TestExternalSettings(t *testing.T) {
	yes := true
	brokers := []string{"127.0.0.1:1"}
	for says, c := range map[string]node.Config{
		"--kafka-auth":                 {Brokers: brokers, KafkaAuth: "required"},
		"--bootstrap-user":             {Brokers: brokers, BootstrapUser: "u", BootstrapPassword: "p"},
		"--kafka-tls":                  {Brokers: brokers, KafkaTLS: node.Address{HostPort: "127.0.0.1:0"}},
		"--kafka,":                     {Brokers: brokers, Kafka: node.Address{HostPort: "127.0.0.1:0", Asked: true}, KafkaSession: 1},
		"--super-users":                {Brokers: brokers, SuperUsers: []access.Principal{"User:a"}},
		"--allow-everyone-without-acl": {Brokers: brokers, EveryoneWithoutACL: &yes},
		"name it with --brokers":       {Cluster: node.Cluster{Name: "orders"}},
		"1 to 200 of":                  {Brokers: brokers, Cluster: node.Cluster{Name: "a/b"}},
		"password go together":         {Brokers: brokers, Cluster: node.Cluster{User: "u"}},
		"SCRAM-SHA-512":                {Brokers: brokers, Cluster: node.Cluster{User: "u", Password: "p", Mechanism: "GSSAPI"}},
		"no authority":                 {Brokers: brokers, Cluster: node.Cluster{TLS: certs.Client{Cert: "c", Key: "k"}}},
	} {
		c.Data = filepath.Join(t.TempDir(), "data")
		_, err := node.Open(c, slog.New(slog.DiscardHandler))
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
