package pgwire_test

import (
	"crypto/x509/pkix"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
)

func startTLS(t *testing.T) (*nodetest.Server, *testenv.Authority) {
	ca := testenv.NewAuthority(t)
	cert, key := ca.Issue(pkix.Name{CommonName: "server"})
	return nodetest.StartWith(t, node.Config{TLS: certs.Options{Cert: cert, Key: key}}), ca
}

func TestPsqlOverTLS(t *testing.T) {
	psql, err := exec.LookPath("psql")
	testenv.Need(t, "psql", err)
	s, ca := startTLS(t)
	_, port, err := net.SplitHostPort(s.PG)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(settings string) (string, error) {
		out, err := exec.Command(psql, "-X", "host=127.0.0.1 user=miracledb dbname=miracledb port="+port+" "+settings, "-c", `\conninfo`, "-Atc", "SELECT 41 + 1").CombinedOutput()
		return string(out), err
	}
	for settings, encrypted := range map[string]bool{
		"sslmode=disable": false,
		"sslmode=require": true,
		"sslmode=verify-full sslrootcert=" + ca.File: true,
	} {
		out, err := ask(settings)
		if err != nil || !strings.Contains(out, "42") || strings.Contains(out, "SSL connection") != encrypted {
			t.Errorf("%s: %v\n%s", settings, err, out)
		}
	}
	if out, err := ask("sslmode=verify-full sslrootcert=" + testenv.NewAuthority(t).File); err == nil {
		t.Errorf("a stranger's certificate was taken: %s", out)
	}
}

// What comes in clear behind an SSLRequest is refused: it could be anybody's.
func TestBytesBeforeTLS(t *testing.T) {
	s, _ := startTLS(t)
	c := dial(t, s)
	request, err := (&pgproto3.SSLRequest{}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.c.Write(append(request, request...)); err != nil {
		t.Fatal(err)
	}
	m, err := c.Receive()
	if e, ok := m.(*pgproto3.ErrorResponse); err != nil || !ok || e.Code != "08P01" {
		t.Fatalf("%#v, %v", m, err)
	}
}
