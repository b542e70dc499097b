package group

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

// simulated is a client of the consumer protocol that does as it is told, in its own time.
type simulated struct {
	id       string
	epoch    int32
	topics   []string
	changed  bool            // its subscription, since the last answer
	owns     map[string]bool // partitions that it works on
	assigned map[string]bool
}

// Whatever members do, answers lost and partitions given up late included, no partition is worked on by two, and when nothing
// changes any more every partition has its member.
func TestConsumersNeverShare(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := simulation{t: t, seed: seed, r: r, machine: New(Options{}), now: time.Unix(1, 0), topics: map[string]int{"t": 3, "u": 2, "v": 0}}
		s.tell()
		for range 200 {
			s.act()
		}
		s.settle()
	}
}

type simulation struct {
	t       *testing.T
	seed    uint64
	r       *rand.Rand
	machine *Machine
	now     time.Time
	topics  map[string]int
	clients []*simulated
	next    int
}

func (s *simulation) tell() {
	var all []Topic
	for name, n := range s.topics {
		if n > 0 {
			all = append(all, topic(name, n))
		}
	}
	s.machine.Step(s.now, Topics{All: all})
}

func (s *simulation) subscription() []string {
	return [][]string{{"t"}, {"t", "u"}, {"u", "v"}, {"t", "u", "v"}}[s.r.IntN(4)]
}

func (s *simulation) act() {
	s.now = s.now.Add(10 * time.Millisecond)
	if n := s.r.IntN(30); n == 0 || len(s.clients) == 0 {
		s.next++
		s.clients = append(s.clients, &simulated{id: fmt.Sprint("m", s.next), topics: s.subscription(), changed: true})
		return
	} else if n == 1 {
		s.topics[[]string{"t", "u", "v"}[s.r.IntN(3)]]++
		s.tell()
		return
	}
	i := s.r.IntN(len(s.clients))
	c := s.clients[i]
	switch s.r.IntN(40) {
	case 0:
		s.machine.Step(s.now, ConsumerHeartbeat{Group: "g", Member: c.id, Epoch: leaveEpoch})
		s.clients = append(s.clients[:i], s.clients[i+1:]...)
	case 1:
		c.topics, c.changed = s.subscription(), true
	default:
		s.beat(c, s.r.IntN(10) == 0, s.r.IntN(3) > 0)
	}
}

// beat sends a heartbeat; its answer may be lost, and what must be given up the client may keep for now.
func (s *simulation) beat(c *simulated, lost, prompt bool) {
	if prompt {
		maps.DeleteFunc(c.owns, func(tp string, _ bool) bool { return !c.assigned[tp] })
	}
	in := ConsumerHeartbeat{Group: "g", Member: c.id, Epoch: c.epoch, Owned: []TopicPartition{}}
	for tp := range c.owns {
		var one TopicPartition
		var name string
		fmt.Sscanf(tp, "%1s/%d", &name, &one.Partition)
		one.Topic = topic(name, 0).ID
		in.Owned = append(in.Owned, one)
	}
	if c.epoch == joinEpoch || c.changed {
		in.Topics, in.RebalanceTimeout = c.topics, time.Hour
	}
	answer := s.machine.Step(s.now, in)[0].(Reply).Answer.(ConsumerReply)
	if lost {
		c.changed = true // it says everything again, and is answered in full
		return
	}
	if answer.Code != 0 {
		// Fenced: it gives up everything and joins again.
		c.epoch, c.changed, c.owns, c.assigned = joinEpoch, true, nil, nil
		return
	}
	c.epoch, c.changed = answer.Epoch, false
	if !answer.Assignment {
		return
	}
	c.assigned = map[string]bool{}
	owns := map[string]bool{}
	for _, tp := range answer.Assigned {
		name := fmt.Sprintf("%c/%d", tp.Topic[0], tp.Partition)
		c.assigned[name], owns[name] = true, true
	}
	// It works on what is new at once, and on what it lost until it has found the time.
	maps.Copy(owns, c.owns)
	c.owns = owns
	for _, other := range s.clients {
		for tp := range other.owns {
			if other != c && c.owns[tp] {
				s.t.Fatalf("seed %d: %s is worked on by %s and %s", s.seed, tp, c.id, other.id)
			}
		}
	}
}

func (s *simulation) settle() {
	for range 6 {
		for _, c := range s.clients {
			s.beat(c, false, true)
		}
	}
	g, _ := s.machine.DescribeConsumers("g")
	if len(s.clients) > 0 && g.State != Stable || len(g.Members) != len(s.clients) {
		s.t.Fatalf("seed %d: %d clients, and the group is %+v", s.seed, len(s.clients), g)
	}
	read, owned := map[string]bool{}, map[string]int{}
	for _, c := range s.clients {
		for _, name := range c.topics {
			read[name] = true
		}
		for tp := range c.owns {
			owned[tp]++
		}
	}
	for name := range read {
		for p := range s.topics[name] {
			if n := owned[fmt.Sprintf("%s/%d", name, p)]; n != 1 {
				s.t.Fatalf("seed %d: %s/%d has %d members: %+v", s.seed, name, p, n, g)
			}
		}
	}
}

// Equal members get equal loads, and a change moves no more than it must.
func TestUniformMovesLittle(t *testing.T) {
	topics := map[string]Topic{"t": topic("t", 97), "u": topic("u", 31)}
	var members []*consumer
	assign := func() (moved int) {
		low, high := 1<<30, 0
		for i, target := range assignUniform(members, topics) {
			for tp := range target {
				if _, had := members[i].target[tp]; !had {
					moved++
				}
			}
			members[i].target = target
			low, high = min(low, len(target)), max(high, len(target))
		}
		if high-low > 1 {
			t.Errorf("%d members have from %d to %d partitions", len(members), low, high)
		}
		return moved
	}
	for n := 1; n <= 20; n++ {
		members = append(members, &consumer{id: fmt.Sprint(n), subscribed: []string{"t", "u"}})
		if moved := assign(); moved > 128/n+1 {
			t.Errorf("the %d. member moved %d partitions", n, moved)
		}
	}
	for len(members) > 1 {
		lost := len(members[0].target)
		members = members[1:]
		if moved := assign(); moved > lost {
			t.Errorf("a member with %d partitions went, and %d moved", lost, moved)
		}
	}
}

func BenchmarkUniformJoin(b *testing.B) {
	topics := map[string]Topic{"t": topic("t", 10_000)}
	for range b.N {
		var members []*consumer
		for range 1000 {
			members = append(members, &consumer{subscribed: []string{"t"}})
			for i, target := range assignUniform(members, topics) {
				members[i].target = target
			}
		}
	}
}
