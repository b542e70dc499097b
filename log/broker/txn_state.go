package broker

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/aborted"
)

const (
	// txnExpiry is transactional.id.expiration.ms.
	txnExpiry = int64(7 * 24 * 3600 * 1e9)
	// maxTxns and maxTxnID bound what clients make the state hold.
	maxTxns  = 100_000
	maxTxnID = 4096
	// lastEpoch is the highest epoch that a producer gets: the one above is left for the marker that fences it.
	lastEpoch = math.MaxInt16 - 1
)

// txn is a transactional id with its newest transaction. All of it changes by events, and so is the same after a restart.
type txn struct {
	txnHeader
	partitions map[log.Partition]bool
	offsets    map[string]log.TxnOffset // to be committed with it, by group and key
	// last is the sequence of the newest append with records of it, as far as this program has seen.
	last uint64
}

// txnHeader is what a txnChanged event sets.
type txnHeader struct {
	id       string
	producer log.TxnProducer
	// previous is who the client was before its last request bumped the epoch: a retry of that request shows it.
	previous         log.TxnProducer
	timeout          int64 // milliseconds
	status           log.TxnStatus
	started, updated int64 // Unix nanoseconds
}

var txnStatuses = []log.TxnStatus{log.TxnEmpty, log.TxnOngoing, log.TxnCommitted, log.TxnAborted}

func (h *txnHeader) encode(e *encoder) {
	e.string(h.id)
	e.int(h.producer.ID)
	e.int(int64(h.producer.Epoch))
	e.int(h.previous.ID)
	e.int(int64(h.previous.Epoch))
	e.int(h.timeout)
	e.uint(uint64(slices.Index(txnStatuses, h.status)))
	e.int(h.started)
	e.int(h.updated)
}

func decodeTxnHeader(d *decoder) txnHeader {
	h := txnHeader{id: d.string(), producer: log.TxnProducer{ID: d.int(), Epoch: int16(d.int())},
		previous: log.TxnProducer{ID: d.int(), Epoch: int16(d.int())}, timeout: d.int()}
	if status := d.uint(); status < uint64(len(txnStatuses)) {
		h.status = txnStatuses[status]
	} else {
		d.fail()
	}
	h.started, h.updated = d.int(), d.int()
	return h
}

// txnChanged sets the header of a transactional id. A transaction that is not ongoing has no partitions and no offsets.
type txnChanged struct{ txnHeader }

func (c txnChanged) kind() eventKind   { return eventTxn }
func (c txnChanged) encode(e *encoder) { c.txnHeader.encode(e) }

func (c txnChanged) apply(s *state) {
	t := s.txns[c.id]
	if t == nil {
		t = &txn{}
		s.txns[c.id] = t
	}
	if s.txnOf[t.producer.ID] == t {
		delete(s.txnOf, t.producer.ID)
	}
	t.txnHeader = c.txnHeader
	s.txnOf[t.producer.ID] = t
	if t.status != log.TxnOngoing {
		t.partitions, t.offsets = nil, nil
	}
}

// txnJoined adds partitions to the ongoing transaction of an id.
type txnJoined struct {
	id         string
	partitions []log.Partition
}

func (j txnJoined) kind() eventKind { return eventTxnJoined }

func (j txnJoined) encode(e *encoder) {
	e.string(j.id)
	e.uint(uint64(len(j.partitions)))
	for _, p := range j.partitions {
		e.partition(p)
	}
}

func decodeTxnJoined(d *decoder) txnJoined {
	j := txnJoined{id: d.string()}
	for range d.count() {
		j.partitions = append(j.partitions, d.partition())
	}
	return j
}

func (j txnJoined) apply(s *state) {
	if t := s.txns[j.id]; t != nil && t.status == log.TxnOngoing {
		for _, p := range j.partitions {
			if t.partitions == nil {
				t.partitions = map[log.Partition]bool{}
			}
			t.partitions[p] = true
		}
	}
}

