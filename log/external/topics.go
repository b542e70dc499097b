package external

import (
	"context"
	"errors"
	"maps"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/topics"
)

// ensureAll makes the topics of an append in the cluster, before anything is written to them. When the append is refused
// after all, an empty topic is left behind, which the next one of its name takes over.
func (l *Log) ensureAll(ctx context.Context, rs []log.TopicRecord) (made []madeTopic, err error) {
	for _, r := range rs {
		if r.Dropped {
			continue
		}
		id, _ := topics.ParseID(r.ID)
		l.mu.RLock()
		before, known := l.topicLocked(id)
		l.mu.RUnlock()
		t := log.Topic{ID: id, Name: r.Name, Partitions: r.Partitions, Config: r.Config}
		if err := checkSettings(t); err != nil {
			return nil, err
		}
		if known {
			if err := l.alter(ctx, before, t); err != nil {
				return nil, err
			}
			continue
		}
		m, err := l.ensure(ctx, t)
		if err != nil {
			return nil, err
		}
		if m.id = id; m.name != "" {
			made = append(made, m)
		} else if err := l.adopt(ctx, t); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// ensure makes a topic in the cluster, or takes one that is there; made is empty then.
func (l *Log) ensure(ctx context.Context, t log.Topic) (made madeTopic, err error) {
	config := map[string]*string{"retention.ms": kadm.StringPtr("-1"), "retention.bytes": kadm.StringPtr("-1")} // unless the topic says otherwise
	for name, v := range t.Config {
		config[name] = &v
	}
	name := l.opts.clusterTopic(t.Name)
	err = l.cluster.retry(ctx, func() error {
		resp, err := l.cluster.admin.CreateTopic(ctx, t.Partitions, -1, config, name)
		if err != nil && resp.ErrMessage != "" {
			return errs.New(errs.Invalid, "%w: topic %q: %s: %w", log.ErrInvalidTopic, t.Name, resp.ErrMessage, err)
		}
		return err
	})
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return made, err
	}
	exists := err != nil
	// What was made is known to every broker a moment later.
	var id log.TopicID
	var partitions int
	err = l.cluster.retry(ctx, func() error {
		if id, partitions, err = l.cluster.clusterID(ctx, name); err == nil && partitions == 0 {
			err = kerr.UnknownTopicOrPartition
		}
		return err
	})
	if err != nil {
		return made, err
	}
	if exists {
		if partitions != int(t.Partitions) {
			return made, errs.New(errs.Invalid, "%w: the cluster has a topic %q with %d partitions, not %d", log.ErrInvalidTopic, t.Name, partitions, t.Partitions).
				WithHint("Say so: WITH (partitions = %d).", partitions)
		}
		return made, nil
	}
	return madeTopic{id: t.ID, cluster: id, name: name}, nil
}

// alter brings a topic of the cluster to its new settings and number of partitions.
func (l *Log) alter(ctx context.Context, before, after log.Topic) error {
	if before.Name != after.Name {
		return errs.New(errs.Unsupported, "%w: a topic on a Kafka cluster keeps its name", log.ErrInvalidTopic)
	}
	name := l.opts.clusterTopic(after.Name)
	if after.Partitions > before.Partitions {
		resp, err := l.cluster.admin.UpdatePartitions(ctx, int(after.Partitions), name)
		if err == nil {
			err = resp.Error()
		}
		if err != nil {
			return errs.New(errs.Unavailable, "topic %q: %w", after.Name, err)
		}
		l.cluster.forget()
	}
	if maps.Equal(before.Config, after.Config) {
		return nil
	}
	var changes []kadm.AlterConfig
	for name, v := range after.Config {
		if before.Config[name] != v {
			changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &v})
		}
	}
	for name := range before.Config {
		if _, kept := after.Config[name]; !kept {
			changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
		}
	}
	resp, err := l.cluster.admin.AlterTopicConfigs(ctx, changes, name)
	if err == nil && len(resp) == 1 {
		err = resp[0].Err
	}
	if err != nil {
		return errs.New(errs.Invalid, "%w: topic %q: %w", log.ErrInvalidConfig, after.Name, err)
	}
	return nil
}

// remove deletes a dropped topic from the cluster, when it is the one that this log made, and waits until it is gone.
func (l *Log) remove(ctx context.Context, m madeTopic) error {
	id, partitions, err := l.cluster.clusterID(ctx, m.name)
	if err != nil || partitions == 0 || id != m.cluster {
		return err
	}
	if _, err := l.cluster.admin.DeleteTopics(ctx, m.name); err != nil {
		return err
	}
	l.cluster.forget()
	return l.cluster.retry(ctx, func() error {
		if again, partitions, err := l.cluster.clusterID(ctx, m.name); err != nil || partitions > 0 && again == id {
			return errors.Join(err, kerr.UnknownTopicOrPartition) // not yet
		}
		return nil
	})
}
