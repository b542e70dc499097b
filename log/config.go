package log

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
)

// ConfigKind is the type of a topic setting's value.
type ConfigKind uint8

// The kinds of settings.
const (
	ConfigBoolean ConfigKind = iota
	ConfigString
	ConfigInt
	ConfigLong
	ConfigDouble
	ConfigList
)

// ConfigDef is one setting of a topic.
type ConfigDef struct {
	Default string
	Kind    ConfigKind
	// Node is the name by which Kafka's brokers know the default.
	Node  string
	check func(string) bool
}

// The settings that Kafka does not have.
const (
	// ConfigKeyIndex keeps an index of the keys of each partition: for Expect.Key, and for looking keys up.
	ConfigKeyIndex = "miracle.key.index"
	// ConfigConditional lets records carry conditions in the headers HeaderNextOffset and, with a key index, HeaderKeyOffset.
	ConfigConditional = "miracle.conditional.append"
)

// The settings of Confluent's brokers by which a topic wants records that name a registered schema, and under which subject.
const (
	ConfigKeyValidation   = "confluent.key.schema.validation"
	ConfigKeySubject      = "confluent.key.subject.name.strategy"
	ConfigValueValidation = "confluent.value.schema.validation"
	ConfigValueSubject    = "confluent.value.subject.name.strategy"
)

// Values of ConfigKeySubject and ConfigValueSubject: the subject is TOPIC-key or TOPIC-value, the name of the record's type, or both.
const (
	SubjectOfTopic          = "io.confluent.kafka.serializers.subject.TopicNameStrategy"
	SubjectOfRecord         = "io.confluent.kafka.serializers.subject.RecordNameStrategy"
	SubjectOfTopicAndRecord = "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy"
)

// Headers by which a record of a topic with ConfigConditional says what it expects, as decimal numbers. A batch with a
// record whose condition does not hold is refused whole. Each is checked as if the records before it in the batch had been
// appended.
const (
	// HeaderNextOffset is the offset that the record must get.
	HeaderNextOffset = "miracle-expected-offset"
	// HeaderKeyOffset is the offset of the last record with the record's key, -1: there is none.
	HeaderKeyOffset = "miracle-expected-key-offset"
)

