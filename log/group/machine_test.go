package group

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TestMachine replays testdata/*: each command is one input at the text's clock, its output the effects.
//
//	options delay=3s members=2
//	join g [member=M] [instance=I] [new=M] [protocols=range:SUBSCRIPTION!owned+sticky:meta] [session=10s] [rebalance=60s] [required]
//	sync g member=M generation=N [assign=M1:a,M2:b] [protocol=P]
//	heartbeat g member=M generation=N [instance=I]
//	leave g [member=M] [instance=I]
//	commit g [member=M] [generation=N] [metadata-size=N] topic/partition=offset ...
//	topics t=3 u=2 [hide=ann:t+bob:u]  the topics that there are, with their partitions, t=3:2 is a later t; who may not see which
//	beat g member=M epoch=N [topics=t+u] [regex=R] [owned=t/0+t/1 | owned=none] [instance=I] [assignor=A] [rebalance=60s] [as=ann]
//	fetch g [member=M epoch=N]     whether offsets may be fetched
//	stored [at=N] [code=N]         the oldest Store that was not answered yet
//	advance 5s                     time passes, then a Tick
//	describe g | offsets g | list | wake
//
// Tokens count up from 1, one for each request.
func TestMachine(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{machine: New(Options{}), start: time.Unix(1_000_000, 0)}
		s.now = s.start
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

type script struct {
	machine    *Machine
	start, now time.Time
	token      Token
	stores     []Store
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "options":
		s.machine = New(Options{InitialRebalanceDelay: s.duration(t, d, "delay", 0), MaxMembers: s.number(t, d, "members", 0)})
		return ""
	case "advance":
		step, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(step)
		return s.step(Tick{})
	case "describe":
		return s.describe(d.CmdArgs[0].Key)
	case "wake":
		return fmt.Sprintf("%v\n", s.machine.Wake().Sub(s.now))
	case "topics":
		var all []Topic
		hidden := map[string]bool{}
		for _, arg := range d.CmdArgs {
			if arg.Key == "hide" {
				for one := range strings.SplitSeq(arg.Vals[0], "+") {
					hidden[one] = true
				}
				continue
			}
			n, incarnation, _ := strings.Cut(arg.Vals[0], ":")
			p, _ := strconv.Atoi(n)
			i, _ := strconv.Atoi(incarnation)
			t := topic(arg.Key, p)
			t.ID[15] = byte(i)
			all = append(all, t)
		}
		s.machine.Step(s.now, Topics{all, func(v Viewer, topic string) bool { return !hidden[v.Principal+":"+topic] }})
		return ""
	case "fetch":
		return code(s.machine.MayFetch(d.CmdArgs[0].Key, s.text(d, "member"), int32(s.number(t, d, "epoch", -1)))) + "\n"
	case "list":
		var b strings.Builder
		for _, g := range s.machine.List() {
			fmt.Fprintf(&b, "%s %s %s %s\n", g.Name, g.Type, g.State, g.ProtocolType)
		}
		return b.String()
	case "offsets":
		var b strings.Builder
		for _, o := range s.machine.Offsets(d.CmdArgs[0].Key) {
			fmt.Fprintf(&b, "%s/%d=%d %q\n", o.Topic, o.Partition, o.Offset, o.Metadata)
		}
		return b.String()
	case "stored":
		store := s.stores[0]
		s.stores = s.stores[1:]
		return s.step(Stored{Store: store, At: int64(s.number(t, d, "at", 0)), Code: Code(s.number(t, d, "code", 0))})
	}
	s.token++
	return s.step(s.request(t, d))
}

func (s *script) request(t *testing.T, d *datadriven.TestData) Input {
	group, member, instance := d.CmdArgs[0].Key, s.text(d, "member"), s.text(d, "instance")
	generation := int32(s.number(t, d, "generation", -1))
	switch d.Cmd {
	case "join":
		in := Join{Token: s.token, Group: group, Member: member, Instance: instance, ClientID: "c", ClientHost: "h",
			ProtocolType: "consumer", SessionTimeout: s.duration(t, d, "session", 10*time.Second), NewMember: s.text(d, "new"),
			RebalanceTimeout: s.duration(t, d, "rebalance", time.Minute), MemberIDRequired: d.HasArg("required")}
		protocols := s.text(d, "protocols")
		if protocols == "" {
			protocols = "range:"
		}
		for _, p := range strings.Split(protocols, "+") {
			name, metadata, _ := strings.Cut(p, ":")
			subscription, _, _ := strings.Cut(metadata, "!")
			in.Protocols = append(in.Protocols, Protocol{name, []byte(metadata), subscription})
		}
		return in
	case "sync":
		in := Sync{Token: s.token, Group: group, Member: member, Instance: instance, Generation: generation, Protocol: s.text(d, "protocol")}
		if assign := s.text(d, "assign"); assign != "" {
			in.Assignments = map[string][]byte{}
			for _, a := range strings.Split(assign, "+") {
				to, what, _ := strings.Cut(a, ":")
				in.Assignments[to] = []byte(what)
			}
		}
		return in
	case "beat":
		return s.beat(t, d)
	case "heartbeat":
		return Heartbeat{s.token, group, generation, member, instance}
	case "leave":
		return Leave{s.token, group, []LeaveMember{{member, instance}}}
	case "commit":
		in := Commit{Token: s.token, Group: group, Generation: generation, Member: member, Instance: instance}
		for _, arg := range d.CmdArgs[1:] {
			if topic, partition, ok := strings.Cut(arg.Key, "/"); ok {
				p, _ := strconv.Atoi(partition)
				id := s.machine.topics[topic].ID
				o, _ := strconv.ParseInt(arg.Vals[0], 10, 64)
				metadata := strings.Repeat("m", s.number(t, d, "metadata-size", 0))
				in.Offsets = append(in.Offsets, Offset{Topic: topic, TopicID: id, Partition: int32(p), Offset: o, Metadata: metadata})
			}
		}
		return in
	}
	t.Fatalf("unknown command %q", d.Cmd)
	return nil
}

// topic makes a topic whose id is its name.
func topic(name string, partitions int) Topic {
	t := Topic{Name: name, Partitions: int32(partitions), Internal: strings.HasPrefix(name, "__")}
	copy(t.ID[:], name)
	return t
}

func (s *script) beat(t *testing.T, d *datadriven.TestData) ConsumerHeartbeat {
	in := ConsumerHeartbeat{Token: s.token, Group: d.CmdArgs[0].Key, Member: s.text(d, "member"), Instance: s.text(d, "instance"),
		Epoch: int32(s.number(t, d, "epoch", 0)), Assignor: s.text(d, "assignor"), RebalanceTimeout: s.duration(t, d, "rebalance", 0), Viewer: Viewer{Principal: s.text(d, "as")}}
	if in.Epoch == 0 {
		in.Owned, in.RebalanceTimeout = []TopicPartition{}, s.duration(t, d, "rebalance", time.Minute)
	}
	if topics := s.text(d, "topics"); topics != "" {
		in.Topics = strings.Split(topics, "+")
	}
	if d.HasArg("regex") {
		regex := s.text(d, "regex")
		in.Regex = &regex
	}
	if owned := s.text(d, "owned"); owned != "" {
		in.Owned = []TopicPartition{}
		for _, one := range strings.Split(owned, "+") {
			if name, p, ok := strings.Cut(one, "/"); ok {
				n, _ := strconv.Atoi(p)
				in.Owned = append(in.Owned, TopicPartition{topic(name, 0).ID, int32(n)})
			}
		}
	}
	return in
}

func partitionNames(list []TopicPartition) string {
	var out []string
	for _, tp := range list {
		out = append(out, fmt.Sprintf("%s/%d", strings.TrimRight(string(tp.Topic[:15]), "\x00"), tp.Partition))
	}
	return "[" + strings.Join(out, " ") + "]"
}

func (s *script) text(d *datadriven.TestData, key string) string {
	for _, arg := range d.CmdArgs {
		if arg.Key == key && len(arg.Vals) > 0 {
			return arg.Vals[0]
		}
	}
	return ""
}

func (s *script) number(t *testing.T, d *datadriven.TestData, key string, otherwise int) int {
	if text := s.text(d, key); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return otherwise
}

func (s *script) duration(t *testing.T, d *datadriven.TestData, key string, otherwise time.Duration) time.Duration {
	if text := s.text(d, key); text != "" {
		v, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	return otherwise
}

func (s *script) step(in Input) string {
	var b strings.Builder
	for _, effect := range s.machine.Step(s.now, in) {
		switch effect := effect.(type) {
		case Reply:
			fmt.Fprintf(&b, "%d: %s\n", effect.To, answer(effect.Answer))
		case Store:
			s.stores = append(s.stores, effect)
			fmt.Fprintf(&b, "%d: store", effect.Token)
			for _, o := range effect.Offsets {
				fmt.Fprintf(&b, " %s/%d=%d", o.Topic, o.Partition, o.Offset)
			}
			b.WriteString("\n")
		}
	}
	if b.Len() == 0 {
		return "-\n"
	}
	return b.String()
}

func code(c Code) string {
	if c == 0 {
		return "ok"
	}
	return kerr.TypedErrorForCode(int16(c)).Message
}

func answer(a any) string {
	switch a := a.(type) {
	case JoinReply:
		if a.Code != 0 {
			return fmt.Sprintf("join %s member=%s", code(a.Code), a.Member)
		}
		text := fmt.Sprintf("join ok member=%s generation=%d protocol=%s leader=%s", a.Member, a.Generation, a.Protocol, a.Leader)
		for _, m := range a.Members {
			text += fmt.Sprintf(" [%s %s %s]", m.Member, m.Instance, m.Metadata)
		}
		if a.SkipAssignment {
			text += " skip-assignment"
		}
		return text
	case SyncReply:
		return fmt.Sprintf("sync %s %s", code(a.Code), a.Assignment)
	case ConsumerReply:
		switch {
		case a.Code != 0:
			return code(a.Code) + ": " + a.Message
		case a.Assignment:
			return fmt.Sprintf("consumer %s epoch=%d %s", a.Member, a.Epoch, partitionNames(a.Assigned))
		}
		return fmt.Sprintf("consumer %s epoch=%d as before", a.Member, a.Epoch)
	case CodeReply:
		return code(a.Code)
	case LeaveReply:
		return "leave " + code(a.Members[0])
	case CommitReply:
		text := "commit"
		for _, c := range a.Codes {
			text += " " + code(c)
		}
		return text
	}
	return fmt.Sprintf("%#v", a)
}

func (s *script) describe(name string) string {
	g := s.machine.Describe(name)
	if g, ok := s.machine.DescribeConsumers(name); ok {
		text := fmt.Sprintf("%s %s epoch=%d assignor=%s\n", g.Name, g.State, g.Epoch, g.Assignor)
		for _, m := range g.Members {
			text += fmt.Sprintf("  %s %s epoch=%d %s", m.Member, m.Instance, m.Epoch, partitionNames(m.Assigned))
			if target := partitionNames(m.Target); target != partitionNames(m.Assigned) {
				text += " -> " + target
			}
			text += "\n"
		}
		return text
	}
	text := fmt.Sprintf("%s %s protocol=%s\n", g.Name, g.State, g.Protocol)
	for _, m := range g.Members {
		text += fmt.Sprintf("  %s %s %s=%s\n", m.Member, m.Instance, m.Metadata, m.Assignment)
	}
	return text
}

// Whatever the order of requests, no request is answered twice, every answer is to one that was asked, the members of a
// generation are distinct, and when all stop asking and time passes, everybody has been answered.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0, 9, 1, 0, 2, 40, 5, 7, 6, 1})
	f.Add([]byte{0, 0, 0, 1, 0, 2, 1, 0, 1, 1, 6, 200, 0, 3, 2, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		m := New(Options{InitialRebalanceDelay: time.Second, MaxMembers: 5})
		now := time.Unix(1, 0)
		open := map[Token]bool{}
		var ids []string
		var token Token
		id := func(b byte) string {
			if len(ids) == 0 || b%8 == 7 {
				return ""
			}
			return ids[int(b)%len(ids)]
		}
		step := func(in Input) {
			for _, e := range m.Step(now, in) {
				var to Token
				switch e := e.(type) {
				case Reply:
					to = e.To
					if j, ok := e.Answer.(JoinReply); ok && j.Member != "" && !slices.Contains(ids, j.Member) {
						ids = append(ids, j.Member)
					}
					if !open[to] {
						t.Fatalf("answer to %d, which nobody asked or which was answered", to)
					}
					delete(open, to)
				}
			}
			seen := map[string]bool{}
			for _, member := range m.Describe("g").Members {
				if seen[member.Member] {
					t.Fatalf("member %s twice", member.Member)
				}
				seen[member.Member] = true
			}
		}
		for len(script) >= 2 {
			op, arg := script[0], script[1]
			script = script[2:]
			token++
			generation := int32(arg % 4)
			if g := m.groups["g"]; g != nil && arg%2 == 0 {
				generation = g.generation
			}
			instance := ""
			if op >= 128 {
				instance = string('a' + rune(arg%2))
			}
			switch op % 7 {
			case 0, 1:
				open[token] = true
				step(Join{Token: token, Group: "g", Member: id(arg), Instance: instance, ProtocolType: "consumer", NewMember: fmt.Sprint("m", token),
					Protocols: []Protocol{{Name: "range", Metadata: []byte{arg % 3}}}, SessionTimeout: 10 * time.Second,
					RebalanceTimeout: 20 * time.Second, MemberIDRequired: op%7 == 0})
			case 2:
				open[token] = true
				step(Sync{Token: token, Group: "g", Member: id(arg), Instance: instance, Generation: generation})
			case 3:
				open[token] = true
				step(Heartbeat{token, "g", generation, id(arg), instance})
			case 4:
				open[token] = true
				step(Leave{token, "g", []LeaveMember{{id(arg), instance}}})
			case 5, 6:
				now = now.Add(time.Duration(arg) * 100 * time.Millisecond)
				step(Tick{})
			}
		}
		for range 100 {
			now = now.Add(5 * time.Second)
			step(Tick{})
		}
		if len(open) > 0 || len(m.groups) > 0 {
			t.Fatalf("not answered: %v; groups left: %d", open, len(m.groups))
		}
		if !m.Wake().IsZero() {
			t.Fatal("an empty machine wants to be woken")
		}
	})
}
