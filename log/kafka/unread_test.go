package kafka

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// sleeper is a consumer that has asked for much and reads nothing of its answer but the first byte.
type sleeper struct {
	*peer
	in *bufio.Reader
}

// doze has consumers ask for all of a topic and waits until each was answered at its beginning.
func doze(t *testing.T, n int, address, topic string, config *tls.Config) (all []sleeper) {
	t.Helper()
	for range n {
		p := dial(t, address)
		if err := p.conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		if config != nil {
			p.conn = tls.Client(p.conn, config)
		}
		q := fetchRequest(topic, 0, 0)
		q.MaxBytes, q.Topics[0].Partitions[0].PartitionMaxBytes = 50<<20, 50<<20
		p.send(q)
		all = append(all, sleeper{p, bufio.NewReaderSize(p.conn, 16)})
	}
	for i, s := range all {
		s.conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := s.in.Peek(1); err != nil {
			t.Fatalf("sleeper %d is not answered: %v", i, err)
		}
	}
	return all
}

// wake reads the answer of a sleeper, whole or as far as it comes.
func (s *sleeper) wake() ([]byte, error) {
	s.conn.SetReadDeadline(time.Now().Add(time.Minute))
	var head [4]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, int(head[0])<<24|int(head[1])<<16|int(head[2])<<8|int(head[3]))
	n, err := io.ReadFull(s.in, answer)
	return answer[:n], err
}

// noise is a topic of some 12 MB in batches of many sizes.
func noise(t *testing.T, catalog Catalog, address string) log.Partition {
	t.Helper()
	topic, err := catalog.CreateTopic(context.Background(), "noise", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	p := dial(t, address)
	for size := 100; size < 12<<20; {
		value := make([]byte, 1+random.Uint64()%(900<<10))
		random.Read(value)
		if a := p.ask(produce(9, "noise", 0, batch(t, record.None, string(value)))).(*kmsg.ProduceResponse); a.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatalf("%+v", a)
		}
		size += len(value)
	}
	return log.Partition{Topic: topic.ID}
}

// Consumers that do not read what they have asked for hold none of the memory that others' answers need, and get every byte when
// they read at last.
func TestUnreadAnswers(t *testing.T) {
	ca := testenv.NewAuthority(t)
	l, catalog := newLog(t)
	little := func(o *Options) { o.InflightBytes = 16 << 20 }
	clear := serve(t, l, catalog, little)
	noisy := noise(t, catalog, clear)
	want, err := l.Read(context.Background(), noisy, 0, log.ReadLimit{MaxBytes: fetchBytes})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		address string
		config  *tls.Config
	}{
		"clear": {clear, nil}, "TLS": {serveTLS(t, ca, certs.Options{}, l, catalog, little), &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}},
	} {
		t.Run(name, func(t *testing.T) {
			sleepers := doze(t, 10, c.address, "noise", c.config)
			p := dial(t, c.address)
			if c.config != nil {
				p.conn = tls.Client(p.conn, c.config)
			}
			for range 3 {
				began := time.Now()
				a := p.ask(fetchRequest("noise", 0, 0)).(*kmsg.FetchResponse)
				if took := time.Since(began); took > stalled/2 || len(a.Topics[0].Partitions[0].RecordBatches) == 0 {
					t.Errorf("%d bytes after %v", len(a.Topics[0].Partitions[0].RecordBatches), took)
				}
			}
			for _, s := range sleepers {
				answer, err := s.wake()
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Contains(answer, want) {
					t.Fatalf("%d bytes, without the %d of the log", len(answer), len(want))
				}
			}
		})
	}
}

// What is given up, or dropped with its topic, while its reader sleeps ends the connection: an answer cannot be taken back.
func TestUnreadAnswersThatGo(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, l Log, catalog Catalog, p log.Partition){
		"deleted": func(t *testing.T, l Log, _ Catalog, p log.Partition) {
			if _, err := l.DeleteRecords(context.Background(), p, -1); err != nil {
				t.Fatal(err)
			}
		},
		"dropped": func(t *testing.T, l Log, catalog Catalog, _ log.Partition) {
			i := slices.IndexFunc(l.Topics(), func(topic log.Topic) bool { return topic.Name == "noise" })
			if err := catalog.DropTopic(context.Background(), l.Topics()[i]); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, catalog := newLog(t)
			address := serve(t, l, catalog)
			noisy := noise(t, catalog, address)
			want, err := l.Read(context.Background(), noisy, 0, log.ReadLimit{MaxBytes: fetchBytes})
			if err != nil {
				t.Fatal(err)
			}
			sleepers := doze(t, 1, address, "noise", nil)
			time.Sleep(10 * patience)
			lose(t, l, catalog, noisy)
			answer, err := sleepers[0].wake()
			if err == nil {
				t.Fatal("the whole answer came")
			}
			if at := bytes.Index(answer, want[:1000]); at < 0 || !bytes.HasPrefix(want, answer[at:]) {
				t.Errorf("%d bytes (records from %d on) that are not the log's", len(answer), at)
			}
		})
	}
}

// A client that asks and asks and reads no answer holds its share of the memory for requests, not all of it: others go on.
func TestUnreadQuestions(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog, func(o *Options) { o.InflightBytes = 16 << 20 })
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	p := dial(t, address)
	if err := p.conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	q := kmsg.NewPtrDescribeGroupsRequest()
	q.Groups = []string{strings.Repeat("x", 30_000)}
	for i := range 30 {
		q.Groups = append(q.Groups, fmt.Sprint(i)+q.Groups[0])
	}
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, q, 1)
	var sent atomic.Int64
	go func() { // until the test ends the connection
		for range 100 {
			if _, err := p.conn.Write(frame); err != nil {
				return
			}
			sent.Add(int64(len(frame)))
		}
	}()
	for before := int64(-1); sent.Load() != before; time.Sleep(time.Second) {
		before = sent.Load() // until nothing more is taken from it
	}
	began := time.Now()
	other := dial(t, address)
	for range 3 {
		value := strings.Repeat("y", 900<<10)
		if a := other.ask(produce(9, "t", 0, batch(t, record.None, value))).(*kmsg.ProduceResponse); a.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatalf("%+v", a)
		}
	}
	if took := time.Since(began); took > stalled/2 {
		t.Errorf("three requests took %v while another client held %d bytes", took, sent.Load())
	}
}
