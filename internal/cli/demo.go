package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
)

// flightsSample is the first 20,000 US domestic flights of 2001 as JSON lines (Bureau of Transportation Statistics, public
// domain; by way of vega-datasets).
//
//go:embed sample/flights.jsonl.gz
var flightsSample []byte

// demoStatements make the demo's relations; they may be there from an earlier run.
var demoStatements = []string{
	`CREATE TABLE IF NOT EXISTS flights (date timestamp, delay int, distance int, origin text, destination text) WITH (append_only)`,
	`CREATE MATERIALIZED VIEW IF NOT EXISTS delay_by_origin AS
	 SELECT origin, count(*) AS flights, round(avg(delay), 1) AS avg_delay, max(delay) AS worst FROM flights GROUP BY origin`,
}

// demoView is what the demo shows.
const demoView = `SELECT origin, flights, avg_delay, worst FROM delay_by_origin ORDER BY flights DESC, origin LIMIT 8`

func newDemo() *cobra.Command {
	var rate int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a server and stream a sample of real flights into it",
		Long: `demo runs a server like serve, makes a stream of flights with a live view over it, and produces the sample to it
through the Kafka port, over and over, until Ctrl-C.`,
		Example: "  miracledb demo\n  miracledb demo --rate 5000 --data /tmp/demo",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rate < 1 {
				return usage{fmt.Errorf("--rate must be at least 1")}
			}
			s, err := loadSettings(cmd)
			if err != nil {
				return err
			}
			var c node.Config
			s.apply(&c)
			stopProfiler, err := startProfiler(s.value("pprof"))
			if err != nil {
				return err
			}
			defer stopProfiler()
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return demo(ctx, c, rate, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addServeFlags(cmd)
	cmd.Flags().IntVar(&rate, "rate", 500, "flights per second")
	return cmd
}

func demo(ctx context.Context, c node.Config, rate int, stdout, stderr io.Writer) error {
	n, err := node.Open(c, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan error, 1)
	go func() {
		err := n.Run(ctx)
		cancel(err)
		done <- err
	}()
	if err := show(ctx, n, rate, stdout); err != nil && ctx.Err() == nil {
		cancel(err)
		return errors.Join(err, <-done, n.Close())
	}
	cancel(nil)
	err = errors.Join(<-done, n.Close())
	if err == nil {
		fmt.Fprintln(stdout, "\nstopped; what was streamed is kept in "+c.Data)
	}
	return err
}

// show makes the relations, streams, and draws the view once a second.
func show(ctx context.Context, n *node.Node, rate int, out io.Writer) error {
	select {
	case <-n.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	s, err := n.Database.Open(ctx, sql.Options{User: "miracledb"})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	for _, st := range demoStatements {
		if _, err := runText(ctx, s, st); err != nil {
			return err
		}
	}
	kafkaAddr, pgAddr, httpAddr := n.Addresses()
	streamed := make(chan error, 1)
	go func() { streamed <- stream(ctx, kafkaAddr, rate) }()
	tell(out, kafkaAddr, pgAddr, httpAddr, rate)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	drawn := 0
	for {
		select {
		case <-ticker.C:
		case err := <-streamed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		rows, err := runText(ctx, s, demoView)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			continue
		}
		if isTerminal(out) && drawn > 0 {
			fmt.Fprintf(out, "\x1b[%dA\x1b[J", drawn)
		} else if drawn > 0 {
			continue // not a terminal: once is enough
		}
		drawn = draw(out, rows)
	}
}

func tell(out io.Writer, kafkaAddr, pgAddr, httpAddr string, rate int) {
	host, port, _ := strings.Cut(pgAddr, ":")
	fmt.Fprintf(out, `MiracleDB is running and takes %d real flights a second into the stream "flights".
A materialized view, delay_by_origin, follows them. Try, in another terminal:

  kcat -b %s -C -t flights -o -5 -e
  psql -h %s -p %s -U miracledb -c 'SELECT * FROM delay_by_origin ORDER BY avg_delay DESC LIMIT 5'
  curl -N 'http://%s/v1/subscribe?relation=delay_by_origin'

Stop with Ctrl-C.

`, rate, kafkaAddr, host, port, httpAddr)
}

// draw prints rows as a table and gives the number of lines.
func draw(out io.Writer, rows [][]string) int {
	fmt.Fprintf(out, "  %-8s %10s %10s %8s\n", "origin", "flights", "avg delay", "worst")
	for _, r := range rows {
		fmt.Fprintf(out, "  %-8s %10s %10s %8s\n", r[0], r[1], r[2], r[3])
	}
	return len(rows) + 1
}

// runText runs one statement and gives its rows as texts.
func runText(ctx context.Context, s sql.Session, text string) ([][]string, error) {
	list, err := s.Parse(text)
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, st := range list {
		p, err := s.Prepare(ctx, st, nil)
		if err != nil {
			return nil, err
		}
		r, err := s.Execute(ctx, p, nil)
		if err != nil {
			return nil, err
		}
		for {
			batch, err := r.Next(ctx)
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, errors.Join(err, r.Close())
			}
			for _, in := range batch {
				line := make([]string, len(in))
				for i, v := range in {
					if !v.IsNull() {
						line[i] = string(row.AppendText(nil, r.Columns()[i].Type, v))
					}
				}
				out = append(out, line)
			}
		}
	}
	return out, s.Sync(ctx)
}

// sampleLines unpacks the sample.
func sampleLines() ([][]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(flightsSample))
	if err != nil {
		return nil, err
	}
	var lines [][]byte
	sc := bufio.NewScanner(z)
	for sc.Scan() {
		lines = append(lines, bytes.Clone(sc.Bytes()))
	}
	return lines, sc.Err()
}

// stream produces the sample through the Kafka port, over and over.
func stream(ctx context.Context, broker string, rate int) error {
	lines, err := sampleLines()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic("flights"), kgo.ProducerLinger(20*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	const perSecond = 20 // bursts a second
	ticker := time.NewTicker(time.Second / perSecond)
	defer ticker.Stop()
	failed := make(chan error, 1)
	for i, due := 0, 0.0; ; {
		due += float64(rate) / perSecond
		for ; due >= 1; due-- {
			client.Produce(ctx, &kgo.Record{Value: lines[i%len(lines)]}, func(_ *kgo.Record, err error) {
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
			i++
		}
		select {
		case <-ticker.C:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