// configs are the settings that a topic may have: our own, and by Kafka's names those of Kafka 3.9 that mean something to a
// log that is always fsynced and has one leader. Others are refused, so that nobody believes in a setting that does nothing.
var configs = map[string]ConfigDef{
	"cleanup.policy":                      {"delete", ConfigList, "log.cleanup.policy", isPolicy},
	"compression.type":                    {"producer", ConfigString, "compression.type", isOneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")},
	ConfigKeyValidation:                   {"false", ConfigBoolean, ConfigKeyValidation, isOneOf("true", "false")},
	ConfigKeySubject:                      {SubjectOfTopic, ConfigString, ConfigKeySubject, isOneOf(SubjectOfTopic, SubjectOfRecord, SubjectOfTopicAndRecord)},
	ConfigValueValidation:                 {"false", ConfigBoolean, ConfigValueValidation, isOneOf("true", "false")},
	ConfigValueSubject:                    {SubjectOfTopic, ConfigString, ConfigValueSubject, isOneOf(SubjectOfTopic, SubjectOfRecord, SubjectOfTopicAndRecord)},
	"delete.retention.ms":                 {"86400000", ConfigLong, "log.cleaner.delete.retention.ms", isAtLeast(0)},
	"file.delete.delay.ms":                {"60000", ConfigLong, "log.segment.delete.delay.ms", isAtLeast(0)},
	"flush.messages":                      {"1", ConfigLong, "log.flush.interval.messages", isAtLeast(1)},
	"flush.ms":                            {"0", ConfigLong, "log.flush.interval.ms", isAtLeast(0)},
	"index.interval.bytes":                {"4096", ConfigInt, "log.index.interval.bytes", isIntAtLeast(0)},
	"max.compaction.lag.ms":               {"9223372036854775807", ConfigLong, "log.cleaner.max.compaction.lag.ms", isAtLeast(1)},
	"max.message.bytes":                   {strconv.FormatInt(int64(limit.RecordBatch), 10), ConfigInt, "message.max.bytes", isMessageSize},
	"message.timestamp.after.max.ms":      {"9223372036854775807", ConfigLong, "log.message.timestamp.after.max.ms", isAtLeast(0)},
	"message.timestamp.before.max.ms":     {"9223372036854775807", ConfigLong, "log.message.timestamp.before.max.ms", isAtLeast(0)},
	"message.timestamp.difference.max.ms": {"9223372036854775807", ConfigLong, "log.message.timestamp.difference.max.ms", isAtLeast(0)},
	"message.timestamp.type":              {"CreateTime", ConfigString, "log.message.timestamp.type", isOneOf("CreateTime", "LogAppendTime")},
	ConfigConditional:                     {"false", ConfigBoolean, ConfigConditional, isOneOf("true", "false")},
	ConfigKeyIndex:                        {"false", ConfigBoolean, ConfigKeyIndex, isOneOf("true", "false")},
	"min.cleanable.dirty.ratio":           {"0.5", ConfigDouble, "log.cleaner.min.cleanable.ratio", isRatio},
	"min.compaction.lag.ms":               {"0", ConfigLong, "log.cleaner.min.compaction.lag.ms", isAtLeast(0)},
	"min.insync.replicas":                 {"1", ConfigInt, "min.insync.replicas", isIntAtLeast(1)},
	"preallocate":                         {"true", ConfigBoolean, "log.preallocate", isOneOf("true", "false")},
	"retention.bytes":                     {"-1", ConfigLong, "log.retention.bytes", isAtLeast(math.MinInt64)},
	"retention.ms":                        {"604800000", ConfigLong, "log.retention.ms", isAtLeast(-1)},
	"segment.bytes":                       {"268435456", ConfigInt, "log.segment.bytes", isIntAtLeast(14)},
	"segment.index.bytes":                 {"10485760", ConfigInt, "log.index.size.max.bytes", isIntAtLeast(4)},
	"segment.jitter.ms":                   {"0", ConfigLong, "log.roll.jitter.ms", isAtLeast(0)},
	"segment.ms":                          {"604800000", ConfigLong, "log.roll.ms", isAtLeast(1)},
	"unclean.leader.election.enable":      {"false", ConfigBoolean, "unclean.leader.election.enable", isOneOf("true", "false")},
}

// ConfigNames lists the settings that a topic may have.
func ConfigNames() []string { return slices.Sorted(maps.Keys(configs)) }

// Config gives the definition of a setting.
func Config(name string) (ConfigDef, bool) {
	def, ok := configs[name]
	return def, ok
}

// CheckConfig gives an ErrInvalidConfig that names the first setting that a topic cannot have.
func CheckConfig(config map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		known, ok := configs[name]
		if !ok {
			return errs.New(errs.Invalid, "%w: unknown topic config name: %s", ErrInvalidConfig, name)
		}
		if !known.check(known.plain(config[name])) {
			return errs.New(errs.Invalid, "%w: invalid value %q for topic config %s", ErrInvalidConfig, config[name], name)
		}
	}
	t := Topic{Config: config}
	if least, most := t.Number("min.compaction.lag.ms"), t.Number("max.compaction.lag.ms"); least > most {
		return errs.New(errs.Invalid, "%w: topic config min.compaction.lag.ms (%d) is more than max.compaction.lag.ms (%d)", ErrInvalidConfig, least, most)
	}
	return nil
}

// plain is a value as Kafka's ConfigDef reads it: numbers and booleans may stand between spaces, booleans in capitals.
func (d *ConfigDef) plain(value string) string {
	switch d.Kind {
	case ConfigString, ConfigList:
		return value
	case ConfigBoolean:
		return strings.ToLower(strings.TrimSpace(value))
	}
	return strings.TrimSpace(value)
}

// Setting is the value of a topic's setting, its own or the default.
func (t *Topic) Setting(name string) string {
	def := configs[name]
	if value, ok := t.Config[name]; ok {
		return def.plain(value)
	}
	return def.Default
}

// Enabled is Setting of a boolean.
func (t *Topic) Enabled(name string) bool { return t.Setting(name) == "true" }

// Number is Setting of a number; a value that is none counts as the default.
func (t *Topic) Number(name string) int64 {
	n, err := strconv.ParseInt(t.Setting(name), 10, 64)
	if err != nil {
		n, _ = strconv.ParseInt(configs[name].Default, 10, 64)
	}
	return n
}

// Cleanup tells what cleanup.policy asks: to cut by time and size, to compact. Both are false for a topic that keeps
// everything (KIP-1161).
func (t *Topic) Cleanup() (cut, compact bool) {
	for p := range strings.SplitSeq(t.Setting("cleanup.policy"), ",") {
		switch strings.TrimSpace(p) {
		case "delete":
			cut = true
		case "compact":
			compact = true
		}
	}
	return cut, compact
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

func isIntAtLeast(least int64) func(string) bool {
	return func(v string) bool {
		n, err := strconv.ParseInt(v, 10, 32)
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
	if strings.TrimSpace(v) == "" {
		return true
	}
	for p := range strings.SplitSeq(v, ",") {
		if p = strings.TrimSpace(p); p != "delete" && p != "compact" {
			return false
		}
	}
	return true
}
