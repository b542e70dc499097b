package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
)

// alterConfigs replaces all settings of topics.
func (s *Server) alterConfigs(ctx context.Context, r *request, q *kmsg.AlterConfigsRequest) answer {
	a := kmsg.NewPtrAlterConfigsResponse()
	for i := range q.Resources {
		want := &q.Resources[i]
		res := kmsg.NewAlterConfigsResponseResource()
		res.ResourceType, res.ResourceName = want.ResourceType, want.ResourceName
		err := s.alterTopicConfig(ctx, r, want.ResourceType, want.ResourceName, q.ValidateOnly, func(config map[string]string) error {
			clear(config)
			for _, c := range want.Configs {
				if c.Value == nil {
					return &fault{kerr.InvalidConfig, "no value for topic config " + c.Name}
				}
				config[c.Name] = *c.Value
			}
			return nil
		})
		res.ErrorCode, res.ErrorMessage = errorCode(err), message(err)
		a.Resources = append(a.Resources, res)
	}
	return answer{response: a}
}

// incrementalAlterConfigs changes single settings of topics (KIP-339).
func (s *Server) incrementalAlterConfigs(ctx context.Context, r *request, q *kmsg.IncrementalAlterConfigsRequest) answer {
	a := kmsg.NewPtrIncrementalAlterConfigsResponse()
	for i := range q.Resources {
		want := &q.Resources[i]
		res := kmsg.NewIncrementalAlterConfigsResponseResource()
		res.ResourceType, res.ResourceName = want.ResourceType, want.ResourceName
		err := s.alterTopicConfig(ctx, r, want.ResourceType, want.ResourceName, q.ValidateOnly, func(config map[string]string) error {
			return alterEach(config, want.Configs)
		})
		res.ErrorCode, res.ErrorMessage = errorCode(err), message(err)
		a.Resources = append(a.Resources, res)
	}
	return answer{response: a}
}

func alterEach(config map[string]string, changes []kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	seen := map[string]bool{}
	for _, c := range changes {
		if seen[c.Name] {
			return &fault{kerr.InvalidRequest, "topic config " + c.Name + " is changed twice"}
		}
		seen[c.Name] = true
		def, known := log.Config(c.Name)
		switch {
		case !known:
			return &fault{kerr.InvalidConfig, "unknown topic config name: " + c.Name}
		case c.Op == kmsg.IncrementalAlterConfigOpDelete:
			delete(config, c.Name)
			continue
		case c.Value == nil:
			return &fault{kerr.InvalidConfig, "no value for topic config " + c.Name}
		case c.Op == kmsg.IncrementalAlterConfigOpSet:
			config[c.Name] = *c.Value
			continue
		case def.Kind != log.ConfigList:
			return &fault{kerr.InvalidConfig, "topic config " + c.Name + " is no list: it can be set, not appended to"}
		}
		topic := log.Topic{Config: config}
		list := strings.FieldsFunc(topic.Setting(c.Name), func(r rune) bool { return r == ',' || r == ' ' })
		for one := range strings.SplitSeq(*c.Value, ",") {
			list = slices.DeleteFunc(list, func(have string) bool { return have == one })
			if c.Op == kmsg.IncrementalAlterConfigOpAppend {
				list = append(list, one)
			}
		}
		config[c.Name] = strings.Join(list, ",")
	}
	return nil
}

// alterTopicConfig gives one topic the settings that change makes of its present ones.
func (s *Server) alterTopicConfig(ctx context.Context, r *request, kind kmsg.ConfigResourceType, name string, validateOnly bool, change func(map[string]string) error) error {
	if kind != kmsg.ConfigResourceTypeTopic {
		if !s.mayCluster(r) {
			return kerr.ClusterAuthorizationFailed
		}
		return &fault{kerr.InvalidRequest, fmt.Sprintf("only the settings of topics can be changed, not those of a %v", kind)}
	}
	topic, err := s.findTopic(r, name)
	if err != nil {
		return err
	}
	if topic.Internal {
		return &fault{kerr.InvalidTopicException, "topic " + topic.Name + " is internal"}
	}
	alter := func(t *log.Topic) error {
		if t.Config = maps.Clone(t.Config); t.Config == nil {
			t.Config = map[string]string{}
		}
		if err := change(t.Config); err != nil {
			return err
		}
		return log.CheckConfig(t.Config)
	}
	if validateOnly {
		return alter(&topic)
	}
	return s.options.Catalog.AlterTopic(ctx, topic, alter)
}
