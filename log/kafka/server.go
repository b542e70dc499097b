package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/access"
	"github.com/miracledb/miracledb/log/group"
)

// Catalog makes and drops topics: they are catalog objects, so that SQL and Kafka clients see the same ones.
type Catalog interface {
	// CreateTopic makes a topic and returns when it is durable and the log knows it. Errors: Exists, Invalid, Denied.
	CreateTopic(ctx context.Context, name string, partitions int32, config map[string]string) (log.Topic, error)
	// AlterTopic gives a topic the partitions and settings that change makes of its present ones, and returns when that is
	// durable. Nobody else alters it meanwhile. Errors: NotFound, Invalid, Denied (what the topic holds does not allow it),
	// and change's own.
	AlterTopic(ctx context.Context, topic log.Topic, change func(*log.Topic) error) error
	// DropTopic removes a topic and its data. Errors: NotFound, Denied (something else depends on it).
	DropTopic(ctx context.Context, topic log.Topic) error
}

// Log is the log that a server serves, with what only Kafka's clients ask of it.
type Log interface {
	log.Log
	// LeaderEpoch is the epoch of this node's leadership of every partition. It never goes back, and stands in the batches.
	LeaderEpoch() int32
	// DeleteRecords gives up the records of a partition before an offset, -1: all, and gives the partition's start.
	DeleteRecords(ctx context.Context, p log.Partition, before int64) (start int64, err error)
	Transactions
	// Producers gives the idempotent producers that a partition remembers, Size the bytes of its records on the disk.
	Producers(p log.Partition) []log.ActiveProducer
	Size(p log.Partition) int64
	// Volume tells where the log is, and the bytes of its volume in all and free, -1: not known.
	Volume() (dir string, total, free int64)
	// NextProducerID gives an id for an idempotent producer that is never given again.
	NextProducerID(ctx context.Context) (int64, error)
}

