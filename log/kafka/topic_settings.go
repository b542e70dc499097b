package kafka

import (
	"math"

	"github.com/miracledb/miracledb/log"
)

// settings are the settings that a produce looks at here.
type settings struct {
	maxBefore, maxAfter int64 // milliseconds, -1: any
	logAppendTime       bool
}

func topicSettings(topic *log.Topic) settings {
	config := topic.Config
	s := settings{maxBefore: -1, maxAfter: -1}
	if len(config) == 0 {
		return s
	}
	number := func(name string, otherwise int64) int64 {
		if n := topic.Number(name); n != math.MaxInt64 { // the default of all three
			return n
		}
		return otherwise
	}
	both := number("message.timestamp.difference.max.ms", -1)
	s.maxBefore = number("message.timestamp.before.max.ms", both)
	s.maxAfter = number("message.timestamp.after.max.ms", both)
	s.logAppendTime = config["message.timestamp.type"] == "LogAppendTime"
	return s
}
