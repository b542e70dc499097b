package ecosystem

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// patience bounds what a loaded machine may take for one step.
const patience = 4 * time.Minute

// conformance skips where the long suite is not asked for, and gives the class path of the applications.
func conformance(t *testing.T) string {
	t.Helper()
	if !testenv.Conformance() {
		t.Skip("make conformance")
	}
	return testenv.KafkaApplications(t)
}

// program is a Java program that runs until it is killed.
type program struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu  sync.Mutex
	out bytes.Buffer // both of its outputs
}

// Write takes what the program prints.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// start runs a class with at most 256 MB of heap until the test ends; what it has printed is shown when the test has failed.
func start(t *testing.T, classpath, class string, args ...string) *program {
	t.Helper()
	p := &program{done: make(chan struct{})}
	p.cmd = exec.Command(testenv.Java(t), append([]string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir=" + t.TempDir(),
		"-cp", classpath, class}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if out := p.output(); t.Failed() {
			t.Logf("%s printed\n%s", class, out[max(0, len(out)-8000):])
		}
	})
	return p
}

// kill ends it with SIGKILL and waits.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *program) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// says waits until the program has printed a text so often.
func (p *program) says(t *testing.T, text string, times int) {
	t.Helper()
	until(t, fmt.Sprintf("%q printed %d times", text, times), func() bool {
		if p.ended() {
			t.Fatalf("it has ended and did not say %q", text)
		}
		return strings.Count(p.output(), text) >= times
	})
}

// server is a MiracleDB in a process of its own that comes again at the same address.
type server struct {
	dir string
	*nodetest.Process
}

func newServer(t *testing.T) *server {
	t.Helper()
	t.Setenv(nodetest.KafkaEnv, freeAddress(t))
	s := &server{dir: filepath.Join(t.TempDir(), "data")}
	s.Process = nodetest.StartProcess(t, s.dir)
	return s
}

// crash kills the server and starts it again.
func (s *server) crash(t *testing.T) {
	t.Helper()
	s.Kill()
	s.Process = nodetest.StartProcess(t, s.dir)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := testenv.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func client(t *testing.T, address string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(address)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// topic makes a topic and waits for it.
func topic(t *testing.T, address, name string, partitions int32) {
	t.Helper()
	if _, err := kadm.NewClient(client(t, address)).CreateTopic(t.Context(), partitions, 1, nil, name); err != nil {
		t.Fatal(err)
	}
}

// committed reads all committed records that a topic has.
func committed(t *testing.T, address, name string) (records []*kgo.Record) {
	t.Helper()
	c := client(t, address, kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords()) // the last record may be a transaction's end
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ends, err := kadm.NewClient(c).ListCommittedOffsets(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	missing := map[int32]int64{} // the end of each partition that is not yet read
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			missing[o.Partition] = o.Offset
		}
	})
	for len(missing) > 0 {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("topic %s: the ends %v are not reached", name, missing)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, ok := missing[r.Partition]
			if ok && r.Offset+1 >= end {
				delete(missing, r.Partition)
			}
			if ok && r.Offset < end && !r.Attrs.IsControl() {
				records = append(records, r)
			}
		})
	}
	return records
}

// count follows a topic until the test ends, and tells how many committed records there have been.
func count(t *testing.T, address, name string) *atomic.Int64 {
	t.Helper()
	c := client(t, address, kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	n, ctx := new(atomic.Int64), t.Context()
	go func() {
		for ctx.Err() == nil {
			n.Add(int64(c.PollFetches(ctx).NumRecords()))
		}
	}()
	return n
}

func compile(t *testing.T, classpath, classes, source string) {
	t.Helper()
	if out, err := exec.Command(testenv.Javac(t), "-nowarn", "-cp", classpath, "-d", classes, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// pause is between two looks at something.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Millisecond):
	}
}
