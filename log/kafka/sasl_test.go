package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/access"
)

// addUser makes a user with both SCRAM mechanisms.
func addUser(t *testing.T, l log.PropertyStore, name, password string) {
	t.Helper()
	var changes []access.CredentialChange
	for _, m := range []access.Mechanism{access.ScramSHA256, access.ScramSHA512} {
		c, err := access.NewCredential(m, password, access.MinIterations)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, access.CredentialChange{User: name, Mechanism: m, Credential: &c})
	}
	faults, err := access.NewStore(l).AlterCredentials(context.Background(), changes)
	if err = errors.Join(append(faults, err)...); err != nil {
		t.Fatal(err)
	}
}

func franzSASL(mechanism access.Mechanism, user, password string) sasl.Mechanism {
	switch mechanism {
	case access.ScramSHA256:
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism()
	case access.ScramSHA512:
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism()
	}
	return plain.Auth{User: user, Pass: password}.AsMechanism()
}

// as is a client's security with a user on top.
func (s security) as(mechanism access.Mechanism, user, password string) security {
	out := security{librdkafka: maps.Clone(s.librdkafka), java: maps.Clone(s.java)}
	if out.librdkafka == nil {
		out.librdkafka, out.java = map[string]string{}, map[string]string{}
	}
	protocol, module := "SASL_PLAINTEXT", "scram.ScramLoginModule"
	if s.java["security.protocol"] == "SSL" {
		protocol = "SASL_SSL"
	}
	if mechanism == access.Plain {
		module = "plain.PlainLoginModule"
	}
	maps.Copy(out.librdkafka, map[string]string{"security.protocol": strings.ToLower(protocol), "sasl.mechanism": string(mechanism),
		"sasl.username": user, "sasl.password": password})
	maps.Copy(out.java, map[string]string{"security.protocol": protocol, "sasl.mechanism": string(mechanism),
		"sasl.jaas.config": `org.apache.kafka.common.security.` + module + ` required username="` + user + `" password="` + password + `";`})
	out.franz = append(append([]kgo.Opt{}, s.franz...), kgo.SASL(franzSASL(mechanism, user, password)))
	return out
}

// TestClientsBySASL: stock clients produce and consume over TLS by each mechanism.
func TestClientsBySASL(t *testing.T) {
	ca := testenv.NewAuthority(t)
	l, catalog := newLog(t)
	addUser(t, l, "ann", "se cret")
	address := serveTLS(t, ca, certs.Options{}, l, catalog, func(o *Options) { o.SuperUsers = []access.Principal{"User:ann"} })
	for _, m := range access.Mechanisms {
		t.Run(string(m), func(t *testing.T) {
			overTLS(ca).as(m, "ann", "se cret").useAll(t, address, "by-"+string(m))
		})
	}
}

