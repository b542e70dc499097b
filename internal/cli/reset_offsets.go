package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/miracledb/miracledb/internal/errs"
)

// reset is where a group's offsets are to be moved to: one of the fields is set.
type reset struct {
	earliest, latest bool
	offset           *int64
	at               *time.Time
	shift            *int64
}

// moved is what reset-offsets does to one partition.
type moved struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"` // -1: none was committed
	To        int64  `json:"to"`
}

func newGroupResetOffsets() *cobra.Command {
	var r reset
	var topics []string
	var offset, shift int64
	var instant string
	var execute, dryRun bool
	cmd := &cobra.Command{
		Use: "reset-offsets GROUP", Short: "Move a group's committed offsets", Args: oneArg("GROUP"),
		Long: `reset-offsets moves the committed offsets of a group that has no members. It prints what it would do; with --execute it
does it. Without --topic it is about the partitions that the group has committed. An offset beyond a partition's bounds becomes
the bound; a time after the last record becomes the end.`,
		Example: `  miracledb group reset-offsets billing --to-earliest
  miracledb group reset-offsets billing --topic orders:0,2 --shift-by -100 --execute
  miracledb group reset-offsets billing --to-datetime 2026-11-22T10:00:00Z --execute`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.parse(cmd.Flags().Changed, offset, shift, instant); err != nil {
				return err
			}
			if execute && dryRun {
				return usage{errors.New("--execute does it, --dry-run does not: give one of them")}
			}
			chosen, err := parsePartitions(topics)
			if err != nil {
				return err
			}
			return withAdmin(cmd, func(ctx context.Context, admin *kadm.Client) error {
				return r.run(ctx, cmd, admin, args[0], chosen, execute)
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&topics, "topic", nil, "this topic, or TOPIC:0,2 for some of its partitions (again for more topics)")
	f.BoolVar(&r.earliest, "to-earliest", false, "to the first offset that is kept")
	f.BoolVar(&r.latest, "to-latest", false, "to the end")
	f.Int64Var(&offset, "to-offset", 0, "to this offset")
	f.StringVar(&instant, "to-datetime", "", "to the first record at or after this time in RFC 3339")
	f.Int64Var(&shift, "shift-by", 0, "by so many offsets from where the group is; negative: back")
	f.BoolVar(&execute, "execute", false, "do it")
	f.BoolVar(&dryRun, "dry-run", false, "only print what would be done (the default)")
	addBrokersFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

// parse takes in the one flag that says where to.
func (r *reset) parse(given func(flag string) bool, offset, shift int64, instant string) error {
	var targets []string
	for _, name := range []string{"to-earliest", "to-latest", "to-offset", "to-datetime", "shift-by"} {
		if given(name) {
			targets = append(targets, name)
		}
	}
	if len(targets) != 1 {
		return usage{errors.New("give one of --to-earliest, --to-latest, --to-offset, --to-datetime and --shift-by")}
	}
	switch targets[0] {
	case "to-offset":
		r.offset = &offset
	case "shift-by":
		r.shift = &shift
	case "to-datetime":
		at, err := time.Parse(time.RFC3339, instant)
		if err != nil {
			return usage{fmt.Errorf("--to-datetime %q is no time such as 2026-11-22T10:00:00Z", instant)}
		}
		r.at = &at
	}
	return nil
}

// parsePartitions reads topics as TOPIC or TOPIC:0,2. A topic without partitions means all of them.
func parsePartitions(texts []string) (map[string][]int32, error) {
	out := map[string][]int32{}
	for _, text := range texts {
		name, list, some := strings.Cut(text, ":")
		if !some {
			out[name] = nil
			continue
		}
		for _, one := range strings.Split(list, ",") {
			p, err := strconv.ParseInt(one, 10, 32)
			if err != nil || p < 0 {
				return nil, usage{fmt.Errorf("--topic %q: %q is no partition", text, one)}
			}
			out[name] = append(out[name], int32(p))
		}
	}
	return out, nil
}

func (r *reset) run(ctx context.Context, cmd *cobra.Command, admin *kadm.Client, name string, chosen map[string][]int32, execute bool) error {
	committed, err := admin.FetchOffsets(ctx, name)
	if err != nil {
		return err
	}
	plan, err := r.plan(ctx, admin, committed, chosen)
	if err != nil {
		return err
	}
	if len(plan) == 0 {
		return errs.New(errs.NotFound, "group %q has committed no offsets", name).WithHint("Name what it shall read with --topic TOPIC.")
	}
	if execute {
		if err := commitOffsets(ctx, admin, name, plan); err != nil {
			return err
		}
	}
	if wantsJSON(cmd) {
		return writeJSON(cmd.OutOrStdout(), plan)
	}
	t := table{header: []string{"topic", "partition", "from", "to"}, right: []bool{false, true, true, true}}
	for _, m := range plan {
		t.add(m.Topic, strconv.Itoa(int(m.Partition)), strconv.FormatInt(m.From, 10), strconv.FormatInt(m.To, 10))
	}
	if err := t.write(cmd.OutOrStdout()); err != nil || execute {
		return err
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was changed: add --execute to do it.")
	return err
}

// plan finds for each partition where its offset is to go.
func (r *reset) plan(ctx context.Context, admin *kadm.Client, committed kadm.OffsetResponses, chosen map[string][]int32) ([]moved, error) {
	var names []string
	if len(chosen) == 0 {
		committed.Each(func(o kadm.OffsetResponse) { chosen[o.Topic] = append(chosen[o.Topic], o.Partition) })
	}
	for name := range chosen {
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, nil
	}
	list, err := topics(ctx, admin, names...)
	if err != nil {
		return nil, err
	}
	var at kadm.ListedOffsets
	if r.at != nil {
		if at, err = admin.ListOffsetsAfterMilli(ctx, r.at.UnixMilli(), names...); err != nil {
			return nil, err
		}
	}
	var out []moved
	for _, t := range list {
		wanted := map[int32]bool{}
		for _, p := range chosen[t.Name] {
			if int(p) >= len(t.Partitions) {
				return nil, errs.New(errs.NotFound, "topic %s has no partition %d, only %d partitions", t.Name, p, len(t.Partitions))
			}
			wanted[p] = true
		}
		for _, p := range t.Partitions {
			if len(chosen[t.Name]) > 0 && !wanted[p.Partition] {
				continue
			}
			m := moved{Topic: t.Name, Partition: p.Partition, From: -1}
			if o, ok := committed.Lookup(t.Name, p.Partition); ok {
				m.From = o.At
			}
			if m.To, err = r.target(m, p, at); err != nil {
				return nil, err
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// target is the new offset of a partition, within its bounds.
func (r *reset) target(m moved, p partition, at kadm.ListedOffsets) (int64, error) {
	to := p.End
	switch {
	case r.earliest:
		to = p.Start
	case r.offset != nil:
		to = *r.offset
	case r.at != nil:
		if o, ok := at.Lookup(m.Topic, m.Partition); ok && o.Err == nil && o.Offset >= 0 {
			to = o.Offset
		}
	case r.shift != nil:
		if m.From < 0 {
			return 0, errs.New(errs.Invalid, "--shift-by: the group has committed nothing in %s/%d", m.Topic, m.Partition)
		}
		to = m.From + *r.shift
	}
	return min(max(to, p.Start), p.End), nil
}

func commitOffsets(ctx context.Context, admin *kadm.Client, name string, plan []moved) error {
	var offsets kadm.Offsets
	for _, m := range plan {
		offsets.AddOffset(m.Topic, m.Partition, m.To, -1)
	}
	err := admin.CommitAllOffsets(ctx, name, offsets)
	if errors.Is(err, kerr.UnknownMemberID) {
		return errs.New(errs.Conflict, "group %q has members: they would go on where they are", name).
			WithHint("Stop them first; `miracledb group describe %s` shows them.", name)
	}
	return err
}
