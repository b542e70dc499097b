package external

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// cluster is the requests that the log makes of the Kafka cluster, each sent to the broker it belongs to.
type cluster struct {
	client *kgo.Client
	admin  *kadm.Client
	// implicit is set when partitions join a transaction by being produced to, and each transaction has an epoch of its
	// own (KIP-890 part 2: transaction.version 2).
	implicit bool

	mu struct {
		sync.Mutex
		leaders map[place]int32
	}
}

// place is a partition by its topic's name in the cluster.
type place struct {
	topic     string
	partition int32
}

const (
	// transactionVersion is the feature level from which on KIP-890 part 2 holds.
	transactionVersion = 2
	// requestTimeout bounds how long a cluster's fault is waited out before it is an error.
	requestTimeout = 30 * time.Second
	retryPause     = 25 * time.Millisecond
)

// connect reaches the cluster and learns what it can do. Errors: Unavailable, Denied.
func connect(ctx context.Context, brokers []string, security Security) (*cluster, error) {
	opts := append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.ClientID("miracledb"), kgo.RetryTimeout(requestTimeout),
		kgo.MetadataMinAge(retryPause)}, security.options()...) // a topic that was just made or removed is asked for again at once
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.Fetch), 12)             // from 13 on topics go by the cluster's ids
	versions.SetMaxKeyVersion(int16(kmsg.AddPartitionsToTxn), 3) // from 4 on it is between brokers
	client, err := kgo.NewClient(append(opts, kgo.MaxVersions(versions))...)
	if err != nil {
		return nil, errs.New(errs.Invalid, "--brokers: %w", err)
	}
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, client)
	client.Close()
	if err != nil {
		return nil, security.refused(err)
	}
	c := &cluster{}
	for _, f := range resp.FinalizedFeatures {
		c.implicit = c.implicit || f.Name == "transaction.version" && f.MaxVersionLevel >= transactionVersion
	}
	produce, end := int16(11), int16(4)
	if c.implicit {
		produce, end = 12, 5
	}
	versions.SetMaxKeyVersion(int16(kmsg.Produce), produce)
	versions.SetMaxKeyVersion(int16(kmsg.EndTxn), end)
	if c.client, err = kgo.NewClient(append(opts, kgo.MaxVersions(versions))...); err != nil {
		return nil, err
	}
	c.admin = kadm.NewClient(c.client)
	c.mu.leaders = map[place]int32{}
	return c, nil
}

// leader gives the broker that leads a partition.
func (c *cluster) leader(ctx context.Context, at place) (int32, error) {
	c.mu.Lock()
	id, ok := c.mu.leaders[at]
	c.mu.Unlock()
	if ok {
		return id, nil
	}
	m := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(at.topic)
	m.Topics = append(m.Topics, t)
	resp, err := m.RequestWith(ctx, c.client)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range resp.Topics {
		if err := kerr.ErrorForCode(resp.Topics[i].ErrorCode); err != nil {
			return 0, fmt.Errorf("topic %s: %w", at.topic, err)
		}
		for _, p := range resp.Topics[i].Partitions {
			if p.Leader >= 0 {
				c.mu.leaders[place{at.topic, p.Partition}] = p.Leader
			}
		}
	}
	if id, ok = c.mu.leaders[at]; !ok {
		return 0, fmt.Errorf("%s partition %d: %w", at.topic, at.partition, kerr.LeaderNotAvailable)
	}
	return id, nil
}

// forget drops what is known of leaders: one of them has moved.
func (c *cluster) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.mu.leaders)
}

// retry calls f until it gives no retriable error, for requestTimeout.
func (c *cluster) retry(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, errs.New(errs.Unavailable, "the Kafka cluster did not answer within %v", requestTimeout))
	defer cancel()
	for {
		err := f()
		if err == nil || !retriable(err) {
			return err
		}
		c.forget()
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(retryPause):
		}
	}
}

func retriable(err error) bool {
	return kerr.IsRetriable(err) || errors.Is(err, kerr.ConcurrentTransactions) || errors.Is(err, kerr.UnknownTopicOrPartition) ||
		kgo.IsRetryableBrokerErr(err)
}

// fetched is what one fetch of a partition gives.
type fetched struct {
	place
	data       []byte // record batches; the last one may be cut short
	start, end int64  // the first offset kept, the high watermark
	aborted    []kmsg.FetchResponseTopicPartitionAbortedTransaction
	err        error
}

