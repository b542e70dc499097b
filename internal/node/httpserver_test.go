package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// startHTTP serves until the test ends; stop waits for the end.
func startHTTP(t *testing.T, h http.HandlerFunc, l httpLimits) (address string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serveHTTP(ctx, ln, h, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return ln.Addr().String(), stop
}

func say(t *testing.T, address, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// ended waits until the server has closed the connection, whatever it says before.
func ended(t *testing.T, c net.Conn) (said string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	b, err := io.ReadAll(c)
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		t.Error("the server did not close the connection")
	}
	return string(b)
}

const short = 200 * time.Millisecond

var (
	shortLimits = httpLimits{connections: 3, header: short, idle: short, stall: short, parting: time.Second}
	// longLimits are longer than a test waits.
	longLimits = httpLimits{connections: 3, header: time.Hour, idle: time.Hour, stall: time.Hour, parting: time.Minute}
)

// Who says nothing, stops in the midst of a header or of a body, or takes nothing of an answer, does not keep its connection.
func TestHTTPSlowClients(t *testing.T) {
	taken := make(chan error, 10)
	address, _ := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/unread" {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			taken <- err
			return
		}
		if r.URL.Path == "/large" {
			var err error
			for b := make([]byte, 1<<20); err == nil; _, err = w.Write(b) {
			}
			taken <- err
		}
	}, shortLimits)
	for name, text := range map[string]string{"nothing": "", "half a line": "GET / HT", "half a header": "GET / HTTP/1.1\r\nHost: a\r\nX-A: ",
		"nothing after a request": "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "half a body, unread": "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc",
		"half a body": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"} {
		began := time.Now()
		ended(t, say(t, address, text))
		if took := time.Since(began); took < short {
			t.Errorf("%s: over after %v", name, took)
		}
	}
	if err := <-taken; err == nil {
		t.Error("half a body was taken")
	}
	asleep := say(t, address, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
	select {
	case <-taken:
	case <-time.After(time.Minute):
		t.Error("who takes nothing keeps its connection")
	}
	_ = asleep.Close()
}

func TestHTTPLargeHeader(t *testing.T) {
	address, _ := startHTTP(t, func(http.ResponseWriter, *http.Request) { t.Error("a large header was taken") }, longLimits)
	if said := ended(t, say(t, address, "GET / HTTP/1.1\r\nHost: a\r\nX-A: "+strings.Repeat("a", 2*maxHTTPHeader))); !strings.Contains(said, " 431 ") {
		t.Errorf("%.60q for a large header", said)
	}
}

// Who sends all of a body before it reads, as most clients do, reads the answer that was given before its end. Who waits to be
// told to go on sends nothing.
func TestHTTPRefusesBodies(t *testing.T) {
	address, _ := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/unread" {
			_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
			var large *http.MaxBytesError
			if !errors.As(err, &large) {
				t.Errorf("%s: %v", r.URL.Path, err)
			}
		}
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, "too large")
	}, longLimits)
	const size = 15 << 20
	body := strings.Repeat("a", size)
	for name, text := range map[string]string{
		"a length":         fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size) + body,
		"a length, unread": fmt.Sprintf("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size) + body,
		"chunks":           fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", size) + body + "\r\n0\r\n\r\n",
		"a question":       fmt.Sprintf("POST /unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", size),
		"far too large":    fmt.Sprintf("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 1<<40),
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		for rest := text; rest != "" && err == nil; {
			var n int
			n, err = io.WriteString(c, rest[:min(len(rest), 1<<20)])
			rest = rest[n:]
			time.Sleep(50 * time.Millisecond) // longer in all than the server's last moment for who is still sending
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		a, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b, err := io.ReadAll(a.Body); err != nil || a.StatusCode != http.StatusRequestEntityTooLarge || string(b) != "too large" {
			t.Errorf("%s: %s %q %v", name, a.Status, b, err)
		}
		_ = c.Close()
	}
}

// A slow upload, and a subscription to which nothing happens, are no stalled clients.
func TestHTTPPatience(t *testing.T) {
	const stall = time.Second
	address, _ := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || len(b) != 8 {
			_, _ = fmt.Fprintf(w, "%q, %v", b, err)
			return
		}
		select {
		case <-time.After(3 * stall / 2):
			_, _ = io.WriteString(w, "late")
		case <-r.Context().Done():
		}
	}, httpLimits{connections: 3, header: stall, idle: stall, stall: stall, parting: time.Second})
	said := ""
	for range 5 { // the machine itself may stall once
		c := say(t, address, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 8\r\n\r\n")
		for range 8 {
			time.Sleep(stall / 4)
			_, _ = io.WriteString(c, "a")
		}
		if said = ended(t, c); strings.HasSuffix(said, "late") {
			return
		}
	}
	t.Errorf("%q", said)
}

// Connections over the limit are told so, those that were hijacked count, and one that ends makes room.
func TestHTTPConnectionLimit(t *testing.T) {
	hijacked := make(chan net.Conn, 10)
	address, stop := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hijack" {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
			}
			hijacked <- c
		}
	}, httpLimits{connections: 3, header: time.Hour, idle: time.Hour, stall: time.Hour, parting: 100 * time.Millisecond})
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	// open opens a connection that stays, as soon as there is room.
	open := func() net.Conn {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			c := say(t, address, get)
			a, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil && a.StatusCode == http.StatusOK {
				return c
			}
			if time.Now().After(deadline) {
				t.Fatal(a, err)
			}
		}
	}
	first := open()
	open()
	say(t, address, "GET /hijack HTTP/1.1\r\nHost: a\r\n\r\n")
	socket := <-hijacked
	for _, c := range []net.Conn{first, socket} {
		if said := ended(t, say(t, address, "")); !strings.HasPrefix(said, "HTTP/1.1 503 ") || !strings.HasSuffix(said, "too many connections.\n") {
			t.Errorf("a fourth connection: %q", said)
		}
		_ = c.Close()
		open()
	}
	say(t, address, "")
	began := time.Now()
	stop()
	if took := time.Since(began); took > time.Minute {
		t.Errorf("ended after %v", took)
	}
}

// The server has not ended before the answers that were begun have, or their time is over.
func TestHTTPStop(t *testing.T) {
	begun, finished := make(chan bool), false
	address, stop := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		time.Sleep(300 * time.Millisecond)
		finished = true
		_, _ = io.WriteString(w, "whole")
	}, longLimits)
	c := say(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	stop()
	if !finished {
		t.Error("the server ended before its answer")
	}
	if said := ended(t, c); !strings.HasSuffix(said, "whole") {
		t.Errorf("%q", said)
	}
}
