package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/node"
)

// dialTimeout is how long a command waits for a server's first answer.
const dialTimeout = 5 * time.Second

func addBrokersFlag(cmd *cobra.Command) {
	cmd.Flags().String("brokers", "", "Kafka addresses, HOST:PORT,... (default: the configured one, else "+node.DefaultKafka+")")
	cmd.Flags().String("user", "", "who to come in as, by SCRAM-SHA-256 (default: MIRACLEDB_USER, else nobody)")
	cmd.Flags().String("password-file", "", "file whose first line is the password (default: MIRACLEDB_PASSWORD)")
	cmd.Flags().String("tls-ca", "", "PEM file with the authority to trust; \"system\": the machine's (default: MIRACLEDB_TLS_CA, else no TLS)")
}

func addServerFlag(cmd *cobra.Command) {
	cmd.Flags().String("server", "", "address of the running server (default: the configured one, else http://"+node.DefaultHTTP+")")
}

// serverURL is the address of the HTTP server that this command asks.
func serverURL(cmd *cobra.Command) (string, error) {
	if f := cmd.Flags().Lookup("server"); f.Changed {
		return strings.TrimSuffix(f.Value.String(), "/"), nil
	}
	s, err := loadSettings(cmd)
	if err != nil {
		return "", err
	}
	return "http://" + reachable(s.value("http")), nil
}

// get asks the HTTP server for JSON.
func get(ctx context.Context, server, path string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return usage{err}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return errs.New(errs.Unavailable, "no server answers: %w", err).
			WithHint("Start one with `miracledb serve`, or name another with --server http://HOST:PORT.")
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return refusal(server, resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return errs.New(errs.Internal, "%s answers with no JSON: %w", server, err)
	}
	return nil
}

func addJSONFlag(cmd *cobra.Command) { cmd.Flags().Bool("json", false, "print JSON") }

func wantsJSON(cmd *cobra.Command) bool {
	on, err := cmd.Flags().GetBool("json")
	return err == nil && on
}

// brokers are the addresses that a Kafka client of this command begins with.
func brokers(cmd *cobra.Command) ([]string, error) {
	if f := cmd.Flags().Lookup("brokers"); f.Changed {
		return strings.Split(f.Value.String(), ","), nil
	}
	s, err := loadSettings(cmd)
	if err != nil {
		return nil, err
	}
	return []string{reachable(s.value("kafka"))}, nil
}

// reachable is the address at which a server that listens on hostPort is met from this machine.
func reachable(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err == nil && (host == "" || host == "0.0.0.0" || host == "::") {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return hostPort
}

// kafkaClient gives a client whose server has answered. Close it.
func kafkaClient(cmd *cobra.Command, options ...kgo.Opt) (*kgo.Client, error) {
	seeds, err := brokers(cmd)
	if err != nil {
		return nil, err
	}
	security, err := clientSecurity(cmd)
	if err != nil {
		return nil, err
	}
	base := append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.ClientID("miracledb"), kgo.RequestRetries(3)}, security...)
	client, err := kgo.NewClient(append(base, options...)...)
	if err != nil {
		return nil, usage{err}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), dialTimeout)
	defer cancel()
	err = client.Ping(ctx)
	if errors.Is(err, kerr.SaslAuthenticationFailed) {
		client.Close()
		return nil, errs.New(errs.Denied, "%s: wrong user name or password", strings.Join(seeds, ","))
	}
	if err != nil {
		client.Close()
		return nil, errs.New(errs.Unavailable, "no Kafka server answers at %s: %w", strings.Join(seeds, ","), err).
			WithHint("Start one with `miracledb serve`, or name another with --brokers HOST:PORT. If it wants a user or TLS: --user, --tls-ca.")
	}
	return client, nil
}

// withAdmin runs f with an admin client.
func withAdmin(cmd *cobra.Command, f func(context.Context, *kadm.Client) error) error {
	client, err := kafkaClient(cmd)
	if err != nil {
		return err
	}
	defer client.Close()
	return f(cmd.Context(), kadm.NewClient(client))
}

// noTopic is the error of a topic that is not there.
func noTopic(name string) error {
	return errs.New(errs.NotFound, "there is no topic %q", name).
		WithHint("`miracledb topic list` shows what there is; `miracledb topic create %s` makes it.", name)
}

// oneArg asks for exactly one argument of a name.
func oneArg(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return usage{fmt.Errorf("%s takes one argument, %s, got %d\nhint: see %s --help", c.CommandPath(), name, len(args), c.CommandPath())}
	}
}

// parent is a command that only groups others.
func parent(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: children[0].Example,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return usage{fmt.Errorf("%s has no command %q\nhint: see %s --help", c.CommandPath(), args[0], c.CommandPath())}
		}}
	cmd.AddCommand(children...)
	return cmd
}
