package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Kafka starts an Apache Kafka broker (KRaft, one node) for the test, stops it at its end, and gives its address. Settings
// are server.properties lines after the test's own.
func Kafka(t testing.TB, settings ...string) (address string) {
	t.Helper()
	java := Java(t)
	jars := KafkaJars(t)
	s, err := StartKafka(java, jars, settings...)
	Need(t, "Apache Kafka", err)
	t.Cleanup(s.Close)
	return s.Address
}

// KafkaServer is a running broker in a directory of its own.
type KafkaServer struct {
	Address string
	dir     string
	cmd     *exec.Cmd
	done    chan struct{} // closed when the process has ended
	out     lockedBuffer
}

const kafkaProperties = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=%[3]s/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
log.cleaner.enable=false
auto.create.topics.enable=false
`

// errEnded is a broker that did not live to be connected to.
var errEnded = errors.New("kafka ended at once")

// StartKafka starts a broker with the class path of InstallKafka. Close it.
func StartKafka(java, classpath string, settings ...string) (*KafkaServer, error) {
	// A port that was free may be taken by the time that Kafka binds it.
	for try := 1; ; try++ {
		s, err := startKafka(java, classpath, settings...)
		if try == 3 || !errors.Is(err, errEnded) {
			return s, err
		}
	}
}

func startKafka(java, classpath string, settings ...string) (_ *KafkaServer, err error) {
	dir, err := os.MkdirTemp("", "mdbkafka-")
	if err != nil {
		return nil, err
	}
	s := &KafkaServer{dir: dir}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	broker, err := FreePort()
	if err != nil {
		return nil, err
	}
	controller, err := FreePort()
	if err != nil {
		return nil, err
	}
	s.Address = net.JoinHostPort("127.0.0.1", strconv.Itoa(broker))
	properties := fmt.Sprintf(kafkaProperties, broker, controller, dir)
	for _, line := range settings {
		properties += line + "\n"
	}
	file := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(file, []byte(properties), 0o644); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	if err := run(ctx, dir, java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classpath, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg",
		"-c", file); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(java, "-Xmx512m", "-Xms256m", "-XX:+UseSerialGC", "-cp", classpath, "kafka.Kafka", file)
	s.cmd.Dir = dir
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.done = make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
	}()
	for {
		if c, err := net.DialTimeout("tcp", s.Address, time.Second); err == nil {
			return s, c.Close()
		}
		select {
		case <-s.done:
			return nil, fmt.Errorf("%w:\n%s", errEnded, s.out.tail(2000))
		case <-ctx.Done():
			return nil, errors.New("kafka did not listen within 4 minutes")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Close ends the broker and removes its directory.
func (s *KafkaServer) Close() {
	if s.done != nil {
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	_ = os.RemoveAll(s.dir)
}
