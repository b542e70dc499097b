package anomaly

import (
	"fmt"
	"slices"
)

// Status is how an operation ended for its client.
type Status uint8

// The ends of operations.
const (
	OK      Status = iota // it is there
	Failed                // it is not, and never will be
	Unknown               // it may be
)

// Write is one value that an operation appended.
type Write struct {
	Partition int32
	Value     int64
	Offset    int64 // -1: not told
}

// Read is one value that a poll gave.
type Read struct {
	Partition     int32
	Offset, Value int64
}

// Op is one operation: a transaction, a single append, or a poll.
type Op struct {
	// Process did its operations one after the other. It has read the partitions on from where it was, or, with Fresh, from
	// anywhere.
	Process int
	Fresh   bool
	Status  Status
	Reads   []Read
	Writes  []Write
}

// Kind is a sort of anomaly.
type Kind string

// The anomalies.
const (
	LostWrite           Kind = "lost write"           // acknowledged, and passed over by who read behind it
	AbortedRead         Kind = "aborted read"         // the value of an operation that failed
	InconsistentOffsets Kind = "inconsistent offsets" // one offset, two values
	Duplicate           Kind = "duplicate"            // one value, two offsets
	NonmonotonicPoll    Kind = "nonmonotonic poll"    // a process was given an offset at or below one that it had
	SkippedPoll         Kind = "skipped poll"         // a process was not given what others found between two offsets that it had
	NonmonotonicSend    Kind = "nonmonotonic send"    // an operation's writes are in another order than it wrote them
	UnknownValue        Kind = "unknown value"        // nobody wrote it
	TornWrite           Kind = "torn write"           // of one operation some values are there and others not
	G0                  Kind = "G0"                   // a cycle of write after write
	G1cReads            Kind = "G1c by reads"         // a cycle of reads of each other's writes
	G1c                 Kind = "G1c"                  // a cycle of both
)

// Anomaly is one that was found.
type Anomaly struct {
	Kind Kind
	What string
}

func (a Anomaly) String() string { return string(a.Kind) + ": " + a.What }

type place struct {
	partition int32
	offset    int64
}

type history struct {
	ops    []Op
	found  []Anomaly
	writer map[int64]int           // op by value
	at     map[int64]place         // of a value
	values map[place]int64         // what stands there
	read   map[int64]bool          // values that anybody read
	order  map[int32][]int64       // offsets that hold values, sorted
	most   map[int32]int64         // highest offset read
	seen   map[Kind]map[int64]bool // values that were reported
}

// Check gives the anomalies of a history.
func Check(ops []Op) []Anomaly {
	h := &history{ops: ops, writer: map[int64]int{}, at: map[int64]place{}, values: map[place]int64{}, read: map[int64]bool{},
		order: map[int32][]int64{}, most: map[int32]int64{}, seen: map[Kind]map[int64]bool{}}
	h.versions()
	h.writes()
	h.polls()
	h.cycles()
	return h.found
}

func (h *history) report(kind Kind, value int64, format string, args ...any) {
	if h.seen[kind] == nil {
		h.seen[kind] = map[int64]bool{}
	}
	if !h.seen[kind][value] {
		h.seen[kind][value] = true
		h.found = append(h.found, Anomaly{kind, fmt.Sprintf(format, args...)})
	}
}

// versions finds which value stands where.
func (h *history) versions() {
	for i, op := range h.ops {
		for _, w := range op.Writes {
			h.writer[w.Value] = i
		}
	}
	stands := func(p place, value int64) {
		if other, ok := h.values[p]; ok && other != value {
			h.report(InconsistentOffsets, value, "partition %d offset %d is %d and %d", p.partition, p.offset, other, value)
		}
		if other, ok := h.at[value]; ok && other != p {
			h.report(Duplicate, value, "%d is at %v and %v", value, other, p)
		}
		if _, known := h.values[p]; !known {
			h.order[p.partition] = append(h.order[p.partition], p.offset)
		}
		h.values[p], h.at[value] = value, p
	}
	for _, op := range h.ops {
		for _, r := range op.Reads {
			stands(place{r.Partition, r.Offset}, r.Value)
			h.read[r.Value] = true
			h.most[r.Partition] = max(h.most[r.Partition], r.Offset)
			if w, ok := h.writer[r.Value]; !ok {
				h.report(UnknownValue, r.Value, "%d at partition %d offset %d", r.Value, r.Partition, r.Offset)
			} else if h.ops[w].Status == Failed {
				h.report(AbortedRead, r.Value, "%d at partition %d offset %d, of an operation that failed", r.Value, r.Partition, r.Offset)
			}
		}
	}
	for _, op := range h.ops {
		for _, w := range op.Writes {
			if w.Offset >= 0 && op.Status == OK {
				stands(place{w.Partition, w.Offset}, w.Value)
			}
		}
	}
	for _, offsets := range h.order {
		slices.Sort(offsets)
	}
}

