package broker

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/aborted"
	"github.com/miracledb/miracledb/log/commits"
	"github.com/miracledb/miracledb/log/journal"
	"github.com/miracledb/miracledb/log/segment"
)

// snapshot is all that recovery starts from: the state at a sequence, the sizes that the files had then, and where the
// journal goes on.
type snapshot struct {
	number   uint64
	state    *state
	journal  journal.Place
	pins     map[string]log.Position
	commits  commits.State
	segments map[log.Partition]segment.State
}

const (
	snapshotMagic   = "MDBSTAT\n"
	snapshotVersion = 6 // older ones are read too
	snapshotHeader  = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s *state) encode(e *encoder) {
	e.uint(uint64(s.epoch))
	e.uint(uint64(len(s.epochs)))
	for _, one := range s.epochs {
		e.uint(uint64(one.Epoch))
		e.uint(one.First)
	}
	e.uint(s.term)
	e.uint(s.sequence)
	e.int(s.time)
	e.int(s.producerIDs)
	e.uint(uint64(len(s.topics.ByID)))
	for _, t := range s.topics.ByID {
		encodeTopic(e, t)
	}
	e.uint(uint64(len(s.dropped)))
	for i := range s.dropped {
		encodeTopic(e, &s.dropped[i].topic)
		e.position(s.dropped[i].at)
	}
	e.uint(uint64(len(s.partitions)))
	for p, ps := range s.partitions {
		e.partition(p)
		ps.encode(e)
	}
	s.encodeTxns(e)
	s.encodeProperties(e)
}

func encodeTopic(e *encoder, t *log.Topic) {
	e.p = append(e.p, t.ID[:]...)
	e.string(t.Name)
	e.uint(uint64(t.Partitions))
	e.uint(uint64(len(t.Config)))
	for _, k := range slices.Sorted(maps.Keys(t.Config)) {
		e.string(k)
		e.string(t.Config[k])
	}
}

func decodeTopic(d *decoder) log.Topic {
	var t log.Topic
	copy(t.ID[:], d.take(len(t.ID)))
	t.Name = d.string()
	t.Partitions = int32(d.uint())
	if n := d.count(); n > 0 {
		t.Config = make(map[string]string, n)
		for range n {
			k := d.string()
			t.Config[k] = d.string()
		}
	}
	t.Internal = strings.HasPrefix(t.Name, "__")
	return t
}

func (p *partitionState) encode(e *encoder) {
	e.int(p.start)
	e.int(p.next)
	e.int(p.clean)
	e.uint(uint64(len(p.producers)))
	for id, k := range p.producers {
		e.int(id)
		e.int(int64(k.epoch))
		e.int(k.time)
		e.uint(uint64(len(k.batches)))
		for _, w := range k.batches {
			e.int(int64(w.first))
			e.int(int64(w.last))
			e.int(w.offset)
			e.position(w.position)
			e.int(w.time)
		}
	}
	p.encodeTxns(e)
}

func decodePartitionState(d *decoder, version uint32) *partitionState {
	p := &partitionState{start: d.int(), next: d.int(), clean: d.int()}
	n := d.count()
	if n > 0 {
		p.producers = make(map[int64]*producer, n)
	}
	for range n {
		id := d.int()
		k := &producer{epoch: int16(d.int()), time: d.int()}
		for range d.count() {
			k.batches = append(k.batches, rememberedWrite{int32(d.int()), int32(d.int()), d.int(), d.position(), d.int()})
		}
		if len(k.batches) == 0 {
			d.fail()
			break
		}
		p.producers[id] = k
	}
	if version > 2 {
		p.decodeTxns(d, version)
	}
	return p
}

