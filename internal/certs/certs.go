package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/internal/errs"
)

// lookInterval is how often the files are looked at, at most.
const lookInterval = time.Second

// ClientAuth says whether clients show a certificate, by the names of Kafka's ssl.client.auth.
type ClientAuth string

// The ways.
const (
	ClientNone      ClientAuth = "none"
	ClientRequested ClientAuth = "requested"
	ClientRequired  ClientAuth = "required"
)

// Options name the files. The zero value means no TLS.
type Options struct {
	// Cert and Key are PEM files: the certificate with its chain, and its private key.
	Cert, Key string
	// ClientCA is a PEM file with the authorities that sign clients' certificates; needed unless ClientAuth is none.
	ClientCA string
	// ClientAuth "": required when there is a ClientCA, else none.
	ClientAuth ClientAuth
	// Clock: nil is the machine's.
	Clock clock.Clock
	// Report hears of new files that could not be used; nil: nobody does.
	Report func(error)
}

// Enabled reports whether there is a certificate at all.
func (o Options) Enabled() bool { return o.Cert != "" || o.Key != "" }

func (o Options) withDefaults() Options {
	if o.ClientAuth == "" {
		o.ClientAuth = ClientNone
		if o.ClientCA != "" {
			o.ClientAuth = ClientRequired
		}
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	return o
}

var clientAuth = map[ClientAuth]tls.ClientAuthType{
	ClientNone: tls.NoClientCert, ClientRequested: tls.VerifyClientCertIfGiven, ClientRequired: tls.RequireAndVerifyClientCert,
}

// Validate tells what does not fit together. It reads no file.
func (o Options) Validate() error {
	o = o.withDefaults()
	_, known := clientAuth[o.ClientAuth]
	switch {
	case (o.Cert == "") != (o.Key == ""):
		return errs.New(errs.Invalid, "a TLS certificate and its key go together: one of them is not named")
	case !known:
		return errs.New(errs.Invalid, "client certificates are none, requested or required, not %q", o.ClientAuth)
	case o.ClientAuth != ClientNone && o.ClientCA == "":
		return errs.New(errs.Invalid, "client certificates are %s, and no authority is named that signs them", o.ClientAuth)
	case o.ClientCA != "" && !o.Enabled():
		return errs.New(errs.Invalid, "an authority of client certificates is named, and no certificate of the server")
	}
	return nil
}

// Files is the certificate in force.
type Files struct {
	o Options

	mu struct {
		sync.Mutex
		looked time.Time
		seen   [3]stamp // of Cert, Key, ClientCA when they were read last
		config *tls.Config
	}
}

// stamp tells versions of a file apart.
type stamp struct {
	modified time.Time
	size     int64
}

// Open reads the files. Errors: Invalid, NotFound.
func Open(o Options) (*Files, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	f := &Files{o: o.withDefaults()}
	seen := f.stamps()
	config, err := f.read()
	if err != nil {
		return nil, err
	}
	f.mu.seen, f.mu.config, f.mu.looked = seen, config, f.o.Clock.Now()
	return f, nil
}

// Config is a TLS configuration that follows the files.
func (f *Files) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.current(), nil }}
}

// current gives what the files say, or said last when what they say now is of no use.
func (f *Files) current() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.o.Clock.Now()
	if now.Sub(f.mu.looked) < lookInterval {
		return f.mu.config
	}
	f.mu.looked = now
	// The stamps are taken before the files are read: what changes in between is read again at the next look.
	seen := f.stamps()
	if seen == f.mu.seen {
		return f.mu.config
	}
	f.mu.seen = seen
	if config, err := f.read(); err != nil {
		f.o.Report(errs.New(errs.KindOf(err), "the TLS files have changed and the new ones are of no use, the old ones stay: %w", err))
	} else {
		f.mu.config = config
	}
	return f.mu.config
}

func (f *Files) stamps() (seen [3]stamp) {
	for i, name := range []string{f.o.Cert, f.o.Key, f.o.ClientCA} {
		if st, err := os.Stat(name); err == nil {
			seen[i] = stamp{st.ModTime(), st.Size()}
		}
	}
	return seen
}

func (f *Files) read() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(f.o.Cert, f.o.Key)
	if err != nil {
		return nil, errs.New(errs.Invalid, "TLS certificate %s with key %s: %w", f.o.Cert, f.o.Key, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientAuth: clientAuth[f.o.ClientAuth]}
	if f.o.ClientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(f.o.ClientCA)
	if err != nil {
		return nil, errs.New(errs.NotFound, "authorities of client certificates: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, errs.New(errs.Invalid, "%s has no certificate of an authority", f.o.ClientCA)
	}
	return config, nil
}
