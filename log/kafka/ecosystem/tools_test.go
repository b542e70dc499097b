package ecosystem

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/testenv"
)

// Tools of Kafka's distribution do what they do with Kafka, down to the one that reads the log's files; those for what this
// server has not are told so at once. (TestJavaTools and its neighbours in log/kafka have the others.)
func TestKafkaTools(t *testing.T) {
	conformance(t)
	s := newServer(t)
	topic(t, s.Kafka, "lines", 1)
	jars := testenv.KafkaJars(t)
	tool := func(class string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, _ := exec.CommandContext(ctx, testenv.Java(t), append([]string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jars,
			"org.apache.kafka.tools." + class}, args...)...).CombinedOutput() // some that say why they fail exit with 0
		if ctx.Err() != nil {
			t.Errorf("%s %s does not end within %v", class, strings.Join(args, " "), patience)
		}
		return string(out)
	}
	for _, c := range []struct{ class, args, want string }{
		{"VerifiableProducer", "--topic lines --max-messages 20", `"sent":20,"acked":20`},
		{"VerifiableConsumer", "--topic lines --group-id verified --max-messages 20 --reset-policy earliest", `"offsets":[{"topic":"lines","partition":0,"offset":20}],"success":true`},
		{"EndToEndLatency", "--topic lines --num-records 20 --producer-acks all --record-size 100", "Percentiles: 50th"},
		{"GetOffsetShell", "--topic lines", "lines:0:40"},
		{"StreamsResetter", "--application-id verified --input-topics lines --to-offset 7", "Topic: lines Partition: 0 Offset: 7"},
		{"TransactionsCommand", "find-hanging --broker-id 1", "StartOffset\tLastTimestamp"},
		{"FeatureCommand", "describe", "group.version"},

		{"FeatureCommand", "upgrade --feature group.version=1", "does not support UPDATE_FEATURES"},
		{"MetadataQuorumCommand", "describe --status", "does not support DESCRIBE_QUORUM"},
		{"ClientMetricsCommand", "--list", "does not support LIST_CONFIG_RESOURCES"},
		{"reassign.ReassignPartitionsCommand", "--list", "does not support LIST_PARTITION_REASSIGNMENTS"},
		{"consumer.group.ShareGroupCommand", "--describe --group g", "does not support SHARE_GROUP_DESCRIBE"},
		{"consumer.ConsoleShareConsumer", "--topic lines --timeout-ms 10000", "does not support the share group protocol"},
		{"streams.StreamsGroupCommand", "--describe --group g", "does not support STREAMS_GROUP_DESCRIBE"},
	} {
		if out := tool(c.class, append([]string{"--bootstrap-server", s.Kafka}, strings.Fields(c.args)...)...); !strings.Contains(out, c.want) {
			t.Errorf("%s %s: no %q in\n%s", c.class, c.args, c.want, out)
		}
	}
	s.Kill()
	files, err := filepath.Glob(filepath.Join(s.dir, "log", "partitions", "*", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	if out := tool("DumpLogSegments", "--print-data-log", "--files", strings.Join(files, ",")); !strings.Contains(out, "payload: 19\n") || strings.Contains(out, "isvalid: false") {
		t.Errorf("the files %q are not read:\n%s", files, out)
	}
}
