package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// byPartition sorts the lines of consume --json: Kafka gives no order between partitions.
func byPartition(t *testing.T, out string) []string {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	partition := func(line string) (c consumed) {
		if line != "" {
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		return c
	}
	slices.SortStableFunc(lines, func(a, b string) int { return int(partition(a).Partition - partition(b).Partition) })
	return lines
}

// awkward are keys that a path of a URL would not carry.
var awkward = []string{"", "a/b", ".", "..", "ключ", "\xff\x00", "hot", "a?b=c&d", "rare"}

// fill writes records of awkward keys to the partitions of topic k: in batches of all sizes, and by transactions that are committed,
// aborted, and (its end is what it gives) one that is still open.
func fill(t *testing.T, rounds int) (end func()) {
	t.Helper()
	open := func(more ...kgo.Opt) *kgo.Client {
		client, err := kgo.NewClient(append(more, kgo.SeedBrokers(os.Getenv("MIRACLEDB_KAFKA")), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("k"))...)
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	plain, tx, late := open(), open(kgo.TransactionalID("tx")), open(kgo.TransactionalID("late"))
	t.Cleanup(plain.Close)
	t.Cleanup(tx.Close)
	t.Cleanup(late.Close)
	rng := rand.New(rand.NewPCG(3, 4))
	n := 0
	write := func(client *kgo.Client, count int) {
		var all []*kgo.Record
		for range count {
			n++
			r := &kgo.Record{Partition: rng.Int32N(3), Key: []byte("hot"), Value: fmt.Appendf(nil, `{"n":  %d}`, n)}
			switch rng.IntN(6) {
			case 0:
				r.Key = []byte(awkward[rng.IntN(len(awkward)-1)])
			case 1:
				r.Key, r.Value = nil, []byte{0xff, byte(n)}
			case 2:
				r.Value, r.Headers = nil, []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}
			case 3:
				r.Key = fmt.Appendf(nil, "other-%d", n)
			}
			all = append(all, r)
		}
		if err := client.ProduceSync(t.Context(), all...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(client *kgo.Client) {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
	}
	finish := func(client *kgo.Client, how kgo.TransactionEndTry) {
		if err := client.EndTransaction(context.Background(), how); err != nil {
			t.Fatal(err)
		}
	}
	if err := plain.ProduceSync(t.Context(), &kgo.Record{Partition: 1, Key: []byte("rare"), Value: []byte("once")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for i := range rounds {
		write(plain, 1+rng.IntN(60))
		begin(tx)
		write(tx, 1+rng.IntN(10))
		finish(tx, kgo.TransactionEndTry(i%2 == 0))
	}
	begin(late)
	write(late, 5)
	write(plain, 20)
	return func() { finish(late, kgo.TryCommit) }
}

// What --key prints is the same with a key index and without one, and with one the topic is not read.
func TestConsumeKey(t *testing.T) {
	server(t)
	must(t, "topic", "create", "k", "--partitions", "3", "--config", "miracle.key.index=true")
	end := fill(t, 30)
	admin := adminOf(t)
	cut := kadm.Offsets{}
	cut.AddOffset("k", 0, 40, -1)
	if _, err := admin.DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse("http://" + os.Getenv("MIRACLEDB_HTTP"))
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	through := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "key-offsets") {
			asked.Add(1)
		}
		through.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	t.Setenv("MIRACLEDB_HTTP", strings.TrimPrefix(proxy.URL, "http://"))
	var calls [][]string
	for _, key := range awkward[:len(awkward)-1] {
		if key != "\xff\x00" {
			calls = append(calls, []string{"--key", key})
		}
	}
	half := time.Now().Format(time.RFC3339Nano)
	calls = append(calls, []string{"--key", "rare"}, []string{"--key", "nobody"}, []string{"--key", "hot", "--from", "100"}, []string{"--key", "hot", "--from", "-30"},
		[]string{"--key", "hot", "--as-of", half}, []string{"--key", "rare", "--max", "1"})
	all := func() (out [][]string) {
		for _, call := range calls {
			out = append(out, byPartition(t, must(t, append([]string{"consume", "k", "--json"}, call...)...)))
		}
		return out
	}
	compare := func(when string) {
		t.Helper()
		before := asked.Load()
		found := all()
		if n := asked.Load() - before; n < int64(len(calls)) {
			t.Errorf("%s: the index was asked %d times for %d keys", when, n, len(calls))
		}
		must(t, "topic", "alter", "k", "--config", "miracle.key.index=false")
		before = asked.Load()
		read := all()
		if n := asked.Load() - before; n != 0 {
			t.Errorf("%s: an index that is off was asked %d times", when, n)
		}
		must(t, "topic", "alter", "k", "--config", "miracle.key.index=true")
		for i, call := range calls {
			if !slices.Equal(found[i], read[i]) {
				t.Errorf("%s: %v: %d lines by the index, %d without it\n%s\n%s", when, call, len(found[i]), len(read[i]), found[i], read[i])
			}
		}
		if len(found[5]) < 100 {
			t.Errorf("%s: %d records of the hot key", when, len(found[5]))
		}
	}
	compare("with an open transaction")
	end()
	compare("after its end")
	// Another server's topic of this name is not asked; named by hand it is a fault.
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"topic_id": "00", "offsets": [0, 1]}`)
	}))
	defer other.Close()
	if code, _, fault := call(t, "consume", "k", "--key", "hot", "--server", other.URL); code != 2 || !strings.Contains(fault, "another topic") {
		t.Errorf("%d %s", code, fault)
	}
	want := must(t, "consume", "k", "--key", "rare", "--json")
	for _, address := range []string{strings.TrimPrefix(other.URL, "http://"), "127.0.0.1:1"} {
		t.Setenv("MIRACLEDB_HTTP", address)
		if got := must(t, "consume", "k", "--key", "rare", "--json"); got != want || want == "" {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func adminOf(t *testing.T) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("MIRACLEDB_KAFKA")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// --follow goes on where the history that the index gave has ended, while others write: nothing twice, nothing left out.
func TestConsumeKeyFollow(t *testing.T) {
	server(t)
	must(t, "topic", "create", "k", "--config", "miracle.key.index=true")
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("MIRACLEDB_KAFKA")), kgo.DefaultProduceTopic("k"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const records = 3000
	written := make(chan error, 1)
	go func() {
		for i := range records {
			r := &kgo.Record{Key: []byte("a"), Value: fmt.Append(nil, i)}
			if i%3 == 0 {
				client.Produce(t.Context(), &kgo.Record{Key: []byte("b")}, nil)
			}
			if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	var want strings.Builder
	for i := range records {
		fmt.Fprintln(&want, i)
	}
	ctx, stop := context.WithCancel(t.Context())
	var followers []*output
	var running sync.WaitGroup
	for range 5 {
		out := &output{}
		followers = append(followers, out)
		running.Go(func() {
			if code := Main(ctx, []string{"consume", "k", "--key", "a", "--follow"}, out, out); code != 0 {
				t.Errorf("exit status %d", code)
			}
		})
		time.Sleep(50 * time.Millisecond)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	for _, out := range followers {
		for deadline := time.Now().Add(2 * time.Minute); len(out.String()) < want.Len() && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
	}
	stop()
	running.Wait()
	for i, out := range followers {
		if out.String() != want.String() {
			t.Errorf("follower %d: %d bytes, want %d", i, len(out.String()), want.Len())
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
