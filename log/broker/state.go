package broker

import (
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

const (
	// producerWindow is how many batches of a producer are remembered per partition: as many as Kafka's clients have in
	// flight (max.in.flight.requests.per.connection).
	producerWindow = 5
	// producerExpiry is producer.id.expiration.ms.
	producerExpiry = int64(24 * 3600 * 1e9)
	// maxPartitions bounds one topic; a client chooses the number.
	maxPartitions = 10_000
	maxConfigs    = 256
)

// state is a deterministic function of the appends up to its sequence. There are two: the sequencer's, which is ahead,
// and the durable one.
type state struct {
	epoch    uint32
	epochs   []epochStart
	term     uint64
	sequence uint64 // of the last append
	time     int64  // its commit time, Unix nanoseconds
	// producerIDs is the first producer id not yet allocated.
	producerIDs int64

	topics     map[log.TopicID]*log.Topic
	names      map[string]log.TopicID
	partitions map[log.Partition]*partitionState
	txns       map[string]*txn
	txnOf      map[int64]*txn // by producer id
	properties *log.Properties
	// dropped are topics whose files may still be there, oldest first.
	dropped []droppedTopic
	// changes counts the changes of topics since the program began.
	changes uint64
}

// epochStart says that an epoch's first append has sequence First.
type epochStart struct {
	Epoch uint32
	First uint64
}

type droppedTopic struct {
	topic log.Topic
	at    log.Position
}

type partitionState struct {
	start, next, clean int64
	producers          map[int64]*producer
	open               map[int64]int64 // first offset of the transactions that have not ended, by producer
	aborted            []abortedTxn    // by their last offset
}

// producer is what a partition remembers of an idempotent producer.
type producer struct {
	epoch   int16
	time    int64             // of its last append
	batches []rememberedWrite // at most producerWindow, oldest first
}

type rememberedWrite struct {
	first, last int32 // sequences
	offset      int64
	position    log.Position
	time        int64
}

func newState() *state {
	s := &state{
		epoch: 1, term: 1, epochs: []epochStart{{1, 1}},
		topics: map[log.TopicID]*log.Topic{}, names: map[string]log.TopicID{}, partitions: map[log.Partition]*partitionState{},
		txns: map[string]*txn{}, txnOf: map[int64]*txn{},
		properties: &log.Properties{Values: map[string][]byte{}},
	}
	s.create(log.Topic{ID: log.CatalogTopicID, Name: log.CatalogTopic, Partitions: 1, Internal: true}, 0)
	return s
}

func (s *state) create(t log.Topic, from int32) {
	s.topics[t.ID], s.names[t.Name] = &t, t.ID
	for i := from; i < t.Partitions; i++ {
		s.partitions[log.Partition{Topic: t.ID, Index: i}] = &partitionState{}
	}
}

// apply takes the append in: the same on both sides, and again at recovery.
func (s *state) apply(it *item) {
	for _, ev := range it.events {
		ev.apply(s)
	}
	if !it.isAppend() {
		return
	}
	e := &it.entry
	s.sequence, s.time = e.Position.Sequence, e.Time.UnixNano()
	for _, t := range it.topics {
		s.applyTopic(t, e.Position)
	}
	for i := range e.Batches {
		pb := &e.Batches[i]
		p := s.partitions[pb.Partition]
		if p == nil {
			continue // dropped by the same append
		}
		p.next = pb.BaseOffset + int64(pb.Records)
		s.takeTxn(p, &it.parts[i], pb.BaseOffset)
		if pr := it.parts[i].producer; pr.id >= 0 {
			p.remember(pr, rememberedWrite{pr.first, pr.last, pb.BaseOffset, e.Position, s.time})
		}
	}
}

func (p *partitionState) remember(b producerBatch, w rememberedWrite) {
	if p.producers == nil {
		p.producers = map[int64]*producer{}
	}
	known := p.producers[b.id]
	if known == nil || known.epoch != b.epoch {
		known = &producer{epoch: b.epoch}
		p.producers[b.id] = known
	}
	known.time = w.time
	if len(known.batches) == producerWindow {
		copy(known.batches, known.batches[1:])
		known.batches = known.batches[:producerWindow-1]
	}
	known.batches = append(known.batches, w)
}

// expire forgets producers that have not written for a day, and transactional ids not used for a week.
func (s *state) expire() {
	for _, p := range s.partitions {
		maps.DeleteFunc(p.producers, func(_ int64, k *producer) bool { return s.time-k.time > producerExpiry })
	}
	for id, t := range s.txns {
		if t.status != log.TxnOngoing && s.time-t.updated > txnExpiry {
			delete(s.txns, id)
			delete(s.txnOf, t.producer.ID)
		}
	}
}

func (s *state) applyTopic(r log.TopicRecord, at log.Position) {
	s.changes++
	id, _ := parseTopicID(r.ID)
	old := s.topics[id]
	if r.Dropped {
		if old == nil {
			return
		}
		delete(s.topics, id)
		delete(s.names, old.Name)
		for i := range old.Partitions {
			delete(s.partitions, log.Partition{Topic: id, Index: i})
		}
		s.dropped = append(s.dropped, droppedTopic{*old, at})
		return
	}
	from := int32(0)
	if old != nil {
		from = old.Partitions
		delete(s.names, old.Name)
	}
	s.create(log.Topic{
		ID: id, Name: r.Name, Partitions: r.Partitions, Config: r.Config, Internal: strings.HasPrefix(r.Name, "__"),
	}, from)
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// overlay is what the topic changes of one append make of the state while it is being checked.
type overlay struct {
	state  *state
	topics map[log.TopicID]*log.TopicRecord
	names  map[string]log.TopicID // a zero id: free
}

// check adds a topic change to the overlay. Errors: ErrInvalidTopic, ErrTopicExists, ErrUnknownPartition.
func (o *overlay) check(r *log.TopicRecord) error {
	id, err := parseTopicID(r.ID)
	switch {
	case err != nil:
		return err
	case id == log.CatalogTopicID:
		return errs.New(errs.Denied, "%w: the topic %s cannot be changed", log.ErrInvalidTopic, log.CatalogTopic)
	}
	var old log.Topic
	known := false
	if t := o.state.topics[id]; t != nil {
		old, known = *t, true
	}
	if t, ok := o.topics[id]; ok {
		old, known = log.Topic{Name: t.Name, Partitions: t.Partitions}, !t.Dropped
	}
	if o.topics == nil {
		o.topics, o.names = map[log.TopicID]*log.TopicRecord{}, map[string]log.TopicID{}
	}
	if r.Dropped {
		if !known {
			return errs.New(errs.NotFound, "%w: topic %q (%s) does not exist", log.ErrUnknownPartition, r.Name, r.ID)
		}
		o.topics[id], o.names[old.Name] = r, log.TopicID{}
		return nil
	}
	holder, taken := o.names[r.Name]
	if !taken {
		holder = o.state.names[r.Name]
	}
	switch {
	case !topicName.MatchString(r.Name) || r.Name == "." || r.Name == "..":
		return errs.New(errs.Invalid, "%w: %q is no topic name: 1 to 249 of a-z, A-Z, 0-9, '.', '_', '-'", log.ErrInvalidTopic, r.Name)
	case !holder.IsZero() && holder != id:
		return errs.New(errs.Exists, "%w: %q", log.ErrTopicExists, r.Name)
	case r.Partitions < 1 || r.Partitions > maxPartitions:
		return errs.New(errs.Invalid, "%w: %q with %d partitions, want 1 to %d", log.ErrInvalidTopic, r.Name, r.Partitions, maxPartitions)
	case known && r.Partitions < old.Partitions:
		return errs.New(errs.Invalid, "%w: %q has %d partitions, %d would lose some", log.ErrInvalidTopic, r.Name, old.Partitions, r.Partitions)
	case len(r.Config) > maxConfigs:
		return errs.New(errs.Limit, "%w: %q has %d settings, the limit is %d", log.ErrInvalidTopic, r.Name, len(r.Config), maxConfigs)
	}
	if err := log.CheckConfig(r.Config); err != nil {
		return err
	}
	if known && old.Name != r.Name {
		o.names[old.Name] = log.TopicID{}
	}
	o.topics[id], o.names[r.Name] = r, id
	return nil
}

// exists reports whether the append may write to p.
func (o *overlay) exists(p log.Partition) bool {
	if t, ok := o.topics[p.Topic]; ok {
		return !t.Dropped && p.Index >= 0 && p.Index < t.Partitions
	}
	return o.state.partitions[p] != nil
}

// topic gives a topic that exists as the append leaves it.
func (o *overlay) topic(id log.TopicID) *log.Topic {
	if t, ok := o.topics[id]; ok {
		return &log.Topic{ID: id, Name: t.Name, Partitions: t.Partitions, Config: t.Config}
	}
	return o.state.topics[id]
}

// next is the next offset of p.
func (s *state) next(p log.Partition) int64 {
	if ps := s.partitions[p]; ps != nil {
		return ps.next
	}
	return 0 // made by the append that asks
}

// sequenceCheck is the outcome of checking a batch of an idempotent producer.
type sequenceCheck struct {
	duplicate bool
	write     rememberedWrite // the first write, of a duplicate
}

// checkSequence follows Kafka's ProducerAppendInfo.checkSequence.
func (s *state) checkSequence(p log.Partition, b producerBatch) (sequenceCheck, error) {
	var known *producer
	if ps := s.partitions[p]; ps != nil {
		known = ps.producers[b.id]
	}
	switch {
	case known == nil:
		return sequenceCheck{}, nil // forgotten or new: any sequence begins
	case b.epoch < known.epoch:
		return sequenceCheck{}, errs.New(errs.Conflict, "%w: producer %d has epoch %d, the newest is %d", log.ErrProducerFenced, b.id, b.epoch, known.epoch)
	case b.epoch > known.epoch:
		if b.first != 0 {
			return sequenceCheck{}, errs.New(errs.Conflict, "%w: producer %d begins epoch %d with sequence %d", log.ErrOutOfOrderSequence, b.id, b.epoch, b.first)
		}
		return sequenceCheck{}, nil
	}
	for _, w := range known.batches {
		if w.first == b.first && w.last == b.last {
			return sequenceCheck{true, w}, nil
		}
	}
	last := known.batches[len(known.batches)-1].last
	// Sequences wrap at 2^31: what is less than half of that ahead is a gap, the rest is behind.
	ahead := uint32(b.first-last-1) & 0x7fffffff
	switch {
	case ahead == 0:
		return sequenceCheck{}, nil
	case ahead < 1<<30:
		return sequenceCheck{}, errs.New(errs.Conflict, "%w: producer %d sends sequence %d after %d", log.ErrOutOfOrderSequence, b.id, b.first, last)
	}
	return sequenceCheck{}, errs.New(errs.Conflict, "%w: producer %d sends sequence %d after %d", log.ErrDuplicateSequence, b.id, b.first, last)
}

// epochAt gives the epoch of a sequence.
func (s *state) epochAt(sequence uint64) uint32 {
	for _, e := range slices.Backward(s.epochs) {
		if sequence >= e.First {
			return e.Epoch
		}
	}
	return s.epochs[0].Epoch
}

// holds reports whether p is a Position of this history: the zero one, or of an append that was not restored away.
func (s *state) holds(p log.Position) bool {
	return p.Sequence == 0 || p.Epoch == s.epochAt(p.Sequence)
}

func parseTopicID(text string) (id log.TopicID, err error) {
	n, err := hex.Decode(id[:], []byte(text[:min(len(text), 2*len(id))]))
	if err != nil || n != len(id) || len(text) != 2*len(id) || id.IsZero() {
		return log.TopicID{}, errs.New(errs.Invalid, "%w: %q is no topic id: want 32 hex digits", log.ErrInvalidTopic, text)
	}
	return id, nil
}
