package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log/record"
)

const (
	replayConnections = 2
	replayInFlight    = 5        // requests of one connection: as many as Kafka's own producer has
	replayBatch       = 16 << 10 // batch.size of Kafka's own producer
	drainConnections  = 2
)

// replaying says what a lean producer sends: ready-made batches, one to each partition in a request, so that its own work
// is nothing but writing bytes.
type replaying struct {
	topic      string
	partitions int32
	recordSize int
	batch      int   // bytes of a batch, at least a record; default replayBatch
	records    int64 // in all; rounded up to whole requests
}

// replayed is what came of it.
type replayed struct {
	records   int64
	took      time.Duration
	latencies []time.Duration // of each request
}

// replay produces with acks=all and waits until everything is acknowledged.
func replay(ctx context.Context, address string, want replaying) (*replayed, error) {
	batch, inBatch, err := readyBatch(want.recordSize, cmp.Or(want.batch, replayBatch))
	if err != nil {
		return nil, err
	}
	frame := produceFrame(want, batch)
	perRequest := inBatch * int64(want.partitions)
	var left atomic.Int64
	left.Store((want.records + perRequest - 1) / perRequest)
	out := &replayed{records: left.Load() * perRequest}
	latencies := make([][]time.Duration, replayConnections)
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for i := range replayConnections {
		g.Go(func() (err error) {
			latencies[i], err = replayOne(ctx, address, frame, &left)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out.took = time.Since(began)
	for _, l := range latencies {
		out.latencies = append(out.latencies, l...)
	}
	return out, nil
}

// readyBatch is one batch of about size bytes and the number of its records.
func readyBatch(recordSize, size int) ([]byte, int64, error) {
	var b record.Builder
	value := make([]byte, recordSize)
	for i := range value {
		value[i] = 'a' + byte(i%26)
	}
	for b.Count() == 0 || b.Size()+recordSize+16 <= size {
		b.Add(time.Now().UnixMilli(), nil, value)
	}
	n := int64(b.Count())
	p, err := b.Build()
	return p, n, err
}

// produceFrame is a whole request frame; its correlation id stands at bytes 8 to 12.
func produceFrame(want replaying, batch []byte) []byte {
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks, r.TimeoutMillis = 9, -1, 60_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = want.topic
	for i := range want.partitions {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = i, batch
		t.Partitions = append(t.Partitions, p)
	}
	r.Topics = append(r.Topics, t)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("replay")).AppendRequest(nil, r, 0)
}

// connect opens a connection to a broker, which the end of ctx closes too.
func connect(ctx context.Context, address string) (c net.Conn, hangUp func(), err error) {
	if c, err = (&net.Dialer{}).DialContext(ctx, "tcp", address); err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	return c, func() {
		stop()
		_ = c.Close() // what was wanted has been read
	}, nil
}

// fetchFrame is a whole frame of a Fetch of partitions from their next offsets on, which waits for half a second at most.
func fetchFrame(client, topic string, isolation int8, partitionBytes int32, partitions []int32, next map[int32]int64) []byte {
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch, q.IsolationLevel = 11, 500, 1, 50<<20, -1, isolation
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	for _, i := range partitions {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = i, next[i], partitionBytes, -1
		t.Partitions = append(t.Partitions, p)
	}
	q.Topics = append(q.Topics, t)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID(client)).AppendRequest(nil, q, 0)
}

// replayOne sends the frame on a connection of its own while some are left, and reads the answers beside.
func replayOne(ctx context.Context, address string, frame []byte, left *atomic.Int64) (latencies []time.Duration, err error) {
	c, hangUp, err := connect(ctx, address)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	sent := make(chan time.Time, replayInFlight-1) // one more is in the writer's hand
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(sent)
		for left.Add(-1) >= 0 {
			select {
			case sent <- time.Now():
			case <-ctx.Done():
				return ctx.Err()
			}
			if _, err := c.Write(frame); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		r := bufio.NewReaderSize(c, 64<<10)
		for at := range sent {
			answer, err := readFrame(r, nil)
			if err != nil {
				return err
			}
			latencies = append(latencies, time.Since(at))
			if err := checkProduced(answer); err != nil {
				return err
			}
		}
		return nil
	})
	return latencies, g.Wait()
}

// maxAnswer bounds an answer's frame.
const maxAnswer = 256 << 20

// readFrame reads one answer without its length, into p where it has room.
func readFrame(r io.Reader, p []byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 5 || n > maxAnswer {
		return nil, errs.New(errs.Corrupt, "an answer of %d bytes", n)
	}
	p = slices.Grow(p[:0], int(n))[:n]
	_, err := io.ReadFull(r, p)
	return p, err
}

func checkProduced(answer []byte) error {
	a := kmsg.NewPtrProduceResponse()
	a.Version = 9
	if err := a.ReadFrom(answer[5:]); err != nil { // the correlation id and no tags
		return err
	}
	for _, t := range a.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// drain fetches a topic from its start to the offsets in ends with as little work of its own as can be, and gives the bytes of
// record batches. Each of its connections reads a share of the partitions: while one takes an answer apart, the broker writes
// another.
func drain(ctx context.Context, address, topic string, ends []int64) (int64, error) {
	var bytes atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for i := range drainConnections {
		share := map[int32]int64{}
		for p := i; p < len(ends); p += drainConnections {
			share[int32(p)] = ends[p]
		}
		g.Go(func() error {
			n, err := drainSome(ctx, address, topic, share)
			bytes.Add(n)
			return err
		})
	}
	err := g.Wait()
	return bytes.Load(), err
}

// drainSome fetches partitions from their start to the offsets in left, on a connection of its own.
func drainSome(ctx context.Context, address, topic string, left map[int32]int64) (bytes int64, err error) {
	c, hangUp, err := connect(ctx, address)
	if err != nil {
		return 0, err
	}
	defer hangUp()
	r := bufio.NewReaderSize(c, 1<<20)
	next := map[int32]int64{}
	var answer []byte
	for len(left) > 0 {
		if _, err := c.Write(fetchFrame("drain", topic, 0, 10<<20, slices.Collect(maps.Keys(left)), next)); err != nil {
			return bytes, err
		}
		if answer, err = readFrame(r, answer); err != nil {
			return bytes, err
		}
		got, err := takeFetched(answer, next)
		if err != nil {
			return bytes, err
		}
		bytes += got
		maps.DeleteFunc(left, func(i int32, end int64) bool { return next[i] >= end })
	}
	return bytes, nil
}

// takeFetched moves next behind the batches of an answer.
func takeFetched(answer []byte, next map[int32]int64) (bytes int64, err error) {
	a := kmsg.NewPtrFetchResponse()
	a.Version = 11
	if err := a.ReadFrom(answer[4:]); err != nil {
		return 0, err
	}
	for _, t := range a.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return 0, err
			}
			for rest := p.RecordBatches; len(rest) > 0; {
				b, err := record.ParseHeader(rest)
				if err != nil || b.Bytes == nil {
					break // the last one may be cut
				}
				next[p.Partition] = b.LastOffset() + 1
				bytes += int64(len(b.Bytes))
				rest = rest[len(b.Bytes):]
			}
		}
	}
	return bytes, nil
}
