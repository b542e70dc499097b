package access

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/errs"
)

// Mechanism is a SASL mechanism by its registered name.
type Mechanism string

// The mechanisms. A credential is of one of the SCRAM ones; PLAIN is checked against any.
const (
	Plain       Mechanism = "PLAIN"
	ScramSHA256 Mechanism = "SCRAM-SHA-256"
	ScramSHA512 Mechanism = "SCRAM-SHA-512"
)

// Mechanisms are those that a client may choose from.
var Mechanisms = []Mechanism{Plain, ScramSHA256, ScramSHA512}

// Bounds of a credential, Kafka's (ScramMechanism.java).
const (
	MinIterations     = 4096
	MaxIterations     = 16384
	DefaultIterations = 8192
	maxUserName       = 255
	maxSalt           = 1024
)

func (m Mechanism) hash() func() hash.Hash {
	if m == ScramSHA512 {
		return sha512.New
	}
	return sha256.New
}

// Credential is what is kept of a user's password for one SCRAM mechanism (RFC 5802).
type Credential struct {
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
	StoredKey  []byte `json:"stored_key"`
	ServerKey  []byte `json:"server_key"`
}

// NewCredential makes the credential of a password. Errors: see FromSalted.
func NewCredential(m Mechanism, password string, iterations int) (Credential, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	salted, err := saltPassword(m, password, salt, iterations)
	if err != nil {
		return Credential{}, err
	}
	return FromSalted(m, salted, salt, iterations)
}

// FromSalted makes the credential of a password that a client has salted. Errors: Invalid.
func FromSalted(m Mechanism, salted, salt []byte, iterations int) (Credential, error) {
	size := m.hash()().Size()
	switch {
	case m != ScramSHA256 && m != ScramSHA512:
		return Credential{}, errs.New(errs.Invalid, "%w: %q", ErrMechanism, m)
	case iterations < MinIterations || iterations > MaxIterations:
		return Credential{}, errs.New(errs.Invalid, "%d iterations: a credential has %d to %d", iterations, MinIterations, MaxIterations)
	case len(salt) == 0 || len(salt) > maxSalt:
		return Credential{}, errs.New(errs.Invalid, "a salt of %d bytes: it has 1 to %d", len(salt), maxSalt)
	case len(salted) != size:
		return Credential{}, errs.New(errs.Invalid, "a salted password of %d bytes, want %d for %s", len(salted), size, m)
	}
	clientKey := keyed(m, salted, "Client Key")
	stored := m.hash()()
	stored.Write(clientKey)
	return Credential{Salt: salt, Iterations: iterations, StoredKey: stored.Sum(nil), ServerKey: keyed(m, salted, "Server Key")}, nil
}

// matches reports whether the credential is of a password.
func (c Credential) matches(m Mechanism, password string) bool {
	salted, err := saltPassword(m, password, c.Salt, c.Iterations)
	if err != nil {
		return false
	}
	other, err := FromSalted(m, salted, c.Salt, c.Iterations)
	return err == nil && hmac.Equal(other.StoredKey, c.StoredKey)
}

func saltPassword(m Mechanism, password string, salt []byte, iterations int) ([]byte, error) {
	salted, err := pbkdf2.Key(m.hash(), password, salt, iterations, m.hash()().Size())
	if err != nil {
		return nil, errs.New(errs.Internal, "salting a password: %w", err)
	}
	return salted, nil
}

func keyed(m Mechanism, key []byte, text string) []byte {
	h := hmac.New(m.hash(), key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// checkUser refuses names that nobody can have. Errors: Invalid.
func checkUser(name string) error {
	if name == "" || len(name) > maxUserName || !utf8.ValidString(name) {
		return errs.New(errs.Invalid, "a user's name has 1 to %d bytes of UTF-8", maxUserName)
	}
	return nil
}
