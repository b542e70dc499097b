package kafka

import (
	"context"
	"crypto/tls"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log/access"
)

const (
	saslHandshakeKey    = 17
	saslAuthenticateKey = 36
	// strangerRequest bounds the frames of who has not authenticated (sasl.server.max.receive.size, which in Kafka is 512 KiB: tickets
	// of Kerberos are large). As many strangers as there may be connections so hold less than the memory for requests.
	strangerRequest = 16 << 10
	// failedAuthentication is how long who has failed waits for the answer (connection.failed.authentication.delay.ms).
	failedAuthentication = 100 * time.Millisecond
)

// Authentication says when clients must authenticate.
type Authentication string

// The ways.
const (
	// AuthenticateWithUsers: as soon as there is a user.
	AuthenticateWithUsers Authentication = "auto"
	AuthenticateAlways    Authentication = "required"
	AuthenticateNever     Authentication = "none"
)

// identity is who a connection speaks for. It belongs to the connection's reader; a request carries the principal that it
// was sent under.
type identity struct {
	principal access.Principal
	// known is set when the client has authenticated, by SASL or by a certificate.
	known bool
	// mechanism is that of the handshake which has begun an exchange, "" when none is under way.
	mechanism access.Mechanism
	exchange  *access.Exchange
	// raw: tokens come without request headers, after a handshake of version 0.
	raw bool
	// bySASL is the mechanism that the client has authenticated with, expires when it must do so again (KIP-368).
	bySASL  access.Mechanism
	expires time.Time
	// closing: the next answer is the last one.
	closing bool
	// strange is since when the client has to authenticate, zero: it need not, or it has done so.
	strange time.Time
}

// byCertificate takes over who the client's certificate names.
func (i *identity) byCertificate(c *tls.Conn) {
	if certs := c.ConnectionState().VerifiedChains; len(certs) > 0 {
		i.principal, i.known = access.User(certs[0][0].Subject.String()), true
	}
}

// mustAuthenticate reports whether clients that nobody knows are turned away.
func (s *Server) mustAuthenticate() bool {
	switch s.options.Authentication {
	case AuthenticateAlways:
		return true
	case AuthenticateNever:
		return false
	}
	return s.access.Current().HasUsers()
}

// stranger reports whether the client must authenticate before it may ask for anything.
func (c *conn) stranger() bool { return !c.identity.known && c.server.mustAuthenticate() }

// strangerUntil is when a client that must authenticate has to have done so; zero: it may take its time.
func (c *conn) strangerUntil() time.Time {
	if !c.stranger() {
		return time.Time{}
	}
	if c.identity.strange.IsZero() {
		c.identity.strange = clock.System{}.Now()
	}
	return c.identity.strange.Add(c.server.options.StallTimeout)
}

// saltedAtOnce is how many passwords that PLAIN brings are salted at once: a few milliseconds of a processor each, for whoever asks.
func saltedAtOnce() int64 { return int64(max(1, runtime.GOMAXPROCS(0)/2)) }

// mayAsk refuses requests that come before or between authentication; the connection ends, as Kafka's does.
func (c *conn) mayAsk(key int16) error {
	switch {
	case key == apiVersionsKey, key == saslHandshakeKey, key == saslAuthenticateKey:
		return nil
	case c.identity.mechanism != "":
		return errs.New(errs.Denied, "kafka: API key %d in the midst of authentication", key)
	case !c.identity.expires.IsZero() && !c.server.options.Clock.Now().Before(c.identity.expires):
		return errs.New(errs.Denied, "kafka: the session has expired")
	case c.stranger():
		return errs.New(errs.Denied, "kafka: API key %d before authentication", key)
	}
	return nil
}

// beginSASLHandshake chooses the mechanism. It acts on arrival, because what comes next is read under it.
func (s *Server) beginSASLHandshake(ctx context.Context, r *request) (finisher, error) {
	return onArrival(ctx, s, r, func(q *kmsg.SASLHandshakeRequest) answer {
		a := kmsg.NewPtrSASLHandshakeResponse()
		for _, m := range access.Mechanisms {
			a.SupportedMechanisms = append(a.SupportedMechanisms, string(m))
		}
		i := &r.conn.identity
		again := i.bySASL != ""
		exchange, err := s.access.Current().Begin(access.Mechanism(q.Mechanism))
		switch {
		case i.mechanism != "", again && s.options.SessionLifetime == 0:
			a.ErrorCode = kerr.IllegalSaslState.Code
		case err != nil, again && access.Mechanism(q.Mechanism) != i.bySASL:
			a.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		default:
			i.mechanism, i.exchange, i.raw = access.Mechanism(q.Mechanism), exchange, r.version == 0
		}
		return answer{response: a}
	})
}

// beginSASLAuthenticate takes a token in.
func (s *Server) beginSASLAuthenticate(ctx context.Context, r *request) (finisher, error) {
	return onArrival(ctx, s, r, func(q *kmsg.SASLAuthenticateRequest) answer {
		a := kmsg.NewPtrSASLAuthenticateResponse()
		i := &r.conn.identity
		if i.exchange == nil || i.raw {
			a.ErrorCode, a.ErrorMessage = kerr.IllegalSaslState.Code, message(errs.New(errs.Invalid, "SaslAuthenticate before SaslHandshake"))
			i.closing = !i.known
			return answer{response: a, last: i.closing}
		}
		reply, err := r.conn.authenticate(ctx, q.SASLAuthBytes)
		if err != nil {
			i.closing = true
			a.ErrorCode, a.ErrorMessage = kerr.SaslAuthenticationFailed.Code, message(err)
			return answer{response: a, last: true, delay: failedAuthentication}
		}
		a.SASLAuthBytes = reply
		if i.exchange == nil && r.version >= 1 {
			a.SessionLifetimeMillis = s.options.SessionLifetime.Milliseconds()
		}
		return answer{response: a}
	})
}

// beginToken takes in a token that came without a header: the answer has none either, and a failure has no answer.
func (s *Server) beginToken(ctx context.Context, r *request) finisher {
	reply, err := r.conn.authenticate(ctx, r.body)
	a := answer{token: reply, bare: true}
	if err != nil {
		r.conn.identity.closing = true
		a = answer{last: true, delay: failedAuthentication}
	}
	return func(context.Context) (answer, error) { return a, nil }
}

// authenticate steps the exchange; when it has ended well the connection speaks for its user.
func (c *conn) authenticate(ctx context.Context, token []byte) (reply []byte, err error) {
	i := &c.identity
	if i.mechanism == access.Plain {
		if err := c.server.salting.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		defer c.server.salting.Release(1)
	}
	reply, err = i.exchange.Step(token)
	if err != nil {
		return nil, err
	}
	user := i.exchange.User()
	if user == "" {
		return reply, nil // more tokens to come
	}
	principal := access.User(user)
	if i.bySASL != "" && principal != i.principal {
		return nil, errs.New(errs.Denied, "%w: a connection stays with its user", access.ErrAuthentication)
	}
	*i = identity{principal: principal, known: true, bySASL: i.mechanism}
	if lifetime := c.server.options.SessionLifetime; lifetime > 0 {
		i.expires = c.server.options.Clock.Now().Add(lifetime)
	}
	return reply, nil
}