func decodeState(d *decoder, version uint32) *state {
	s := newState()
	s.epoch = uint32(d.uint())
	s.epochs = nil
	for range d.count() {
		s.epochs = append(s.epochs, epochStart{uint32(d.uint()), d.uint()})
	}
	if len(s.epochs) == 0 {
		d.fail()
	}
	s.term, s.sequence, s.time, s.producerIDs = d.uint(), d.uint(), d.int(), d.int()
	for range d.count() {
		t := decodeTopic(d)
		s.topics.ByID[t.ID], s.topics.Names[t.Name] = &t, t.ID
	}
	for range d.count() {
		s.dropped = append(s.dropped, droppedTopic{decodeTopic(d), d.position()})
	}
	for range d.count() {
		p := d.partition()
		s.partitions[p] = decodePartitionState(d, version)
	}
	if version > 2 {
		s.decodeTxns(d)
	}
	if version > 3 {
		if c := decodePropertiesChanged(d); d.err == nil {
			c.apply(s)
		}
	}
	return s
}

// clone goes through the encoding: used only when a full disk undoes what the sequencer had ordered.
func (s *state) clone() *state {
	var e encoder
	s.encode(&e)
	c := decodeState(&decoder{p: e.p}, snapshotVersion)
	for p, ps := range s.partitions { // a snapshot has these beside segments
		c.partitions[p].aborted, c.partitions[p].forgotten = slices.Clone(ps.aborted), ps.forgotten
	}
	return c
}

// encode makes the file's bytes; body is the encoded state, taken when the snapshot was cut.
func (s *snapshot) encode(body []byte) []byte {
	e := encoder{p: make([]byte, snapshotHeader, snapshotHeader+len(body)+4096)}
	e.bytes(body)
	e.uint(s.journal.File)
	e.int(s.journal.Offset)
	e.uint(s.journal.Index)
	e.uint(uint64(s.journal.Chain))
	e.uint(uint64(len(s.pins)))
	for holder, p := range s.pins {
		e.string(holder)
		e.position(p)
	}
	e.uint(uint64(len(s.commits.Files)))
	for _, f := range s.commits.Files {
		e.uint(f.First)
		e.int(f.Slots)
		e.int(f.Overflow)
		e.int(f.Generation)
	}
	e.uint(uint64(len(s.segments)))
	for p, st := range s.segments {
		e.partition(p)
		e.int(st.End)
		e.int(st.Cleaned)
		e.uint(uint64(len(st.Segments)))
		for _, one := range st.Segments {
			e.int(one.Base)
			e.int(one.Size)
			e.int(one.Indexed)
			e.int(one.MaxTimestamp)
			e.uint(one.Sequence)
			e.uint(one.Last)
			e.int(one.Created)
			e.int(one.Generation)
		}
		e.int(st.Aborted.Forgotten)
		e.uint(uint64(len(st.Aborted.Files)))
		for _, one := range st.Aborted.Files {
			e.int(one.First)
			e.int(one.Slots)
		}
	}
	sealSnapshot(e.p)
	return e.p
}

// sealSnapshot writes the header over the first bytes of p.
func sealSnapshot(p []byte) {
	copy(p, snapshotMagic)
	binary.BigEndian.PutUint32(p[8:], snapshotVersion)
	binary.BigEndian.PutUint32(p[12:], crc32.Checksum(p[snapshotHeader:], castagnoli))
}

func decodeSnapshot(p []byte) (*snapshot, error) {
	version := uint32(0)
	if len(p) >= snapshotHeader {
		version = binary.BigEndian.Uint32(p[8:])
	}
	switch {
	case len(p) < snapshotHeader || string(p[:8]) != snapshotMagic:
		return nil, errs.New(errs.Corrupt, "no snapshot header")
	case version < 1 || version > snapshotVersion:
		return nil, errs.New(errs.Unsupported, "snapshot format version %d is newer than this program", version)
	case binary.BigEndian.Uint32(p[12:]) != crc32.Checksum(p[snapshotHeader:], castagnoli):
		return nil, errs.New(errs.Corrupt, "CRC does not fit")
	}
	d := &decoder{p: p[snapshotHeader:]}
	inner := &decoder{p: d.take(d.count())}
	s := &snapshot{state: decodeState(inner, version), pins: map[string]log.Position{}, segments: map[log.Partition]segment.State{}}
	s.journal = journal.Place{File: d.uint(), Offset: d.int(), Index: d.uint(), Chain: uint32(d.uint())}
	for range d.count() {
		holder := d.string()
		s.pins[holder] = d.position()
	}
	for range d.count() {
		f := commits.FileState{First: d.uint(), Slots: d.int(), Overflow: d.int()}
		if version > 4 {
			f.Generation = d.int()
		}
		s.commits.Files = append(s.commits.Files, f)
	}
	for range d.count() {
		p := d.partition()
		s.segments[p] = decodeSegments(d, version, s.state.sequence)
	}
	return s, cmp.Or(inner.err, d.err)
}

