package kafka

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/miracledb/miracledb/log/group"
	"github.com/miracledb/miracledb/log/record"
)

// No goroutine is left when the tests are over.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server over a log and gives its address.
func serve(t testing.TB, l Log, catalog Catalog, change ...func(*Options)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, listener, l, catalog, change...)
}

func serveOn(t testing.TB, listener net.Listener, l Log, catalog Catalog, change ...func(*Options)) string {
	t.Helper()
	return serveWith(t, listener, open(t, l, catalog, change...))
}

// open makes a server that does not serve yet.
func open(t testing.TB, l Log, catalog Catalog, change ...func(*Options)) *Server {
	t.Helper()
	o := Options{Log: l, Catalog: catalog, ClusterID: "test", NodeID: 1, Group: group.Options{MinSession: time.Millisecond},
		Report: func(err error) { t.Error(err) }}
	for _, f := range change {
		f(&o)
	}
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func serveWith(t testing.TB, listener net.Listener, s *Server) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		for name, b := range map[string]*budget{"frames": s.frames, "decoding": s.decoding, "fetches": s.fetches} {
			if !b.free.TryAcquire(b.size) {
				t.Errorf("%s: memory was not given back", name)
			}
		}
	})
	return listener.Addr().String()
}

// peer is a client that says exactly what the test wants.
type peer struct {
	t           testing.TB
	conn        net.Conn
	correlation int32
}

func dial(t testing.TB, address string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &peer{t: t, conn: c}
}

func (p *peer) send(q kmsg.Request) {
	p.t.Helper()
	p.correlation++
	p.raw(kmsg.NewRequestFormatter(kmsg.FormatterClientID("peer")).AppendRequest(nil, q, p.correlation))
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// receive reads the answer to the request with the correlation id into a.
func (p *peer) receive(a kmsg.Response, correlation int32) {
	p.t.Helper()
	p.conn.SetReadDeadline(time.Now().Add(time.Minute))
	var head [8]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		p.t.Fatalf("reading the answer to %T: %v", a, err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	if _, err := io.ReadFull(p.conn, body); err != nil {
		p.t.Fatal(err)
	}
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != correlation {
		p.t.Fatalf("answer to request %d, want %d", got, correlation)
	}
	if a.IsFlexible() && a.Key() != apiVersionsKey {
		if body[0] != 0 {
			p.t.Fatalf("the header of the answer to %T has tags", a)
		}
		body = body[1:]
	}
	if err := a.ReadFrom(body); err != nil {
		p.t.Fatalf("decoding %T version %d: %v", a, a.GetVersion(), err)
	}
}

func (p *peer) ask(q kmsg.Request) kmsg.Response {
	p.t.Helper()
	p.send(q)
	a := q.ResponseKind()
	p.receive(a, p.correlation)
	return a
}

// closed waits for the server to close the connection.
func (p *peer) closed() {
	p.t.Helper()
	p.conn.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := p.conn.Read(make([]byte, 1)); err == nil || n > 0 {
		p.t.Fatal("the server answered, and should have closed the connection")
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		p.t.Fatal("the server did not close the connection")
	}
}

// batch makes a record batch of the values, without keys.
func batch(t testing.TB, codec record.Codec, values ...string) []byte {
	t.Helper()
	b := record.Builder{Codec: codec}
	for i, v := range values {
		b.Add(1_000_000+int64(i), nil, []byte(v))
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// produce makes a Produce request of one partition.
func produce(version int16, topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.SetVersion(version)
	q.Acks, q.TimeoutMillis = -1, 10_000
	q.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: records}}}}
	return q
}
