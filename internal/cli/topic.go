package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/miracledb/miracledb/internal/errs"
)

func newTopic() *cobra.Command {
	return parent("topic", "List, make, describe, change and delete topics", newTopicList(), newTopicCreate(), newTopicDescribe(), newTopicAlter(), newTopicDelete())
}

// partition is a partition's place in the log.
type partition struct {
	Partition int32 `json:"partition"`
	Start     int64 `json:"start"`
	End       int64 `json:"end"`
}

type topic struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"` // as Kafka's tools write it
	Internal   bool              `json:"internal,omitempty"`
	Records    int64             `json:"records"`
	Partitions []partition       `json:"partitions"`
	Config     map[string]string `json:"config,omitempty"` // what is not the default
}

// topics gives the named topics, or all, with their offsets.
func topics(ctx context.Context, admin *kadm.Client, names ...string) ([]topic, error) {
	details, err := admin.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, err
	}
	first, err := admin.ListStartOffsets(ctx, details.Names()...)
	if err != nil {
		return nil, err
	}
	end, err := admin.ListEndOffsets(ctx, details.Names()...)
	if err != nil {
		return nil, err
	}
	out := []topic{}
	for _, d := range details.Sorted() {
		if errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			return nil, noTopic(d.Topic)
		}
		if d.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", d.Topic, d.Err)
		}
		t := topic{Name: d.Topic, ID: base64.RawURLEncoding.EncodeToString(d.ID[:]), Internal: d.IsInternal}
		for _, p := range d.Partitions.Sorted() {
			one := partition{p.Partition, first[d.Topic][p.Partition].Offset, end[d.Topic][p.Partition].Offset}
			t.Partitions = append(t.Partitions, one)
			t.Records += one.End - one.Start
		}
		out = append(out, t)
	}
	return out, nil
}

func newTopicList() *cobra.Command {
	var internal bool
	cmd := &cobra.Command{
		Use: "list", Short: "List topics", Args: noArgs,
		Example: "  miracledb topic list\n  miracledb topic list --json --internal",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withAdmin(cmd, func(ctx context.Context, admin *kadm.Client) error {
				list, err := topics(ctx, admin)
				if err != nil {
					return err
				}
				list = slices.DeleteFunc(list, func(t topic) bool { return t.Internal && !internal })
				if wantsJSON(cmd) {
					return writeJSON(cmd.OutOrStdout(), list)
				}
				t := table{header: []string{"topic", "partitions", "records"}, right: []bool{false, true, true}}
				for _, one := range list {
					t.add(one.Name, strconv.Itoa(len(one.Partitions)), strconv.FormatInt(one.Records, 10))
				}
				return t.write(cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().BoolVar(&internal, "internal", false, "the server's own topics too")
	addBrokersFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

func newTopicCreate() *cobra.Command {
	var partitions int32
	var config []string
	cmd := &cobra.Command{
		Use: "create TOPIC", Short: "Make a topic", Args: oneArg("TOPIC"),
		Example: "  miracledb topic create clicks --partitions 6 --config retention.ms=86400000",
		RunE: func(cmd *cobra.Command, args []string) error {
			values, err := parseConfigs(config)
			if err != nil {
				return err
			}
			return withAdmin(cmd, func(ctx context.Context, admin *kadm.Client) error {
				made, err := admin.CreateTopic(ctx, partitions, 1, values, args[0])
				if errors.Is(err, kerr.TopicAlreadyExists) {
					return errs.New(errs.Exists, "topic %s exists already", args[0]).
						WithHint("`miracledb topic describe %s` shows it.", args[0])
				}
				if err != nil {
					if made.ErrMessage != "" {
						err = errors.New(made.ErrMessage)
					}
					return errs.New(errs.Invalid, "topic %s was not made: %w", args[0], err)
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "made topic %s with %s\n", args[0], plural(int(partitions), "partition"))
				return err
			})
		},
	}
	cmd.Flags().Int32Var(&partitions, "partitions", 1, "number of partitions")
	cmd.Flags().StringArrayVar(&config, "config", nil, "setting by its Kafka name, name=value; may be repeated")
	addBrokersFlag(cmd)
	return cmd
}

// parseConfigs reads name=value settings of a topic.
func parseConfigs(config []string) (map[string]*string, error) {
	values := map[string]*string{}
	for _, c := range config {
		name, value, ok := strings.Cut(c, "=")
		if !ok || name == "" {
			return nil, usage{fmt.Errorf("--config %q is not name=value", c)}
		}
		values[name] = &value
	}
	return values, nil
}

func newTopicDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use: "describe TOPIC", Short: "Show a topic's partitions and settings", Args: oneArg("TOPIC"),
		Example: "  miracledb topic describe clicks",
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAdmin(cmd, func(ctx context.Context, admin *kadm.Client) error {
				list, err := topics(ctx, admin, args[0])
				if err != nil {
					return err
				}
				t := list[0]
				if t.Config, err = overrides(ctx, admin, t.Name); err != nil {
					return err
				}
				if wantsJSON(cmd) {
					return writeJSON(cmd.OutOrStdout(), t)
				}
				return t.describe(cmd)
			})
		},
	}
	addBrokersFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

// overrides are the settings of a topic that are not the defaults.
func overrides(ctx context.Context, admin *kadm.Client, name string) (map[string]string, error) {
	described, err := admin.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return nil, err
	}
	config, err := described.On(name, nil)
	if err = cmp.Or(err, config.Err); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, c := range config.Configs {
		if c.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
			values[c.Key] = c.MaybeValue()
		}
	}
	return values, nil
}

func (t *topic) describe(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "topic %s, id %s, %d records\n", t.Name, t.ID, t.Records)
	for name, value := range t.Config {
		fmt.Fprintf(out, "  %s = %s\n", name, value)
	}
	list := table{header: []string{"partition", "start", "end"}, right: []bool{true, true, true}}
	for _, p := range t.Partitions {
		list.add(strconv.Itoa(int(p.Partition)), strconv.FormatInt(p.Start, 10), strconv.FormatInt(p.End, 10))
	}
	return list.write(out)
}

