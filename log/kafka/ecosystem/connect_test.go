package ecosystem

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const connectProperties = `bootstrap.servers=%s
listeners=http://%s
group.id=connect
exactly.once.source.support=enabled
consumer.isolation.level=read_committed
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
config.storage.topic=connect-configs
config.storage.replication.factor=1
offset.storage.topic=connect-offsets
offset.storage.replication.factor=1
offset.flush.interval.ms=1000
status.storage.topic=connect-status
status.storage.replication.factor=1
session.timeout.ms=6000
heartbeat.interval.ms=2000
scheduled.rebalance.max.delay.ms=0
`

// connector makes or changes a connector of the worker at an address as soon as the worker can, and waits until it and its
// task run.
func connector(t *testing.T, address, name string, config map[string]string) {
	t.Helper()
	body, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + address + "/connectors/" + name
	until(t, "connector "+name+" is taken", func() bool {
		_, err := ask(t, http.MethodPut, url+"/config", string(body))
		return err == nil // the worker starts, or forms its group
	})
	until(t, "connector "+name+" and its task run", func() bool {
		status, err := ask(t, http.MethodGet, url+"/status", "")
		if strings.Contains(status, "FAILED") {
			t.Fatal(status)
		}
		return err == nil && strings.Count(status, `"RUNNING"`) == 2
	})
}

// ask gives what an HTTP server answers; an answer that is not 2xx is an error.
func ask(t *testing.T, method, url, body string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Timeout: 30 * time.Second}).Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", response.Status, answer)
	}
	return string(answer), err
}

// connectLines is how many lines are written at a time. A line has 1 KiB with its end, as much as the file source reads at once: it forgets
// the lines that it has read beyond a full batch until the file grows again.
const connectLines = 4000

// What a file source brings stands in its topic once, while the worker is killed and comes again and the server is killed and
// comes again; a file sink writes the same file.
func TestKafkaConnect(t *testing.T) {
	jars := conformance(t)
	s := newServer(t)
	topic(t, s.Kafka, "lines", 1)
	dir, rest := t.TempDir(), freeAddress(t)
	properties := filepath.Join(dir, "worker.properties")
	if err := os.WriteFile(properties, fmt.Appendf(nil, connectProperties, s.Kafka, rest), 0o644); err != nil {
		t.Fatal(err)
	}
	worker := func() *program {
		return start(t, jars, "org.apache.kafka.connect.cli.ConnectDistributed", properties)
	}
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	var want []string
	write := func() {
		t.Helper()
		var text []byte
		for range connectLines {
			line := fmt.Sprintf("line %-1018d", len(want))
			want, text = append(want, line), append(text, line+"\n"...)
		}
		f, err := os.OpenFile(in, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err == nil {
			_, err = f.Write(text)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copied := count(t, s.Kafka, "lines")
	reaches := func(n int) {
		t.Helper()
		until(t, fmt.Sprintf("%d lines in the topic", n), func() bool { return copied.Load() >= int64(n) })
	}
	write()
	w := worker()
	connector(t, rest, "source", map[string]string{"connector.class": "FileStreamSource", "tasks.max": "1", "topic": "lines", "file": in,
		"batch.size": "20", "transaction.boundary": "poll"})
	reaches(500)
	w.kill()
	write()
	worker()
	reaches(connectLines + 500)
	s.crash(t)
	write()
	reaches(len(want))
	connector(t, rest, "sink", map[string]string{"connector.class": "FileStreamSink", "tasks.max": "1", "topics": "lines", "file": out})
	size, err := os.Stat(in)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the sink writes the whole file", func() bool {
		info, err := os.Stat(out)
		return err == nil && info.Size() >= size.Size()
	})
	var got []string
	for _, r := range committed(t, s.Kafka, "lines") {
		got = append(got, string(r.Value))
	}
	same(t, "the topic", got, want)
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the sink's file", strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), want)
}

// same tells where lists begin to differ.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: %d is %q, want %q", what, i, got[i], want[i])
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d, want %d", what, len(got), len(want))
	}
}
