package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/miracledb/miracledb/internal/errs"
)

func newGroup() *cobra.Command {
	return parent("group", "List and describe consumer groups", newGroupList(), newGroupDescribe())
}

type group struct {
	Group    string        `json:"group"`
	State    string        `json:"state"`
	Protocol string        `json:"protocol"`
	Members  []member      `json:"members"`
	Offsets  []groupOffset `json:"offsets"`
	Lag      int64         `json:"lag"`
}

type member struct {
	ID     string `json:"id"`
	Client string `json:"client"`
	Host   string `json:"host"`
}

type groupOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"` // -1: none yet
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
				t := table{header: []string{"group", "state", "members", "lag"}, right: []bool{false, false, true, true}}
				for _, g := range list {
					t.add(g.Group, g.State, strconv.Itoa(len(g.Members)), strconv.FormatInt(g.Lag, 10))
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

// groups describes groups with their committed offsets and lag.
func groups(ctx context.Context, admin *kadm.Client, names ...string) ([]group, error) {
	lags, err := admin.Lag(ctx, names...)
	if err != nil {
		return nil, err
	}
	var out []group
	for _, l := range lags.Sorted() {
		if err := l.Error(); err != nil {
			return nil, fmt.Errorf("group %s: %w", l.Group, err)
		}
		g := group{Group: l.Group, State: l.State, Protocol: l.Protocol, Lag: l.Lag.Total(), Members: []member{}, Offsets: []groupOffset{}}
		for _, m := range l.Members {
			g.Members = append(g.Members, member{m.MemberID, m.ClientID, m.ClientHost})
		}
		for _, p := range l.Lag.Sorted() {
			o := groupOffset{Topic: p.Topic, Partition: p.Partition, Committed: p.Commit.At, End: p.End.Offset, Lag: p.Lag}
			if p.Member != nil {
				o.Member = p.Member.MemberID
			}
			g.Offsets = append(g.Offsets, o)
		}
		out = append(out, g)
	}
	return out, nil
}

func (g *group) describe(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "group %s, %s, %d members, lag %d\n", g.Group, g.State, len(g.Members), g.Lag)
	t := table{header: []string{"topic", "partition", "committed", "end", "lag", "member"}, right: []bool{false, true, true, true, true}}
	for _, o := range g.Offsets {
		t.add(o.Topic, strconv.Itoa(int(o.Partition)), strconv.FormatInt(o.Committed, 10), strconv.FormatInt(o.End, 10),
			strconv.FormatInt(o.Lag, 10), o.Member)
	}
	return t.write(out)
}
