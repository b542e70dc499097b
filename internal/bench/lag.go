package bench

import (
	"bufio"
	"context"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log/record"
)

const (
	lagRecords = 5000 // of one run
	lagEvery   = time.Millisecond
	syncEvery  = 2 * time.Millisecond
	lagValue   = 100 // bytes
)

// lagging is one producer that sends a record by a request of its own at fixed times, whatever has been answered, and one consumer of
// committed records that always waits in a Fetch. Both do as little else as can be.
type lagging struct {
	topic string
	sent  []time.Time // by offset: just before its request was written
	acked []time.Time // when the answer was read
	had   []time.Time // when the consumer had read it
}

// lags gives, for each of lagRecords records, the time from just before its Produce is written to the socket until a waiting
// consumer has read its bytes, and the same from when the producer has read its acknowledgement: 0 where the consumer was first.
// What is read is durable: the first has an fdatasync in it, and nearly two when the record comes just after another's has begun.
func lags(ctx context.Context, address, topic string) (fromSend, fromAck []time.Duration, err error) {
	l := &lagging{topic: topic, sent: make([]time.Time, lagRecords)}
	if err := l.run(ctx, address); err != nil {
		return nil, nil, err
	}
	for i, had := range l.had {
		fromSend = append(fromSend, had.Sub(l.sent[i]))
		fromAck = append(fromAck, max(0, had.Sub(l.acked[i])))
	}
	return fromSend, fromAck, nil
}

func (l *lagging) run(ctx context.Context, address string) error {
	var conns [2]net.Conn
	for i := range conns {
		c, hangUp, err := connect(ctx, address)
		if err != nil {
			return err
		}
		defer hangUp()
		conns[i] = c
	}
	g, gctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(gctx, func() {
		for _, c := range conns {
			_ = c.Close() // wakes the others
		}
	})
	defer stop()
	waits := make(chan struct{})
	g.Go(func() error { return l.consume(conns[0], waits) })
	g.Go(func() error { return l.acknowledged(conns[1]) })
	g.Go(func() error {
		select {
		case <-waits:
			return l.produce(conns[1])
		case <-gctx.Done():
			return nil
		}
	})
	return g.Wait()
}

// produce sends the records.
func (l *lagging) produce(c net.Conn) error {
	batch, _, err := readyBatch(lagValue, 0)
	if err != nil {
		return err
	}
	frame := produceFrame(replaying{topic: l.topic, partitions: 1}, batch)
	begin := time.Now()
	for i := range l.sent {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * lagEvery)))
		l.sent[i] = time.Now()
		if _, err := c.Write(frame); err != nil {
			return err
		}
	}
	return nil
}

// acknowledged reads the answers to produce.
func (l *lagging) acknowledged(c net.Conn) error {
	r := bufio.NewReader(c)
	var answer []byte
	for range l.sent {
		var err error
		if answer, err = readFrame(r, answer); err != nil {
			return err
		}
		l.acked = append(l.acked, time.Now())
		if err := checkProduced(answer); err != nil {
			return err
		}
	}
	return nil
}

// consume takes the records as they come, and closes waits when it has asked for the first.
func (l *lagging) consume(c net.Conn, waits chan<- struct{}) error {
	r := bufio.NewReaderSize(c, 64<<10)
	var answer []byte
	for next := int64(0); len(l.had) < len(l.sent); {
		if _, err := c.Write(fetchFrame("lag", l.topic, 1, 1<<20, []int32{0}, map[int32]int64{0: next})); err != nil {
			return err
		}
		if waits != nil {
			close(waits)
			waits = nil
		}
		var err error
		if answer, err = readFrame(r, answer); err != nil {
			return err
		}
		if next, err = l.take(answer, time.Now(), next); err != nil {
			return err
		}
	}
	return nil
}

// take notes when the records of an answer came, and gives the offset behind them.
func (l *lagging) take(answer []byte, at time.Time, next int64) (int64, error) {
	a := kmsg.NewPtrFetchResponse()
	a.Version = 11
	if err := a.ReadFrom(answer[4:]); err != nil {
		return 0, err
	}
	if len(a.Topics) != 1 || len(a.Topics[0].Partitions) != 1 {
		return 0, errs.New(errs.Corrupt, "a Fetch was answered without its partition")
	}
	p := &a.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return 0, err
	}
	for b, err := range record.Batches(p.RecordBatches) {
		if err != nil {
			return 0, err
		}
		for ; next <= b.LastOffset(); next++ {
			if next >= int64(len(l.sent)) {
				return 0, errs.New(errs.Corrupt, "offset %d came of %d records", next, len(l.sent))
			}
			l.had = append(l.had, at)
		}
	}
	return next, nil
}

// lag measures consumers' lag, and meanwhile how long one who asks the disk for it waits until 4 KiB are durable.
func (b *logBench) lag(ctx context.Context) error {
	var syncs []time.Duration
	behind := runs{}
	of, err := b.both(ctx, "a consumer's lag", func(ctx context.Context, side *broker) (f Figures, err error) {
		topic, err := b.durableTopic(ctx, side, 1)
		if err != nil {
			return f, err
		}
		g, gctx := errgroup.WithContext(ctx)
		if side == b.ours {
			g.Go(func() error {
				took, err := b.syncs(lagRecords*int(lagEvery/time.Microsecond)/int(syncEvery/time.Microsecond), syncEvery)
				syncs = append(syncs, took...)
				return err
			})
		}
		g.Go(func() error {
			fromSend, fromAck, err := lags(gctx, side.address, topic)
			f.P50, f.P99 = milliseconds(median(fromSend)), milliseconds(quantile(fromSend, 0.99))
			behind[side] = append(behind[side], Figures{P50: milliseconds(median(fromAck)), P99: milliseconds(quantile(fromAck, 0.99))})
			return err
		})
		err = g.Wait()
		return f, err
	})
	if err != nil {
		return err
	}
	b.compare("consumer's lag at 1,000/s, Kafka with flush.messages=1: from send", of, slowest)
	b.compare("  from acknowledgement", behind, slowest)
	b.add(Case{Name: "  disk meanwhile: fdatasync of 4 KiB", Figures: Figures{P50: milliseconds(median(syncs)), P99: milliseconds(quantile(syncs, 0.99))}})
	return nil
}

// syncs measures how long the disk takes to make 4 KiB durable, n times, in blocks that the file has already: at fixed times, from
// which it counts when the one before took longer; every 0: one behind the other.
func (b *logBench) syncs(n int, every time.Duration) (took []time.Duration, err error) {
	f, err := os.CreateTemp(b.dir, "disk")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer func() { _ = f.Close() }() // its bytes do not matter any more
	block := slices.Repeat([]byte{'x'}, 4096)
	if _, err := f.Write(slices.Repeat(block, n)); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	begin := time.Now()
	for i := range n {
		at := begin.Add(time.Duration(i) * every)
		began := at
		if every == 0 || time.Now().Before(at) {
			time.Sleep(time.Until(at))
			began = time.Now()
		}
		if _, err := f.WriteAt(block, int64(i*len(block))); err != nil {
			return nil, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}
