package external

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// checkSettings refuses settings that only log/broker gives a meaning: nobody must believe in one that does nothing, or be
// told by the cluster that there is none of that name. Errors: ErrInvalidConfig.
func checkSettings(t log.Topic) error {
	for _, name := range slices.Sorted(maps.Keys(t.Config)) {
		if strings.HasPrefix(name, "miracle.") || strings.HasPrefix(name, "confluent.") {
			return errs.New(errs.Invalid, "%w: topic %q: %s needs the log inside: topics on a Kafka cluster (--brokers) have Kafka's settings", log.ErrInvalidConfig, t.Name, name)
		}
	}
	return nil
}

// adopt looks at the settings of a topic that was in the cluster before this log. Errors: ErrInvalidTopic (its records must be
// kept, and the cluster removes them).
func (l *Log) adopt(ctx context.Context, t log.Topic) error {
	name := l.opts.clusterTopic(t.Name)
	settings, err := l.settings(ctx, name)
	if err != nil {
		return err
	}
	s := settings[name]
	switch {
	case s.cut != "" && keptWhole(&t):
		return errs.New(errs.Invalid, "%w: the cluster removes records of topic %q by time or size (%s): a table's records are its rows", log.ErrInvalidTopic, t.Name, s.cut).
			WithHint("Let it keep them: kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config retention.ms=-1,retention.bytes=-1", name)
	case s.compact && keptWhole(&t):
		l.opts.Warn(fmt.Sprintf("the cluster compacts topic %s: the table's rows are kept, what they were before is not", name))
	case s.cut != "" || s.compact:
		l.opts.Warn(fmt.Sprintf("the cluster removes records of topic %s (%s): a view that is made later, or on a new data directory, is computed without them", name, s))
	}
	return nil
}

// keptWhole reports whether nothing may be removed of a topic: a table's.
func keptWhole(t *log.Topic) bool {
	cut, compact := t.Cleanup()
	return !cut && !compact
}

// warn tells what the settings of the cluster's topics, which others may change, take from what this log promises.
func (l *Log) warn(ctx context.Context) {
	l.warnOfPartitions(ctx)
	commits := l.opts.clusterTopic(CommitsTopic)
	names := []string{commits, l.opts.clusterTopic(log.CatalogTopic)}
	for _, t := range l.mu.topics.ByID {
		if !t.Internal && keptWhole(t) {
			names = append(names, l.opts.clusterTopic(t.Name))
		}
	}
	slices.Sort(names)
	settings, err := l.settings(ctx, names...)
	if err != nil {
		l.opts.Warn(err.Error())
		return
	}
	if s := settings[commits]; s.insync < 2 {
		l.opts.Warn(fmt.Sprintf("topic %s has min.insync.replicas=%d: one broker's power cut can take what was acknowledged", commits, s.insync))
	}
	for _, name := range names {
		if s := settings[name]; s.cut != "" {
			l.opts.Warn(fmt.Sprintf("the cluster removes records of topic %s by time or size (%s), which must be kept: set retention.ms=-1 and retention.bytes=-1", name, s.cut))
		}
	}
}

// warnOfPartitions tells of topics that are not replicated, have gone, or have partitions that nobody here reads.
func (l *Log) warnOfPartitions(ctx context.Context) {
	commits := l.opts.clusterTopic(CommitsTopic)
	partitions := map[string]int{commits: 1}
	for _, t := range l.mu.topics.ByID {
		if !t.Internal {
			partitions[l.opts.clusterTopic(t.Name)] = int(t.Partitions)
		}
	}
	names := slices.Sorted(maps.Keys(partitions))
	all, err := l.cluster.admin.Metadata(ctx, names...)
	if err != nil {
		l.opts.Warn(fmt.Sprintf("the Kafka cluster does not tell the partitions of topics: %v", err))
		return
	}
	for _, p := range all.Topics[commits].Partitions {
		if len(p.Replicas) < 2 {
			l.opts.Warn("topic " + commits + " has one replica: what is acknowledged is lost with that broker's disk")
			break
		}
	}
	for _, name := range names {
		switch n := len(all.Topics[name].Partitions); {
		case n > partitions[name]:
			l.opts.Warn(fmt.Sprintf("topic %s has %d partitions in the cluster, of which the first %d are read: records in the others are not seen", name, n, partitions[name]))
		case n == 0:
			l.opts.Warn(fmt.Sprintf("topic %s is not in the cluster any more", name))
		}
	}
}

// settings are those of a topic of the cluster that matter here.
type settings struct {
	cut     string // how it is cut by time and size, "" when it is not
	compact bool
	insync  int // min.insync.replicas
}

func (s settings) String() string {
	if s.cut == "" && s.compact {
		return "cleanup.policy=compact"
	}
	return s.cut
}

// settings gives those of the topics that are there, by their names in the cluster. Errors: Unavailable.
func (l *Log) settings(ctx context.Context, names ...string) (map[string]settings, error) {
	out := map[string]settings{}
	err := l.cluster.retry(ctx, func() error {
		all, err := l.cluster.admin.DescribeTopicConfigs(ctx, names...)
		if err != nil {
			return err
		}
		for _, topic := range all {
			if errors.Is(topic.Err, kerr.UnknownTopicOrPartition) {
				continue
			}
			if topic.Err != nil {
				return fmt.Errorf("topic %s: %w", topic.Name, topic.Err)
			}
			values := map[string]string{}
			for _, v := range topic.Configs {
				values[v.Key] = v.MaybeValue()
			}
			out[topic.Name] = settingsOf(values)
		}
		return nil
	})
	if err != nil {
		return nil, errs.New(errs.Unavailable, "the Kafka cluster does not tell the settings of topics: %w", err)
	}
	return out, nil
}

func settingsOf(values map[string]string) (s settings) {
	s.insync, _ = strconv.Atoi(values["min.insync.replicas"])
	s.compact = strings.Contains(values["cleanup.policy"], "compact")
	if !strings.Contains(values["cleanup.policy"], "delete") {
		return s
	}
	for _, name := range []string{"retention.ms", "retention.bytes"} {
		if n, err := strconv.ParseInt(values[name], 10, 64); err == nil && n >= 0 {
			s.cut = strings.TrimPrefix(s.cut+", "+name+"="+values[name], ", ")
		}
	}
	return s
}
