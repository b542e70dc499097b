package group

import (
	"cmp"
	"slices"
)

// partitions is a set of partitions.
type partitions = map[TopicPartition]struct{}

// An assignor spreads the partitions of the subscribed topics over the members of a group: a target for each member, in
// their order. A member gets partitions of topics that it is subscribed to alone.
type assignor func(members []*consumer, topics map[string]Topic) []partitions

// Assignors by the names that clients ask for them by (KIP-848).
const (
	uniformAssignor = "uniform"
	rangeAssignor   = "range"
)

var assignors = map[string]assignor{uniformAssignor: assignUniform, rangeAssignor: assignRange}

// subscribers are the members that read a topic, as indices.
type subscribers struct {
	topic   Topic
	members []int
}

// bySubscribers gives the subscribed topics with their members, those with the fewest members first: who has few to choose
// from is served before the others are busy.
func bySubscribers(members []*consumer, topics map[string]Topic) []subscribers {
	at := map[string]int{}
	var out []subscribers
	for i, c := range members {
		for _, name := range c.subscribed {
			j, ok := at[name]
			if !ok {
				j = len(out)
				at[name] = j
				out = append(out, subscribers{topic: topics[name]})
			}
			out[j].members = append(out[j].members, i)
		}
	}
	slices.SortFunc(out, func(a, b subscribers) int {
		return cmp.Or(cmp.Compare(len(a.members), len(b.members)), cmp.Compare(a.topic.Name, b.topic.Name))
	})
	return out
}

// assignUniform leaves with each member what it had and makes the loads even: first everybody keeps, then what nobody has goes
// to who has least, and then who has two more than another gives one up that the other reads too. With equal subscriptions
// any two differ by one at most.
func assignUniform(members []*consumer, topics map[string]Topic) []partitions {
	u := uniform{targets: make([]partitions, len(members)), owner: map[TopicPartition]int{}}
	u.keep(members, topics)
	read := bySubscribers(members, topics)
	for _, s := range read {
		for p := range s.topic.Partitions {
			tp := TopicPartition{s.topic.ID, p}
			if _, owned := u.owner[tp]; !owned {
				u.give(tp, u.least(s.members))
			}
		}
	}
	for moved := true; moved; {
		moved = false
		for _, s := range read {
			moved = u.level(s) || moved
		}
	}
	return u.targets
}

// uniform is an assignment on its way: targets by member, and who has each partition.
type uniform struct {
	targets []partitions
	owner   map[TopicPartition]int
}

// keep gives each member what it had and still reads. When all read the same that is no more than its share, so that nothing
// moves twice.
func (u *uniform) keep(members []*consumer, topics map[string]Topic) {
	byID, total, equal := make(map[[16]byte]Topic, len(topics)), 0, true
	for _, t := range topics {
		byID[t.ID] = t
		total += int(t.Partitions)
	}
	for _, c := range members {
		equal = equal && slices.Equal(c.subscribed, members[0].subscribed)
	}
	larger := 0 // shares that have one more than the others
	if equal && len(members) > 0 {
		larger = total % len(members)
	}
	for i, c := range members {
		u.targets[i] = partitions{}
		share, one := total, 0
		if equal {
			share, one = total/len(members), min(1, larger)
		}
		for _, tp := range sorted(c.target) {
			t := byID[tp.Topic]
			if _, reads := slices.BinarySearch(c.subscribed, t.Name); !reads || tp.Partition >= t.Partitions {
				continue
			}
			if len(u.targets[i]) == share {
				share, larger, one = share+one, larger-one, 0
			}
			if len(u.targets[i]) < share {
				u.give(tp, i)
			}
		}
	}
}

func (u *uniform) give(tp TopicPartition, to int) {
	if from, ok := u.owner[tp]; ok {
		delete(u.targets[from], tp)
	}
	u.owner[tp] = to
	u.targets[to][tp] = struct{}{}
}

func (u *uniform) least(among []int) int {
	least := among[0]
	for _, i := range among {
		if len(u.targets[i]) < len(u.targets[least]) {
			least = i
		}
	}
	return least
}

// level moves partitions of a topic from the busiest of its owners to the subscriber with the least, while that has two less.
// Each move makes the sum of the squares of the loads smaller, so that there is an end.
func (u *uniform) level(s subscribers) (moved bool) {
	held := map[int][]TopicPartition{}
	for p := range s.topic.Partitions {
		tp := TopicPartition{s.topic.ID, p}
		held[u.owner[tp]] = append(held[u.owner[tp]], tp)
	}
	for {
		from, to := -1, u.least(s.members)
		for _, i := range s.members {
			if len(held[i]) > 0 && (from < 0 || len(u.targets[i]) > len(u.targets[from])) {
				from = i
			}
		}
		if from < 0 || len(u.targets[from]) < len(u.targets[to])+2 {
			return moved
		}
		last := len(held[from]) - 1
		tp := held[from][last]
		held[from], held[to], moved = held[from][:last], append(held[to], tp), true
		u.give(tp, to)
	}
}

// assignRange gives each topic's members ranges of its partitions, in the order of their instance or member ids, so that
// partitions of the same number of all topics meet at one member.
func assignRange(members []*consumer, topics map[string]Topic) []partitions {
	targets := make([]partitions, len(members))
	for i := range members {
		targets[i] = partitions{}
	}
	for _, s := range bySubscribers(members, topics) {
		slices.SortFunc(s.members, func(a, b int) int {
			return cmp.Compare(cmp.Or(members[a].instance, members[a].id), cmp.Or(members[b].instance, members[b].id))
		})
		next, n := int32(0), int32(len(s.members))
		for i, to := range s.members {
			count := s.topic.Partitions / n
			if int32(i) < s.topic.Partitions%n {
				count++
			}
			for range count {
				targets[to][TopicPartition{s.topic.ID, next}] = struct{}{}
				next++
			}
		}
	}
	return targets
}
