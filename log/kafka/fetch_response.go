package kafka

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/miracledb/miracledb/log"
)

// encode writes the body of a Fetch response, versions 4 to 17, around the log's own record bytes: kmsg would copy them.
// A test holds it equal to kmsg's encoding. Every second buffer of the body is records.
func (f *fetching) encode(version int16) answer {
	e := fetchEncoder{flexible: version >= 12, version: version, server: f.server}
	e.int32(0) // throttle
	if version >= 7 {
		e.int16(f.code)
		e.int32(f.sessionID)
	}
	topics, told := f.told()
	e.length(topics)
	next := 0
	for i := range f.request.Topics {
		t := &f.request.Topics[i]
		if told[i] == 0 {
			next += len(t.Partitions)
			continue
		}
		if version >= 13 {
			e.b = append(e.b, t.TopicID[:]...)
		} else {
			e.text(t.Topic)
		}
		e.length(told[i])
		for j := range t.Partitions {
			if !f.partitions[next].unchanged {
				e.partition(t.Partitions[j].Partition, &f.partitions[next])
			}
			next++
		}
		e.tags()
	}
	if e.leader {
		e.endpoint(f.frame.conn)
	} else {
		e.tags()
	}
	e.out.body = append(e.out.body, e.b)
	return e.out
}

// told counts the topics that the answer has, and the partitions of each topic of the request that it has: a session's answer
// leaves out what is as it was.
func (f *fetching) told() (topics int, partitions []int) {
	partitions = make([]int, len(f.request.Topics))
	next := 0
	for i := range f.request.Topics {
		for range f.request.Topics[i].Partitions {
			if !f.partitions[next].unchanged {
				partitions[i]++
			}
			next++
		}
		if partitions[i] > 0 {
			topics++
		}
	}
	return topics, partitions
}

type fetchEncoder struct {
	server   *Server
	version  int16
	flexible bool
	leader   bool   // the answer tells where who leads is
	b        []byte // what is being written
	out      answer // what is complete
}

func (e *fetchEncoder) partition(index int32, p *fetched) {
	e.int32(index)
	e.int16(p.code)
	start, end, stable := p.bounds.Start, p.bounds.End, p.bounds.Stable
	if p.code != 0 {
		start, end, stable = -1, -1, -1
	}
	e.int64(end) // high watermark
	e.int64(stable)
	if e.version >= 5 {
		e.int64(start)
	}
	e.aborted(p.aborted)
	if e.version >= 11 {
		e.int32(-1) // preferred read replica: none; 0 would send the client to node 0
	}
	e.length(len(p.records))
	if len(p.records) > 0 {
		e.out.body, e.out.records = append(e.out.body, e.b, p.records), append(e.out.records, p.partition)
		e.b = nil
	}
	switch {
	case p.diverging != nil:
		e.b = append(e.b, 1, 0, 4+8+1) // one tagged field: 0, of so many bytes
		e.int32(p.diverging.epoch)
		e.int64(p.diverging.end)
		e.tags()
	case e.version >= 16 && (p.code == kerr.NotLeaderForPartition.Code || p.code == kerr.FencedLeaderEpoch.Code):
		e.leader = e.leader || p.code == kerr.FencedLeaderEpoch.Code // replicas know where nodes are
		e.b = append(e.b, 1, 1, 4+4+1)
		e.int32(e.server.options.NodeID)
		e.int32(e.server.log.LeaderEpoch())
		e.tags()
	default:
		e.tags()
	}
}

// endpoint writes the answer's tagged field that tells where the leader is (KIP-951).
func (e *fetchEncoder) endpoint(c *conn) {
	host, port := c.advertised()
	field := fetchEncoder{flexible: true}
	field.length(1)
	field.int32(e.server.options.NodeID)
	field.text(host)
	field.int32(port)
	field.b = append(field.b, 0) // no rack
	field.tags()
	e.b = append(e.b, 1, 0)
	e.b = append(binary.AppendUvarint(e.b, uint64(len(field.b))), field.b...)
}

// aborted writes the list of aborted transactions. Readers of uncommitted records get null: clients leave out what is named
// there whatever they asked for.
func (e *fetchEncoder) aborted(list []log.AbortedTxn) {
	switch {
	case list != nil:
		e.length(len(list))
	case e.flexible:
		e.b = append(e.b, 0)
	default:
		e.int32(-1)
	}
	for _, a := range list {
		e.int64(a.Producer)
		e.int64(a.First)
		e.tags()
	}
}

func (e *fetchEncoder) int16(v int16) { e.b = binary.BigEndian.AppendUint16(e.b, uint16(v)) }
func (e *fetchEncoder) int32(v int32) { e.b = binary.BigEndian.AppendUint32(e.b, uint32(v)) }
func (e *fetchEncoder) int64(v int64) { e.b = binary.BigEndian.AppendUint64(e.b, uint64(v)) }

// length writes the length of an array or of bytes.
func (e *fetchEncoder) length(n int) {
	if e.flexible {
		e.b = binary.AppendUvarint(e.b, uint64(n)+1)
		return
	}
	e.int32(int32(n))
}

func (e *fetchEncoder) text(s string) {
	if e.flexible {
		e.b = binary.AppendUvarint(e.b, uint64(len(s))+1)
	} else {
		e.int16(int16(len(s)))
	}
	e.b = append(e.b, s...)
}

func (e *fetchEncoder) tags() {
	if e.flexible {
		e.b = append(e.b, 0)
	}
}
