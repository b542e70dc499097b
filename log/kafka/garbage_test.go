package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// rehash makes a batch's CRC fit its bytes again.
func rehash(batch []byte) {
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], crc32.MakeTable(crc32.Castagnoli)))
}

func frame(size uint32, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, size), body...)
}

// Bad bytes end their own connection, and another one goes on.
func TestGarbage(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	bystander := dial(t, address)
	huge := frame(100<<20, 0, 0, 0, 9)
	for name, bytes := range map[string][]byte{
		"2 GB":                          frame(0x7fffffff, 0, 18, 0, 0),
		"negative length":               frame(0xffffffff),
		"length 0":                      frame(0),
		"7 bytes":                       frame(7, 0, 18, 0, 0, 0, 0, 0),
		"HTTP":                          []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"TLS":                           []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		"unknown key":                   frame(10, 0x7f, 0x7f, 0, 0, 0, 0, 0, 1, 0xff, 0xff),
		"negative key":                  frame(10, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff),
		"version of Fetch to come":      frame(10, 0, 1, 0, 99, 0, 0, 0, 1, 0xff, 0xff),
		"negative version":              frame(10, 0, 3, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff),
		"client id beyond the end":      frame(10, 0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff),
		"Metadata of 2^31 topics":       frame(14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff),
		"a large frame not of Produce":  frame(50<<20, 0, 3, 0, 1),
		"Produce of 2^31 topics":        frame(22, 0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff),
		"Produce of 100 MB, cut":        huge,
		"Produce without a body":        frame(10, 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff),
		"ApiVersions with a cut header": frame(8, 0, 18, 0, 3, 0, 0, 0, 1),
	} {
		p := dial(t, address)
		p.raw(bytes)
		p.conn.(*net.TCPConn).CloseWrite()
		p.closed()
		if a := bystander.ask(kmsg.NewPtrMetadataRequest()).(*kmsg.MetadataResponse); len(a.Brokers) != 1 {
			t.Fatalf("after %s: %+v", name, a)
		}
	}
}

// everyRequest visits a request of each version of each key that is served, with its bytes.
func everyRequest(topic log.Topic, visit func(q kmsg.Request, whole []byte)) {
	for _, key := range slices.Sorted(maps.Keys(apis)) {
		for version := apis[key].min; version <= apis[key].max; version++ {
			q := kmsg.RequestForKey(key)
			q.SetVersion(version)
			fill(q, topic)
			visit(q, kmsg.NewRequestFormatter(kmsg.FormatterClientID("c")).AppendRequest(nil, q, 1))
		}
	}
}

// A request of any key and version that is cut at any byte ends the connection, and nothing is answered: whether its length was
// made to fit or promises more.
func TestCutAtEveryByte(t *testing.T) {
	s, topic := scripted(t)
	everyRequest(topic, func(q kmsg.Request, whole []byte) {
		for cut := range len(whole) {
			short := bytes.Clone(whole[:cut])
			for _, fits := range []bool{false, cut >= 4} {
				if fits {
					binary.BigEndian.PutUint32(short, uint32(cut-4))
				}
				if n := play(t, s, short, fits); n != 0 {
					t.Errorf("%T version %d cut at %d, length fits: %v: %d bytes were answered", q, q.GetVersion(), cut, fits, n)
				}
			}
		}
	})
}

// The same over real connections, at the highest versions.
func TestCutConnections(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	topic, _ := catalog.CreateTopic(context.Background(), "t", 1, nil)
	everyRequest(topic, func(q kmsg.Request, whole []byte) {
		if q.GetVersion() != apis[q.Key()].max {
			return
		}
		for cut := range len(whole) {
			p := dial(t, address)
			short := bytes.Clone(whole[:cut])
			if cut >= 4 && cut%2 == 0 {
				binary.BigEndian.PutUint32(short, uint32(cut-4))
			}
			p.raw(short)
			p.conn.(*net.TCPConn).CloseWrite()
			p.conn.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := io.Copy(io.Discard, p.conn); err != nil {
				t.Fatalf("%T cut at %d: %v", q, cut, err)
			}
			p.conn.Close()
		}
	})
}

// A frame of 30 bytes that claims 2^32-1 tagged fields, which anybody may send, costs no time: kmsg before v1.15.1 counted them down.
func TestManyTags(t *testing.T) {
	s, topic := scripted(t)
	everyRequest(topic, func(q kmsg.Request, whole []byte) {
		if !q.IsFlexible() || q.Key() == saslHandshakeKey {
			return
		}
		whole = append(whole[:len(whole)-1], 0xff, 0xff, 0xff, 0xff, 0x0f) // the last byte is that there are none
		binary.BigEndian.PutUint32(whole, uint32(len(whole)-4))
		took := time.Hour
		for try := 0; try < 5 && took > 2*time.Second; try++ { // the machine may have stood still
			begun := time.Now()
			if n := play(t, s, whole, true); n != 0 {
				t.Errorf("%T version %d: %d bytes were answered", q, q.GetVersion(), n)
			}
			took = time.Since(begun)
		}
		if took > 2*time.Second {
			t.Fatalf("%T version %d: took %v", q, q.GetVersion(), took)
		}
	})
}

