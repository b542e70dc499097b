package cli

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/log/access"
	"github.com/miracledb/miracledb/log/external"
	"github.com/miracledb/miracledb/log/kafka"
)

// option is one thing that can be configured: by flag, by environment MIRACLEDB_<NAME>, or in the file, in this order.
type option struct {
	name, value, help string
}

var serveOptions = []option{
	{"data", "data", "data directory"},
	{"kafka", node.DefaultKafka, "where Kafka clients connect, HOST:PORT"},
	{"kafka-tls", "", "where Kafka clients that speak TLS connect, HOST:PORT (default: nowhere)"},
	{"brokers", "", "addresses of a Kafka cluster that is the log, HOST:PORT,... (default: the log is in the data directory)"},
	{"brokers-name", external.DefaultName, "the database's name in that cluster: one of another name is another database"},
	{"brokers-tls-ca", "", "authority that signs the certificates of --brokers: PEM file, or system: the machine's (default: no TLS)"},
	{"brokers-tls-cert", "", "certificate that is shown to --brokers: PEM file, read again for each connection"},
	{"brokers-tls-key", "", "private key of --brokers-tls-cert: PEM file"},
	{"brokers-user", "", "who comes in at --brokers (default: nobody)"},
	{"brokers-password-file", "", "file whose first line is the password of --brokers-user (default: MIRACLEDB_BROKERS_PASSWORD)"},
	{"brokers-sasl-mechanism", "", "how --brokers-user authenticates: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 (default: SCRAM-SHA-256)"},
	{"pg", node.DefaultPG, "where PostgreSQL clients connect, HOST:PORT"},
	{"http", node.DefaultHTTP, "where HTTP and WebSocket clients connect, HOST:PORT"},
	{"tls-cert", "", "certificate of --kafka-tls, and of PostgreSQL clients that ask for TLS: PEM file, read again when it changes"},
	{"tls-key", "", "private key of --tls-cert: PEM file"},
	{"tls-client-ca", "", "authorities that sign the certificates of Kafka clients: PEM file"},
	{"tls-client-auth", "", "whether Kafka clients show a certificate: none, requested, required (default: required with --tls-client-ca)"},
	{"kafka-auth", "auto", "when Kafka clients must authenticate: auto (as soon as there is a user), required, none"},
	{"super-users", node.DefaultSuperUser, "who may do everything, as in Kafka's super.users: User:NAME;User:NAME"},
	{"allow-everyone-without-acl", "auto", "whether everyone may do what no ACL is about: true, false, auto (as long as nobody must authenticate)"},
	{"kafka-session", "0", "how long an authentication of a Kafka client holds, such as 1h (default: as long as its connection)"},
	{"offsets-retention-minutes", "10080", "how long offsets are kept that groups have committed and nobody uses: Kafka's offsets.retention.minutes"},
	{"bootstrap-user", "", "a user that is made at the start when there is none"},
	{"bootstrap-password-file", "", "file whose first line is the password of --bootstrap-user"},
	{"pprof", "", "where the profiler answers, HOST:PORT (default: nowhere)"},
}

// setting is an option's effective value and where it comes from.
type setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"` // default, file PATH, environment, flag
}

type settings []setting

