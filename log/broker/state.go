package broker

import (
	"maps"
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/topics"
)

const (
	// producerWindow is how many batches of a producer are remembered per partition: as many as Kafka's clients have in
	// flight (max.in.flight.requests.per.connection).
	producerWindow = 5
	// producerExpiry is producer.id.expiration.ms.
	producerExpiry = int64(24 * 3600 * 1e9)
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

	topics     topics.Set
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
	// aborted are the aborted transactions, by their markers, that ended above what is in segments: the others stand beside those.
	aborted []abortedTxn
	// forgotten is the offset below which the transactions that ended are to be forgotten: what comes after the last snapshot.
	forgotten int64
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
		topics: topics.NewSet(), partitions: map[log.Partition]*partitionState{},
		txns: map[string]*txn{}, txnOf: map[int64]*txn{},
		properties: &log.Properties{Values: map[string][]byte{}},
	}
	s.grow(log.CatalogTopicID, 0, 1)
	return s
}

// grow makes the partitions of a topic from one index to before another.
func (s *state) grow(id log.TopicID, from, to int32) {
	for i := from; i < to; i++ {
		s.partitions[log.Partition{Topic: id, Index: i}] = &partitionState{}
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
	id, _ := topics.ParseID(r.ID)
	old := s.topics.Apply(r)
	switch {
	case r.Dropped && old == nil:
	case r.Dropped:
		for i := range old.Partitions {
			delete(s.partitions, log.Partition{Topic: id, Index: i})
		}
		s.dropped = append(s.dropped, droppedTopic{*old, at})
	case old == nil:
		s.grow(id, 0, r.Partitions)
	default:
		s.grow(id, old.Partitions, r.Partitions)
	}
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
