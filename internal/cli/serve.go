package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/miracledb/miracledb/internal/node"
)

func newServe() *cobra.Command {
	var c node.Config
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a server",
		Long: `serve runs a server on a data directory. Kafka clients connect to --kafka, PostgreSQL clients to --pg, HTTP and
WebSocket clients to --http. With --brokers the log is on a Kafka or Redpanda cluster: Kafka clients connect there, and of all
nodes on it only the one started last goes on. An address that was not asked for and is taken moves to the next free port and says so.`,
		Example: "  miracledb serve\n  miracledb serve --data /var/lib/miracledb --pg 0.0.0.0:5432\n  miracledb serve --brokers kafka1:9092,kafka2:9092\n  miracledb serve --kafka-tls 0.0.0.0:9093 --tls-cert server.pem --tls-key server.key",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings(cmd)
			if err != nil {
				return err
			}
			if err := s.apply(&c); err != nil {
				return err
			}
			stopProfiler, err := startProfiler(s.value("pprof"))
			if err != nil {
				return err
			}
			defer stopProfiler()
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return serve(ctx, c, cmd.ErrOrStderr())
		},
	}
	addServeFlags(cmd)
	return cmd
}

// serve opens and runs a node until ctx ends.
func serve(ctx context.Context, c node.Config, stderr io.Writer) error {
	l := slog.New(slog.NewTextHandler(stderr, nil))
	n, err := node.Open(c, l)
	if err != nil {
		return err
	}
	return errors.Join(n.Run(ctx), n.Close())
}
