package external

import (
	"crypto/tls"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/miracledb/miracledb/internal/errs"
)

// Security is how the log comes into the cluster. The zero value is in clear and nobody (Kafka's PLAINTEXT).
type Security struct {
	// TLS is spoken to every broker; nil: none.
	TLS *tls.Config
	// User and Password authenticate it; User "": nobody, or who TLS shows.
	User, Password string
	// Mechanism is the way, by SASL's name; "": SCRAM-SHA-256.
	Mechanism string
}

// defaultMechanism is that of this binary's own commands too.
const defaultMechanism = "SCRAM-SHA-256"

var mechanisms = map[string]func(user, password string) sasl.Mechanism{
	"PLAIN":          func(u, p string) sasl.Mechanism { return saslplain.Auth{User: u, Pass: p}.AsMechanism() },
	defaultMechanism: func(u, p string) sasl.Mechanism { return scram.Auth{User: u, Pass: p}.AsSha256Mechanism() },
	"SCRAM-SHA-512":  func(u, p string) sasl.Mechanism { return scram.Auth{User: u, Pass: p}.AsSha512Mechanism() },
}

func (s Security) mechanism() string {
	if s.Mechanism == "" {
		return defaultMechanism
	}
	return s.Mechanism
}

// Validate tells what does not fit together. Errors: Invalid.
func (s Security) Validate() error {
	switch {
	case mechanisms[s.mechanism()] == nil:
		return errs.New(errs.Invalid, "a Kafka cluster is entered by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, not %q", s.Mechanism)
	case (s.User == "") != (s.Password == ""):
		return errs.New(errs.Invalid, "a user of the Kafka cluster and the password go together: one of them is missing").
			WithHint("--brokers-user with --brokers-password-file, or MIRACLEDB_BROKERS_PASSWORD.")
	case s.User == "" && s.Mechanism != "":
		return errs.New(errs.Invalid, "the mechanism %s needs a user and a password", s.Mechanism)
	}
	return nil
}

// options are the client's.
func (s Security) options() (opts []kgo.Opt) {
	if s.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(s.TLS))
	}
	if s.User != "" {
		opts = append(opts, kgo.SASL(mechanisms[s.mechanism()](s.User, s.Password)))
	}
	return opts
}

// refused explains why the cluster's first answer did not come, with err. Errors: Denied, Unavailable.
func (s Security) refused(err error) error {
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return errs.New(errs.Denied, "the Kafka cluster refuses user %q: wrong name or password, or none for %s: %w", s.User, s.mechanism(), err)
	case errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return errs.New(errs.Denied, "the Kafka cluster does not take %s at this address: %w", s.mechanism(), err)
	case errors.As(err, &certificate):
		return errs.New(errs.Denied, "the Kafka cluster's certificate is not to be trusted: %w", err).
			WithHint("Name the authority that signs it.")
	}
	return errs.New(errs.Unavailable, "the Kafka cluster does not answer: %w", err).
		WithHint("Check --brokers, that the cluster runs, and whether it wants TLS (--brokers-tls-ca) or a user (--brokers-user) at this address.")
}
