package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/errs"
)

// kafkaVersion is the version of Apache Kafka that is the log's peer.
const kafkaVersion = "4.3.1"

// kafka is a broker of Apache Kafka, one node in KRaft mode, in a process and a directory of its own, with the settings of
// its own start script: 1 GiB of heap, G1, and no fsync by default.
type kafka struct {
	jars, dir, address string
	cmd                *exec.Cmd
	output             tail
	memory             *memory
}

// KafkaJars is the class path of Apache Kafka where this project's tests install it.
func KafkaJars() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "miracledb-test", "kafka-"+kafkaVersion, "lib", "*"), err
}

// startKafka formats a directory below dir and starts a broker on it. Close it.
func startKafka(ctx context.Context, jars, dir string) (_ *kafka, err error) {
	if found, _ := filepath.Glob(filepath.Join(filepath.Dir(jars), "kafka_*.jar")); len(found) == 0 {
		return nil, errs.New(errs.Unavailable, "Apache Kafka %s, the peer, is not in %s", kafkaVersion, jars).
			WithHint("go run ./internal/testenv/install, or name its jars by --kafka-jars 'DIR/*'.")
	}
	k := &kafka{jars: jars, dir: filepath.Join(dir, "kafka")}
	controller := ""
	for _, a := range []*string{&k.address, &controller} {
		if *a, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return nil, err
	}
	properties := filepath.Join(k.dir, "server.properties")
	if err := os.WriteFile(properties, []byte(fmt.Sprintf(kafkaProperties, controller, k.address, filepath.Join(k.dir, "data"))), 0o644); err != nil {
		return nil, err
	}
	format := exec.CommandContext(ctx, "java", "-cp", jars, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", properties)
	if out, err := format.CombinedOutput(); err != nil {
		return nil, errs.New(errs.Unavailable, "formatting Kafka's directory: %w %s", err, out)
	}
	k.cmd = exec.Command("java", "-Xmx1G", "-Xms1G", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-cp", jars, "kafka.Kafka", properties)
	k.cmd.Dir, k.cmd.Stdout, k.cmd.Stderr = k.dir, &k.output, &k.output
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's interrupt is for us
	if err := k.cmd.Start(); err != nil {
		return nil, err
	}
	k.memory = sampleMemory(k.cmd.Process.Pid, nil)
	if err := waitKafka(ctx, k.address); err != nil {
		k.close()
		return nil, errs.New(errs.Unavailable, "Kafka did not start: %w: %s", err, k.output.String())
	}
	return k, nil
}

const kafkaProperties = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[1]s
listeners=PLAINTEXT://%[2]s,CONTROLLER://%[1]s
advertised.listeners=PLAINTEXT://%[2]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
`

// waitKafka waits until a broker answers for its metadata.
func waitKafka(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			_ = c.Close() // only that somebody listens counts
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}

// close ends the broker at once: its directory is thrown away.
func (k *kafka) close() {
	k.memory.stop()
	_ = k.cmd.Process.Kill() // an error means that it is gone
	_ = k.cmd.Wait()
}

// javaTool runs one of Kafka's own tools and gives what it printed.
func javaTool(ctx context.Context, jars, class string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "java", append([]string{"-Xmx512m", "-cp", jars, class}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", errs.New(errs.Unavailable, "%s: %w\n%s", class[strings.LastIndexByte(class, '.')+1:], err, out)
	}
	return string(out), nil
}
