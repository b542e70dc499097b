package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/miracledb/miracledb/internal/errs"
)

// usage is an error of how the command was called.
type usage struct{ error }

// Main runs the command line and gives the exit status.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "miracledb: "+err.Error())
	var e *errs.Error
	if errors.As(err, &e) && e.Hint != "" {
		fmt.Fprintln(stderr, "hint: "+e.Hint)
	}
	var u usage
	if errors.As(err, &u) {
		return 2
	}
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "miracledb",
		Short: "A Kafka, a PostgreSQL and an analytics engine over one log",
		Long: `MiracleDB is a stream-processing-first, event-sourced database: produce events with any Kafka client,
query tables and live views with psql, follow changes over WebSocket, restore to any offset.`,
		Example:       "  miracledb serve\n  psql -h 127.0.0.1 -U miracledb miracledb",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{fmt.Errorf("there is no command %q\nhint: see miracledb --help", args[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage{fmt.Errorf("%w\nhint: see %s --help", err, c.CommandPath())}
	})
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newServe(), newDemo(), newProduce(), newConsume(), newTopic(), newGroup(), newUser(), newSQL(), newLog(), newConfig(),
		newBackup(), newRestore(), newBench())
	return root
}

// noArgs refuses arguments with a usage error.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage{fmt.Errorf("%s takes no arguments, got %q", c.CommandPath(), args[0])}
	}
	return nil
}

// isTerminal reports whether a stream is a terminal, where progress may be drawn.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