// Options are a Server's parts and settings. Log, Catalog and ClusterID are needed.
type Options struct {
	Log     Log
	Catalog Catalog
	// Clock is the time of group sessions and committed offsets. nil: the machine's.
	Clock clock.Clock
	// ClusterID is what clients know the cluster by; it must stay the same over restarts.
	ClusterID string
	NodeID    int32
	// AdvertisedHost and AdvertisedPort are where clients reach this node. Empty: the address that a client has
	// connected to.
	AdvertisedHost string
	AdvertisedPort int32
	// NoAutoCreate refuses to make a topic that a client asks the metadata of and allows to be made
	// (auto.create.topics.enable=false).
	NoAutoCreate bool
	// Authentication says when clients must authenticate; "": AuthenticateWithUsers.
	Authentication Authentication
	// SuperUsers may do everything (super.users).
	SuperUsers []access.Principal
	// EveryoneWithoutACL lets everyone do what no ACL is about (allow.everyone.if.no.acl.found). nil: as long as nobody must
	// authenticate.
	EveryoneWithoutACL *bool
	// SessionLifetime is how long an authentication holds (connections.max.reauth.ms). 0: as long as the connection.
	SessionLifetime time.Duration
	// OffsetsRetention is how long committed offsets are kept that nobody uses (offsets.retention.minutes). 0: 7 days.
	OffsetsRetention time.Duration
	// Group are the settings of the group coordinator.
	Group group.Options
	// MaxConnections bounds open connections: each has two goroutines and a buffer. 0: 10,000.
	MaxConnections int
	// InflightBytes bounds the requests in memory that have not been answered, and as much again the answers to fetches
	// that have not been sent. 0: 512 MiB.
	InflightBytes limit.Bytes
	// IdleTimeout closes a connection on which no request came for so long. 0: 10 min (connections.max.idle.ms).
	IdleTimeout time.Duration
	// StallTimeout is how long a client may pause in the midst of a TLS handshake or a frame, and how long one that must authenticate
	// may take for that. 0: 30 s.
	StallTimeout time.Duration
	// Report hears of faults that no client can be told of: a panic that ended a connection. nil: nobody does.
	Report func(error)
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.OffsetsRetention == 0 {
		o.OffsetsRetention = offsetsRetention
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 10_000
	}
	if o.InflightBytes == 0 {
		o.InflightBytes = 512 * limit.MiB
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 10 * time.Minute
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = stalled
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	return o
}

// Server is a Kafka broker over a log.
type Server struct {
	options     Options
	log         Log
	access      *access.Store
	rates       rates
	meters      *meters
	coordinator *coordinator
	frames      *budget // bytes of requests that were not answered yet
	decoding    *budget // bytes that decoding may take, see decodeFactor
	sessions    *fetchSessions
	fetches     *budget // bytes of answers to fetches that were not sent yet
	salting     *semaphore.Weighted
	buffers     buffers // for what they read
	parting     time.Duration
	// stopping is closed when Serve is told to end: no request is begun any more, and nobody waits for what others may do.
	stopping chan struct{}

	mu struct {
		sync.Mutex
		conns map[*conn]struct{}
	}
}

// Open makes a server and replays the committed offsets of __consumer_offsets. It starts nothing.
func Open(ctx context.Context, o Options) (*Server, error) {
	if o.Log == nil || o.Catalog == nil || o.ClusterID == "" {
		return nil, errs.New(errs.Invalid, "kafka: Log, Catalog and ClusterID are needed")
	}
	o = o.withDefaults()
	s := &Server{options: o, log: o.Log, access: access.NewStore(o.Log), frames: newBudget(int64(o.InflightBytes)), fetches: newBudget(int64(o.InflightBytes)),
		decoding: newBudget(decodeFactor * otherRequest), salting: semaphore.NewWeighted(saltedAtOnce()), meters: newMeters(), parting: parting,
		stopping: make(chan struct{})}
	s.sessions = newFetchSessions(o.Clock)
	s.mu.conns = map[*conn]struct{}{}
	var err error
	s.coordinator, err = openCoordinator(ctx, o, s.rights, s.stopping)
	return s, err
}

// parting is how long requests that were begun may take to be answered when the server is told to end.
const parting = 3 * time.Second

// Serve accepts connections until ctx ends, or one of the listeners fails: then it closes the listeners, reads no more,
// answers what it has begun, closes the connections and gives the failure. It is called once. When it returns no goroutine of
// the server is left.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	answering, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var coordinating, serving sync.WaitGroup
	coordinating.Go(func() { s.coordinator.run(answering) })
	for _, l := range listeners {
		serving.Go(func() {
			if err := s.accept(ctx, answering, l, &serving); err != nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	s.stop(listeners)
	late := time.AfterFunc(s.parting, end)
	serving.Wait()
	late.Stop()
	end()
	coordinating.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// stop closes the listeners and wakes the connections out of their reads.
func (s *Server) stop(listeners []net.Listener) {
	close(s.stopping)
	for _, l := range listeners {
		l.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.mu.conns {
		c.net.SetReadDeadline(longAgo)
	}
}

// accept serves the connections that come until ctx ends, each until answering ends.
func (s *Server) accept(ctx, answering context.Context, l net.Listener, serving *sync.WaitGroup) error {
	for {
		nc, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return errs.New(errs.Unavailable, "kafka: accepting on %s: %w", l.Addr(), err)
		}
		if err != nil {
			// Out of file descriptors, or a client that went away again: neither is the listener's end.
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		c := newConn(s, nc)
		if c.holdLittle() != nil || !s.add(c) {
			nc.Close()
			continue
		}
		serving.Go(func() {
			defer s.remove(c)
			c.serve(answering)
		})
	}
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.conns) >= s.options.MaxConnections {
		return false
	}
	s.mu.conns[c] = struct{}{}
	if _, encrypted := c.net.(*tls.Conn); encrypted {
		s.meters.accepted.tls.Add(1)
	} else {
		s.meters.accepted.clear.Add(1)
	}
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.conns, c)
}
