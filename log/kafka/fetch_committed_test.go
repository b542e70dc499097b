package kafka

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// piecemeal is a log that lists few aborted transactions at once, and whose partitions have nothing left below an offset.
type piecemeal struct {
	Log
	left int64
}

func (l *piecemeal) Aborted(p log.Partition, from, to int64) ([]log.AbortedTxn, int64, error) {
	txns, upTo, err := l.Log.Aborted(p, from, to)
	if err != nil || len(txns) < 2 {
		return txns, upTo, err
	}
	upTo = min(upTo, txns[1].Last+1)
	return slices.DeleteFunc(txns, func(t log.AbortedTxn) bool { return t.First >= upTo }), upTo, nil
}

func (l *piecemeal) Read(ctx context.Context, p log.Partition, offset int64, lim log.ReadLimit) ([]byte, error) {
	return l.Log.Read(ctx, p, max(offset, l.left), lim)
}

// Where there are many aborted transactions a reader of committed records gets as much as he can be told apart, at once, whatever
// he would wait for; in the end he has just what was committed. It is the same where compaction has left nothing of what
// the first of them wrote.
func TestFetchAmongAborted(t *testing.T) {
	l, catalog := newLog(t)
	pieces := &piecemeal{Log: l}
	address := serve(t, pieces, catalog)
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	var producers []*txnPeer
	for i := range 4 {
		p := &txnPeer{peer: dial(t, address), id: fmt.Sprint(i)}
		if code := p.init(4); code != 0 {
			t.Fatal(code)
		}
		producers = append(producers, p)
	}
	committed := map[string]bool{}
	for i := range 60 {
		p, other := producers[i%3], producers[3] // whose transactions are long
		if i%20 == 5 && other.add("t", 0)+other.produce(9, "t", 0, fmt.Sprint("long", i)) != 0 {
			t.Fatal("the long transaction cannot begin")
		}
		value := fmt.Sprint("v", i)
		committed[value] = i%7 == 0
		if code := p.add("t", 0) + p.produce(9, "t", 0, value) + p.end(3, committed[value]); code != 0 {
			t.Fatal(code)
		}
		if i%20 == 15 && other.end(3, false) != 0 {
			t.Fatal("the long transaction cannot end")
		}
	}
	reader := dial(t, address)
	for _, left := range []int64{0, 71} {
		pieces.left = left
		stable := latestOf(reader, "t", 1)
		seen, fetches := map[string]bool{}, 0
		for offset := int64(0); offset < stable; fetches++ {
			q := fetchRequest("t", offset, 0)
			if offset < stable-30 {
				q.MinBytes, q.MaxWaitMillis = 1<<20, int32((10 * time.Minute).Milliseconds())
			}
			q.IsolationLevel = readCommitted
			a := reader.ask(q).(*kmsg.FetchResponse).Topics[0].Partitions[0]
			if a.ErrorCode != 0 || len(a.RecordBatches) == 0 {
				t.Fatalf("at %d: code %d, %d bytes", offset, a.ErrorCode, len(a.RecordBatches))
			}
			offset = takeCommitted(t, a.RecordBatches, a.AbortedTransactions, offset, seen)
		}
		for value, is := range committed {
			if is != seen[value] && left == 0 || seen[value] && !is {
				t.Errorf("left %d: %s was committed: %v, and seen: %v", left, value, is, seen[value])
			}
			delete(seen, value)
		}
		if len(seen) > 0 || fetches < 5 {
			t.Errorf("left %d: in %d fetches also seen: %v", left, fetches, seen)
		}
	}
}

// takeCommitted does with an answer what a client does, and gives the offset to go on at.
func takeCommitted(t *testing.T, records []byte, aborted []kmsg.FetchResponseTopicPartitionAbortedTransaction, offset int64, seen map[string]bool) int64 {
	t.Helper()
	slices.SortFunc(aborted, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return int(a.FirstOffset - b.FirstOffset)
	})
	open := map[int64]bool{}
	var it record.Iterator
	for len(records) > 0 {
		b, rest, err := record.Parse(records)
		if err != nil {
			t.Fatal(err)
		}
		records = rest
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.LastOffset() {
			open[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		offset = b.LastOffset() + 1
		switch {
		case b.Control():
			delete(open, b.ProducerID)
		case !open[b.ProducerID]:
			if err := it.Reset(b); err != nil {
				t.Fatal(err)
			}
			for it.Next() {
				seen[string(it.Record().Value)] = true
			}
		}
	}
	return offset
}
