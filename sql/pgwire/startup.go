package pgwire

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql"
)

// Codes of the first message (PostgreSQL 55.7).
const (
	protocol30 = 3 << 16
	codeCancel = 80877102
	codeSSL    = 80877103
	codeGSS    = 80877104
	maxStartup = 10000 // PostgreSQL's MAX_STARTUP_PACKET_LENGTH
)

// startup reads what comes before the first query: encryption requests, a cancel request, or the
// startup message. An error means that the connection is over.
func (c *conn) startup(ctx context.Context) error {
	_ = c.net.SetReadDeadline(time.Now().Add(c.server.o.StartupTimeout))
	for range 3 {
		code, body, err := c.readStartup()
		if err != nil {
			return err
		}
		switch {
		case code == codeSSL && c.server.o.TLS != nil:
			if err := c.encrypt(ctx); err != nil {
				return err
			}
			continue
		case code == codeSSL || code == codeGSS:
			c.out = append(c.out, 'N')
			if err := c.flush(); err != nil {
				return err
			}
			continue
		case code == codeCancel:
			if len(body) == 8 {
				c.server.o.Database.Cancel(int32(binary.BigEndian.Uint32(body)), binary.BigEndian.Uint32(body[4:]))
			}
			return io.EOF
		case code>>16 != 3:
			return c.fatal(errs.SQL("08P01", "unsupported frontend protocol %d.%d: server supports 3.0", code>>16, code&0xffff))
		}
		_ = c.net.SetReadDeadline(time.Time{})
		return c.welcome(ctx, code, body)
	}
	return c.fatal(errs.SQL("08P01", "too many encryption requests"))
}

// encrypt goes on under TLS.
func (c *conn) encrypt(ctx context.Context) error {
	if _, already := c.net.(*tls.Conn); already {
		return c.fatal(errs.SQL("08P01", "the connection is encrypted already"))
	}
	// Bytes sent before the handshake are nobody's: whoever stands between the two could have put them there (CVE-2021-23214).
	if c.in.Buffered() > 0 {
		return c.fatal(errs.SQL("08P01", "received unencrypted data after SSL request"))
	}
	c.out = append(c.out, 'S')
	if err := c.flush(); err != nil {
		return err
	}
	encrypted := tls.Server(c.net, c.server.o.TLS)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return err
	}
	c.net = encrypted
	c.in.Reset(encrypted)
	return nil
}

// readStartup reads one untagged message.
func (c *conn) readStartup() (code uint32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 8 || n > maxStartup {
		return 0, nil, c.fatal(errs.SQL("08P01", "invalid length of startup packet"))
	}
	body = make([]byte, n-8)
	_, err = io.ReadFull(c.in, body)
	return binary.BigEndian.Uint32(head[4:]), body, err
}

// welcome opens the session and says ready.
func (c *conn) welcome(ctx context.Context, code uint32, body []byte) error {
	params, unknown, ok := parseParameters(body)
	if !ok {
		return c.fatal(errs.SQL("08P01", "invalid startup packet layout: expected terminator as last byte"))
	}
	if code != protocol30 || len(unknown) > 0 {
		c.begin('v') // NegotiateProtocolVersion: 3.0, and no protocol options
		c.int32(0)
		c.int32(int32(len(unknown)))
		for _, name := range unknown {
			c.string(name)
		}
		c.end()
	}
	user := params["user"]
	if user == "" {
		return c.fatal(errs.SQL("28000", "no PostgreSQL user name specified in startup packet"))
	}
	if params["database"] == "" {
		params["database"] = user
		if user == "root" || user == "postgres" {
			params["database"] = "" // the default one: a person typed psql and no more
		}
	}
	if auth := c.server.o.Authenticate; auth != nil {
		if err := auth(user, c.net.RemoteAddr()); err != nil {
			return c.fatal(err)
		}
	}
	if options := params["options"]; options != "" {
		parseOptions(options, params)
		delete(params, "options")
	}
	s, err := c.server.o.Database.Open(ctx, sql.Options{User: user, Database: params["database"],
		Remote: c.net.RemoteAddr().String(), Settings: params})
	if err != nil {
		return c.fatal(err)
	}
	c.session = s
	c.format.Objects = s
	c.begin('R')
	c.int32(0)
	c.end()
	c.reports()
	pid, secret := s.Key()
	c.begin('K')
	c.int32(pid)
	c.int32(int32(secret))
	c.end()
	c.ready()
	return nil
}

// parseParameters reads name and value pairs; names that begin with _pq_. are protocol options, of which none is known.
func parseParameters(body []byte) (params map[string]string, unknown []string, ok bool) {
	params = map[string]string{}
	next := func() (string, bool) {
		i := strings.IndexByte(string(body), 0)
		if i < 0 {
			return "", false
		}
		s := string(body[:i])
		body = body[i+1:]
		return s, true
	}
	for {
		name, has := next()
		if !has {
			return nil, nil, false
		}
		if name == "" {
			return params, unknown, len(body) == 0
		}
		value, has := next()
		if !has {
			return nil, nil, false
		}
		if strings.HasPrefix(name, "_pq_.") {
			unknown = append(unknown, name)
			continue
		}
		params[name] = value
	}
}

// parseOptions reads the command line form of settings: -c name=value, --name=value.
func parseOptions(options string, params map[string]string) {
	words := strings.Fields(options)
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "-c" && i+1 < len(words):
			i++
			w = words[i]
		case strings.HasPrefix(w, "-c"):
			w = w[2:]
		case strings.HasPrefix(w, "--"):
			w = w[2:]
		default:
			continue
		}
		if name, value, ok := strings.Cut(w, "="); ok {
			params[strings.ReplaceAll(name, "-", "_")] = value
		}
	}
}
