package kafka

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/access"
)

// Who must authenticate has StallTimeout for it in all, however it spends the time; others may be idle.
func TestStrangersHaveLittleTime(t *testing.T) {
	l, catalog := newLog(t)
	addUser(t, l, "ann", "secret")
	const patience = 200 * time.Millisecond
	short := func(o *Options) { o.StallTimeout = patience }
	address := serve(t, l, catalog, superUser, short)
	idle := dial(t, serve(t, l, catalog, short, func(o *Options) { o.Authentication = AuthenticateNever }))
	silent, slow, busy := dial(t, address), dial(t, address), dial(t, address)
	slow.raw(append(binary.BigEndian.AppendUint32(nil, strangerRequest), 0, saslAuthenticateKey, 0, 0))
	ended := time.Now().Add(time.Minute)
	for open := true; open; time.Sleep(patience / 20) {
		if time.Now().After(ended) {
			t.Fatal("strangers who say a little now and then stay")
		}
		_, err := slow.conn.Write([]byte{0})
		open = err == nil
	}
	silent.closed()
	versions := kmsg.NewRequestFormatter().AppendRequest(nil, handshake(1, "none"), 1)
	for open := true; open; time.Sleep(patience / 20) {
		if time.Now().After(ended) {
			t.Fatal("strangers who ask what strangers may ask stay")
		}
		_, err := busy.conn.Write(versions)
		open = err == nil
	}
	idle.ask(metadata())
}

// Passwords that PLAIN brings are salted by few at once: strangers who send many take none of the others' time.
func TestPlainIsBounded(t *testing.T) {
	l, catalog := newLog(t)
	addUser(t, l, "ann", "secret")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := open(t, l, catalog, superUser)
	address := serveWith(t, listener, server)
	if err := server.salting.Acquire(t.Context(), saltedAtOnce()); err != nil {
		t.Fatal(err)
	}
	p := dial(t, address)
	p.ask(handshake(1, "PLAIN"))
	p.send(authenticate(1, "\x00ann\x00secret"))
	if err := franz(t, address, security{}.as(access.ScramSHA256, "ann", "secret").franz...).Ping(t.Context()); err != nil {
		t.Errorf("by SCRAM: %v", err)
	}
	p.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := p.conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes, while others salt", n)
	}
	server.salting.Release(saltedAtOnce())
	a := authenticate(1, "").ResponseKind()
	p.receive(a, p.correlation)
}
