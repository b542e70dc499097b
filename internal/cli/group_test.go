package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// reads joins a group, reads count records, commits, and stays until the test or stop ends it.
func reads(t *testing.T, count int, options ...kgo.Opt) (stop func()) {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(os.Getenv("MIRACLEDB_KAFKA")), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ClientID("reader"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for n := 0; n < count; {
		n += client.PollFetches(ctx).NumRecords()
		if ctx.Err() != nil {
			t.Fatalf("%d records", n)
		}
	}
	if err := client.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	return client.Close
}

// Groups of both protocols are listed and described alike, and moved when nobody is in them.
func TestGroups(t *testing.T) {
	server(t)
	must(t, "topic", "create", "t", "--partitions", "2")
	file := t.TempDir() + "/lines"
	var lines strings.Builder
	for i := range 20 {
		fmt.Fprintf(&lines, "{\"k\": \"%d\"}\n", i)
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "produce", "t", "--file", file, "--key", "k")
	stops := []func(){reads(t, 20, kgo.ConsumerGroup("classics")), reads(t, 20, kgo.ConsumerGroup("nexts"), kgo.ServerSideBalancer(), kgo.InstanceID("i1"))}
	must(t, "produce", "t", "--file", file, "--key", "k")
	var list []group
	if err := json.Unmarshal([]byte(must(t, "group", "list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Type != "classic" || list[1].Type != "consumer" {
		t.Fatalf("%+v", list)
	}
	for _, g := range list {
		if g.State != "Stable" || g.Lag != 20 || len(g.Members) != 1 || g.Members[0].Client != "reader" || len(g.Offsets) != 2 || g.Protocol == "" {
			t.Errorf("%+v", g)
		}
		for _, o := range g.Offsets {
			if o.Member != g.Members[0].ID {
				t.Errorf("%+v", o)
			}
		}
	}
	if m := list[1].Members[0]; m.Instance != "i1" || m.Epoch != list[1].Epoch || m.Epoch == 0 {
		t.Errorf("%+v", list[1])
	}
	if out := must(t, "group", "describe", "nexts"); !strings.Contains(out, "group nexts, consumer, Stable, 1 members, lag 20") {
		t.Error(out)
	}
	if code, _, fault := call(t, "group", "reset-offsets", "nexts", "--to-earliest", "--execute"); code != 1 || !strings.Contains(fault, "has members") {
		t.Errorf("%d %s", code, fault)
	}
	for _, stop := range stops {
		stop()
	}
	resets(t, "classics")
}

// resets moves the offsets of an empty group to and fro.
func resets(t *testing.T, name string) {
	reset := func(args ...string) (to []int64) {
		t.Helper()
		var plan []moved
		if err := json.Unmarshal([]byte(must(t, append([]string{"group", "reset-offsets", name, "--json"}, args...)...)), &plan); err != nil {
			t.Fatal(err)
		}
		for _, m := range plan {
			to = append(to, m.To)
		}
		return to
	}
	committed := func() (at []int64) {
		var g group
		if err := json.Unmarshal([]byte(must(t, "group", "describe", name, "--json")), &g); err != nil {
			t.Fatal(err)
		}
		for _, o := range g.Offsets {
			at = append(at, *o.Committed)
		}
		return at
	}
	before := committed()
	ends := reset("--to-latest")
	if ends[0]+ends[1] != 40 || !slices.Equal(committed(), before) {
		t.Errorf("ends %v; %v became %v by a dry run", ends, before, committed())
	}
	for _, c := range []struct {
		args string
		want []int64
	}{
		{"--to-latest", ends},
		{"--shift-by -3", []int64{ends[0] - 3, ends[1] - 3}},
		{"--shift-by 100", ends},
		{"--to-offset 4 --topic t:1", []int64{ends[0], 4}},
		{"--to-offset 5 --topic t", []int64{5, 5}},
		{"--to-datetime " + time.Now().Add(time.Hour).UTC().Format(time.RFC3339), ends},
		{"--to-datetime 2001-01-01T00:00:00Z", []int64{0, 0}},
		{"--to-earliest", []int64{0, 0}},
	} {
		reset(append(strings.Fields(c.args), "--execute")...)
		if got := committed(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.args, got, c.want)
		}
	}
	for args, says := range map[string]string{
		"":                                  "give one of --to-earliest",
		"--to-earliest --to-latest":         "give one of --to-earliest",
		"--to-earliest --execute --dry-run": "give one of them",
		"--to-datetime yesterday":           "is no time such as",
		"--to-latest --topic t:x":           "is no partition",
		"--to-latest --topic t:7":           "has no partition 7",
		"--to-latest --topic nope":          `there is no topic "nope"`,
	} {
		if code, _, fault := call(t, append([]string{"group", "reset-offsets", name}, strings.Fields(args)...)...); code == 0 || !strings.Contains(fault, says) {
			t.Errorf("%q: %d %s", args, code, fault)
		}
	}
	if code, _, fault := call(t, "group", "reset-offsets", "nobody", "--to-latest"); code != 1 || !strings.Contains(fault, "has committed no offsets") {
		t.Errorf("%d %s", code, fault)
	}
	if code, _, fault := call(t, "group", "reset-offsets", "fresh", "--shift-by", "1", "--topic", "t"); code != 1 || !strings.Contains(fault, "has committed nothing") {
		t.Errorf("%d %s", code, fault)
	}
	if out := must(t, "group", "reset-offsets", "fresh", "--to-latest", "--topic", "t:0", "--execute"); !strings.Contains(out, "-1") {
		t.Error(out)
	}
}

// A partition of which a group has committed nothing has no offset: a dash, and null in JSON.
func TestGroupThatCommittedNothing(t *testing.T) {
	server(t)
	must(t, "topic", "create", "t", "--partitions", "1")
	for name, options := range map[string][]kgo.Opt{"classics": {kgo.ConsumerGroup("classics")}, "nexts": {kgo.ConsumerGroup("nexts"), kgo.ServerSideBalancer()}} {
		assigned := make(chan struct{})
		reads(t, 0, append(options, kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { close(assigned) }))...)
		select {
		case <-assigned:
		case <-time.After(time.Minute):
			t.Fatalf("group %s gets no partition", name)
		}
		out := must(t, "group", "describe", name)
		if !slices.ContainsFunc(slices.Collect(strings.Lines(out)), func(line string) bool {
			f := strings.Fields(line)
			return len(f) > 2 && f[0] == "t" && f[2] == "-"
		}) {
			t.Error(out)
		}
		if out := must(t, "group", "describe", name, "--json"); !strings.Contains(out, `"committed": null`) {
			t.Error(out)
		}
	}
}