// txnOffsets adds offsets to the ongoing transaction of an id.
type txnOffsets struct {
	id      string
	offsets []log.TxnOffset
}

func (o txnOffsets) kind() eventKind { return eventTxnOffsets }

func (o txnOffsets) encode(e *encoder) {
	e.string(o.id)
	e.uint(uint64(len(o.offsets)))
	for _, one := range o.offsets {
		e.string(one.Group)
		e.bytes(one.Key)
		e.bytes(one.Value)
	}
}

func decodeTxnOffsets(d *decoder) txnOffsets {
	o := txnOffsets{id: d.string()}
	for range d.count() {
		o.offsets = append(o.offsets, log.TxnOffset{Group: d.string(), Key: []byte(d.string()), Value: []byte(d.string())})
	}
	return o
}

func (o txnOffsets) apply(s *state) {
	if t := s.txns[o.id]; t != nil && t.status == log.TxnOngoing {
		for _, one := range o.offsets {
			if t.offsets == nil {
				t.offsets = map[string]log.TxnOffset{}
			}
			t.offsets[one.Group+"\x00"+string(one.Key)] = one
		}
	}
}

// abortedTxn is an aborted transaction in a partition, and the append with its marker.
type abortedTxn struct {
	aborted.Txn
	sequence uint64
}

// marker is what a control batch says.
type marker struct {
	is, commit bool
	producer   int64
	first      int64
}

// takeTxn notes the transactional batch or the marker at offset.
func (s *state) takeTxn(p *partitionState, pt *part, offset int64) {
	switch {
	case pt.marker.is:
		delete(p.open, pt.marker.producer)
		if !pt.marker.commit {
			p.abort(pt.marker.producer, pt.marker.first, offset, s.sequence)
		}
	case pt.transactional:
		if p.open == nil {
			p.open = map[int64]int64{}
		}
		if _, begun := p.open[pt.producer.id]; !begun {
			p.open[pt.producer.id] = offset
		}
		if t := s.txnOf[pt.producer.id]; t != nil {
			t.last = s.sequence
		}
	}
}

func (p *partitionState) abort(producer, first, last int64, sequence uint64) {
	p.aborted = append(p.aborted, abortedTxn{aborted.Txn{AbortedTxn: log.AbortedTxn{Producer: producer, First: first, Last: last}, Stable: p.stable()}, sequence})
}

// forgetAborted lets the aborted transactions go that ended below an offset.
func (p *partitionState) forgetAborted(below int64) {
	p.forgotten = max(p.forgotten, below)
	p.dropAborted(sort.Search(len(p.aborted), func(i int) bool { return p.aborted[i].Last >= below }))
}

// dropAborted lets go of the first n of the aborted transactions that are held. Readers may hold them.
func (p *partitionState) dropAborted(n int) {
	if p.aborted = p.aborted[n:]; len(p.aborted) == 0 {
		p.aborted = nil // an idle partition holds nothing
	}
}

// settleAborted works out from what is known of all aborted transactions how each of them leaves the partition.
func (p *partitionState) settleAborted() {
	slices.SortStableFunc(p.aborted, func(a, b abortedTxn) int { return cmp.Compare(a.Last, b.Last) })
	stable := p.stable()
	for i := range slices.Backward(p.aborted) {
		p.aborted[i].Stable = stable
		stable = min(stable, p.aborted[i].First)
	}
}

// stable is the last stable offset: the first record of the oldest open transaction.
func (p *partitionState) stable() int64 {
	stable := p.next
	for _, first := range p.open {
		stable = min(stable, first)
	}
	return stable
}

// abandonTxns ends the transactions that nobody will end any more: a restore has their records and not their state.
func (s *state) abandonTxns() {
	for _, p := range s.partitions {
		for producer, first := range p.open {
			p.abort(producer, first, p.next-1, s.sequence)
		}
		p.open = nil
		p.settleAborted()
	}
}

