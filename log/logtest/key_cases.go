package logtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

var indexed = map[string]string{log.ConfigKeyIndex: "true", log.ConfigConditional: "true"}

// keyed is a batch of records with these keys; a key with "!" in front has a null value.
func keyed(s *suite, keys ...string) []byte {
	s.Helper()
	var b record.Builder
	for i, k := range keys {
		value := fmt.Appendf(nil, "%s.%d", k, i)
		if k[0] == '!' {
			k, value = k[1:], nil
		}
		b.Add(1, []byte(k), value)
	}
	p, err := b.Build()
	s.must(err)
	return p
}

// appendIf appends keys on the condition that the last record of key is at last; it gives the one that is, when it is another.
func (s *suite) appendIf(t log.Topic, key string, last int64, keys ...string) (actual int64, ok bool) {
	s.Helper()
	a := one(t, 0, keyed(s, keys...))
	a.Expect = []log.Expect{{Partition: a.Batches[0].Partition, NextOffset: -1, Key: []byte(key), LastOffset: last}}
	_, err := log.Commit(s.ctx(), s.contract, a)
	if err == nil {
		return 0, true
	}
	var unmet *log.ExpectationError
	if !errors.Is(err, log.ErrExpectation) || !errs.Is(err, errs.Conflict) || !errors.As(err, &unmet) || len(unmet.Unmet) != 1 {
		s.Fatalf("expected %s at %d: %v", key, last, err)
	}
	return unmet.Unmet[0].Actual, false
}

func (s *suite) history(t log.Topic, key string, below int64, n int) []int64 {
	s.Helper()
	got, err := s.contract.(log.KeyReader).KeyOffsets(s.ctx(), log.Partition{Topic: t.ID}, []byte(key), below, n)
	s.must(err)
	return got
}

func testKeyExpectations(s *suite) {
	t := CreateTopic(s, s.contract, "k", 2, indexed)
	expect := func(key string, last, actual int64, ok bool, keys ...string) {
		s.Helper()
		if got, fits := s.appendIf(t, key, last, keys...); got != actual || fits != ok {
			s.Fatalf("%s expected at %d: actual %d, %v; want %d, %v", key, last, got, fits, actual, ok)
		}
	}
	expect("a", 0, -1, false, "a")
	expect("a", -1, 0, true, "a", "b", "a") // 0, 1, 2
	expect("a", -1, 2, false, "a")
	expect("a", 0, 2, false, "a")
	expect("b", 1, 0, true, "!b") // 3: a tombstone is the last record of its key
	expect("b", 1, 3, false, "b")
	expect("c", -1, 0, true, "c") // 4
	s.restart()
	expect("a", 2, 0, true, "a") // 5
	expect("b", 3, 0, true, "d") // 6
	if got := s.history(t, "a", -1, 10); !slices.Equal(got, []int64{5, 2, 0}) {
		s.Fatalf("history of a: %v", got)
	}
	if got := s.history(t, "a", 5, 1); !slices.Equal(got, []int64{2}) {
		s.Fatalf("history of a below 5: %v", got)
	}
	if got := s.history(t, "none", -1, 10); len(got) != 0 {
		s.Fatalf("history of a key without records: %v", got)
	}
	plain := s.topic("plain", 1)
	a := one(plain, 0, keyed(s, "a"))
	a.Expect = []log.Expect{{Partition: a.Batches[0].Partition, NextOffset: -1, Key: []byte("a"), LastOffset: -1}}
	if _, err := s.Submit(s.ctx(), a); !errs.Is(err, errs.Invalid) {
		s.Fatalf("a key expected of a topic without index: %v", err)
	}
	// All conditions of an append are checked, over all its partitions, and none of it is written.
	both := log.Append{Batches: []log.PartitionBatch{one(t, 0, keyed(s, "x")).Batches[0], one(t, 1, keyed(s, "x")).Batches[0]},
		Expect: []log.Expect{{Partition: log.Partition{Topic: t.ID}, NextOffset: 6}, {Partition: log.Partition{Topic: t.ID, Index: 1}, NextOffset: 0, Key: []byte("x"), LastOffset: 4}}}
	var unmet *log.ExpectationError
	if _, err := s.Submit(s.ctx(), both); !errors.As(err, &unmet) || len(unmet.Unmet) != 2 || unmet.Unmet[0].Actual != 7 || unmet.Unmet[1].Actual != -1 || unmet.Unmet[1].Index != 1 {
		s.Fatalf("two conditions: %v", err)
	}
	both.Expect[0].NextOffset, both.Expect[1].LastOffset = 7, -1
	if got := s.commit(both); got.Offsets[0] != 7 || got.Offsets[1] != 0 {
		s.Fatalf("appended at %v", got.Offsets)
	}
	// Writers that read, add one and write on condition lose nothing: as many records as successes.
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			last := int64(-1)
			for done := 0; done < 10; {
				actual, ok := s.appendIf(t, "counter", last, "counter")
				if !ok {
					last = actual
					continue
				}
				done++
				last = -1
			}
		})
	}
	writers.Wait()
	if got := s.history(t, "counter", -1, 1000); len(got) != 80 {
		s.Fatalf("%d records of 80 successes", len(got))
	}
}

