package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/testenv"
)

// serveTLS starts a server whose only listener speaks TLS.
func serveTLS(t *testing.T, ca *testenv.Authority, o certs.Options, l Log, catalog Catalog, change ...func(*Options)) string {
	t.Helper()
	o.Cert, o.Key = ca.Issue(pkix.Name{CommonName: "server"})
	files, err := certs.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, tls.NewListener(listener, files.Config()), l, catalog, change...)
}

// security is how a client comes in, in the words of each client: as properties of librdkafka, of Java, and as options of
// franz-go.
type security struct {
	librdkafka, java map[string]string
	franz            []kgo.Opt
}

func overTLS(ca *testenv.Authority) security {
	return security{
		librdkafka: map[string]string{"security.protocol": "ssl", "ssl.ca.location": ca.File},
		java:       map[string]string{"security.protocol": "SSL", "ssl.truststore.type": "PEM", "ssl.truststore.location": ca.File},
		franz:      []kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: ca.Pool()})},
	}
}

func (s security) kcat(args ...string) []string {
	for k, v := range s.librdkafka {
		args = append(args, "-X", k+"="+v)
	}
	return args
}

// properties writes a file for Java's tools.
func (s security) properties(t *testing.T) string {
	t.Helper()
	var lines []string
	for k, v := range s.java {
		lines = append(lines, k+"="+v)
	}
	name := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// useAll has stock clients produce to a topic and read back what all of them have produced.
func (s security) useAll(t *testing.T, address, topic string) {
	t.Helper()
	kcat := testenv.Kcat(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	producer := franz(t, address, s.franz...)
	if err := producer.ProduceSync(ctx, kgo.StringRecord("franz")).FirstErr(); err == nil {
		t.Fatal("a record without a topic was taken")
	}
	if err := producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("franz")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	run(t, []string{"kcat"}, kcat, s.kcat("-P", "-b", address, "-t", topic)...)
	properties := s.properties(t)
	java(t, []string{"java"}, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", address, "--topic", topic, "--command-config", properties,
		"--request-timeout-ms", "60000")
	want := []string{"franz", "kcat", "java"}
	for name, got := range map[string][]string{
		"kcat": run(t, nil, kcat, s.kcat("-C", "-b", address, "-t", topic, "-q", "-o", "beginning", "-e")...),
		"java": java(t, nil, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", address, "--topic", topic,
			"--from-beginning", "--max-messages", "3", "--timeout-ms", "120000", "--group", "java", "--command-config", properties),
	} {
		if !slices.Equal(got, want) {
			t.Errorf("%s read %q, want %q", name, got, want)
		}
	}
	consumer := franz(t, address, append(s.franz, kgo.ConsumeTopics(topic))...)
	var got []string
	for len(got) < len(want) && ctx.Err() == nil {
		consumer.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if !slices.Equal(got, want) {
		t.Errorf("franz read %q, want %q", got, want)
	}
}

func TestClientsOverTLS(t *testing.T) {
	ca := testenv.NewAuthority(t)
	l, catalog := newLog(t)
	overTLS(ca).useAll(t, serveTLS(t, ca, certs.Options{}, l, catalog), "t")
}

// Bytes that are no TLS, and a client that says nothing, cost their own connection only.
func TestGarbageInsteadOfTLS(t *testing.T) {
	ca := testenv.NewAuthority(t)
	l, catalog := newLog(t)
	address := serveTLS(t, ca, certs.Options{}, l, catalog)
	dial(t, address) // open to the end of the test, without a word
	p := dial(t, address)
	p.raw([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	p.conn.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		if _, err := p.conn.Read(make([]byte, 64)); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatal("the server did not close the connection")
			}
			break
		}
	}
	client := franz(t, address, overTLS(ca).franz...)
	if err := client.Ping(context.Background()); err != nil {
		t.Fatal(err)
	}
}
