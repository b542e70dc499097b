package ecosystem

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// wordCount gives the class path of testdata/WordCount.java.
func wordCount(t *testing.T) (classpath string) {
	t.Helper()
	jars, classes := conformance(t), t.TempDir()
	compile(t, jars, classes, "testdata/WordCount.java")
	return jars + ":" + classes
}

// lines is a producer that stays a little ahead of the word count, so that there is always something to do.
type lines struct {
	words  map[string]int64 // what has been sent
	sent   atomic.Int64     // words
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// ahead bounds how many words are not yet counted.
const ahead = 4000

func produceLines(t *testing.T, address string, counted *atomic.Int64) *lines {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &lines{words: map[string]int64{}, cancel: cancel, done: make(chan struct{})}
	c := client(t, address)
	go func() {
		defer close(l.done)
		for i := 0; ctx.Err() == nil && l.err == nil; {
			if l.sent.Load()-counted.Load() > ahead {
				pause(ctx)
				continue
			}
			var batch []*kgo.Record
			for range 50 {
				var text string
				for _, n := range []int{7, 11, 13, 17, 19} {
					word := fmt.Sprintf("w%d", i%n*n)
					l.words[word]++
					text += word + " "
				}
				batch = append(batch, &kgo.Record{Topic: "lines", Key: fmt.Append(nil, i), Value: []byte(text[:len(text)-1])})
				i++
			}
			l.err = c.ProduceSync(t.Context(), batch...).FirstErr()
			l.sent.Add(int64(5 * len(batch)))
		}
	}()
	return l
}

// stop ends the producer and gives how often it has sent each word.
func (l *lines) stop(t *testing.T) map[string]int64 {
	t.Helper()
	l.cancel()
	<-l.done
	if l.err != nil {
		t.Fatal(l.err)
	}
	return l.words
}

// A word count of Kafka Streams is exact, each word's counts come out as 1, 2, 3, ... once each, while one of its two
// instances is killed and comes again and the server is killed and comes again.
func TestKafkaStreams(t *testing.T) {
	classpath := wordCount(t)
	s := newServer(t)
	address := s.Kafka
	topic(t, address, "lines", 4)
	topic(t, address, "counts", 3)
	states := []string{t.TempDir(), t.TempDir()}
	instance := func(i int) *program {
		return start(t, classpath, "WordCount", address, "counter", states[i], "classic")
	}
	counted := count(t, address, "counts")
	l := produceLines(t, address, counted)
	// more waits until what has been sent by now is counted, and some more.
	more := func() {
		t.Helper()
		want := l.sent.Load() + ahead
		until(t, fmt.Sprintf("%d words counted", want), func() bool { return counted.Load() >= want })
	}
	first, second := instance(0), instance(1)
	first.says(t, "STATE RUNNING", 1)
	second.says(t, "STATE RUNNING", 1)
	more()
	second.kill()
	more() // by the first alone
	second = instance(1)
	second.says(t, "STATE RUNNING", 1)
	more()
	s.crash(t)
	more()
	want := l.stop(t)
	until(t, "every word counted", func() bool { return counted.Load() >= l.sent.Load() })
	first.kill()
	second.kill()
	got := map[string]int64{}
	for _, r := range committed(t, address, "counts") {
		word := string(r.Key)
		got[word]++
		if n := int64(binary.BigEndian.Uint64(r.Value)); n != got[word] {
			t.Fatalf("record %d of %s says %d", got[word], word, n)
		}
	}
	for word, n := range want {
		if got[word] != n {
			t.Errorf("%s was sent %d times and counted %d times", word, n, got[word])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d words, want %d", len(got), len(want))
	}
}

// The streams protocol (KIP-1071) is not served: an application that asks for it is told so and ends.
func TestKafkaStreamsProtocol(t *testing.T) {
	classpath := wordCount(t)
	s := newServer(t)
	topic(t, s.Kafka, "lines", 1)
	topic(t, s.Kafka, "counts", 1)
	p := start(t, classpath, "WordCount", s.Kafka, "counter", t.TempDir(), "streams")
	until(t, "the application ends", p.ended)
	const refusal = "UnsupportedVersionException: The cluster does not support the STREAMS group protocol"
	if code := p.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(p.output(), refusal) {
		t.Errorf("it ended with %d, want 1 and %q", code, refusal)
	}
}