// value is an option's effective value.
func (s settings) value(name string) string {
	for _, e := range s {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

func addServeFlags(cmd *cobra.Command) {
	for _, o := range serveOptions {
		cmd.Flags().String(o.name, o.value, o.help)
	}
	cmd.Flags().String("config", "", "configuration file: lines of name = value")
}

// loadSettings gathers the effective configuration: flags over environment over file over defaults. A flag that the
// command does not have counts as not given.
func loadSettings(cmd *cobra.Command) (settings, error) {
	path := os.Getenv("MIRACLEDB_CONFIG")
	if f := cmd.Flags().Lookup("config"); f != nil && f.Changed && f.Value.Type() == "string" {
		path = f.Value.String()
	}
	var err error
	file := map[string]string{}
	if path != "" {
		if file, err = readConfig(path); err != nil {
			return nil, err
		}
	}
	var s settings
	for _, o := range serveOptions {
		e := setting{o.name, o.value, "default"}
		if v, ok := file[o.name]; ok {
			e.Value, e.Source = v, "file "+path
		}
		if v, ok := os.LookupEnv(environment(o.name)); ok {
			e.Value, e.Source = v, "environment"
		}
		if f := cmd.Flags().Lookup(o.name); f != nil && f.Changed {
			e.Value, e.Source = f.Value.String(), "flag"
		}
		s = append(s, e)
	}
	return s, nil
}

// environment is the name of an option's environment variable.
func environment(option string) string {
	return "MIRACLEDB_" + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// readConfig reads lines of name = value; # begins a comment. Every fault is told at once.
func readConfig(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errs.New(errs.NotFound, "configuration file: %w", err)
	}
	defer func() { _ = f.Close() }()
	known := map[string]bool{}
	for _, o := range serveOptions {
		known[o.name] = true
	}
	values := map[string]string{}
	var faults []string
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line, _, _ := strings.Cut(sc.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || !known[name] {
			faults = append(faults, fmt.Sprintf("line %d: %q is no option", n, name))
			continue
		}
		values[name] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	if len(faults) > 0 {
		return nil, errs.New(errs.Invalid, "%s: %s", path, strings.Join(faults, "; "))
	}
	return values, sc.Err()
}

// apply puts the settings into a node's configuration.
func (s settings) apply(c *node.Config) error {
	texts := map[string]*string{
		"data": &c.Data, "tls-cert": &c.TLS.Cert, "tls-key": &c.TLS.Key, "tls-client-ca": &c.TLS.ClientCA,
		"brokers-tls-ca": &c.Cluster.TLS.CA, "brokers-tls-cert": &c.Cluster.TLS.Cert, "brokers-tls-key": &c.Cluster.TLS.Key,
		"brokers-user": &c.Cluster.User, "brokers-sasl-mechanism": &c.Cluster.Mechanism, "bootstrap-user": &c.BootstrapUser,
	}
	for _, e := range s {
		asked := e.Source != "default"
		if text := texts[e.Name]; text != nil {
			*text = e.Value
			continue
		}
		switch e.Name {
		case "kafka":
			c.Kafka = node.Address{HostPort: e.Value, Asked: asked}
		case "kafka-tls":
			c.KafkaTLS = node.Address{HostPort: e.Value, Asked: true}
		case "pg":
			c.PG = node.Address{HostPort: e.Value, Asked: asked}
		case "http":
			c.HTTP = node.Address{HostPort: e.Value, Asked: asked}
		case "brokers":
			c.Brokers = strings.FieldsFunc(e.Value, func(r rune) bool { return r == ',' || r == ' ' })
		case "tls-client-auth":
			c.TLS.ClientAuth = certs.ClientAuth(e.Value)
		case "kafka-auth":
			c.KafkaAuth = kafka.Authentication(e.Value)
		}
		if err := e.parse(c, asked); err != nil {
			return err
		}
	}
	if c.Cluster.User != "" && c.Cluster.Password == "" {
		c.Cluster.Password = os.Getenv(environment("brokers-password"))
	}
	return nil
}

// parse puts a setting into c whose value may be no good.
func (e setting) parse(c *node.Config, asked bool) (err error) {
	switch e.Name {
	case "brokers-name":
		if asked {
			c.Cluster.Name = e.Value
		}
	case "brokers-password-file":
		if e.Value != "" {
			c.Cluster.Password, err = passwordFrom(e.Value)
		}
	case "bootstrap-password-file":
		if e.Value != "" {
			c.BootstrapPassword, err = passwordFrom(e.Value)
		}
	case "super-users":
		for one := range strings.SplitSeq(e.Value, ";") {
			if one = strings.TrimSpace(one); asked && one != "" {
				c.SuperUsers = append(c.SuperUsers, access.Principal(one))
			}
		}
	case "allow-everyone-without-acl":
		if e.Value != "auto" {
			everyone, perr := strconv.ParseBool(e.Value)
			if perr != nil {
				return usage{fmt.Errorf("--allow-everyone-without-acl is true, false or auto, not %q", e.Value)}
			}
			c.EveryoneWithoutACL = &everyone
		}
	case "kafka-session":
		if c.KafkaSession, err = time.ParseDuration(e.Value); err != nil || c.KafkaSession < 0 {
			return usage{fmt.Errorf("--kafka-session %q is no duration such as 1h", e.Value)}
		}
	case "offsets-retention-minutes":
		minutes, perr := strconv.ParseInt(e.Value, 10, 32)
		if perr != nil || minutes < 1 {
			return usage{fmt.Errorf("--offsets-retention-minutes %q is no number of minutes from 1 on", e.Value)}
		}
		if asked {
			c.OffsetsRetention = time.Duration(minutes) * time.Minute
		}
	}
	return err
}