// A record of a transaction is the key's last one while it may still be committed, for its own producer; of an aborted one
// it never was.
func testKeysOfTransactions(s *suite) {
	t := CreateTopic(s, s.contract, "kt", 2, indexed)
	x := &txns{s, t}
	s.commit(one(t, 0, keyed(s, "k0"))) // 0
	p := x.begin("t")
	s.must(x.log().AddTxnPartitions(s.ctx(), "t", p, x.partitions()))
	in := func(sequence int32, last int64) error {
		a := one(t, 0, TxnBatch(s, p, sequence, "v")) // its key is k0
		a.Expect = []log.Expect{{Partition: a.Batches[0].Partition, NextOffset: -1, Key: []byte("k0"), LastOffset: last}}
		_, err := log.Commit(s.ctx(), s.contract, a)
		return err
	}
	s.must(in(0, 0)) // 1
	s.must(in(1, 1)) // 2
	if actual, ok := s.appendIf(t, "k0", 2, "k0"); ok || actual != 2 {
		s.Fatalf("a condition on a record of an open transaction of another: %d, %v", actual, ok)
	}
	if got := s.history(t, "k0", -1, 10); !slices.Equal(got, []int64{0}) {
		s.Fatalf("history with an open transaction: %v", got)
	}
	if s.can&Restart != 0 {
		s.restart()
	}
	_, _, err := x.log().EndTxn(s.ctx(), "t", p, false, false)
	s.must(err)
	if actual, ok := s.appendIf(t, "k0", 2, "k0"); ok || actual != 0 {
		s.Fatalf("after the abort: %d, %v", actual, ok)
	}
	if _, ok := s.appendIf(t, "k0", 0, "k0"); !ok { // 4
		s.Fatal("the record before the aborted ones is the last")
	}
	if got := s.history(t, "k0", -1, 10); !slices.Equal(got, []int64{4, 0}) {
		s.Fatalf("history after an abort: %v", got)
	}
}

