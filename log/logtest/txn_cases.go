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
		err := record.Effects(context.Background(), l, &e, func(b log.PartitionBatch) error {
			if b.Partition.Topic != log.CatalogTopicID {
				values, first, _ := Values(t, b.Batch)
				if first != b.BaseOffset {
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

// The records of a transaction take effect together, with the append that commits it; those of an aborted one never.
func testTransactions(s *suite) {
	t := s.topic("txn", 2)
	l := s.contract.(transactor)
	begin := func(id string, current log.TxnProducer) log.TxnProducer {
		s.Helper()
		p, err := l.InitTxn(s.ctx(), id, time.Minute, current)
		s.must(err)
		return p
	}
	partitions := []log.Partition{{Topic: t.ID}, {Topic: t.ID, Index: 1}}
	join := func(id string, p log.TxnProducer) {
		s.Helper()
		s.must(l.AddTxnPartitions(s.ctx(), id, p, partitions))
	}
	put := func(partition int32, p log.TxnProducer, sequence int32, values ...string) {
		s.Helper()
		s.commit(one(t, partition, TxnBatch(s, p, sequence, values...)))
	}
	end := func(id string, p log.TxnProducer, commit, bump bool) log.TxnProducer {
		s.Helper()
		next, _, err := l.EndTxn(s.ctx(), id, p, commit, bump)
		s.must(err)
		return next
	}
	from := s.End()
	a, b := begin("a", log.NoProducer), begin("b", log.NoProducer)
	if _, err := s.Submit(s.ctx(), one(t, 0, TxnBatch(s, a, 0, "outside"))); !errors.Is(err, log.ErrTxnState) {
		s.Fatalf("a record outside a transaction: %v", err)
	}
	join("a", a)
	join("b", b)
	put(0, a, 0, "a0", "a1")
	put(0, b, 0, "b0")
	s.commit(one(t, 0, Batch(s, 1, "plain")))
	put(1, a, 0, "a2")
	put(0, a, 2, "a3")
	stable := func(want int64) {
		s.Helper()
		bounds, err := s.Bounds(partitions[0])
		s.must(err)
		if bounds.Stable != want {
			s.Fatalf("bounds %+v, want stable %d", bounds, want)
		}
	}
	stable(0)
	a = end("a", a, true, true)
	stable(2)
	b2 := end("b", b, false, false)
	stable(7)
	joined := one(t, 1, TxnBatch(s, a, 0, "a4"))
	joined.JoinTxn = true
	s.commit(joined)
	fenced := a
	a = begin("a", log.NoProducer) // aborts what is open
	if _, err := s.Submit(s.ctx(), one(t, 1, TxnBatch(s, fenced, 1, "late"))); !errors.Is(err, log.ErrProducerFenced) {
		s.Fatalf("a fenced producer: %v", err)
	}
	join("b", b2)
	put(1, b2, 0, "b1")
	check := func() {
		s.Helper()
		want := "plain\na0 a1 a3 a2\n"
		if got := Effects(s, s.contract, from); got != want {
			s.Fatalf("effects\n%swant\n%s", got, want)
		}
		aborted := s.Aborted(partitions[0], 0, 100)
		if len(aborted) != 1 || aborted[0].Producer != b.ID || aborted[0].First != 2 || aborted[0].Last != 6 {
			s.Fatalf("aborted %+v", aborted)
		}
		if got := s.Aborted(partitions[0], 7, 100); len(got) != 0 {
			s.Fatalf("aborted behind its marker: %+v", got)
		}
	}
	check()
	if s.can&Restart != 0 {
		s.restart()
		l = s.contract.(transactor)
		check()
	}
	// What was open goes on.
	put(1, b2, 1, "b2")
	end("b", b2, true, false)
	if got := Effects(s, s.contract, from); !strings.HasSuffix(got, "\nb1 b2\n") {
		s.Fatalf("effects\n%s", got)
	}
	if _, _, err := l.EndTxn(s.ctx(), "a", fenced, true, true); !errors.Is(err, log.ErrProducerFenced) {
		s.Fatalf("the end by a fenced producer: %v", err)
	}
}
