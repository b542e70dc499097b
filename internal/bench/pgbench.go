package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/miracledb/miracledb/internal/errs"
)

// PgbenchOptions are those of Pgbench; the zero value of each is the default.
type PgbenchOptions struct {
	Rows     int64         // of the keyed table; default 1,000,000
	Runs     int           // of each side, in turn; default 3
	Duration time.Duration // of a run; default 10 s
	Pprof    string        // as in FlightsOptions
	Progress Progress
}

// Validate gives every fault at once.
func (o PgbenchOptions) Validate() error {
	var faults []error
	if o.Rows < 0 {
		faults = append(faults, errs.New(errs.Invalid, "--rows is %d", o.Rows))
	}
	if o.Runs < 0 {
		faults = append(faults, errs.New(errs.Invalid, "--runs is %d", o.Runs))
	}
	if o.Duration != 0 && o.Duration < time.Second {
		faults = append(faults, errs.New(errs.Invalid, "--duration is %v, want 1s or more", o.Duration))
	}
	return errors.Join(faults...)
}

func (o PgbenchOptions) withDefaults() PgbenchOptions {
	if o.Rows == 0 {
		o.Rows = 1_000_000
	}
	if o.Runs == 0 {
		o.Runs = 3
	}
	if o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	return o
}

const pgbenchClients = 8

// side is one of the two servers that pgbench is run against.
type side struct {
	address, database string
	runs              []pgbenchRun
}

type pgbenchRun struct {
	tps       float64
	latencies []time.Duration // a sample of them
}

// Pgbench runs point SELECTs by key, prepared, from 8 clients, against a keyed table of this server and of PostgreSQL 15,
// in turn.
func Pgbench(ctx context.Context, o PgbenchOptions) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	dir, err := os.MkdirTemp("", "miracledb-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	o.Progress("starting both servers", 0, 0)
	peer, err := startPostgres(ctx)
	if err != nil {
		return nil, err
	}
	defer peer.close()
	own, _, err := startServer(ctx, filepath.Join(dir, "data"), o.Pprof)
	if err != nil {
		return nil, err
	}
	defer own.kill()
	r := &Result{Bench: "pgbench"}
	if err := fillBoth(ctx, own, peer, o, r); err != nil {
		return nil, err
	}
	ours, theirs := &side{address: own.pg, database: "miracledb"}, &side{address: peer.address, database: "postgres"}
	for i := range o.Runs {
		o.Progress("pgbench", int64(i), int64(o.Runs))
		for _, s := range []*side{ours, theirs} {
			if err := s.run(ctx, dir, o); err != nil {
				return nil, fmt.Errorf("%w\nthe server's last words: %s", err, own.output.String())
			}
		}
	}
	r.Figures, r.Figures.PeakRSS = ours.figures(), own.memory.peakMiB()
	theirFigures := theirs.figures()
	theirFigures.PeakRSS = peer.memory.peakMiB()
	r.Peer = &theirFigures
	r.Ratio = round(r.QPS / theirFigures.QPS)
	return r, nil
}

// fillBoth makes and loads the table on both sides and compares a few rows.
func fillBoth(ctx context.Context, own *server, peer *postgres, o PgbenchOptions, r *Result) error {
	ours, err := own.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = ours.Close(ctx) }() // nothing is under way
	theirs, err := peer.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = theirs.Close(ctx) }() // nothing is under way
	for name, c := range map[string]*pgx.Conn{"MiracleDB": ours, "PostgreSQL": theirs} {
		told := func(done int64) { o.Progress("loading "+name, done, o.Rows) }
		if err := fill(ctx, c, o.Rows, told); err != nil {
			return fmt.Errorf("loading %s: %w", name, err)
		}
	}
	if _, err := theirs.Exec(ctx, "VACUUM ANALYZE accounts"); err != nil {
		return err
	}
	const look = "SELECT count(*), sum(abalance), min(aid), max(aid) FROM accounts"
	got, err := answerRows(ctx, ours, look)
	if err != nil {
		return err
	}
	want, err := answerRows(ctx, theirs, look)
	if err != nil {
		return err
	}
	r.check("both tables are equal", same(got, want, 0))
	return nil
}

