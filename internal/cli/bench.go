package cli

import (
	"context"
	"fmt"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/miracledb/miracledb/internal/bench"
)

func newBench() *cobra.Command {
	return parent("bench", "Run a benchmark beside its peer", newBenchFlights(), newBenchLog(), newBenchPgbench(), newBenchRecovery())
}

func newBenchFlights() *cobra.Command {
	var o bench.FlightsOptions
	cmd := &cobra.Command{
		Use:   "flights",
		Short: "Flights through the Kafka port into three live views, beside DuckDB",
		Long: `flights starts a server in a temporary directory, produces the flights of --data-file as JSON through its Kafka port
into a stream with three live views, and measures until every view equals DuckDB's answer over the file; then a
restart after kill -9, GROUP BY over the stream against DuckDB on the file (7 runs each, in turn), and the time from
a write to its sight in a view at 1,000 writes a second. A view that is not equal makes the exit status 1.`,
		Example: "  miracledb bench flights --data-file flights-3m.parquet\n  miracledb bench flights --data-file flights-3m.parquet --rows 100000 --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBench(cmd, &o, &o.Progress, bench.Flights)
		},
	}
	cmd.Flags().StringVar(&o.DataFile, "data-file", "", "Parquet file of flights")
	cmd.Flags().StringVar(&o.AirportsFile, "airports-file", "", "CSV file of airports (default: airports.csv beside the flights)")
	cmd.Flags().Int64Var(&o.Rows, "rows", 0, "use only the first rows of the file")
	cmd.Flags().StringVar(&o.Pprof, "pprof", "", "where the server answers the profiler, HOST:PORT")
	addJSONFlag(cmd)
	return cmd
}

func newBenchLog() *cobra.Command {
	var o bench.LogOptions
	cmd := &cobra.Command{
		Use:   "log",
		Short: "The log beside Apache Kafka, by Kafka's own tools",
		Long: `log starts a server and an Apache Kafka of one node, and runs against both in turn: Kafka's producer and consumer
performance tools, its end-to-end latency tool, a producer that sends ready-made batches and a consumer that only reads
bytes, and transactions. A ratio is ours to Kafka's: of rates over 1 is better, of p99, CPU and memory under 1.
Kafka acknowledges before its disk has the records, this log after; where it says flush.messages=1 both wait.`,
		Example: "  miracledb bench log\n  miracledb bench log --records 500000 --runs 1 --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBench(cmd, &o, &o.Progress, bench.Log)
		},
	}
	cmd.Flags().Int64Var(&o.Records, "records", 0, "records of 100 bytes in a run (default 5000000)")
	cmd.Flags().IntVar(&o.Runs, "runs", 0, "runs of each side (default 3)")
	cmd.Flags().StringVar(&o.Jars, "kafka-jars", "", "class path of Apache Kafka, DIR/* (default: where this project's tests install it)")
	cmd.Flags().StringVar(&o.Pprof, "pprof", "", "where the server answers the profiler, HOST:PORT")
	addJSONFlag(cmd)
	return cmd
}

func newBenchPgbench() *cobra.Command {
	var o bench.PgbenchOptions
	cmd := &cobra.Command{
		Use:   "pgbench",
		Short: "Point SELECTs by pgbench, beside PostgreSQL 15",
		Long: `pgbench loads a keyed table into a server and into a PostgreSQL 15 cluster of its own, and runs
pgbench -n -M prepared -c 8 with a SELECT by key against both in turn. The ratio is ours to PostgreSQL's rate.`,
		Example: "  miracledb bench pgbench\n  miracledb bench pgbench --rows 100000 --runs 1 --duration 2s --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBench(cmd, &o, &o.Progress, bench.Pgbench)
		},
	}
	cmd.Flags().Int64Var(&o.Rows, "rows", 0, "rows of the table (default 1000000)")
	cmd.Flags().IntVar(&o.Runs, "runs", 0, "runs of each side (default 3)")
	cmd.Flags().DurationVar(&o.Duration, "duration", 0, "length of a run (default 10s)")
	cmd.Flags().StringVar(&o.Pprof, "pprof", "", "where the server answers the profiler, HOST:PORT")
	addJSONFlag(cmd)
	return cmd
}

func newBenchRecovery() *cobra.Command {
	var o bench.RecoveryOptions
	cmd := &cobra.Command{
		Use:   "recovery",
		Short: "Start, memory and kill -9 of a large log, and of many partitions",
		Long: `recovery fills the log of a server, kills it with SIGKILL while it writes and starts it again; then the same with a
topic of many partitions. Seconds are from the start of the process until it is ready. There is no peer.`,
		Example: "  miracledb bench recovery\n  miracledb bench recovery --bytes 1000000000 --partitions 1000 --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBench(cmd, &o, &o.Progress, bench.Recovery)
		},
	}
	cmd.Flags().Int64Var(&o.Bytes, "bytes", 0, "size of the log (default 10000000000)")
	cmd.Flags().Int32Var(&o.Partitions, "partitions", 0, "partitions of the topic (default 10000)")
	cmd.Flags().StringVar(&o.Pprof, "pprof", "", "where the server answers the profiler, HOST:PORT")
	addJSONFlag(cmd)
	return cmd
}

// runBench runs one with its options, where told is how it is told to report, draws the progress and prints the result.
func runBench[O interface{ Validate() error }](cmd *cobra.Command, o *O, told *bench.Progress, run func(context.Context, O) (*bench.Result, error)) error {
	if err := (*o).Validate(); err != nil {
		return usage{err}
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	cmd.SetContext(ctx)
	p := newProgress(cmd.ErrOrStderr(), "starting")
	*told = p.set
	r, err := run(ctx, *o)
	p.end()
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		err = writeJSON(cmd.OutOrStdout(), r)
	} else {
		err = printBench(cmd, r)
	}
	if err == nil {
		err = r.Err()
	}
	return err
}

func printBench(cmd *cobra.Command, r *bench.Result) error {
	t := table{header: []string{r.Bench, "seconds", "events/s", "qps", "p50 ms", "p99 ms", "peak MiB", "cpu s", "peer", "ratio"},
		right: []bool{false, true, true, true, true, true, true, true, true, true}}
	cases := r.Cases
	if len(cases) == 0 {
		cases = []bench.Case{{Name: "all", Figures: r.Figures, Peer: r.Peer, Ratio: r.Ratio}}
	}
	for _, c := range cases {
		peer := ""
		if c.Peer != nil {
			peer = number(c.Peer.Seconds + c.Peer.QPS) // one of them
		}
		t.add(c.Name, number(c.Seconds), number(c.EventsPerSecond), number(c.QPS), number(c.P50), number(c.P99), number(c.PeakRSS), number(c.CPU), peer, number(c.Ratio))
	}
	out := cmd.OutOrStdout()
	if err := t.write(out); err != nil {
		return err
	}
	fmt.Fprintf(out, "peak resident memory of the server with its children, mapped files included: %s MiB\n", number(r.PeakRSS))
	names := make([]string, 0, len(r.Checks))
	for name := range r.Checks {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		word := "ok"
		if !r.Checks[name] {
			word = "FAILED"
		}
		fmt.Fprintf(out, "%-6s %s\n", word, name)
	}
	for _, note := range r.Notes {
		fmt.Fprintln(out, note)
	}
	return nil
}

// number prints a figure; one that was not measured is empty.
func number(f float64) string {
	switch {
	case f == 0:
		return ""
	case f >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'f', 3, 64)
}
