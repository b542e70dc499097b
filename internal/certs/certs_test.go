package certs

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/testenv"
)

// handshake gives the organisation that the server's certificate names.
func handshake(t *testing.T, f *Files, client *tls.Config) (string, error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	served := make(chan error, 1)
	go func() {
		server := tls.Server(far, f.Config())
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte("x"))
		}
		far.Close()
		served <- err
	}()
	c := tls.Client(near, client)
	// In TLS 1.3 a client learns with its first read whether its certificate is taken.
	if _, err := c.Read(make([]byte, 1)); err != nil {
		near.Close()
		<-served
		return "", err
	}
	if err := <-served; err != nil {
		return "", err
	}
	return c.ConnectionState().PeerCertificates[0].Subject.Organization[0], nil
}

func TestRenewal(t *testing.T) {
	ca := testenv.NewAuthority(t)
	cert, key := ca.Issue(pkix.Name{CommonName: "server", Organization: []string{"first"}})
	now := clock.NewManual(time.Unix(1000, 0))
	var reports []error
	f, err := Open(Options{Cert: cert, Key: key, Clock: now, Report: func(err error) { reports = append(reports, err) }})
	if err != nil {
		t.Fatal(err)
	}
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
	want := func(organisation string) {
		t.Helper()
		if got, err := handshake(t, f, client); err != nil || got != organisation {
			t.Fatalf("certificate of %q, %v, want %q", got, err, organisation)
		}
	}
	want("first")
	kept, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	ca.Issue(pkix.Name{CommonName: "server", Organization: []string{"second"}})
	want("first") // looked at less than a second ago
	fresh, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	// In the midst of a renewal: the new certificate, the old key.
	if err := os.WriteFile(key, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	now.Advance(2 * time.Second)
	want("first")
	if len(reports) != 1 || !strings.Contains(reports[0].Error(), "old ones stay") {
		t.Fatalf("reports: %v", reports)
	}
	if err := os.WriteFile(key, append(fresh, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	now.Advance(2 * time.Second)
	want("second")
}

func TestClientCertificates(t *testing.T) {
	ca, stranger := testenv.NewAuthority(t), testenv.NewAuthority(t)
	cert, key := ca.Issue(pkix.Name{CommonName: "server", Organization: []string{"ours"}})
	pair := func(a *testenv.Authority) []tls.Certificate {
		c, k := a.Issue(pkix.Name{CommonName: "client", Organization: []string{"theirs"}})
		p, err := tls.LoadX509KeyPair(c, k)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{p}
	}
	known, unknown := pair(ca), pair(stranger)
	for _, c := range []struct {
		auth                  ClientAuth
		none, known, stranger bool
	}{
		{ClientNone, true, true, true},
		{ClientRequested, true, true, false},
		{ClientRequired, false, true, false},
		{"", false, true, false}, // an authority is named
	} {
		f, err := Open(Options{Cert: cert, Key: key, ClientCA: ca.File, ClientAuth: c.auth})
		if err != nil {
			t.Fatal(err)
		}
		for name, shown := range map[string]struct {
			certs []tls.Certificate
			taken bool
		}{"none": {nil, c.none}, "known": {known, c.known}, "stranger": {unknown, c.stranger}} {
			// The certificate is shown whatever authorities the server asks for.
			client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost",
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if shown.certs == nil {
						return &tls.Certificate{}, nil
					}
					return &shown.certs[0], nil
				}}
			if _, err := handshake(t, f, client); (err == nil) != shown.taken {
				t.Errorf("client certificates %q, %s: %v", c.auth, name, err)
			}
		}
	}
}

func TestOptionsThatDoNotFit(t *testing.T) {
	ca := testenv.NewAuthority(t)
	cert, key := ca.Issue(pkix.Name{CommonName: "server"})
	_, other := ca.Issue(pkix.Name{CommonName: "other"})
	for want, o := range map[string]Options{
		"go together":                {Cert: cert},
		"no authority is named":      {Cert: cert, Key: key, ClientAuth: ClientRequired},
		"no certificate of the serv": {ClientCA: ca.File},
		"not \"maybe\"":              {Cert: cert, Key: key, ClientAuth: "maybe"},
		"no such file":               {Cert: cert, Key: key + "x"},
		"does not match":             {Cert: cert, Key: other},
		"has no certificate of an":   {Cert: cert, Key: key, ClientCA: key},
	} {
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}
