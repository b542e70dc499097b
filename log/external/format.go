package external

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// formatVersion is the first byte of a value of __commits: see docs/format/external.md.
const formatVersion = 1

// refKind is what a ref stands for.
type refKind byte

const (
	// refOwn is records that this log wrote; refOwnClean says besides that everything below them is ordered.
	refOwn refKind = iota
	refOwnClean
	// refForeign is a range of offsets in which all records of other producers are ordered; those of a transaction
	// take effect with its end.
	refForeign
	// refCommit and refAbort are the marker that ends a transaction of another producer.
	refCommit
	refAbort
)

// ref is a part of an append in one partition.
type ref struct {
	kind      refKind
	partition log.Partition
	base      int64 // first offset
	count     int64 // offsets
	producer  int64 // of refCommit and refAbort, with the first offset of its transaction
	first     int64
	opens     []opening // transactions that begin in a foreign range
}

// opening is where a foreign transaction begins in a partition.
type opening struct{ producer, first int64 }

func (r *ref) end() int64 { return r.base + r.count }
func (r *ref) own() bool  { return r.kind == refOwn || r.kind == refOwnClean }

// madeTopic is a topic that the append made in the cluster; the cluster's id is zero where it has none.
type madeTopic struct {
	id, cluster log.TopicID
	name        string
}

// commit is one record of __commits: an append, or a change of properties (sequence 0).
type commit struct {
	position   log.Position
	time       int64 // Unix nanoseconds
	txn        uint64
	refs       []ref
	made       []madeTopic
	properties map[string][]byte // nil value: removed
}

func (c *commit) encode(p []byte) []byte {
	p = append(p, formatVersion)
	p = binary.AppendUvarint(p, uint64(c.position.Epoch))
	p = binary.AppendUvarint(p, c.position.Sequence)
	p = binary.AppendVarint(p, c.time)
	p = binary.AppendUvarint(p, c.txn)
	p = binary.AppendUvarint(p, uint64(len(c.refs)))
	for i := range c.refs {
		r := &c.refs[i]
		p = append(p, byte(r.kind))
		p = append(p, r.partition.Topic[:]...)
		p = binary.AppendUvarint(p, uint64(r.partition.Index))
		p = binary.AppendUvarint(p, uint64(r.base))
		p = binary.AppendUvarint(p, uint64(r.count))
		p = binary.AppendVarint(p, r.producer)
		p = binary.AppendUvarint(p, uint64(r.first))
		p = binary.AppendUvarint(p, uint64(len(r.opens)))
		for _, o := range r.opens {
			p = binary.AppendVarint(p, o.producer)
			p = binary.AppendUvarint(p, uint64(o.first))
		}
	}
	p = binary.AppendUvarint(p, uint64(len(c.made)))
	for _, m := range c.made {
		p = append(p, m.id[:]...)
		p = append(p, m.cluster[:]...)
		p = appendText(p, m.name)
	}
	p = binary.AppendUvarint(p, uint64(len(c.properties)))
	for _, name := range slices.Sorted(maps.Keys(c.properties)) {
		v := c.properties[name]
		p = appendText(p, name)
		if v == nil {
			p = append(p, 0)
			continue
		}
		p = append(p, 1)
		p = appendText(p, string(v))
	}
	return p
}

func appendText(p []byte, s string) []byte {
	return append(binary.AppendUvarint(p, uint64(len(s))), s...)
}

// decoder reads fields until the first fault.
type decoder struct {
	p   []byte
	bad bool
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.p)
	if n <= 0 {
		d.p, d.bad = nil, true
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *decoder) offset() int64 { return int64(d.uint() &^ (1 << 63)) }

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.p)
	if n <= 0 {
		d.p, d.bad = nil, true
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.p)) {
		d.p, d.bad = nil, true
		return nil
	}
	b := d.p[:n]
	d.p = d.p[n:]
	return b
}

func (d *decoder) id() (id log.TopicID) {
	copy(id[:], d.bytes(uint64(len(id))))
	return id
}

// count reads the number of things that take at least size bytes each.
func (d *decoder) count(size uint64) int {
	n := d.uint()
	if n > uint64(len(d.p))/size {
		d.p, d.bad = nil, true
		return 0
	}
	return int(n)
}

func decodeCommit(p []byte) (c commit, err error) {
	d := &decoder{p: p}
	if v := d.bytes(1); d.bad || v[0] != formatVersion {
		return c, errs.New(errs.Corrupt, "a record of %s has a version that is not %d", CommitsTopic, formatVersion)
	}
	c.position = log.Position{Epoch: uint32(d.uint()), Sequence: d.uint()}
	c.time, c.txn = d.int(), d.uint()
	for range d.count(22) {
		r := ref{}
		if k := d.bytes(1); !d.bad {
			r.kind = refKind(k[0])
		}
		r.partition.Topic = d.id()
		r.partition.Index = int32(d.uint() & 0x7fffffff)
		r.base, r.count = d.offset(), d.offset()
		r.producer, r.first = d.int(), d.offset()
		for range d.count(2) {
			r.opens = append(r.opens, opening{d.int(), d.offset()})
		}
		if r.kind > refAbort || r.end() < r.base {
			d.bad = true
		}
		c.refs = append(c.refs, r)
	}
	for range d.count(33) {
		c.made = append(c.made, madeTopic{d.id(), d.id(), string(d.bytes(d.uint()))})
	}
	for range d.count(2) {
		name := string(d.bytes(d.uint()))
		if c.properties == nil {
			c.properties = map[string][]byte{}
		}
		if set := d.bytes(1); !d.bad && set[0] == 1 {
			c.properties[name] = append([]byte{}, d.bytes(d.uint())...)
		} else {
			c.properties[name] = nil
		}
	}
	if d.bad || len(d.p) > 0 {
		return commit{}, errs.New(errs.Corrupt, "a record of %s is damaged", CommitsTopic)
	}
	return c, nil
}
