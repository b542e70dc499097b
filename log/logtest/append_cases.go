package logtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

func (s *suite) topic(name string, partitions int32) log.Topic {
	s.Helper()
	return CreateTopic(s.T, s.contract, name, partitions, nil)
}

func one(t log.Topic, partition int32, batch []byte) log.Append {
	return log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: t.ID, Index: partition}, Batch: batch}}}
}

func (s *suite) commit(a log.Append) log.Appended {
	s.Helper()
	got, err := log.Commit(s.ctx(), s.contract, a)
	s.must(err)
	return got
}

func testAppendRead(s *suite) {
	t := s.topic("a", 2)
	p := log.Partition{Topic: t.ID, Index: 1}
	first := s.commit(one(t, 1, Batch(s, 1, "x", "y")))
	second := s.commit(one(t, 1, Batch(s, 2, "z")))
	next := int64(2)
	if s.can&Verbatim == 0 {
		next = max(next, second.Offsets[0])
	}
	if first.Offsets[0] != 0 || second.Offsets[0] != next || !first.Position.Less(second.Position) || first.Time.After(second.Time) {
		s.Fatalf("appended %+v, %+v", first, second)
	}
	if s.End() != second.Position {
		s.Fatalf("end %v, want %v", s.End(), second.Position)
	}
	if b, err := s.Bounds(p); err != nil || b.Start != 0 || b.End != next+1 {
		s.Fatalf("bounds %+v, %v", b, err)
	}
	if got := ReadAll(s, s.contract, p); !reflect.DeepEqual(got, []string{"x", "y", "z"}) {
		s.Fatal(got)
	}
	// An offset in the middle of a batch gives the whole batch.
	data, err := s.Read(s.ctx(), p, 1, log.ReadLimit{MaxBytes: 1})
	s.must(err)
	if v, first, _ := Values(s, data); first != 0 || len(v) != 2 {
		s.Fatalf("read at 1: from %d: %v", first, v)
	}
	// An offset between batches gives the next one.
	data, err = s.Read(s.ctx(), p, 2, log.ReadLimit{})
	s.must(err)
	if v, first, _ := Values(s, data); first != next || len(v) != 1 {
		s.Fatalf("read at 2: from %d: %v", first, v)
	}
	if data, err := s.Read(s.ctx(), p, next+1, log.ReadLimit{}); err != nil || len(data) != 0 {
		s.Fatalf("read at the end: %d bytes, %v", len(data), err)
	}
	for _, offset := range []int64{-1, next + 2} {
		if _, err := s.Read(s.ctx(), p, offset, log.ReadLimit{}); !errors.Is(err, log.ErrOffsetOutOfRange) || !errs.Is(err, errs.NotFound) {
			s.Fatalf("read at %d: %v", offset, err)
		}
	}
}

