package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log"
)

// describeConfigs tells the settings of topics and of this node.
func (s *Server) describeConfigs(_ context.Context, r *request, q *kmsg.DescribeConfigsRequest) answer {
	a := kmsg.NewPtrDescribeConfigsResponse()
	type resource struct {
		kind kmsg.ConfigResourceType
		name string
	}
	q.Resources = unique(q.Resources, func(r kmsg.DescribeConfigsRequestResource) resource { return resource{r.ResourceType, r.ResourceName} })
	for i := range q.Resources {
		want := &q.Resources[i]
		res := kmsg.NewDescribeConfigsResponseResource()
		res.ResourceType, res.ResourceName = want.ResourceType, want.ResourceName
		configs, err := s.resourceConfigs(r, want)
		if err != nil {
			res.ErrorCode, res.ErrorMessage = errorCode(err), message(err)
		}
		for _, c := range configs {
			if want.ConfigNames == nil || slices.Contains(want.ConfigNames, c.Name) {
				if q.IncludeSynonyms {
					c.ConfigSynonyms = synonyms(&c)
				}
				res.Configs = append(res.Configs, c)
			}
		}
		a.Resources = append(a.Resources, res)
	}
	return answer{response: a}
}

func (s *Server) resourceConfigs(r *request, want *kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	var out []kmsg.DescribeConfigsResponseResourceConfig
	add := func(name, value string, source kmsg.ConfigSource, kind kmsg.ConfigType, readOnly bool) {
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Value, c.Source, c.ConfigType, c.ReadOnly = name, &value, source, kind, readOnly
		c.IsDefault = source == kmsg.ConfigSourceDefaultConfig
		out = append(out, c)
	}
	switch want.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		topic, err := s.findTopic(r, want.ResourceName)
		if err != nil {
			return nil, err
		}
		for _, name := range log.ConfigNames() {
			def, _ := log.Config(name)
			add(name, topic.Setting(name), configSource(&topic, name), configTypes[def.Kind], topic.Internal)
		}
		return out, nil
	case kmsg.ConfigResourceTypeBroker:
		if !s.mayCluster(r) {
			return nil, kerr.ClusterAuthorizationFailed
		}
		if want.ResourceName != "" && want.ResourceName != strconv.Itoa(int(s.options.NodeID)) {
			return nil, &fault{kerr.InvalidRequest, fmt.Sprintf("there is no node %s, only %d", want.ResourceName, s.options.NodeID)}
		}
		largest, _ := log.Config("max.message.bytes")
		add("auto.create.topics.enable", strconv.FormatBool(!s.options.NoAutoCreate), kmsg.ConfigSourceStaticBrokerConfig, kmsg.ConfigTypeBoolean, true)
		add("broker.id", strconv.Itoa(int(s.options.NodeID)), kmsg.ConfigSourceStaticBrokerConfig, kmsg.ConfigTypeInt, true)
		add("default.replication.factor", "1", kmsg.ConfigSourceDefaultConfig, kmsg.ConfigTypeInt, true)
		add("message.max.bytes", largest.Default, kmsg.ConfigSourceDefaultConfig, kmsg.ConfigTypeInt, true)
		add("num.partitions", "1", kmsg.ConfigSourceDefaultConfig, kmsg.ConfigTypeInt, true)
		retention := s.options.OffsetsRetention
		source := kmsg.ConfigSourceDefaultConfig
		if retention != offsetsRetention {
			source = kmsg.ConfigSourceStaticBrokerConfig
		}
		add("offsets.retention.minutes", strconv.FormatInt(int64(retention/time.Minute), 10), source, kmsg.ConfigTypeInt, true)
		return out, nil
	}
	return nil, &fault{kerr.InvalidRequest, fmt.Sprintf("resources of type %v have no settings here", want.ResourceType)}
}

// configSource tells where a topic's setting is from.
func configSource(t *log.Topic, name string) kmsg.ConfigSource {
	if _, ok := t.Config[name]; ok {
		return kmsg.ConfigSourceDynamicTopicConfig
	}
	return kmsg.ConfigSourceDefaultConfig
}

// synonyms are the places where a setting is looked for, the winner first (KIP-226): the topic, then the node's default
// under the name that it has there.
func synonyms(c *kmsg.DescribeConfigsResponseResourceConfig) []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	own := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	own.Name, own.Value, own.Source = c.Name, c.Value, c.Source
	def, ofTopic := log.Config(c.Name)
	if !ofTopic {
		return []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{own}
	}
	node := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	node.Name, node.Value, node.Source = def.Node, &def.Default, kmsg.ConfigSourceDefaultConfig
	if c.Source == kmsg.ConfigSourceDefaultConfig {
		return []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{node}
	}
	return []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{own, node}
}

var configTypes = map[log.ConfigKind]kmsg.ConfigType{log.ConfigBoolean: kmsg.ConfigTypeBoolean, log.ConfigString: kmsg.ConfigTypeString,
	log.ConfigInt: kmsg.ConfigTypeInt, log.ConfigLong: kmsg.ConfigTypeLong, log.ConfigDouble: kmsg.ConfigTypeDouble, log.ConfigList: kmsg.ConfigTypeList}