func newTopicAlter() *cobra.Command {
	var partitions int
	var set, unset []string
	cmd := &cobra.Command{
		Use: "alter TOPIC", Short: "Change a topic's settings and add partitions", Args: oneArg("TOPIC"),
		Long: `alter sets --config, puts --unset back to its default, and adds partitions up to --partitions. A topic never has fewer
partitions than before, and records stay where they are: keys go to other partitions from then on.`,
		Example: "  miracledb topic alter clicks --config retention.ms=86400000 --unset segment.bytes\n  miracledb topic alter clicks --partitions 12",
		RunE: func(cmd *cobra.Command, args []string) error {
			values, err := parseConfigs(set)
			if err != nil {
				return err
			}
			var changes []kadm.AlterConfig
			for _, name := range slices.Sorted(maps.Keys(values)) {
				changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: values[name]})
			}
			for _, name := range unset {
				changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
			}
			if len(changes) == 0 && partitions == 0 {
				return usage{errors.New("nothing to change: give --config, --unset or --partitions")}
			}
			return withAdmin(cmd, func(ctx context.Context, admin *kadm.Client) error {
				return alterTopic(ctx, cmd, admin, args[0], changes, partitions)
			})
		},
	}
	cmd.Flags().IntVar(&partitions, "partitions", 0, "number of partitions that it shall have")
	cmd.Flags().StringArrayVar(&set, "config", nil, "setting by its Kafka name, name=value; may be repeated")
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "setting that shall have its default again; may be repeated")
	addBrokersFlag(cmd)
	return cmd
}

func alterTopic(ctx context.Context, cmd *cobra.Command, admin *kadm.Client, name string, changes []kadm.AlterConfig, partitions int) error {
	failed := func(err error, message string) error {
		switch {
		case err == nil:
			return nil
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return noTopic(name)
		case message != "":
			err = errors.New(message)
		}
		return errs.New(errs.Invalid, "topic %s was not changed: %w", name, err)
	}
	if len(changes) > 0 {
		done, err := admin.AlterTopicConfigs(ctx, changes, name)
		if err == nil && len(done) == 1 {
			err = failed(done[0].Err, done[0].ErrMessage)
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "changed %s of topic %s\n", plural(len(changes), "setting"), name); err != nil {
			return err
		}
	}
	if partitions == 0 {
		return nil
	}
	done, err := admin.UpdatePartitions(ctx, partitions, name)
	if err == nil {
		err = failed(done[name].Err, done[name].ErrMessage)
	}
	if err == nil {
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "topic %s has %s\n", name, plural(partitions, "partition"))
	}
	return err
}

func newTopicDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete TOPIC", Short: "Delete a topic and its records", Args: oneArg("TOPIC"),
		Example: "  miracledb topic delete clicks",
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAdmin(cmd, func(ctx context.Context, admin *kadm.Client) error {
				gone, err := admin.DeleteTopic(ctx, args[0])
				if errors.Is(err, kerr.UnknownTopicOrPartition) {
					return noTopic(args[0])
				}
				if err != nil {
					if gone.ErrMessage != "" {
						err = errors.New(gone.ErrMessage)
					}
					return errs.New(errs.Invalid, "topic %s was not deleted: %w", args[0], err)
				}
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "deleted topic %s\n", args[0])
				return err
			})
		},
	}
	addBrokersFlag(cmd)
	return cmd
}
