// Command clients-go is the Go clients of the matrix, in a module of their own so that the server's has them not:
//
//	clients-go sarama|kafkago BOOTSTRAP admin TOPIC
//	clients-go sarama|kafkago BOOTSTRAP produce PREFIX COUNT
//	clients-go sarama|kafkago BOOTSTRAP consume PREFIX COUNT
//	clients-go sarama|kafkago BOOTSTRAP group TOPIC GROUP COUNT
//	clients-go sarama BOOTSTRAP transaction TOPIC GROUP
//
// It prints JSON; client_programs_test.go says what each action does. A failure is a line on stderr and exit status 1.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Retention is the topic setting that admin sets and reads back.
const retentionMillis = "60000"

// message is a record as the test sees it; a null value stays null.
type message struct {
	Key     string            `json:"key"`
	Value   *string           `json:"value"`
	Headers map[string]string `json:"headers"`
}

// topicReport is what admin has seen of its topic.
type topicReport struct {
	Partitions int    `json:"partitions"`
	Retention  string `json:"retention"`
	Again      bool   `json:"again"`   // creating it again was TOPIC_ALREADY_EXISTS
	Deleted    bool   `json:"deleted"` // after DeleteTopics it is not listed
}

// client is what a library can do; a count is that of records, in the order of their offsets.
type client interface {
	admin(ctx context.Context, topic string) (topicReport, error)
	produce(ctx context.Context, codec, topic string, count int) error
	consume(ctx context.Context, topic string, count int) ([]message, error)
	group(ctx context.Context, topic, group string, count int) ([]message, error)
}

// produced is record i of a client: every tenth has no value.
func produced(name string, i int) (key string, value []byte) {
	if i%10 != 0 {
		value = fmt.Appendf(nil, "%s %d %s", name, i, strings.Repeat("x", 50))
	}
	return "k" + strconv.Itoa(i), value
}

// consumed is a record that came.
func consumed(key, value []byte, headers map[string]string) message {
	m := message{Key: string(key), Headers: headers}
	if value != nil {
		s := string(value)
		m.Value = &s
	}
	return m
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Second)
	defer cancel()
	out, err := run(ctx, os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, strings.Join(os.Args[1:], " ")+":", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (any, error) {
	if len(args) < 4 {
		return nil, fmt.Errorf("want LIBRARY BOOTSTRAP ACTION TOPIC …")
	}
	library, bootstrap, action, topic := args[0], args[1], args[2], args[3]
	var c client
	switch library {
	case "sarama":
		c = saramaClient{bootstrap}
	case "kafkago":
		c = newKafkaGo(bootstrap)
	default:
		return nil, fmt.Errorf("no library %q", library)
	}
	count, _ := strconv.Atoi(args[len(args)-1])
	switch action {
	case "admin":
		return c.admin(ctx, topic)
	case "produce":
		for _, codec := range codecs {
			if err := c.produce(ctx, codec, topic+codec, count); err != nil {
				return nil, fmt.Errorf("%s: %w", codec, err)
			}
		}
		return codecs, nil
	case "consume":
		all := map[string][]message{}
		for _, codec := range codecs {
			got, err := c.consume(ctx, topic+codec, count)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", codec, err)
			}
			all[codec] = got
		}
		return all, nil
	case "group":
		return c.group(ctx, topic, args[4], count)
	case "transaction":
		if c, ok := c.(saramaClient); ok {
			return c.transaction(ctx, topic, args[4])
		}
	}
	return nil, fmt.Errorf("%s has no %q", library, action)
}
