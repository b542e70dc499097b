package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

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

// A request that is cut at any byte, its length made to fit or not, ends the connection or is answered.
func TestCutAtEveryByte(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	topic, _ := catalog.CreateTopic(context.Background(), "t", 1, nil)
	for key, served := range apis {
		q := kmsg.RequestForKey(key)
		q.SetVersion(served.max)
		fill(q, topic)
		whole := kmsg.NewRequestFormatter().AppendRequest(nil, q, 1)
		for cut := range len(whole) {
			p := dial(t, address)
			short := bytes.Clone(whole[:cut])
			if cut >= 4 && cut%2 == 0 {
				binary.BigEndian.PutUint32(short, uint32(cut-4))
			}
			p.raw(short)
			p.conn.(*net.TCPConn).CloseWrite()
			p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, p.conn); err != nil {
				t.Fatalf("%T cut at %d: %v", q, cut, err)
			}
			p.conn.Close()
		}
	}
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

// script is a connection whose client says what the fuzzer wants and reads nothing.
type script struct {
	io.Reader
	closed chan struct{}
	once   sync.Once
}

func (s *script) Write(p []byte) (int, error)      { return len(p), nil }
func (s *script) Close() error                     { s.once.Do(func() { close(s.closed) }); return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// Whatever bytes come: no panic, the connection ends when they do, and all memory of requests is given back.
func FuzzConnection(f *testing.F) {
	l := newMemLog()
	topic, _ := l.CreateTopic(context.Background(), "t", 1, nil)
	for key, served := range apis {
		for _, version := range []int16{served.min, served.max} {
			q := kmsg.RequestForKey(key)
			q.SetVersion(version)
			fill(q, topic)
			f.Add(kmsg.NewRequestFormatter(kmsg.FormatterClientID("f")).AppendRequest(nil, q, 1))
		}
	}
	var b record.Builder
	b.Add(1, nil, []byte("value"))
	records, _ := b.Build()
	f.Add(kmsg.NewRequestFormatter().AppendRequest(nil, produce(9, "t", 0, records), 1))
	f.Add(frame(0x7fffffff, 0, 18, 0, 0))
	f.Add(frame(14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 1))
	f.Fuzz(func(t *testing.T, in []byte) {
		l := newMemLog()
		l.topics["t"] = topic
		s, err := Open(context.Background(), Options{Log: l, Catalog: l, ClusterID: "f", Report: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		c := newConn(s, &script{Reader: bytes.NewReader(in), closed: make(chan struct{})})
		c.serve(context.Background())
		for name, b := range map[string]*budget{"frames": s.frames, "decoding": s.decoding, "fetches": s.fetches} {
			if !b.free.TryAcquire(b.size) {
				t.Errorf("%s: memory was not given back", name)
			}
		}
	})
}