func TestWrongPassword(t *testing.T) {
	l, catalog := newLog(t)
	addUser(t, l, "ann", "secret")
	address := serve(t, l, catalog)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for _, m := range access.Mechanisms {
		for user, password := range map[string]string{"ann": "Secret", "bob": "secret"} {
			client := franz(t, address, security{}.as(m, user, password).franz...)
			if err := client.Ping(ctx); !errors.Is(err, kerr.SaslAuthenticationFailed) {
				t.Errorf("%s, %s: %v", m, user, err)
			}
		}
		if err := franz(t, address, security{}.as(m, "ann", "secret").franz...).Ping(ctx); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
	kcat := security{}.as(access.ScramSHA256, "ann", "wrong").kcat("-C", "-b", address, "-t", "t")
	if out := fails(t, testenv.Kcat(t), kcat...); !strings.Contains(out, "authentication failed") {
		t.Errorf("kcat says: %s", out)
	}
}

func handshake(version int16, mechanism string) *kmsg.SASLHandshakeRequest {
	q := kmsg.NewPtrSASLHandshakeRequest()
	q.SetVersion(version)
	q.Mechanism = mechanism
	return q
}

func authenticate(version int16, token string) *kmsg.SASLAuthenticateRequest {
	q := kmsg.NewPtrSASLAuthenticateRequest()
	q.SetVersion(version)
	q.SASLAuthBytes = []byte(token)
	return q
}

// comeIn authenticates by PLAIN and gives the answer.
func (p *peer) comeIn(user, password string) *kmsg.SASLAuthenticateResponse {
	p.t.Helper()
	if a := p.ask(handshake(1, "PLAIN")).(*kmsg.SASLHandshakeResponse); a.ErrorCode != 0 {
		p.t.Fatalf("handshake: %v", kerr.ErrorForCode(a.ErrorCode))
	}
	return p.ask(authenticate(2, "\x00"+user+"\x00"+password)).(*kmsg.SASLAuthenticateResponse)
}

func metadata() *kmsg.MetadataRequest {
	q := kmsg.NewPtrMetadataRequest()
	q.SetVersion(9)
	return q
}

// Who has not authenticated may ask for versions and for nothing else, and no more than a little at once.
func TestStrangers(t *testing.T) {
	l, catalog := newLog(t)
	address := serve(t, l, catalog)
	early := dial(t, address)
	early.ask(metadata()) // nobody must authenticate yet
	addUser(t, l, "ann", "secret")

	early.send(metadata())
	early.closed()

	p := dial(t, address)
	versions := kmsg.NewPtrApiVersionsRequest()
	p.ask(versions)
	if a := p.ask(handshake(1, "GSSAPI")).(*kmsg.SASLHandshakeResponse); a.ErrorCode != kerr.UnsupportedSaslMechanism.Code || len(a.SupportedMechanisms) != 3 {
		t.Errorf("an unknown mechanism: %+v", a)
	}
	if a := p.comeIn("ann", "secret"); a.ErrorCode != 0 {
		t.Fatalf("%+v", a)
	}
	p.ask(metadata())

	for name, requests := range map[string][]kmsg.Request{
		"produce":                 {produce(9, "t", 0, batch(t, 0, "x"))},
		"metadata":                {metadata()},
		"amid":                    {handshake(1, "PLAIN"), metadata()},
		"authenticate first":      {authenticate(2, "\x00ann\x00secret")},
		"wrong password":          {handshake(1, "PLAIN"), authenticate(0, "\x00ann\x00wrong"), metadata()},
		"a second token of PLAIN": {handshake(1, "PLAIN"), authenticate(1, "\x00bob\x00secret"), authenticate(1, "\x00ann\x00secret")},
	} {
		p := dial(t, address)
		for _, q := range requests {
			p.send(q) // pipelined: nothing behind a failure counts
		}
		if _, err := io.ReadAll(p.conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := l.Topic("t"); ok {
		t.Error("a stranger made a topic")
	}

	large := dial(t, address)
	large.raw(append(binary.BigEndian.AppendUint32(nil, strangerRequest+1), 0, saslAuthenticateKey, 0, 0))
	large.closed()
	raw := dial(t, address)
	raw.ask(handshake(0, "PLAIN"))
	raw.raw(binary.BigEndian.AppendUint32(nil, 1<<31))
	raw.closed()
}

// After a handshake of version 0 tokens come bare, in both directions.
func TestBareTokens(t *testing.T) {
	l, catalog := newLog(t)
	addUser(t, l, "ann", "secret")
	address := serve(t, l, catalog)
	p := dial(t, address)
	token := func(text string) string {
		t.Helper()
		p.raw(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
		var head [4]byte
		p.conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadFull(p.conn, head[:]); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(p.conn, reply); err != nil {
			t.Fatal(err)
		}
		return string(reply)
	}
	p.ask(handshake(0, "SCRAM-SHA-512"))
	session, next, err := franzSASL(access.ScramSHA512, "ann", "secret").Authenticate(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		if done, next, err = session.Challenge([]byte(token(string(next)))); err != nil {
			t.Fatal(err)
		}
	}
	p.ask(metadata())

	p = dial(t, address)
	p.ask(handshake(0, "PLAIN"))
	p.raw(append([]byte{0, 0, 0, 10}, "\x00ann\x00wrong"...))
	p.closed()
}

// An authentication holds for the session's lifetime; the client renews it in time, as the same user, or is closed (KIP-368).
func TestSessionLifetime(t *testing.T) {
	l, catalog := newLog(t)
	addUser(t, l, "ann", "secret")
	addUser(t, l, "bob", "secret")
	now := clock.NewManual(time.Unix(1_000_000, 0))
	address := serve(t, l, catalog, func(o *Options) { o.SessionLifetime, o.Clock = time.Minute, now })
	p := dial(t, address)
	if a := p.comeIn("ann", "secret"); a.ErrorCode != 0 || a.SessionLifetimeMillis != 60_000 {
		t.Fatalf("%+v", a)
	}
	now.Advance(50 * time.Second)
	p.ask(metadata())
	if a := p.comeIn("ann", "secret"); a.ErrorCode != 0 || a.SessionLifetimeMillis != 60_000 {
		t.Fatalf("again: %+v", a)
	}
	now.Advance(50 * time.Second)
	p.ask(metadata())
	now.Advance(20 * time.Second)
	if a := p.comeIn("ann", "secret"); a.ErrorCode != 0 {
		t.Fatalf("too late, and still as Kafka takes it: %+v", a)
	}
	if a := p.ask(handshake(1, "SCRAM-SHA-256")).(*kmsg.SASLHandshakeResponse); a.ErrorCode != kerr.UnsupportedSaslMechanism.Code {
		t.Errorf("another mechanism: %+v", a)
	}
	if a := p.comeIn("bob", "secret"); a.ErrorCode != kerr.SaslAuthenticationFailed.Code {
		t.Errorf("another user: %+v", a)
	}
	p.closed()

	late := dial(t, address)
	late.comeIn("ann", "secret")
	now.Advance(61 * time.Second)
	late.send(metadata())
	late.closed()
}

// A client's certificate is who it is.
func TestClientCertificate(t *testing.T) {
	ca := testenv.NewAuthority(t)
	l, catalog := newLog(t)
	addUser(t, l, "ann", "secret")
	address := serveTLS(t, ca, certs.Options{ClientCA: ca.File, ClientAuth: certs.ClientRequested}, l, catalog)
	config := func(shown ...tls.Certificate) kgo.Opt {
		return kgo.DialTLSConfig(&tls.Config{RootCAs: ca.Pool(), Certificates: shown})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cert, key := ca.Issue(pkix.Name{CommonName: "svc", Organization: []string{"shop"}})
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := franz(t, address, config(pair)).Ping(ctx); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	short, cancelShort := context.WithTimeout(ctx, time.Second)
	defer cancelShort()
	if err := franz(t, address, config()).Ping(short); err == nil {
		t.Error("came in without a certificate and without a password")
	}
	if err := franz(t, address, config(), kgo.SASL(franzSASL(access.ScramSHA256, "ann", "secret"))).Ping(ctx); err != nil {
		t.Errorf("without a certificate, by SCRAM: %v", err)
	}
}

// Kafka's own tool makes, shows and removes users. That they survive a restart is tested in internal/cli.
func TestScramCredentials(t *testing.T) {
	dir := t.TempDir()
	l, catalog := newLog(t, dir)
	address := serve(t, l, catalog, func(o *Options) { o.SuperUsers = []access.Principal{"User:ann", "User:bob"} })
	configs := func(s security, args ...string) string {
		t.Helper()
		args = append([]string{"--bootstrap-server", address, "--entity-type", "users"}, args...)
		if s.java != nil {
			args = append(args, "--command-config", s.properties(t))
		}
		return strings.Join(java(t, nil, configCommand, args...), "\n")
	}
	configs(security{}, "--entity-name", "ann", "--alter", "--add-config", "SCRAM-SHA-256=[iterations=4096,password=secret]")
	ann := security{}.as(access.ScramSHA256, "ann", "secret")
	configs(ann, "--entity-name", "bob", "--alter", "--add-config", "SCRAM-SHA-512=[password=other]")
	if out := configs(ann, "--describe"); !strings.Contains(out, "'ann' are SCRAM-SHA-256=iterations=4096") || !strings.Contains(out, "'bob' are SCRAM-SHA-512=iterations=") {
		t.Errorf("--describe: %s", out)
	}
	bob := security{}.as(access.ScramSHA512, "bob", "other")
	configs(bob, "--entity-name", "ann", "--alter", "--delete-config", "SCRAM-SHA-256")
	if users := access.NewStore(l).Current().Users(); len(users) != 1 || users[0] != "bob" {
		t.Errorf("users: %v", users)
	}
}

func TestScramCredentialFaults(t *testing.T) {
	l, catalog := newLog(t)
	p := dial(t, serve(t, l, catalog, func(o *Options) { o.Authentication = AuthenticateNever }))
	q := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	upsert := func(name string, mechanism int8, iterations int32) {
		q.Upsertions = append(q.Upsertions, kmsg.AlterUserSCRAMCredentialsRequestUpsertion{Name: name, Mechanism: mechanism,
			Iterations: iterations, Salt: []byte("salt"), SaltedPassword: make([]byte, 32)})
	}
	upsert("good", 1, 4096)
	upsert("few", 1, 4095)
	upsert("many", 1, 16385)
	upsert("unknown", 3, 4096)
	upsert("twice", 1, 4096)
	upsert("twice", 1, 4096)
	upsert("", 1, 4096)
	q.Deletions = append(q.Deletions, kmsg.AlterUserSCRAMCredentialsRequestDeletion{Name: "nobody", Mechanism: 1})
	want := map[string]*kerr.Error{"good": nil, "few": kerr.UnacceptableCredential, "many": kerr.UnacceptableCredential, "": kerr.UnacceptableCredential,
		"unknown": kerr.UnsupportedSaslMechanism, "twice": kerr.DuplicateResource, "nobody": kerr.ResourceNotFound}
	for _, r := range p.ask(q).(*kmsg.AlterUserSCRAMCredentialsResponse).Results {
		wanted, known := want[r.User]
		if got := kerr.ErrorForCode(r.ErrorCode); !known || (wanted == nil) != (got == nil) || (wanted != nil && !errors.Is(got, wanted)) {
			t.Errorf("%q: %v, want %v", r.User, got, wanted)
		}
		delete(want, r.User)
	}
	if len(want) > 0 {
		t.Errorf("no answer for %v", want)
	}
	d := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	d.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: "good"}, {Name: "few"}}
	results := p.ask(d).(*kmsg.DescribeUserSCRAMCredentialsResponse).Results
	if len(results) != 2 || len(results[0].CredentialInfos) != 1 || results[1].ErrorCode != kerr.ResourceNotFound.Code {
		t.Errorf("%+v", results)
	}
}

// configCommand is kafka-configs.sh.
const configCommand = "kafka.admin.ConfigCommand"

// fails runs a program that must not succeed, and gives what it says.
func fails(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err == nil {
		t.Errorf("%s %q has succeeded: %s", program, args, out)
	}
	return string(out)
}