// An index that is asked for later knows what was written before, whatever is written meanwhile; records that are gone do
// not count.
func testKeyIndexLater(s *suite) {
	t := s.topic("later", 1)
	rng := rand.New(rand.NewPCG(1, 2))
	last := map[string]int64{}
	next := int64(0)
	write := func(n int) {
		var ticket *log.Ticket
		for range n {
			ks := make([]string, 1+rng.IntN(40))
			for i := range ks {
				ks[i] = fmt.Sprintf("key%d", rng.IntN(300))
				last[ks[i]] = next
				next++
			}
			var err error
			ticket, err = s.Submit(s.ctx(), one(t, 0, keyed(s, ks...)))
			s.must(err)
		}
		s.must(ticket.Wait(s.ctx()))
	}
	set := func(config map[string]string) {
		r := log.TopicRecord{ID: t.ID.String(), Name: t.Name, Partitions: t.Partitions, Config: config}
		s.commit(log.Append{Batches: []log.PartitionBatch{Catalog(s, r)}})
	}
	check := func(start int64) {
		s.Helper()
		for range 50 {
			key := fmt.Sprintf("key%d", rng.IntN(300))
			want, ok := last[key]
			if !ok || want < start {
				want = -1
			}
			actual, fits := s.appendIf(t, key, -2, key)
			if fits || actual != want {
				s.Fatalf("%s: last at %d, want %d", key, actual, want)
			}
		}
	}
	write(200)
	set(indexed)
	write(200)
	check(0)
	set(nil)
	write(100)
	set(indexed)
	write(10)
	check(0)
	if s.can&Restart != 0 {
		s.restart()
		check(0)
	}
	start := next - 200
	if _, err := s.contract.(deleter).DeleteRecords(s.ctx(), log.Partition{Topic: t.ID}, start); err != nil {
		s.Fatal(err)
	}
	check(start)
}

// Records carry conditions in their headers; a batch with one that does not hold is refused whole, and every such record is
// named.
func testExpectationHeaders(s *suite) {
	t := CreateTopic(s, s.contract, "h", 1, indexed)
	type rec struct{ key, next, last string }
	send := func(recs ...rec) error {
		var b record.Builder
		for _, r := range recs {
			var hs []record.Header
			if r.next != "" {
				hs = append(hs, record.Header{Key: []byte(log.HeaderNextOffset), Value: []byte(r.next)})
			}
			if r.last != "" {
				hs = append(hs, record.Header{Key: []byte(log.HeaderKeyOffset), Value: []byte(r.last)})
			}
			key := []byte(r.key)
			if r.key == "" {
				key = nil
			}
			b.Add(time.Now().UnixMilli(), key, []byte("v"), hs...)
		}
		p, err := b.Build()
		s.must(err)
		ticket, err := s.Produce(s.ctx(), one(t, 0, p))
		if err != nil {
			return err
		}
		return ticket.Wait(s.ctx())
	}
	unmet := func(err error, want ...int) {
		s.Helper()
		var e *log.ExpectationError
		if !errors.As(err, &e) || !errors.Is(err, log.ErrExpectation) {
			s.Fatalf("%v", err)
		}
		var got []int
		for _, u := range e.Unmet {
			got = append(got, u.Record)
		}
		if !slices.Equal(got, want) {
			s.Fatalf("records %v do not hold, want %v: %v", got, want, err)
		}
	}
	s.must(send(rec{"a", "0", "-1"}, rec{"b", "1", "-1"}, rec{"a", "", "0"}))
	unmet(send(rec{"a", "", "2"}, rec{"b", "", "0"}, rec{"a", "6", ""}), 1, 2)
	unmet(send(rec{"a", "", "2"}, rec{"a", "", "2"}), 1)
	s.must(send(rec{"a", "3", "2"}, rec{"", "", ""}))
	for _, bad := range []rec{{"a", "x", ""}, {"a", "-1", ""}, {"", "", "-1"}, {"a", "", "-2"}} {
		var refused *log.RecordError
		if err := send(rec{"a", "", ""}, bad); !errors.As(err, &refused) || refused.Index != 1 || !errs.Is(err, errs.Invalid) {
			s.Fatalf("%+v: %v", bad, err)
		}
	}
	if n := len(ReadAll(s, s.contract, log.Partition{Topic: t.ID})); n != 5 {
		s.Fatalf("%d records, want 5", n)
	}
	// A topic that has not opted in takes the headers as any others.
	t = s.topic("free", 1)
	s.must(send(rec{"a", "77", "x"}))
}
