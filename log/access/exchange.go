package access

import (
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
)

// Why nobody comes in; find them with errors.Is.
var (
	// ErrMechanism: there is no such mechanism, or it has no credentials.
	ErrMechanism = errs.New(errs.Unsupported, "unsupported SASL mechanism")
	// ErrAuthentication: wrong user, password or tokens. It does not say which.
	ErrAuthentication = errs.New(errs.Denied, "authentication failed: wrong user name or password")
)

// Exchange is one authentication, from the client's first token on.
type Exchange struct {
	users *Snapshot
	scram *scramServer // nil: PLAIN
	steps int
	over  bool
	user  string
}

// Begin begins an authentication against the users of a Snapshot. Errors: ErrMechanism.
func (s *Snapshot) Begin(m Mechanism) (*Exchange, error) {
	switch m {
	case Plain:
		return &Exchange{users: s}, nil
	case ScramSHA256, ScramSHA512:
		return &Exchange{users: s, scram: &scramServer{mechanism: m}}, nil
	}
	return nil, errs.New(errs.Unsupported, "%w: %q", ErrMechanism, m)
}

// Step takes the client's next token in and gives the answer. Errors: ErrAuthentication, after which the exchange is over.
func (e *Exchange) Step(token []byte) (reply []byte, err error) {
	answer, ok := "", false
	switch {
	case e.over:
	case e.scram == nil:
		e.over = true
		e.user, ok = e.plain(string(token))
	case e.steps == 0:
		answer, ok = e.scram.begin(string(token), e.lookup)
	default:
		e.over = true
		if answer, ok = e.scram.end(string(token)); ok {
			e.user = e.scram.user
		}
	}
	if e.steps++; !ok {
		e.over = true
		return nil, errs.New(errs.Denied, "%w", ErrAuthentication)
	}
	return []byte(answer), nil
}

func (e *Exchange) lookup(user string) (Credential, bool) {
	c, ok := e.users.users[user][e.scram.mechanism]
	return c, ok
}

// plain checks the one token of PLAIN: authorization identity, NUL, user, NUL, password (RFC 4616).
func (e *Exchange) plain(token string) (user string, ok bool) {
	parts := strings.Split(token, "\x00")
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" || (parts[0] != "" && parts[0] != parts[1]) {
		return "", false
	}
	user, password := parts[1], parts[2]
	credentials := e.users.users[user]
	if len(credentials) == 0 {
		nobody.matches(ScramSHA256, password) // as long as for a user that exists
	}
	for m, c := range credentials {
		if c.matches(m, password) {
			return user, true
		}
	}
	return "", false
}

// nobody is the credential of users that do not exist.
var nobody = Credential{Salt: []byte("nobody's salt"), Iterations: DefaultIterations}

// User is who has come in; "" before the exchange has ended well.
func (e *Exchange) User() string { return e.user }
