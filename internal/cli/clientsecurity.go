package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/errs"
)

// clientSecurity is how a command's Kafka client comes in: see addBrokersFlag.
func clientSecurity(cmd *cobra.Command) ([]kgo.Opt, error) {
	value := func(flag string) string {
		if f := cmd.Flags().Lookup(flag); f != nil && f.Changed {
			return f.Value.String()
		}
		return os.Getenv(environment(flag))
	}
	var options []kgo.Opt
	config, err := certs.Client{CA: value("tls-ca")}.Config()
	if err != nil {
		return nil, usage{fmt.Errorf("--tls-ca: %w", err)}
	}
	if config != nil {
		options = append(options, kgo.DialTLSConfig(config))
	}
	user := value("user")
	if user == "" {
		return options, nil
	}
	password := os.Getenv("MIRACLEDB_PASSWORD")
	if file := value("password-file"); file != "" {
		if password, err = passwordFrom(file); err != nil {
			return nil, err
		}
	}
	if password == "" {
		return nil, usage{fmt.Errorf("no password for user %s\nhint: --password-file FILE, or MIRACLEDB_PASSWORD", user)}
	}
	return append(options, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism())), nil
}

// passwordFrom is the first line of a file.
func passwordFrom(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", errs.New(errs.NotFound, "password file: %w", err)
	}
	defer func() { _ = f.Close() }()
	return firstLine(f, file)
}

func firstLine(r io.Reader, name string) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errs.New(errs.Invalid, "there is no password in the first line of %s (%w)", name, err)
	}
	return line, nil
}
