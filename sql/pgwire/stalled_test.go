package pgwire

import (
	"context"
	"crypto/x509/pkix"
	"io"
	"net"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/testenv"
)

// Who says nothing, or stops before a session has begun, does not keep its connection.
func TestStalledClients(t *testing.T) {
	const short = 100 * time.Millisecond
	cert, key := testenv.NewAuthority(t).Issue(pkix.Name{CommonName: "server"})
	files, err := certs.Open(certs.Options{Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- New(Options{Database: deafDatabase{}, StartupTimeout: short, TLS: files.Config()}).Serve(ctx, ln)
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	ssl := []byte{0, 0, 0, 8, 4, 210, 22, 47}
	for name, says := range map[string][]byte{
		"nothing": nil, "half a length": {0, 0}, "half a message": {0, 0, 0, 40, 0, 3, 0, 0, 'u', 's', 'e', 'r'}, "nothing for TLS": ssl,
		"half a handshake": append(append([]byte{}, ssl...), 22, 3, 1, 2, 0, 1),
	} {
		began := time.Now()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if len(says) > len(ssl) && says[4] == ssl[4] {
			// What comes with the request for TLS is refused: the handshake begins when the server has agreed.
			if _, err := c.Write(ssl); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			says = says[len(ssl):]
		}
		if _, err := c.Write(says); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		_, err = io.Copy(io.Discard, c)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%s: the server did not close the connection", name)
		}
		if took := time.Since(began); took < short {
			t.Errorf("%s: over after %v", name, took)
		}
		_ = c.Close()
	}
}