// decodeSegments reads the files of one partition; last is the newest append that may be in them.
func decodeSegments(d *decoder, version uint32, last uint64) segment.State {
	st := segment.State{End: d.int()}
	if version > 1 {
		st.Cleaned = d.int()
	}
	for range d.count() {
		one := segment.SegmentState{Base: d.int(), Size: d.int(), Indexed: d.int(), MaxTimestamp: d.int(), Sequence: d.uint(), Last: last}
		if version > 1 {
			one.Last, one.Created, one.Generation = d.uint(), d.int(), d.int()
		}
		st.Segments = append(st.Segments, one)
	}
	if version > 5 {
		st.Aborted.Forgotten = d.int()
		for range d.count() {
			st.Aborted.Files = append(st.Aborted.Files, aborted.FileState{First: d.int(), Slots: d.int()})
		}
	}
	return st
}

func snapshotName(fs vfs.FS, dir string, number uint64) string {
	return fs.PathJoin(dir, fmt.Sprintf("%016x.state", number))
}

// saveSnapshot writes the snapshot's file durably and removes the older ones.
func saveSnapshot(fs vfs.FS, dir string, number uint64, p []byte) error {
	name := snapshotName(fs, dir, number)
	file, err := fs.Create(name+".tmp", vfs.WriteCategory)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	_, err = file.Write(p)
	if err != nil {
		file.Close()
		return fmt.Errorf("snapshot %s: write: %w", name, err)
	}
	err = file.Sync()
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fs.Rename(name+".tmp", name)
	}
	if err != nil {
		return errs.New(errs.Unavailable, "snapshot %s: sync failed, restart to recover: %w", name, err)
	}
	if err := vfs.SyncDir(fs, dir); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	numbers, err := snapshotNumbers(fs, dir)
	if err != nil {
		return err
	}
	for _, old := range numbers {
		if old < number {
			if err := fs.Remove(snapshotName(fs, dir, old)); err != nil {
				return fmt.Errorf("snapshot: remove: %w", err)
			}
		}
	}
	return nil
}

func snapshotNumbers(fs vfs.FS, dir string) ([]uint64, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	var numbers []uint64
	for _, name := range names {
		var n uint64
		if digits, ok := strings.CutSuffix(name, ".state"); ok {
			if _, err := fmt.Sscanf(digits, "%016x", &n); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// loadSnapshot reads the newest snapshot; nil when there is none. A snapshot that does not hold is damage: its file was
// synced before it got its name.
func loadSnapshot(fs vfs.FS, dir string) (*snapshot, error) {
	numbers, err := snapshotNumbers(fs, dir)
	if err != nil || len(numbers) == 0 {
		return nil, err
	}
	number := numbers[len(numbers)-1]
	name := snapshotName(fs, dir, number)
	file, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	p := make([]byte, stat.Size())
	if _, err := io.ReadFull(file, p); err != nil {
		return nil, errs.New(errs.Corrupt, "snapshot %s: read: %w", name, err)
	}
	s, err := decodeSnapshot(p)
	if err != nil {
		return nil, errs.New(errs.KindOf(err), "snapshot %s is damaged in bytes 0 to %d: %w", name, len(p), err)
	}
	s.number = number
	return s, nil
}
