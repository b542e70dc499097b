package node

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log/access"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/external"
	"github.com/miracledb/miracledb/log/kafka"
)

// Address is where a door listens. One that nobody asked for moves to the next free port when it is taken.
type Address struct {
	HostPort string
	Asked    bool
}

// Config is everything that can be set of a node. The zero value is the default.
type Config struct {
	Data  string // directory; "": ./data
	Kafka Address
	// KafkaTLS is a second door for Kafka clients that speak TLS; "": none.
	KafkaTLS Address
	PG       Address
	HTTP     Address
	// TLS is the certificate of KafkaTLS, and of PostgreSQL clients that ask for TLS. Clients' own certificates are asked
	// for on KafkaTLS only.
	TLS certs.Options
	// KafkaAuth says when Kafka clients must authenticate; "": as soon as there is a user.
	KafkaAuth kafka.Authentication
	// KafkaSession is how long an authentication holds; 0: as long as its connection.
	KafkaSession time.Duration
	// OffsetsRetention is how long committed offsets are kept that nobody uses; 0: 7 days.
	OffsetsRetention time.Duration
	// SuperUsers may do everything (super.users); nil: the user miracledb.
	SuperUsers []access.Principal
	// EveryoneWithoutACL: see kafka.Options.
	EveryoneWithoutACL *bool
	// BootstrapUser is made at the start when there is no user.
	BootstrapUser, BootstrapPassword string
	// Brokers are addresses of a Kafka cluster that is the log; none: the log is in Data, and Kafka clients connect to Kafka.
	Brokers []string
	// Cluster is how the node comes into the cluster of Brokers.
	Cluster Cluster
	// Log is the sizes of the log in Data, which gives its Dir.
	Log broker.Options
	// MaxTransaction bounds what one transaction changes: see session.Options.
	MaxTransaction limit.Bytes
	// EngineMemory bounds the analytical engine; 0: a quarter of the machine.
	EngineMemory limit.Bytes
	// EngineCommand starts the analytical engine's process; nil: this binary.
	EngineCommand []string
}

// Cluster is what a Kafka cluster knows a node by.
type Cluster struct {
	Name string // the database's; "": external.DefaultName
	TLS  certs.Client
	// User comes in with Password by the SASL Mechanism; see external.Security.
	User, Password, Mechanism string
}

// security is how the node comes in, without TLS.
func (c *Cluster) security() external.Security {
	return external.Security{User: c.User, Password: c.Password, Mechanism: c.Mechanism}
}

func (c *Cluster) options() (o external.Options, err error) {
	o = external.Options{Name: c.Name, Security: c.security()}
	o.Security.TLS, err = c.TLS.Config()
	return o, err
}

// Default addresses.
const (
	DefaultKafka = "127.0.0.1:9092"
	DefaultPG    = "127.0.0.1:5432"
	DefaultHTTP  = "127.0.0.1:8080"
)

// DefaultSuperUser may do everything unless others are named: the first user, PostgreSQL's superuser.
const DefaultSuperUser = "User:miracledb"

func (c Config) withDefaults() Config {
	if c.Data == "" {
		c.Data = "data"
	}
	if c.SuperUsers == nil && len(c.Brokers) == 0 {
		c.SuperUsers = []access.Principal{DefaultSuperUser}
	}
	for _, d := range []struct {
		a    *Address
		def  string
		name string
	}{{&c.Kafka, DefaultKafka, "kafka"}, {&c.PG, DefaultPG, "pg"}, {&c.HTTP, DefaultHTTP, "http"}} {
		if d.a.HostPort == "" {
			d.a.HostPort = d.def
		}
	}
	return c
}

// kafkaDoor is a, or nowhere when Kafka clients go to the cluster itself.
func (c Config) kafkaDoor(a Address) Address {
	if len(c.Brokers) > 0 {
		return Address{}
	}
	return a
}