func (h *history) writes() {
	for _, op := range h.ops {
		last := map[int32]int64{}
		there, missing := int64(-1), int64(-1)
		for _, w := range op.Writes {
			p, placed := h.at[w.Value]
			if placed {
				if before, ok := last[w.Partition]; ok && p.offset <= before {
					h.report(NonmonotonicSend, w.Value, "%d at partition %d offset %d follows %d", w.Value, w.Partition, p.offset, before)
				}
				last[w.Partition] = p.offset
			}
			end, any := h.most[w.Partition]
			switch {
			case h.read[w.Value]:
				there = w.Value
			case any && (!placed || p.offset <= end):
				missing = w.Value
				if op.Status == OK {
					h.report(LostWrite, w.Value, "%d of partition %d, acknowledged at offset %d; read up to %d", w.Value, w.Partition, w.Offset, end)
				}
			}
		}
		if op.Status == Unknown && there >= 0 && missing >= 0 {
			h.report(TornWrite, missing, "%d was read and %d of the same operation was not", there, missing)
		}
	}
}

// polls looks at what each process was given, in its order.
func (h *history) polls() {
	type reader struct {
		process   int
		partition int32
	}
	last := map[reader]int64{}
	for _, op := range h.ops {
		if op.Fresh {
			for r := range last {
				if r.process == op.Process {
					delete(last, r)
				}
			}
		}
		for _, r := range op.Reads {
			who := reader{op.Process, r.Partition}
			before, ok := last[who]
			last[who] = r.Offset
			if !ok {
				continue
			}
			if r.Offset <= before {
				h.report(NonmonotonicPoll, r.Value, "process %d, partition %d: offset %d after %d", op.Process, r.Partition, r.Offset, before)
				continue
			}
			offsets := h.order[r.Partition]
			i, _ := slices.BinarySearch(offsets, before+1)
			if offsets[i] < r.Offset && h.read[h.values[place{r.Partition, offsets[i]}]] {
				h.report(SkippedPoll, r.Value, "process %d, partition %d: offset %d after %d, without %d", op.Process, r.Partition, r.Offset, before, offsets[i])
			}
		}
	}
}

// edges of the graph of operations.
const (
	afterWrite = 1 << iota // the target wrote right behind the source
	afterRead              // the target read what the source wrote
)

func (h *history) cycles() {
	edges := make([]map[int]int, len(h.ops))
	add := func(from, to, kind int) {
		if from == to {
			return
		}
		if edges[from] == nil {
			edges[from] = map[int]int{}
		}
		edges[from][to] |= kind
	}
	for p, offsets := range h.order {
		for i := 1; i < len(offsets); i++ {
			from, ok1 := h.writer[h.values[place{p, offsets[i-1]}]]
			to, ok2 := h.writer[h.values[place{p, offsets[i]}]]
			if ok1 && ok2 {
				add(from, to, afterWrite)
			}
		}
	}
	for i, op := range h.ops {
		if op.Status == Failed {
			continue
		}
		for _, r := range op.Reads {
			if w, ok := h.writer[r.Value]; ok {
				add(w, i, afterRead)
			}
		}
	}
	has := map[Kind]bool{}
	for _, c := range []struct {
		kind  Kind
		edges int
	}{{G0, afterWrite}, {G1cReads, afterRead}, {G1c, afterWrite | afterRead}} {
		if c.kind == G1c && (has[G0] || has[G1cReads]) {
			break // the same cycle again
		}
		if cycle := findCycle(edges, c.edges); cycle != nil {
			has[c.kind] = true
			h.report(c.kind, int64(cycle[0]), "operations %v", cycle)
		}
	}
}

// findCycle gives the operations of one cycle of edges of these kinds; nil: there is none.
func findCycle(edges []map[int]int, kinds int) []int {
	const (
		fresh = iota
		open
		done
	)
	state := make([]uint8, len(edges))
	type frame struct {
		node int
		next []int
	}
	follow := func(n int) (out []int) {
		for to, kind := range edges[n] {
			if kind&kinds != 0 {
				out = append(out, to)
			}
		}
		slices.Sort(out)
		return out
	}
	for start := range edges {
		if state[start] != fresh {
			continue
		}
		stack := []frame{{start, follow(start)}}
		state[start] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.next) == 0 {
				state[top.node] = done
				stack = stack[:len(stack)-1]
				continue
			}
			to := top.next[0]
			top.next = top.next[1:]
			switch state[to] {
			case fresh:
				state[to] = open
				stack = append(stack, frame{to, follow(to)})
			case open:
				var cycle []int
				for i := len(stack) - 1; i >= 0; i-- {
					cycle = append(cycle, stack[i].node)
					if stack[i].node == to {
						break
					}
				}
				slices.Reverse(cycle)
				return cycle
			}
		}
	}
	return nil
}
