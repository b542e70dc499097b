package ecosystem

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/testenv"
)

const mirrorProperties = `clusters=A,B
A.bootstrap.servers=%s
B.bootstrap.servers=%s
A->B.enabled=true
A->B.topics=lines
A->B.groups=readers
A->B.sync.group.offsets.enabled=true
B->A.enabled=false
B.exactly.once.source.support=enabled
dedicated.mode.enable.internal.rest=true
listeners=http://%s
replication.factor=1
checkpoints.topic.replication.factor=1
heartbeats.topic.replication.factor=1
offset-syncs.topic.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
config.storage.replication.factor=1
offset.lag.max=0
emit.checkpoints.interval.seconds=1
sync.group.offsets.interval.seconds=1
refresh.groups.interval.seconds=1
B.session.timeout.ms=6000
B.heartbeat.interval.ms=2000
B.scheduled.rebalance.max.delay.ms=0
`

// MirrorMaker 2 copies every record once, and a group's offsets with them, from Apache Kafka and to it, while it is killed and
// comes again, and the server too.
func TestMirrorMaker(t *testing.T) {
	jars := conformance(t)
	apache := testenv.Kafka(t)
	t.Run("from Kafka", func(t *testing.T) {
		s := newServer(t)
		testMirror(t, jars, apache, s.Kafka, s)
	})
	t.Run("to Kafka", func(t *testing.T) {
		s := newServer(t)
		testMirror(t, jars, s.Kafka, apache, s)
	})
}

func testMirror(t *testing.T, jars, from, to string, s *server) {
	topic(t, from, "lines", 2)
	properties := filepath.Join(t.TempDir(), "mirror.properties")
	if err := os.WriteFile(properties, fmt.Appendf(nil, mirrorProperties, from, to, freeAddress(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	mirror := func() *program { return start(t, jars, "org.apache.kafka.connect.mirror.MirrorMaker", properties) }
	sent := 0
	produce := func() {
		t.Helper()
		var records []*kgo.Record
		for range 20_000 {
			records = append(records, &kgo.Record{Topic: "lines", Key: fmt.Append(nil, sent), Value: fmt.Appendf(nil, "line %d", sent)})
			sent++
		}
		if err := client(t, from).ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	const copied = "A.lines"
	produce()
	m := mirror()
	until(t, "MirrorMaker makes its topic", func() bool {
		topics, err := kadm.NewClient(client(t, to)).ListTopics(t.Context())
		return err == nil && topics.Has(copied)
	})
	n := count(t, to, copied)
	reaches := func(want int) {
		t.Helper()
		until(t, fmt.Sprintf("%d records copied", want), func() bool { return n.Load() >= int64(want) })
	}
	reaches(1)
	m.kill()
	produce()
	m = mirror()
	reaches(20_001)
	s.crash(t)
	produce()
	reaches(sent)

	original, mirrored := byPartition(committed(t, from, "lines")), byPartition(committed(t, to, copied))
	at := kadm.Offsets{}
	for p := range int32(2) {
		same(t, fmt.Sprintf("partition %d", p), values(mirrored[p]), values(original[p]))
		at.AddOffset("lines", p, int64(len(original[p])), -1)
	}
	if t.Failed() {
		return
	}
	if err := kadm.NewClient(client(t, from)).CommitAllOffsets(t.Context(), "readers", at); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(client(t, to))
	for p := range int32(2) {
		last := mirrored[p][len(mirrored[p])-1].Offset
		until(t, fmt.Sprintf("the group is behind record %d of partition %d", last, p), func() bool {
			offsets, err := admin.FetchOffsets(t.Context(), "readers")
			if err != nil {
				return false
			}
			o, ok := offsets.Lookup(copied, p)
			return ok && o.At == last+1
		})
	}
	m.kill()
}

func byPartition(records []*kgo.Record) map[int32][]*kgo.Record {
	out := map[int32][]*kgo.Record{}
	for _, r := range records {
		out[r.Partition] = append(out[r.Partition], r)
	}
	return out
}

func values(records []*kgo.Record) (out []string) {
	for _, r := range records {
		out = append(out, string(r.Key)+" "+string(r.Value))
	}
	return out
}