// txn gives the transaction of an id, asked for by its present producer. Errors: ErrProducerMapping, ErrProducerFenced.
func (s *state) txn(id string, p log.TxnProducer) (*txn, error) {
	t := s.txns[id]
	switch {
	case t == nil || t.producer.ID != p.ID:
		return nil, errs.New(errs.Conflict, "%w: producer %d of %q", log.ErrProducerMapping, p.ID, id)
	case t.producer.Epoch != p.Epoch:
		return nil, errs.New(errs.Conflict, "%w: producer %d of %q has epoch %d, not %d", log.ErrProducerFenced, p.ID, id, t.producer.Epoch, p.Epoch)
	}
	return t, nil
}

// begin gives the event that begins a transaction, none when it is ongoing.
func (t *txn) begin(now int64) []event {
	if t.status == log.TxnOngoing {
		return nil
	}
	h := t.txnHeader
	h.status, h.started, h.updated, h.previous = log.TxnOngoing, now, now, log.NoProducer
	return []event{txnChanged{h}}
}

// joinTxns checks the transactional batches of an append, and gives the events by which they join their transactions when
// the append may do so unannounced. Errors: ErrTxnState, ErrProducerFenced.
func (s *state) joinTxns(it *item, now int64) (events []event, err error) {
	for i := range it.parts {
		pt, p := &it.parts[i], it.entry.Batches[i].Partition
		if !pt.transactional {
			if ps := s.partitions[p]; ps != nil && pt.producer.id >= 0 && len(ps.open) > 0 {
				if _, open := ps.open[pt.producer.id]; open {
					return nil, errs.New(errs.Conflict, "%w: a record outside the transaction of producer %d, which is open", log.ErrTxnState, pt.producer.id)
				}
			}
			continue
		}
		t := s.txnOf[pt.producer.id]
		switch {
		case t == nil:
			return nil, errs.New(errs.Conflict, "%w: producer %d has no transactional id", log.ErrTxnState, pt.producer.id)
		case t.producer.Epoch != pt.producer.epoch:
			return nil, errs.New(errs.Conflict, "%w: producer %d of %q has epoch %d, not %d", log.ErrProducerFenced, pt.producer.id, t.id, t.producer.Epoch, pt.producer.epoch)
		case t.status == log.TxnOngoing && t.partitions[p]:
		case !it.join:
			return nil, errs.New(errs.Conflict, "%w: the partition is not in an ongoing transaction of %q", log.ErrTxnState, t.id)
		default:
			events = append(events, t.begin(now)...)
			events = append(events, txnJoined{t.id, []log.Partition{p}})
		}
	}
	return events, nil
}

func (s *state) encodeTxns(e *encoder) {
	e.uint(uint64(len(s.txns)))
	for _, t := range s.txns {
		t.txnHeader.encode(e)
		txnJoined{t.id, slices.Collect(maps.Keys(t.partitions))}.encode(e)
		txnOffsets{t.id, slices.Collect(maps.Values(t.offsets))}.encode(e)
	}
}

func (s *state) decodeTxns(d *decoder) {
	for range d.count() {
		for _, ev := range []event{txnChanged{decodeTxnHeader(d)}, decodeTxnJoined(d), decodeTxnOffsets(d)} {
			if d.err == nil {
				ev.apply(s)
			}
		}
	}
}

func (p *partitionState) encodeTxns(e *encoder) {
	e.uint(uint64(len(p.open)))
	for producer, first := range p.open {
		e.int(producer)
		e.int(first)
	}
}

// decodeTxns reads what encodeTxns wrote, and before version 6 the aborted transactions: all there were.
func (p *partitionState) decodeTxns(d *decoder, version uint32) {
	if n := d.count(); n > 0 {
		p.open = make(map[int64]int64, n)
		for range n {
			producer := d.int()
			p.open[producer] = d.int()
		}
	}
	if version > 5 {
		return
	}
	for range d.count() {
		p.aborted = append(p.aborted, abortedTxn{Txn: aborted.Txn{AbortedTxn: log.AbortedTxn{Producer: d.int(), First: d.int(), Last: d.int()}}})
	}
	p.settleAborted()
}
