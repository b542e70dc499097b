package logtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// transactor is a Log with the capability Transactions.
type transactor interface {
	InitTxn(ctx context.Context, id string, timeout time.Duration, current log.TxnProducer) (log.TxnProducer, error)
	AddTxnPartitions(ctx context.Context, id string, p log.TxnProducer, partitions []log.Partition) error
	EndTxn(ctx context.Context, id string, p log.TxnProducer, commit, bump bool) (log.TxnProducer, []log.TxnOffset, error)
}

// TxnBatch is a batch of a transactional producer, as Batch is of an ordinary one.
func TxnBatch(t testing.TB, p log.TxnProducer, sequence int32, values ...string) []byte {
	t.Helper()
	var b record.Builder
	for i, v := range values {
		b.Add(1, fmt.Appendf(nil, "k%d", i), []byte(v))
	}
	b.Producer(p.ID, p.Epoch, sequence)
	b.MarkTransactional()
	data, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Effects tells the values that take effect with each append after a position, a line for each that has any.
func Effects(t testing.TB, l log.Log, after log.Position) string {
	t.Helper()
	var out strings.Builder
	for _, e := range Entries(t, l, after) {
		var all []string
		err := record.Effects(context.Background(), l, &e, func(log.TopicID) bool { return true }, func(b log.PartitionBatch) error {
			if b.Partition.Topic != log.CatalogTopicID {
				values, first, _ := Values(t, b.Batch)
				if first < b.BaseOffset { // above it where the partition begins within the batch
					t.Fatalf("a batch said to be at %d begins at %d", b.BaseOffset, first)
				}
				all = append(all, values...)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) > 0 {
			fmt.Fprintln(&out, strings.Join(all, " "))
		}
	}
	return out.String()
}

// txns drives the transactions of a suite over the two partitions of a topic.
type txns struct {
	*suite
	topic log.Topic
}

func (x *txns) log() transactor { return x.contract.(transactor) }

func (x *txns) partitions() []log.Partition {
	return []log.Partition{{Topic: x.topic.ID}, {Topic: x.topic.ID, Index: 1}}
}

func (x *txns) begin(id string) log.TxnProducer {
	x.Helper()
	p, err := x.log().InitTxn(x.ctx(), id, time.Minute, log.NoProducer)
	x.must(err)
	return p
}

func (x *txns) join(id string, p log.TxnProducer) {
	x.Helper()
	x.must(x.log().AddTxnPartitions(x.ctx(), id, p, x.partitions()))
}

func (x *txns) put(partition int32, p log.TxnProducer, sequence int32, values ...string) {
	x.Helper()
	x.commit(one(x.topic, partition, TxnBatch(x, p, sequence, values...)))
}

func (x *txns) end(id string, p log.TxnProducer, commit, bump bool) log.TxnProducer {
	x.Helper()
	next, _, err := x.log().EndTxn(x.ctx(), id, p, commit, bump)
	x.must(err)
	return next
}

// refused checks that a record is not taken.
func (x *txns) refused(p log.TxnProducer, sequence int32, want error) {
	x.Helper()
	if _, err := x.Submit(x.ctx(), one(x.topic, 1, TxnBatch(x, p, sequence, "refused"))); !errors.Is(err, want) {
		x.Fatalf("%v, want %v", err, want)
	}
}

func (x *txns) stable(want int64) {
	x.Helper()
	bounds, err := x.Bounds(x.partitions()[0])
	x.must(err)
	if bounds.Stable != want {
		x.Fatalf("bounds %+v, want stable %d", bounds, want)
	}
}

// The records of a transaction take effect together, with the append that commits it; those of an aborted one never.
func testTransactions(s *suite) {
	x := &txns{s, s.topic("txn", 2)}
	from := s.End()
	a, b := x.begin("a"), x.begin("b")
	x.refused(a, 0, log.ErrTxnState)
	x.join("a", a)
	x.join("b", b)
	x.put(0, a, 0, "a0", "a1")
	x.put(0, b, 0, "b0")
	s.commit(one(x.topic, 0, Batch(s, 1, "plain")))
	x.put(1, a, 0, "a2")
	x.put(0, a, 2, "a3")
	x.stable(0)
	a = x.end("a", a, true, true)
	x.stable(2)
	x.end("b", b, false, false)
	x.stable(7)
	joined := one(x.topic, 1, TxnBatch(s, a, 0, "a4"))
	joined.JoinTxn = true
	s.commit(joined)
	fenced := a
	a = x.begin("a") // aborts what is open
	x.refused(fenced, 1, log.ErrProducerFenced)
	x.join("b", b)
	x.put(1, b, 0, "b1")
	check := func() {
		s.Helper()
		if got, want := Effects(s, s.contract, from), "plain\na0 a1 a3 a2\n"; got != want {
			s.Fatalf("effects\n%swant\n%s", got, want)
		}
		aborted, upTo, err := s.Aborted(x.partitions()[0], 0, 100)
		if err != nil || upTo != 100 || len(aborted) != 1 || aborted[0] != (log.AbortedTxn{Producer: b.ID, First: 2, Last: 6}) {
			s.Fatalf("aborted %+v up to %d, %v", aborted, upTo, err)
		}
		if got, _, err := s.Aborted(x.partitions()[0], 7, 100); err != nil || len(got) != 0 {
			s.Fatalf("aborted behind its marker: %+v", got)
		}
	}
	check()
	if s.can&Restart != 0 {
		s.restart()
		check()
	}
	// What was open goes on.
	x.put(1, b, 1, "b2")
	x.end("b", b, true, false)
	if got := Effects(s, s.contract, from); !strings.HasSuffix(got, "\nb1 b2\n") {
		s.Fatalf("effects\n%s", got)
	}
	if _, _, err := x.log().EndTxn(s.ctx(), "a", fenced, true, true); !errors.Is(err, log.ErrProducerFenced) {
		s.Fatalf("the end by a fenced producer: %v", err)
	}
	x.end("a", a, true, true)
}