// Requests of every key and version with bytes changed at random: whatever they mean then, no panic, and the connection ends.
func TestMutations(t *testing.T) {
	rounds := 40
	if testenv.Conformance() {
		rounds = 2000
	}
	s, topic := scripted(t)
	everyRequest(topic, func(q kmsg.Request, whole []byte) {
		random := rand.New(rand.NewPCG(uint64(q.Key()), uint64(q.GetVersion())))
		for range rounds {
			changed := bytes.Clone(whole)
			for range 1 + random.IntN(4) {
				changed[4+random.IntN(len(changed)-4)] = byte(random.Uint32())
			}
			took := time.Hour
			for try := 0; try < 5 && took > 5*time.Second; try++ { // the machine may have stood still
				begun := time.Now()
				play(t, s, changed, false)
				took = time.Since(begun)
			}
			if took > 5*time.Second {
				t.Errorf("%T version %d, %x: took %v", q, q.GetVersion(), changed, took)
			}
		}
	})
}

// scripted makes a server over a log in memory with a topic t, for play.
func scripted(t testing.TB) (*Server, log.Topic) {
	t.Helper()
	l := newMemLog()
	topic, err := l.CreateTopic(context.Background(), "t", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return scriptedOver(t, l), topic
}

func scriptedOver(t testing.TB, l *memLog) *Server {
	t.Helper()
	s, err := Open(context.Background(), Options{Log: l, Catalog: l, ClusterID: "f", Report: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// play has a connection's client say what is in in, and gives the bytes of the answers; one that lingers waits a moment for them
// before it goes. All memory of requests must be given back.
func play(t testing.TB, s *Server, in []byte, lingers bool) (answered int64) {
	t.Helper()
	client := &script{in: bytes.NewReader(in), lingers: lingers}
	newConn(s, client).serve(context.Background())
	for name, b := range map[string]*budget{"frames": s.frames, "decoding": s.decoding, "fetches": s.fetches} {
		if !b.free.TryAcquire(b.size) {
			t.Errorf("%s: memory was not given back", name)
		}
		b.free.Release(b.size)
	}
	return client.written.Load()
}

// Who finds no memory waits for it; many produces and fetches at once are all answered.
func TestBudget(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog, func(o *Options) { o.InflightBytes = 3 << 20 })
	catalog.CreateTopic(context.Background(), "t", 1, nil)
	large := batch(t, record.None, string(make([]byte, 900<<10)))
	var all sync.WaitGroup
	for range 4 {
		p, reader := dial(t, address), dial(t, address)
		all.Go(func() {
			for offset := int64(0); offset < 20; {
				q := fetchRequest("t", offset, time.Second)
				q.MaxBytes, q.Topics[0].Partitions[0].PartitionMaxBytes = 10<<20, 10<<20
				for rest := reader.ask(q).(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches; len(rest) > 0; offset++ {
					_, rest, _ = record.Parse(rest)
				}
			}
		})
		all.Go(func() {
			for range 5 {
				if a := p.ask(produce(9, "t", 0, bytes.Clone(large))).(*kmsg.ProduceResponse); a.Topics[0].Partitions[0].ErrorCode != 0 {
					t.Errorf("%+v", a)
				}
			}
		})
	}
	all.Wait()
}

// script is a connection whose client says what the test wants and looks at nothing that it is told.
type script struct {
	in      io.Reader
	lingers bool
	written atomic.Int64
}

func (s *script) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err != nil && s.lingers {
		time.Sleep(200 * time.Millisecond)
	}
	return n, err
}

func (s *script) Write(p []byte) (int, error)      { s.written.Add(int64(len(p))); return len(p), nil }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// Whatever bytes come: no panic, the connection ends when they do, and all memory of requests is given back.
func FuzzConnection(f *testing.F) {
	l := newMemLog()
	topic, _ := l.CreateTopic(context.Background(), "t", 1, nil)
	everyRequest(topic, func(_ kmsg.Request, whole []byte) { f.Add(whole) })
	var b record.Builder
	b.Add(1, nil, []byte("value"))
	records, _ := b.Build()
	f.Add(kmsg.NewRequestFormatter().AppendRequest(nil, produce(9, "t", 0, records), 1))
	f.Add(frame(0x7fffffff, 0, 18, 0, 0))
	f.Add(frame(14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 1))
	f.Fuzz(func(t *testing.T, in []byte) {
		l := newMemLog()
		l.topics["t"] = topic
		play(t, scriptedOver(t, l), in, false)
	})
}
