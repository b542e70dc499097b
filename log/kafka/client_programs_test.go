package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/miracledb/miracledb/internal/testenv"
)

// clientProgram is a stock client behind a program in testdata, which does one action and prints JSON:
//
//	admin TOPIC              creates it (3 partitions, retention.ms) twice, describes and deletes it: a programTopic
//	produce PREFIX N         N records into PREFIX+codec with each codec: key "k"+i, header client=NAME, every tenth null
//	consume PREFIX N         the first N records of each PREFIX+codec: a list of programRecord by codec
//	group TOPIC GROUP N      the next N records of a group, which commits behind them and is left: a list of programRecord
//	transaction TOPIC GROUP  6 transactions of 5 records "i-j" and offset i+1 of the group; the even ones are committed.
//	                         Then the first 15 committed records: a list of programRecord
type clientProgram struct {
	name         string
	idempotent   bool // it has an idempotent producer
	transactions bool
	command      []string
	nodePath     string
}

type programTopic struct {
	Partitions int
	Retention  string
	Again      bool // creating it again was TOPIC_ALREADY_EXISTS
	Deleted    bool // it is listed no more
}

type programRecord struct {
	Key     string
	Value   *string
	Headers map[string]string
}

// programRecords is how many records a program produces with each codec.
const programRecords = 100

// clientPrograms gives the programs; without the long suite one of those that start at once.
func clientPrograms(t *testing.T) []clientProgram {
	node, modules := testenv.NodeModules(t, testenv.KafkaJS...)
	programs := []clientProgram{{"kafkajs", true, true, []string{node, "testdata/clients.js"}, filepath.Join(modules, "node_modules")}}
	if !testenv.Conformance() {
		return programs
	}
	testenv.GoModules(t, "testdata/clients-go")
	clientsGo := testenv.Build(t, "testdata/clients-go", "github.com/miracledb/miracledb/log/kafka/testdata/clients-go")
	for _, p := range []clientProgram{{name: "sarama", idempotent: true, transactions: true}, {name: "kafkago"}} {
		p.command = []string{clientsGo, p.name}
		programs = append(programs, p)
	}
	for name, version := range map[string]string{"java4": testenv.KafkaVersion, "java3": testenv.KafkaOldVersion} {
		jars, classes := testenv.KafkaJarsOf(t, version), t.TempDir()
		run(t, nil, testenv.Javac(t), "-nowarn", "-cp", jars, "-d", classes, "testdata/Clients.java")
		programs = append(programs, clientProgram{name, true, true, []string{testenv.Java(t), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
			"-cp", jars + ":" + classes, "Clients", name}, ""})
	}
	return programs
}

// do runs an action and decodes what it prints.
func (p clientProgram) do(t *testing.T, out any, address string, action ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	args := slices.Concat(p.command[1:], []string{address}, action)
	cmd := exec.CommandContext(ctx, p.command[0], args...)
	cmd.Env = append(cmd.Environ(), "NODE_PATH="+p.nodePath)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		err = json.Unmarshal(stdout.Bytes(), out)
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s\n%s", p.name, strings.Join(action, " "), err, stdout.String(), stderr.String())
	}
}

// produced is what the program's produce sends with each codec.
func (p clientProgram) produced() (out []programRecord) {
	for i := range programRecords {
		r := programRecord{Key: fmt.Sprintf("k%d", i), Headers: map[string]string{"client": p.name}}
		if i%10 != 0 {
			v := value(p.name, i)
			r.Value = &v
		}
		out = append(out, r)
	}
	return out
}

func sameRecords(t *testing.T, what string, got, want []programRecord) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if !reflect.DeepEqual(got[i], want[i]) {
			g, _ := json.Marshal(got[i])
			w, _ := json.Marshal(want[i])
			t.Errorf("%s: record %d is %s, want %s", what, i, g, w)
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d records, want %d", what, len(got), len(want))
	}
}

// What each client has produced with each codec, each reads: keys, headers and nulls as they were. A group goes on where it had
// committed; a transaction's records and offsets are there when it has committed; the topic's life is Kafka's.
func TestClientPrograms(t *testing.T) {
	programs := clientPrograms(t)
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	for _, codec := range codecs {
		if _, err := catalog.CreateTopic(context.Background(), "matrix-"+codec, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	var want []programRecord
	for _, p := range programs {
		var sent []string
		p.do(t, &sent, address, "produce", "matrix-", fmt.Sprint(programRecords))
		for _, codec := range codecs {
			for _, b := range stored(t, l, "matrix-"+codec, int64(len(want))) {
				if got := b.Codec().String(); got != codec {
					t.Errorf("%s was to send %s and sent %s", p.name, codec, got)
				}
				if p.idempotent != (b.ProducerID >= 0) {
					t.Errorf("%s: producer id %d", p.name, b.ProducerID)
				}
			}
		}
		want = append(want, p.produced()...)
	}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			var all map[string][]programRecord
			p.do(t, &all, address, "consume", "matrix-", fmt.Sprint(len(want)))
			for _, codec := range codecs {
				sameRecords(t, codec, all[codec], want)
			}
			p.testGroup(t, address, want)
			if p.transactions {
				p.testTransaction(t, address, catalog)
			}
			var topic programTopic
			p.do(t, &topic, address, "admin", "admin-"+p.name)
			if wantTopic := (programTopic{3, "60000", true, true}); topic != wantTopic {
				t.Errorf("%+v, want %+v", topic, wantTopic)
			}
			if _, ok := l.Topic("admin-" + p.name); ok {
				t.Error("the topic is still there")
			}
		})
	}
}

func (p clientProgram) testGroup(t *testing.T, address string, want []programRecord) {
	t.Helper()
	for _, from := range []int{0, 30} {
		var got []programRecord
		p.do(t, &got, address, "group", "matrix-gzip", "group-"+p.name, "30")
		sameRecords(t, fmt.Sprintf("group from %d", from), got, want[from:from+30])
		if offset := committed(t, address, "group-"+p.name, "matrix-gzip"); offset != int64(from+30) {
			t.Errorf("the group has committed %d, want %d", offset, from+30)
		}
	}
}

func (p clientProgram) testTransaction(t *testing.T, address string, catalog Catalog) {
	t.Helper()
	topic := "transactions-" + p.name
	if _, err := catalog.CreateTopic(context.Background(), topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	var got []programRecord
	p.do(t, &got, address, "transaction", topic, "offsets-"+p.name)
	var values, want []string
	for _, r := range got {
		values = append(values, *r.Value)
	}
	for i := range 15 {
		want = append(want, fmt.Sprintf("%d-%d", i/5*2, i%5))
	}
	if !slices.Equal(values, want) {
		t.Errorf("committed records %q, want %q", values, want)
	}
	if offset := committed(t, address, "offsets-"+p.name, topic); offset != 5 {
		t.Errorf("the last committed transaction has offset 5 of the group, found %d", offset)
	}
}

// committed is a group's offset in partition 0.
func committed(t *testing.T, address, group, topic string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	client := franz(t, address)
	defer client.Close()
	offsets, err := kadm.NewClient(client).FetchOffsets(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := offsets.Lookup(topic, 0)
	return o.At
}