// Validate gives every fault at once.
func (c Config) Validate() error {
	var faults []error
	for name, a := range map[string]Address{"--kafka": c.Kafka, "--kafka-tls": c.KafkaTLS, "--pg": c.PG, "--http": c.HTTP} {
		if a.HostPort == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.HostPort); err != nil {
			faults = append(faults, errs.New(errs.Invalid, "%s %q is not HOST:PORT", name, a.HostPort))
		}
	}
	if err := c.TLS.Validate(); err != nil {
		faults = append(faults, err)
	}
	if c.KafkaTLS.HostPort != "" && !c.TLS.Enabled() {
		faults = append(faults, errs.New(errs.Invalid, "--kafka-tls needs a certificate: --tls-cert and --tls-key"))
	}
	switch c.KafkaAuth {
	case "", kafka.AuthenticateWithUsers, kafka.AuthenticateAlways, kafka.AuthenticateNever:
	default:
		faults = append(faults, errs.New(errs.Invalid, "--kafka-auth is auto, required or none, not %q", c.KafkaAuth))
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			faults = append(faults, errs.New(errs.Invalid, "--brokers %q is not HOST:PORT", b))
		}
	}
	faults = append(faults, c.validateCluster())
	if (c.BootstrapUser == "") != (c.BootstrapPassword == "") {
		faults = append(faults, errs.New(errs.Invalid, "--bootstrap-user and --bootstrap-password-file go together"))
	}
	if st, err := os.Stat(c.Data); c.Data != "" && err == nil && !st.IsDir() {
		faults = append(faults, errs.New(errs.Invalid, "--data %s is not a directory", c.Data))
	}
	return errors.Join(faults...)
}

// validateCluster gives what does not fit a log on a Kafka cluster, or the one that is none.
func (c Config) validateCluster() error {
	if len(c.Brokers) == 0 {
		if c.Cluster != (Cluster{}) {
			return errs.New(errs.Invalid, "--brokers-name, -tls-*, -user, -password-file and -sasl-mechanism say how to come into a Kafka cluster: name it with --brokers")
		}
		return nil
	}
	var idle []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"--kafka", c.Kafka.Asked}, {"--kafka-tls", c.KafkaTLS.HostPort != ""}, {"--kafka-auth", c.KafkaAuth != "" && c.KafkaAuth != kafka.AuthenticateWithUsers},
		{"--kafka-session", c.KafkaSession != 0}, {"--offsets-retention-minutes", c.OffsetsRetention != 0}, {"--super-users", c.SuperUsers != nil}, {"--allow-everyone-without-acl", c.EveryoneWithoutACL != nil},
		{"--bootstrap-user", c.BootstrapUser != ""}, {"--tls-client-ca", c.TLS.ClientCA != ""}} {
		if f.set {
			idle = append(idle, f.name)
		}
	}
	var faults []error
	if len(idle) > 0 {
		faults = append(faults, errs.New(errs.Invalid, "--brokers closes the Kafka port of this server, so that it does not go with %s: Kafka clients connect to the cluster, which has its own users and ACLs",
			strings.Join(idle, ", ")))
	}
	if c.Cluster.Name != "" {
		faults = append(faults, external.CheckName(c.Cluster.Name))
	}
	security := c.Cluster.security()
	return errors.Join(append(faults, c.Cluster.TLS.Validate(), security.Validate())...)
}

// portsTried is how many ports after a taken one are tried.
const portsTried = 100

// listen opens a door's listener.
func listen(a Address) (net.Listener, error) {
	ln, err := net.Listen("tcp", a.HostPort)
	if err == nil {
		return ln, nil
	}
	if a.Asked {
		return nil, errs.New(errs.Unavailable, "cannot listen on %s: %w", a.HostPort, err).
			WithHint("Another program has the port: stop it, or choose another address.")
	}
	host, port, serr := net.SplitHostPort(a.HostPort)
	first, perr := strconv.Atoi(port)
	if serr != nil || perr != nil {
		return nil, err
	}
	for p := first + 1; p <= first+portsTried; p++ {
		if ln, nerr := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(p))); nerr == nil {
			return ln, nil
		}
	}
	return nil, errs.New(errs.Unavailable, "no free port from %s on: %w", a.HostPort, err)
}
