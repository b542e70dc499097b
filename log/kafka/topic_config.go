package kafka

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/limit"
)

// topicConfig is one setting of a topic by its Kafka name.
type topicConfig struct {
	otherwise string
	kind      kmsg.ConfigType
	check     func(string) bool
}

// topicConfigs are the settings that a topic may have: those of Kafka 3.9 that mean something to a log that is always
// fsynced and has one leader. Others are refused, so that nobody believes in a setting that does nothing.
var topicConfigs = map[string]topicConfig{
	"cleanup.policy":                      {"delete", kmsg.ConfigTypeList, isPolicy},
	"compression.type":                    {"producer", kmsg.ConfigTypeString, isOneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")},
	"delete.retention.ms":                 {"86400000", kmsg.ConfigTypeLong, isAtLeast(0)},
	"file.delete.delay.ms":                {"60000", kmsg.ConfigTypeLong, isAtLeast(0)},
	"flush.messages":                      {"1", kmsg.ConfigTypeLong, isAtLeast(1)},
	"flush.ms":                            {"0", kmsg.ConfigTypeLong, isAtLeast(0)},
	"index.interval.bytes":                {"4096", kmsg.ConfigTypeInt, isAtLeast(0)},
	"max.compaction.lag.ms":               {"9223372036854775807", kmsg.ConfigTypeLong, isAtLeast(1)},
	"max.message.bytes":                   {strconv.FormatInt(int64(limit.RecordBatch), 10), kmsg.ConfigTypeInt, isMessageSize},
	"message.timestamp.after.max.ms":      {"9223372036854775807", kmsg.ConfigTypeLong, isAtLeast(0)},
	"message.timestamp.before.max.ms":     {"9223372036854775807", kmsg.ConfigTypeLong, isAtLeast(0)},
	"message.timestamp.difference.max.ms": {"9223372036854775807", kmsg.ConfigTypeLong, isAtLeast(0)},
	"message.timestamp.type":              {"CreateTime", kmsg.ConfigTypeString, isOneOf("CreateTime", "LogAppendTime")},
	"min.cleanable.dirty.ratio":           {"0.5", kmsg.ConfigTypeDouble, isRatio},
	"min.compaction.lag.ms":               {"0", kmsg.ConfigTypeLong, isAtLeast(0)},
	"min.insync.replicas":                 {"1", kmsg.ConfigTypeInt, isAtLeast(1)},
	"preallocate":                         {"true", kmsg.ConfigTypeBoolean, isOneOf("true", "false")},
	"retention.bytes":                     {"-1", kmsg.ConfigTypeLong, isAtLeast(-1)},
	"retention.ms":                        {"604800000", kmsg.ConfigTypeLong, isAtLeast(-1)},
	"segment.bytes":                       {"1073741824", kmsg.ConfigTypeInt, isAtLeast(14)},
	"segment.index.bytes":                 {"10485760", kmsg.ConfigTypeInt, isAtLeast(4)},
	"segment.jitter.ms":                   {"0", kmsg.ConfigTypeLong, isAtLeast(0)},
	"segment.ms":                          {"604800000", kmsg.ConfigTypeLong, isAtLeast(1)},
	"unclean.leader.election.enable":      {"false", kmsg.ConfigTypeBoolean, isOneOf("true", "false")},
}

func isOneOf(values ...string) func(string) bool {
	return func(v string) bool { return slices.Contains(values, v) }
}

func isAtLeast(least int64) func(string) bool {
	return func(v string) bool {
		n, err := strconv.ParseInt(v, 10, 64)
		return err == nil && n >= least
	}
}

// isMessageSize keeps a batch under what one request frame holds.
func isMessageSize(v string) bool {
	n, err := strconv.ParseInt(v, 10, 64)
	return err == nil && n >= 0 && n <= int64(limit.Journal)
}

func isRatio(v string) bool {
	f, err := strconv.ParseFloat(v, 64)
	return err == nil && f >= 0 && f <= 1
}

func isPolicy(v string) bool {
	for _, p := range strings.Split(v, ",") {
		if p = strings.TrimSpace(p); p != "delete" && p != "compact" {
			return false
		}
	}
	return true
}

// checkConfig gives an error that names the first setting that a topic cannot have.
func checkConfig(config map[string]string) error {
	names := make([]string, 0, len(config))
	for name := range config {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		known, ok := topicConfigs[name]
		if !ok {
			return fmt.Errorf("unknown topic config name: %s", name)
		}
		if !known.check(config[name]) {
			return fmt.Errorf("invalid value %q for topic config %s", config[name], name)
		}
	}
	return nil
}

// settings are the settings that a produce looks at.
type settings struct {
	maxBefore, maxAfter int64 // milliseconds, -1: any
	logAppendTime       bool
	compacted           bool
}

func topicSettings(config map[string]string) settings {
	s := settings{maxBefore: -1, maxAfter: -1}
	if len(config) == 0 {
		return s
	}
	number := func(name string, otherwise int64) int64 {
		if n, err := strconv.ParseInt(config[name], 10, 64); err == nil && n != math.MaxInt64 {
			return n
		}
		return otherwise
	}
	both := number("message.timestamp.difference.max.ms", -1)
	s.maxBefore = number("message.timestamp.before.max.ms", both)
	s.maxAfter = number("message.timestamp.after.max.ms", both)
	s.logAppendTime = config["message.timestamp.type"] == "LogAppendTime"
	s.compacted = strings.Contains(config["cleanup.policy"], "compact")
	return s
}
