package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/miracledb/miracledb/internal/errs"
)

// SystemCA names the machine's own authorities in place of a file.
const SystemCA = "system"

// Client names the files by which a client speaks TLS. The zero value means no TLS.
type Client struct {
	// CA is a PEM file with the authorities that sign servers' certificates, or SystemCA.
	CA string
	// Cert and Key are PEM files: a certificate of the client's own, where the server asks for one. They may be replaced.
	Cert, Key string
}

// Validate tells what does not fit together. It reads no file. Errors: Invalid.
func (c Client) Validate() error {
	switch {
	case (c.Cert == "") != (c.Key == ""):
		return errs.New(errs.Invalid, "a TLS certificate and its key go together: one of them is not named")
	case c.Cert != "" && c.CA == "":
		return errs.New(errs.Invalid, "a certificate of the client is named, and no authority that signs the server's")
	}
	return nil
}

// Config reads the files; nil without a CA. Errors: Invalid, NotFound.
func (c Client) Config() (*tls.Config, error) {
	if err := c.Validate(); err != nil || c.CA == "" {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != SystemCA {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, errs.New(errs.NotFound, "authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errs.New(errs.Invalid, "%s has no certificate", c.CA)
		}
	}
	if c.Cert != "" {
		own := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
			return &pair, err
		}
		if _, err := own(nil); err != nil {
			return nil, errs.New(errs.Invalid, "certificate %s: %w", c.Cert, err)
		}
		config.GetClientCertificate = own // read again for each connection
	}
	return config, nil
}