// Every append over several partitions is one entry, and entries come in the order of Positions.
func testTotalOrder(s *suite) {
	a, b := s.topic("a", 1), s.topic("b", 3)
	from := s.End()
	var want []log.Appended
	for i := range 50 {
		v := strings.Repeat(fmt.Sprint(i), 300)
		app := log.Append{Txn: uint64(i), Batches: []log.PartitionBatch{
			{Partition: log.Partition{Topic: a.ID}, Batch: Batch(s, 1, v)},
			{Partition: log.Partition{Topic: b.ID, Index: int32(i % 3)}, Batch: Batch(s, 1, v, v)},
		}}
		want = append(want, s.commit(app))
	}
	got := Entries(s, s.contract, from)
	if len(got) != len(want) {
		s.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, e := range got {
		w := want[i]
		if e.Position != w.Position || !e.Time.Equal(w.Time) || e.Txn != uint64(i) || len(e.Batches) != 2 || e.Term == 0 || e.Index == 0 ||
			e.Batches[0].BaseOffset != w.Offsets[0] || e.Batches[1].BaseOffset != w.Offsets[1] || e.Batches[1].Records != 2 {
			s.Fatalf("entry %d: %+v, appended %+v", i, e, w)
		}
		if v, first, _ := Values(s, e.Batches[1].Batch); first != w.Offsets[1] || v[0] != strings.Repeat(fmt.Sprint(i), 300) {
			s.Fatalf("entry %d: batch %v at %d", i, v, first)
		}
	}
}

// Submits of one goroutine keep their order; all of them get places without gaps.
func testConcurrentSubmits(s *suite) {
	t := s.topic("c", 3)
	const writers, each = 8, 60
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var tickets []*log.Ticket
			last := log.Position{}
			for i := range each {
				k, err := s.Submit(s.ctx(), one(t, int32(i%3), Batch(s, 1, fmt.Sprintf("%d:%d", w, i))))
				if err != nil {
					s.Error(err)
					return
				}
				if !last.Less(k.Position) {
					s.Errorf("position %v after %v", k.Position, last)
				}
				last = k.Position
				tickets = append(tickets, k)
			}
			for _, k := range tickets {
				if err := k.Wait(s.ctx()); err != nil {
					s.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for i := range int32(3) {
		lastOf := map[int]int{}
		for _, v := range ReadAll(s, s.contract, log.Partition{Topic: t.ID, Index: i}) {
			var w, n int
			fmt.Sscanf(v, "%d:%d", &w, &n)
			if seen[v] || n < lastOf[w] {
				s.Fatalf("%s is twice or out of order", v)
			}
			seen[v], lastOf[w] = true, n
		}
	}
	if len(seen) != writers*each {
		s.Fatalf("%d records, want %d", len(seen), writers*each)
	}
}

func testReadLimits(s *suite) {
	t := s.topic("l", 1)
	p := log.Partition{Topic: t.ID}
	for range 200 {
		_, err := s.Submit(s.ctx(), one(t, 0, Batch(s, 1, strings.Repeat("v", 900))))
		s.must(err)
	}
	s.commit(one(t, 0, Batch(s, 1, "last")))
	bounds, err := s.Bounds(p)
	s.must(err)
	for _, max := range []int{1, 3000, 30_000} {
		n := 0
		for at := int64(0); at < bounds.End; n++ {
			data, err := s.Read(s.ctx(), p, at, log.ReadLimit{MaxBytes: max})
			s.must(err)
			if len(data) == 0 || len(data) > max && max > 1 && s.can&Verbatim != 0 {
				s.Fatalf("limit %d: %d bytes", max, len(data))
			}
			_, _, last := Values(s, data)
			at = last + 1
		}
		if max == 1 && n != 201 && s.can&Verbatim != 0 {
			s.Fatalf("limit 1: %d reads", n)
		}
	}
	got, err := s.ReadFrom(s.ctx(), log.Position{}, 1)
	if err != nil || len(got) != 1 {
		s.Fatalf("ReadFrom with limit 1: %d entries, %v", len(got), err)
	}
}

func testReadFromWaits(s *suite) {
	t := s.topic("w", 1)
	end := s.End()
	ctx, cancel := context.WithTimeout(s.ctx(), 30*time.Millisecond)
	defer cancel()
	if got, err := s.ReadFrom(ctx, end, 0); len(got) != 0 || !errors.Is(err, context.DeadlineExceeded) {
		s.Fatalf("at the end: %d entries, %v", len(got), err)
	}
	type result struct {
		entries []log.Entry
		err     error
	}
	done := make(chan result)
	go func() {
		got, err := s.ReadFrom(s.ctx(), end, 0)
		done <- result{got, err}
	}()
	want := s.commit(one(t, 0, Batch(s, 1, "x")))
	r := <-done
	if r.err != nil || len(r.entries) != 1 || r.entries[0].Position != want.Position {
		s.Fatalf("%+v", r)
	}
}

// An append larger than any buffer is one entry all the same.
func testLargeAppend(s *suite) {
	t := s.topic("big", 2)
	from := s.End()
	const batches, size = 120, 8 << 10
	var p [2][]byte
	for i := range batches {
		p[i%2] = append(p[i%2], Batch(s, int64(i), fmt.Sprintf("%d:%s", i, strings.Repeat("b", size)))...)
	}
	first := s.commit(log.Append{Batches: []log.PartitionBatch{
		{Partition: log.Partition{Topic: t.ID}, Batch: p[0]},
		{Partition: log.Partition{Topic: t.ID, Index: 1}, Batch: p[1]},
	}})
	after := s.commit(one(t, 0, Batch(s, 1, "after")))
	check := func() {
		s.Helper()
		got := Entries(s, s.contract, from)
		if len(got) != 2 || got[0].Position != first.Position || got[1].Position != after.Position {
			s.Fatalf("%d entries", len(got))
		}
		var n int32
		for _, b := range got[0].Batches {
			_, base, _ := Values(s, b.Batch)
			if base != b.BaseOffset {
				s.Fatalf("batch at %d says %d", base, b.BaseOffset)
			}
			n += b.Records
		}
		if n != batches || len(ReadAll(s, s.contract, log.Partition{Topic: t.ID})) != batches/2+1 {
			s.Fatalf("%d records", n)
		}
	}
	check()
	if s.can&Restart != 0 {
		s.restart()
		check()
	}
}

func testRefusals(s *suite) {
	t := s.topic("r", 1)
	end := s.End()
	good := Batch(s, 1, "x")
	bad := Batch(s, 1, "x")
	bad[len(bad)-1] ^= 1
	for name, c := range map[string]struct {
		append log.Append
		want   error
	}{
		"CRC":        {one(t, 0, bad), log.ErrCorruptBatch},
		"cut":        {one(t, 0, good[:len(good)-1]), log.ErrCorruptBatch},
		"empty":      {one(t, 0, nil), log.ErrCorruptBatch},
		"partition":  {one(t, 1, good), log.ErrUnknownPartition},
		"negative":   {one(t, -1, good), log.ErrUnknownPartition},
		"topic":      {one(log.Topic{ID: log.TopicID{9}}, 0, good), log.ErrUnknownPartition},
		"one of two": {log.Append{Batches: append(one(t, 0, good).Batches, one(t, 7, good).Batches...)}, log.ErrUnknownPartition},
	} {
		if _, err := s.Submit(s.ctx(), c.append); !errors.Is(err, c.want) {
			s.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Submit(s.ctx(), log.Append{}); !errs.Is(err, errs.Invalid) {
		s.Errorf("no batches: %v", err)
	}
	if _, err := s.ReadFrom(s.ctx(), log.Position{Epoch: 77, Sequence: 1}, 0); !errors.Is(err, log.ErrHistoryThinned) {
		s.Errorf("a position of another history: %v", err)
	}
	if s.End() != end {
		s.Errorf("a refused append moved the end")
	}
}

func testExpectations(s *suite) {
	t := s.topic("e", 1)
	p := log.Partition{Topic: t.ID}
	expect := func(next int64) error {
		a := one(t, 0, Batch(s, 1, "x"))
		a.Expect = []log.Expect{{Partition: p, NextOffset: next}}
		_, err := log.Commit(s.ctx(), s.contract, a)
		return err
	}
	s.must(expect(0))
	for _, next := range []int64{0, 2} {
		if err := expect(next); !errors.Is(err, log.ErrExpectation) || !errs.Is(err, errs.Conflict) {
			s.Fatalf("expected %d: %v", next, err)
		}
	}
	s.must(expect(1))
	s.must(expect(-1))
	if n := len(ReadAll(s, s.contract, p)); n != 3 {
		s.Fatalf("%d records", n)
	}
}

func numbered(s *suite, id int64, epoch int16, sequence int32, n int) []byte {
	var b record.Builder
	b.Producer(id, epoch, sequence)
	for i := range n {
		b.Add(1, nil, fmt.Appendf(nil, "%d/%d", sequence, i))
	}
	p, err := b.Build()
	s.must(err)
	return p
}

func testIdempotence(s *suite) {
	t := s.topic("i", 1)
	send := func(epoch int16, sequence int32, n int) (log.Appended, error) {
		return log.Commit(s.ctx(), s.contract, one(t, 0, numbered(s, 7, epoch, sequence, n)))
	}
	var firsts []log.Appended
	for i := range 7 {
		got, err := send(0, int32(i*3), 3)
		s.must(err)
		firsts = append(firsts, got)
	}
	retry := func() {
		s.Helper()
		for i := 2; i < 7; i++ {
			got, err := send(0, int32(i*3), 3)
			s.must(err)
			if !got.Duplicate || got.Offsets[0] != firsts[i].Offsets[0] || got.Position != firsts[i].Position {
				s.Fatalf("retry of %d: %+v, first %+v", i, got, firsts[i])
			}
		}
		for sequence, want := range map[int32]error{0: log.ErrDuplicateSequence, 22: log.ErrOutOfOrderSequence, 40: log.ErrOutOfOrderSequence} {
			if _, err := send(0, sequence, 3); !errors.Is(err, want) {
				s.Fatalf("sequence %d: %v, want %v", sequence, err, want)
			}
		}
	}
	retry()
	if s.can&Restart != 0 {
		s.restart()
		retry()
	}
	if _, err := send(1, 5, 1); !errors.Is(err, log.ErrOutOfOrderSequence) {
		s.Fatalf("a new epoch that begins with 5: %v", err)
	}
	_, err := send(1, 0, 1)
	s.must(err)
	if _, err := send(0, 21, 1); !errors.Is(err, log.ErrProducerFenced) {
		s.Fatalf("the old epoch: %v", err)
	}
	// A retry that comes before the first write is durable is done when that is.
	k1, err := s.Submit(s.ctx(), one(t, 0, numbered(s, 8, 0, 0, 1)))
	s.must(err)
	k2, err := s.Submit(s.ctx(), one(t, 0, numbered(s, 8, 0, 0, 1)))
	s.must(err)
	s.must(k2.Wait(s.ctx()))
	select {
	case <-k1.Done():
	default:
		s.Fatal("the retry was acknowledged before the first write")
	}
	if n := len(ReadAll(s, s.contract, log.Partition{Topic: t.ID})); n != 23 {
		s.Fatalf("%d records, want 23", n)
	}
	// Sequences wrap.
	_, err = log.Commit(s.ctx(), s.contract, one(t, 0, numbered(s, 9, 0, 1<<31-2, 3)))
	s.must(err)
	_, err = log.Commit(s.ctx(), s.contract, one(t, 0, numbered(s, 9, 0, 1, 1)))
	s.must(err)
}
