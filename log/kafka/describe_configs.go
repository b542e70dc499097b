package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeConfigs tells the settings of topics and of this node.
func (s *Server) describeConfigs(_ context.Context, _ *request, q *kmsg.DescribeConfigsRequest) answer {
	a := kmsg.NewPtrDescribeConfigsResponse()
	for i := range q.Resources {
		want := &q.Resources[i]
		res := kmsg.NewDescribeConfigsResponseResource()
		res.ResourceType, res.ResourceName = want.ResourceType, want.ResourceName
		configs, err := s.resourceConfigs(want)
		if err != nil {
			res.ErrorCode, res.ErrorMessage = errorCode(err), message(err)
		}
		for _, c := range configs {
			if want.ConfigNames == nil || slices.Contains(want.ConfigNames, c.Name) {
				if q.IncludeSynonyms {
					synonym := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
					synonym.Name, synonym.Value, synonym.Source = c.Name, c.Value, c.Source
					c.ConfigSynonyms = append(c.ConfigSynonyms, synonym)
				}
				res.Configs = append(res.Configs, c)
			}
		}
		a.Resources = append(a.Resources, res)
	}
	return answer{response: a}
}

func (s *Server) resourceConfigs(want *kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	var out []kmsg.DescribeConfigsResponseResourceConfig
	add := func(name, value string, source kmsg.ConfigSource, kind kmsg.ConfigType, readOnly bool) {
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Value, c.Source, c.ConfigType, c.ReadOnly = name, &value, source, kind, readOnly
		c.IsDefault = source == kmsg.ConfigSourceDefaultConfig
		out = append(out, c)
	}
	switch want.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		topic, err := s.findTopic(&want.ResourceName, [16]byte{})
		if err != nil {
			return nil, err
		}
		for _, name := range configNames() {
			value, source := configValue(topic.Config, name)
			add(name, value, source, topicConfigs[name].kind, false)
		}
		return out, nil
	case kmsg.ConfigResourceTypeBroker:
		if want.ResourceName != "" && want.ResourceName != strconv.Itoa(int(s.options.NodeID)) {
			return nil, &fault{kerr.InvalidRequest, fmt.Sprintf("there is no node %s, only %d", want.ResourceName, s.options.NodeID)}
		}
		add("auto.create.topics.enable", strconv.FormatBool(!s.options.NoAutoCreate), kmsg.ConfigSourceStaticBrokerConfig, kmsg.ConfigTypeBoolean, true)
		add("broker.id", strconv.Itoa(int(s.options.NodeID)), kmsg.ConfigSourceStaticBrokerConfig, kmsg.ConfigTypeInt, true)
		add("default.replication.factor", "1", kmsg.ConfigSourceDefaultConfig, kmsg.ConfigTypeInt, true)
		add("message.max.bytes", topicConfigs["max.message.bytes"].otherwise, kmsg.ConfigSourceDefaultConfig, kmsg.ConfigTypeInt, true)
		add("num.partitions", "1", kmsg.ConfigSourceDefaultConfig, kmsg.ConfigTypeInt, true)
		return out, nil
	}
	return nil, &fault{kerr.InvalidRequest, fmt.Sprintf("resources of type %v have no settings here", want.ResourceType)}
}

func configNames() []string {
	names := make([]string, 0, len(topicConfigs))
	for name := range topicConfigs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// configValue is the value of a topic's setting, and where it is from.
func configValue(overrides map[string]string, name string) (string, kmsg.ConfigSource) {
	if value, ok := overrides[name]; ok {
		return value, kmsg.ConfigSourceDynamicTopicConfig
	}
	return topicConfigs[name].otherwise, kmsg.ConfigSourceDefaultConfig
}