// fillRows is how many rows one COPY, a transaction, loads.
const fillRows = 100_000

// fill loads pgbench's own table.
func fill(ctx context.Context, c *pgx.Conn, rows int64, told func(done int64)) error {
	if _, err := c.Exec(ctx, "CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler text)"); err != nil {
		return err
	}
	filler := strings.Repeat("x", 84)
	for from := int64(1); from <= rows; from += fillRows {
		var lines bytes.Buffer
		for i := from; i < min(from+fillRows, rows+1); i++ {
			fmt.Fprintf(&lines, "%d\t%d\t%d\t%s\n", i, i%10+1, i*7919%100_000, filler)
		}
		if _, err := c.PgConn().CopyFrom(ctx, &lines, "COPY accounts FROM STDIN"); err != nil {
			return err
		}
		told(min(from+fillRows, rows))
	}
	return nil
}

// pgbenchSample is the share of transactions whose latency is logged.
const pgbenchSample = "0.05"

func (s *side) run(ctx context.Context, dir string, o PgbenchOptions) error {
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	script := filepath.Join(dir, "select.sql")
	text := fmt.Sprintf("\\set aid random(1, %d)\nSELECT abalance FROM accounts WHERE aid = :aid;\n", o.Rows)
	if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
		return err
	}
	logs, err := os.MkdirTemp(dir, "pgbench-")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "pgbench", "-n", "-M", "prepared", "-c", strconv.Itoa(pgbenchClients), "-j", "2",
		"-T", strconv.Itoa(int(o.Duration.Seconds())), "-f", script, "-l", "--sampling-rate="+pgbenchSample,
		"-h", host, "-p", port, "-U", "miracledb", s.database)
	cmd.Dir = logs
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errs.New(errs.Unavailable, "pgbench: %w\n%s", err, out).WithHint("pgbench comes with postgresql-15 (apt-get install postgresql-15).")
	}
	r, err := parsePgbench(out, logs)
	s.runs = append(s.runs, r)
	return err
}

var (
	tpsLine    = regexp.MustCompile(`(?m)^tps = ([0-9.]+) `)
	failedLine = regexp.MustCompile(`number of failed transactions: ([1-9]\d*)`)
)

// parsePgbench reads a run's summary and the transaction logs that it left in dir (client, transaction, microseconds, ...).
func parsePgbench(summary []byte, dir string) (r pgbenchRun, err error) {
	m := tpsLine.FindSubmatch(summary)
	if m == nil {
		return r, errs.New(errs.Internal, "pgbench said no tps:\n%s", summary)
	}
	if r.tps, err = strconv.ParseFloat(string(m[1]), 64); err != nil {
		return r, err
	}
	if failed := failedLine.FindSubmatch(summary); failed != nil {
		return r, errs.New(errs.Internal, "%s transactions failed:\n%s", failed[1], summary)
	}
	files, err := filepath.Glob(filepath.Join(dir, "pgbench_log.*"))
	if err != nil {
		return r, err
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return r, err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) < 3 {
				return r, errs.New(errs.Internal, "pgbench's log has the line %q", line)
			}
			us, err := strconv.ParseInt(f[2], 10, 64)
			if err != nil {
				return r, err
			}
			r.latencies = append(r.latencies, time.Duration(us)*time.Microsecond)
		}
	}
	return r, nil
}

// figures are the median rate, and the latencies of all runs together.
func (s *side) figures() Figures {
	var latencies []time.Duration
	var rates []float64
	for _, r := range s.runs {
		latencies, rates = append(latencies, r.latencies...), append(rates, r.tps)
	}
	return Figures{QPS: round(medianRate(rates)), P50: milliseconds(quantile(latencies, 0.5)), P99: milliseconds(quantile(latencies, 0.99))}
}
