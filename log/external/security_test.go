package external

import (
	"context"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

// protocol makes the brokers' one door (also their own to each other) speak another protocol.
func protocol(name string) string {
	return "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:" + name
}

// saslSettings let the users admin and db in, with NAME-secret as their password.
var saslSettings = []string{
	"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
	"sasl.mechanism.inter.broker.protocol=PLAIN",
	`listener.name.plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="admin-secret" user_admin="admin-secret" user_db="db-secret";`,
	"listener.name.plaintext.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
	"listener.name.plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
}

// tlsSettings give the brokers a certificate.
func tlsSettings(t *testing.T, a *testenv.Authority) []string {
	t.Helper()
	cert, key := a.Issue(pkix.Name{CommonName: "broker"})
	var store []byte
	for _, file := range []string{key, cert} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		store = append(store, b...)
	}
	file := filepath.Join(t.TempDir(), "store.pem")
	if err := os.WriteFile(file, store, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"ssl.keystore.type=PEM", "ssl.keystore.location=" + file, "ssl.truststore.type=PEM", "ssl.truststore.location=" + a.File}
}

// security is that of a client with files and a user.
func security(t *testing.T, files certs.Client, user, password, mechanism string) Security {
	t.Helper()
	s := Security{User: user, Password: password, Mechanism: mechanism}
	var err error
	if s.TLS, err = files.Config(); err != nil {
		t.Fatal(err)
	}
	return s
}

// addScram gives the user db a SCRAM password.
func addScram(t *testing.T, brokers string, s Security) {
	t.Helper()
	c, err := kgo.NewClient(append(s.options(), kgo.SeedBrokers(brokers))...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} { // Kafka takes one of a user at a time
		done, err := kadm.NewClient(c).AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: "db", Mechanism: m, Iterations: 4096, Password: "db-secret"}})
		if err == nil {
			err = done.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// use opens the log, appends and reads; it gives what was warned of.
func use(t *testing.T, brokers string, s Security) (warned string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	l, err := Open(ctx, Options{Brokers: []string{brokers}, Security: s, Warn: func(text string) { warned += text + "\n" }})
	if err != nil {
		return warned, err
	}
	running, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(running) }()
	topic, ok := l.Topic("secure")
	if !ok {
		topic = logtest.CreateTopic(t, l, "secure", 1, nil)
	}
	p := log.Partition{Topic: topic.ID}
	from := l.End()
	_, err = log.Commit(ctx, l, log.Append{Batches: []log.PartitionBatch{{Partition: p, Batch: logtest.Batch(t, 1, "v")}}})
	must(t, err)
	effects(t, l, from, "v")
	end()
	must(t, <-done)
	return warned, l.Close()
}

func TestSASLWithTLS(t *testing.T) {
	a := testenv.NewAuthority(t)
	brokers := testenv.Kafka(t, append(append([]string{protocol("SASL_SSL")}, saslSettings...), tlsSettings(t, a)...)...)
	trusted := certs.Client{CA: a.File}
	addScram(t, brokers, security(t, trusted, "admin", "admin-secret", "PLAIN"))
	for _, m := range []string{"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		if warned, err := use(t, brokers, security(t, trusted, "db", "db-secret", m)); err != nil || strings.Contains(warned, "in clear") {
			t.Errorf("%q: %v %s", m, err, warned)
		}
	}
	for _, c := range []struct {
		name string
		s    Security
		kind errs.Kind
		says string
	}{
		{"wrong password", security(t, trusted, "db", "wrong", "SCRAM-SHA-512"), errs.Denied, `refuses user "db"`},
		{"wrong password of PLAIN", security(t, trusted, "db", "wrong", "PLAIN"), errs.Denied, `refuses user "db"`},
		{"no such user", security(t, trusted, "nobody", "x", ""), errs.Denied, `refuses user "nobody"`},
		{"another authority", security(t, certs.Client{CA: testenv.NewAuthority(t).File}, "db", "db-secret", ""), errs.Denied, "not to be trusted"},
		{"no user", security(t, trusted, "", "", ""), errs.Unavailable, "does not answer"},
		{"no TLS", security(t, certs.Client{}, "db", "db-secret", ""), errs.Unavailable, "does not answer"},
	} {
		began := time.Now()
		_, err := use(t, brokers, c.s)
		if errs.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.says) || strings.Contains(fmt.Sprint(err), "-secret") {
			t.Errorf("%s: %v", c.name, err)
		}
		t.Logf("%s: %v after %v", c.name, err, time.Since(began).Round(time.Millisecond))
	}
}

func TestSASLInClear(t *testing.T) {
	brokers := testenv.Kafka(t, append([]string{protocol("SASL_PLAINTEXT")}, saslSettings...)...)
	warned, err := use(t, brokers, Security{User: "db", Password: "db-secret", Mechanism: "PLAIN"})
	if err != nil || !strings.Contains(warned, "in clear") {
		t.Fatalf("%v %s", err, warned)
	}
	addScram(t, brokers, Security{User: "admin", Password: "admin-secret", Mechanism: "PLAIN"})
	if warned, err = use(t, brokers, Security{User: "db", Password: "db-secret"}); err != nil || strings.Contains(warned, "in clear") {
		t.Fatalf("%v %s", err, warned)
	}
}

// A cluster that wants a certificate of its clients gets ours, and without one refuses.
func TestTLSWithCertificate(t *testing.T) {
	a := testenv.NewAuthority(t)
	brokers := testenv.Kafka(t, append([]string{protocol("SSL"), "ssl.client.auth=required"}, tlsSettings(t, a)...)...)
	cert, key := a.Issue(pkix.Name{CommonName: "db"})
	if _, err := use(t, brokers, security(t, certs.Client{CA: a.File, Cert: cert, Key: key}, "", "", "")); err != nil {
		t.Fatal(err)
	}
	if _, err := use(t, brokers, security(t, certs.Client{CA: a.File}, "", "", "")); errs.KindOf(err) != errs.Unavailable {
		t.Fatalf("without a certificate: %v", err)
	}
}

func TestSecurityThatDoesNotFit(t *testing.T) {
	for _, s := range []Security{{Mechanism: "GSSAPI", User: "a", Password: "b"}, {User: "a"}, {Password: "b"}, {Mechanism: "PLAIN"}} {
		if _, err := Open(t.Context(), Options{Brokers: []string{"127.0.0.1:1"}, Security: s}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