// fetch reads partitions of one broker from offsets on, waiting up to wait for something to be there.
func (c *cluster) fetch(ctx context.Context, broker int32, from map[place]int64, committed bool, wait time.Duration, maxBytes int32) ([]fetched, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(wait.Milliseconds()), 1, maxBytes
	if committed {
		req.IsolationLevel = 1
	}
	topics := map[string][]kmsg.FetchRequestTopicPartition{}
	for at, offset := range from {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = at.partition, offset, maxBytes
		topics[at.topic] = append(topics[at.topic], p)
	}
	for name, ps := range topics {
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.Partitions = name, ps
		req.Topics = append(req.Topics, t)
	}
	resp, err := c.client.Broker(int(broker)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	r := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		return nil, err
	}
	var out []fetched
	for i := range r.Topics {
		for _, p := range r.Topics[i].Partitions {
			out = append(out, fetched{place: place{r.Topics[i].Topic, p.Partition}, data: p.RecordBatches, start: p.LogStartOffset,
				end: p.HighWatermark, aborted: p.AbortedTransactions, err: kerr.ErrorForCode(p.ErrorCode)})
		}
	}
	return out, nil
}

// fetchOne reads one partition, waiting faults out. Errors: kerr.OffsetOutOfRange, Unavailable.
func (c *cluster) fetchOne(ctx context.Context, at place, offset int64, committed bool, maxBytes int32) (got fetched, err error) {
	err = c.retry(ctx, func() error {
		broker, err := c.leader(ctx, at)
		if err != nil {
			return err
		}
		all, err := c.fetch(ctx, broker, map[place]int64{at: offset}, committed, 0, maxBytes)
		if err != nil {
			return err
		}
		if len(all) != 1 {
			return errs.New(errs.Internal, "a fetch of one partition gives %d", len(all))
		}
		got = all[0]
		return got.err
	})
	return got, err
}

// produced is where a batch went.
type produced struct {
	base       int64
	appendTime int64 // Unix milliseconds, -1: the batch keeps its own times
	err        error
}

// produce writes one batch to each of the partitions, all at once.
func (c *cluster) produce(ctx context.Context, txn string, batches map[place][]byte) (map[place]produced, error) {
	byBroker := map[int32]map[string][]kmsg.ProduceRequestTopicPartition{}
	for at, batch := range batches {
		broker, err := c.leader(ctx, at)
		if err != nil {
			return nil, err
		}
		if byBroker[broker] == nil {
			byBroker[broker] = map[string][]kmsg.ProduceRequestTopicPartition{}
		}
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = at.partition, batch
		byBroker[broker][at.topic] = append(byBroker[broker][at.topic], p)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	out, first := map[place]produced{}, error(nil)
	for broker, topics := range byBroker {
		req := kmsg.NewPtrProduceRequest()
		req.TransactionID, req.Acks, req.TimeoutMillis = &txn, -1, int32(requestTimeout.Milliseconds())
		for name, ps := range topics {
			t := kmsg.NewProduceRequestTopic()
			t.Topic, t.Partitions = name, ps
			req.Topics = append(req.Topics, t)
		}
		wg.Go(func() {
			resp, err := c.client.Broker(int(broker)).RetriableRequest(ctx, req)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				first = errors.Join(first, err)
				return
			}
			for _, t := range resp.(*kmsg.ProduceResponse).Topics {
				for _, p := range t.Partitions {
					out[place{t.Topic, p.Partition}] = produced{p.BaseOffset, p.LogAppendTime, kerr.ErrorForCode(p.ErrorCode)}
				}
			}
		})
	}
	wg.Wait()
	return out, first
}

// close lets go of the connections.
func (c *cluster) close() { c.client.Close() }

// clusterID is the cluster's own id of a topic; zero where it has none or there is no such topic.
func (c *cluster) clusterID(ctx context.Context, name string) (id log.TopicID, partitions int, err error) {
	err = c.retry(ctx, func() error {
		all, err := c.admin.Metadata(ctx, name)
		if err != nil {
			return err
		}
		d, ok := all.Topics[name]
		if !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			id, partitions = log.TopicID{}, 0
			return nil
		}
		id, partitions = log.TopicID(d.ID), len(d.Partitions)
		return d.Err
	})
	return id, partitions, err
}
