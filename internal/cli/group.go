package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/miracledb/miracledb/internal/errs"
)

func newGroup() *cobra.Command {
	return parent("group", "List and describe consumer groups, and move their offsets", newGroupList(), newGroupDescribe(), newGroupResetOffsets())
}

type group struct {
	Group    string        `json:"group"`
	Type     string        `json:"type"` // the protocol of its members: classic, consumer (KIP-848)
	State    string        `json:"state"`
	Protocol string        `json:"protocol"`        // how partitions are assigned
	Epoch    int32         `json:"epoch,omitempty"` // of a consumer group
	Members  []member      `json:"members"`
	Offsets  []groupOffset `json:"offsets"`
	Lag      int64         `json:"lag"`
}

type member struct {
	ID       string `json:"id"`
	Instance string `json:"instance,omitempty"`
	Client   string `json:"client"`
	Host     string `json:"host"`
	Epoch    int32  `json:"epoch,omitempty"`
}

type groupOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"` // nil: none yet
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
	Member    string `json:"member,omitempty"`
}

func newGroupList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List consumer groups", Args: noArgs,
		Example: "  miracledb group list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withAdmin(cmd, func(ctx context.Context, admin *kadm.Client) error {
				listed, err := admin.ListGroups(ctx)
				if err != nil {
					return err
				}
				list := []group{}
				if names := listed.Groups(); len(names) > 0 {
					if list, err = groups(ctx, admin, names...); err != nil {
						return err
					}
				}
				if wantsJSON(cmd) {
					return writeJSON(cmd.OutOrStdout(), list)
				}
				t := table{header: []string{"group", "type", "state", "members", "lag"}, right: []bool{false, false, false, true, true}}
				for _, g := range list {
					t.add(g.Group, g.Type, g.State, strconv.Itoa(len(g.Members)), strconv.FormatInt(g.Lag, 10))
				}
				return t.write(cmd.OutOrStdout())
			})
		},
	}
	addBrokersFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

func newGroupDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use: "describe GROUP", Short: "Show a group's members, offsets and lag", Args: oneArg("GROUP"),
		Example: "  miracledb group describe billing",
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAdmin(cmd, func(ctx context.Context, admin *kadm.Client) error {
				list, err := groups(ctx, admin, args[0])
				if err != nil {
					return err
				}
				g := list[0]
				if g.State == "Dead" {
					return errs.New(errs.NotFound, "there is no group %q", args[0]).WithHint("`miracledb group list` shows what there is.")
				}
				if wantsJSON(cmd) {
					return writeJSON(cmd.OutOrStdout(), g)
				}
				return g.describe(cmd)
			})
		},
	}
	addBrokersFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

// groups describes groups of both protocols with their committed offsets and lag.
func groups(ctx context.Context, admin *kadm.Client, names ...string) ([]group, error) {
	lags, err := admin.Lag(ctx, names...)
	if err != nil {
		return nil, err
	}
	consumers, err := admin.DescribeConsumerGroups(ctx, names...)
	if err != nil && !errors.Is(err, kerr.UnsupportedVersion) {
		return nil, err
	}
	var out []group
	for _, l := range lags.Sorted() {
		if err := l.Error(); err != nil {
			return nil, fmt.Errorf("group %s: %w", l.Group, err)
		}
		g := group{Group: l.Group, Type: "classic", State: l.State, Protocol: l.Protocol, Lag: l.Lag.Total(), Members: []member{}, Offsets: []groupOffset{}}
		for _, m := range l.Members {
			g.Members = append(g.Members, member{ID: m.MemberID, Instance: text(m.InstanceID), Client: m.ClientID, Host: m.ClientHost})
		}
		for _, p := range l.Lag.Sorted() {
			o := groupOffset{Topic: p.Topic, Partition: p.Partition, End: p.End.Offset, Lag: p.Lag}
			if p.Commit.At >= 0 {
				o.Committed = &p.Commit.At
			}
			if p.Member != nil {
				o.Member = p.Member.MemberID
			}
			g.Offsets = append(g.Offsets, o)
		}
		if c, ok := consumers[l.Group]; ok && c.Err == nil {
			if err := g.consumers(ctx, admin, c); err != nil {
				return nil, err
			}
		}
		out = append(out, g)
	}
	return out, nil
}

// consumers adds what DescribeGroups does not tell of a group of the consumer protocol: its members and what they have.
func (g *group) consumers(ctx context.Context, admin *kadm.Client, c kadm.DescribedConsumerGroup) error {
	g.Type, g.State, g.Protocol, g.Epoch = "consumer", c.State, c.AssignorName, c.Epoch
	committed := map[string]map[int32]*groupOffset{}
	for i := range g.Offsets {
		o := &g.Offsets[i]
		if committed[o.Topic] == nil {
			committed[o.Topic] = map[int32]*groupOffset{}
		}
		committed[o.Topic][o.Partition] = o
	}
	var none []groupOffset // assigned, and nothing committed yet
	var names []string
	for _, m := range c.Members {
		g.Members = append(g.Members, member{ID: m.MemberID, Instance: text(m.InstanceID), Client: m.ClientID, Host: m.ClientHost, Epoch: m.MemberEpoch})
		m.Assignment.Each(func(topic string, p int32) {
			if o := committed[topic][p]; o != nil {
				o.Member = m.MemberID
				return
			}
			none = append(none, groupOffset{Topic: topic, Partition: p, Member: m.MemberID})
			names = append(names, topic)
		})
	}
	if len(none) > 0 {
		list, err := topics(ctx, admin, names...)
		if err != nil {
			return err
		}
		for _, o := range none {
			i := slices.IndexFunc(list, func(t topic) bool { return t.Name == o.Topic })
			if i < 0 || int(o.Partition) >= len(list[i].Partitions) {
				continue // dropped since
			}
			p := list[i].Partitions[o.Partition]
			o.End, o.Lag = p.End, p.End-p.Start
			g.Offsets = append(g.Offsets, o)
		}
		slices.SortFunc(g.Offsets, func(a, b groupOffset) int {
			return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
		})
	}
	g.Lag = 0
	for _, o := range g.Offsets {
		g.Lag += max(0, o.Lag)
	}
	return nil
}

// text is a string that may be missing, as an empty one.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (g *group) describe(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "group %s, %s, %s, %d members, lag %d\n", g.Group, g.Type, g.State, len(g.Members), g.Lag)
	t := table{header: []string{"topic", "partition", "committed", "end", "lag", "member"}, right: []bool{false, true, true, true, true}}
	for _, o := range g.Offsets {
		committed := "-"
		if o.Committed != nil {
			committed = strconv.FormatInt(*o.Committed, 10)
		}
		t.add(o.Topic, strconv.Itoa(int(o.Partition)), committed, strconv.FormatInt(o.End, 10),
			strconv.FormatInt(o.Lag, 10), o.Member)
	}
	return t.write(out)
}
