package external

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// capabilities are what a log on a cluster can do.
const capabilities = logtest.Restart | logtest.Attachments | logtest.NextOffset | logtest.Topics

// instance is a log on a cluster of its own.
type instance struct {
	t       *testing.T
	brokers string
	name    string // the database's; "": the default one
	fenced  bool   // its Run ends with ErrProducerFenced
	stop    func()

	mu     sync.Mutex
	warned string
}

func (in *instance) options() Options {
	return Options{Brokers: []string{in.brokers}, Name: in.name, Warn: func(text string) {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.warned += text + "\n"
	}}
}

func (in *instance) Start() log.Log { return in.start(in.t) }

func (in *instance) start(t *testing.T) *Log {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	l, err := Open(ctx, in.options())
	if err != nil {
		t.Fatal(err)
	}
	running, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(running) }()
	stopped := false
	in.stop = func() {
		if stopped {
			return
		}
		stopped = true
		end()
		if err := <-done; err != nil && !(in.fenced && errors.Is(err, log.ErrProducerFenced)) {
			t.Errorf("the log ended with: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(in.stop)
	return l
}

func (in *instance) Stop() { in.stop() }

// clean removes everything from a cluster that earlier tests have left.
func clean(t *testing.T, brokers string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	c, err := connect(ctx, []string{brokers}, Security{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	topics, err := c.admin.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	l := &Log{cluster: c}
	for _, topic := range topics {
		if err := l.remove(ctx, madeTopic{name: topic.Topic, cluster: log.TopicID(topic.ID)}); err != nil {
			t.Fatal(err)
		}
	}
}

// The contract holds over a real broker, for what is declared.
func TestLog(t *testing.T) {
	brokers := testenv.Kafka(t)
	logtest.Run(t, logtest.Implementation{
		Open: func(t *testing.T) logtest.Instance {
			clean(t, brokers)
			return &instance{t: t, brokers: brokers}
		},
		Can: capabilities,
	})
}
