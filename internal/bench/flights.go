package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/errs"
)

// FlightsOptions are those of Flights.
type FlightsOptions struct {
	// DataFile is a Parquet file of flights: date, delay, distance, origin, destination. AirportsFile is a CSV file of
	// airports with iata and state; "": airports.csv beside DataFile.
	DataFile, AirportsFile string
	// Rows bounds the flights; 0: all.
	Rows int64
	// Pprof is where the server answers the profiler, HOST:PORT; "": nowhere.
	Pprof    string
	Progress Progress
}

// Validate gives every fault at once.
func (o FlightsOptions) Validate() error {
	var faults []error
	if o.DataFile == "" {
		faults = append(faults, errs.New(errs.Invalid, "there is no --data-file: name a Parquet file of flights"))
	}
	if o.Rows < 0 {
		faults = append(faults, errs.New(errs.Invalid, "--rows is %d", o.Rows))
	}
	return errors.Join(faults...)
}

func (o FlightsOptions) withDefaults() FlightsOptions {
	if o.AirportsFile == "" {
		o.AirportsFile = filepath.Join(filepath.Dir(o.DataFile), "airports.csv")
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	return o
}

// view is a live view with the query that gives DuckDB's answer.
type view struct {
	name    string
	query   string // ours, over flights and airports
	columns string // what is fetched of the view
	duck    string // the peer's, over {flights} and {airports}
	keys    int
}

var flightViews = []view{
	{"delay_by_origin", `SELECT origin, count(*) AS flights, avg(delay) AS avg_delay FROM flights GROUP BY origin`,
		`origin, flights, avg_delay`,
		`SELECT origin, count(*), avg(delay) FROM {flights} GROUP BY ALL`, 1},
	{"routes", `SELECT origin, destination, count(*) AS flights, avg(delay) AS avg_delay, max(delay) AS max_delay FROM flights GROUP BY origin, destination`,
		`origin, destination, flights, avg_delay, max_delay`,
		`SELECT origin, destination, count(*), avg(delay), max(delay) FROM {flights} GROUP BY ALL`, 2},
	{"flights_per_hour", `SELECT date_trunc('hour', f.date) AS hour, a.state, count(*) AS flights FROM flights f JOIN airports a ON a.iata = f.origin GROUP BY 1, 2`,
		`hour, state, flights`,
		`SELECT strftime(date_trunc('hour', f.date), '%Y-%m-%d %H:%M:%S'), a.state, count(*) FROM {flights} f JOIN {airports} a ON a.iata = f.origin GROUP BY ALL`, 2},
}

// groupings are the queries over the whole stream that are timed against DuckDB on the Parquet file.
var groupings = []view{
	{name: "group by origin", query: `SELECT origin, count(*), avg(delay), max(delay) FROM flights GROUP BY origin`,
		duck: `SELECT origin, count(*), avg(delay), max(delay) FROM {flights} GROUP BY origin`, keys: 1},
	{name: "group by route", query: `SELECT origin, destination, count(*), sum(distance) FROM flights GROUP BY origin, destination`,
		duck: `SELECT origin, destination, count(*), sum(distance) FROM {flights} GROUP BY origin, destination`, keys: 2},
	{name: "group by hour", query: `SELECT date_trunc('hour', date), count(*), avg(delay) FROM flights GROUP BY 1`,
		duck: `SELECT strftime(h, '%Y-%m-%d %H:%M:%S'), n, d FROM (SELECT date_trunc('hour', date) h, count(*) n, avg(delay) d FROM {flights} GROUP BY 1)`, keys: 1},
}

// flightsRun is one run of Flights.
type flightsRun struct {
	o      FlightsOptions
	events *events
	server *server
	conn   *pgx.Conn
	duck   *duckDB
	want   [][][]string // by view
	result Result
}

// Flights produces flights as JSON through the Kafka port into a stream with three live views, and measures how long it
// takes until all are in, durable, and every view equals DuckDB's answer over the Parquet file; then a restart after
// kill -9, GROUP BY over the stream against DuckDB on the file, and the time from a write to its sight in a view.
func Flights(ctx context.Context, o FlightsOptions) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &flightsRun{o: o.withDefaults()}
	r.result.Bench = "flights"
	dir, err := os.MkdirTemp("", "miracledb-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	defer r.duck.close()
	if r.server, _, err = startServer(ctx, filepath.Join(dir, "data"), o.Pprof); err != nil {
		return nil, err
	}
	defer func() { r.server.kill() }()
	for _, step := range []func(context.Context) error{r.define, r.ingest, r.restart, r.groupBy, r.latency, r.finish} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("%w\nthe server's last words: %s", err, r.server.output.String())
		}
	}
	return &r.result, nil
}

// prepare reads the flights and asks DuckDB for the answers.
func (r *flightsRun) prepare(ctx context.Context) (err error) {
	if r.events, err = readFlights(ctx, r.o.DataFile, r.o.Rows, r.o.Progress); err != nil {
		return err
	}
	if r.duck, err = startDuckDB(ctx, r.o.Progress); err != nil {
		return err
	}
	for _, v := range flightViews {
		rows, _, err := r.duck.query(r.forDuck(v.duck))
		if err != nil {
			r.duck.close()
			return err
		}
		r.want = append(r.want, rows)
	}
	return nil
}

// forDuck puts the files into a query of the peer.
func (r *flightsRun) forDuck(query string) string {
	file := "'" + strings.ReplaceAll(r.o.DataFile, "'", "''") + "'"
	source := "read_parquet(" + file + ")"
	if r.o.Rows > 0 {
		source = fmt.Sprintf("(SELECT * FROM read_parquet(%s, file_row_number = true) WHERE file_row_number < %d)", file, r.o.Rows)
	}
	airports := "read_csv('" + strings.ReplaceAll(r.o.AirportsFile, "'", "''") + "')"
	return strings.NewReplacer("{flights}", source, "{airports}", airports).Replace(query)
}

// define makes the relations and fills the airports.
func (r *flightsRun) define(ctx context.Context) (err error) {
	if r.conn, err = r.server.connect(ctx); err != nil {
		return err
	}
	statements := []string{
		`CREATE TABLE flights (date timestamp, delay int, distance int, origin text, destination text) WITH (append_only)`,
		`CREATE TABLE airports (iata text PRIMARY KEY, name text, city text, state text, country text, latitude float8, longitude float8)`,
	}
	for _, st := range statements {
		if _, err := r.conn.Exec(ctx, st); err != nil {
			return fmt.Errorf("%s: %w", st, err)
		}
	}
	file, err := os.Open(r.o.AirportsFile)
	if err != nil {
		return errs.New(errs.NotFound, "%w", err).WithHint("The views join airports.csv, which is looked for beside the flights.")
	}
	defer func() { _ = file.Close() }() // it was only read
	if _, err := r.conn.PgConn().CopyFrom(ctx, file, `COPY airports FROM STDIN (FORMAT csv, HEADER)`); err != nil {
		return fmt.Errorf("loading airports: %w", err)
	}
	for _, v := range flightViews {
		if _, err := r.conn.Exec(ctx, "CREATE MATERIALIZED VIEW "+v.name+" AS "+v.query); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return nil
}

// equalTimeout is how long after the last acknowledgement the views may take.
const equalTimeout = 2 * time.Minute

// ingest is the main figure.
func (r *flightsRun) ingest(ctx context.Context) error {
	began, cpu := time.Now(), r.server.cpu()
	produced, err := r.produce(ctx)
	if err != nil {
		return err
	}
	r.o.Progress("waiting for the views", 0, 0)
	equal, faults, err := r.awaitViews(ctx)
	if err != nil {
		return err
	}
	r.result.CPU = seconds(r.server.cpu() - cpu)
	for i, v := range flightViews {
		r.result.check(v.name+" equals DuckDB", faults[i])
	}
	rows, err := answerRows(ctx, r.conn, "SELECT count(*) FROM flights")
	if err != nil {
		return err
	}
	if rows[0][0] != fmt.Sprint(r.events.count) {
		err = fmt.Errorf("%s rows, want %d", rows[0][0], r.events.count)
	}
	r.result.check("every flight is in the stream", err)
	total := equal.Sub(began)
	r.result.Seconds = seconds(total)
	r.result.EventsPerSecond = round(float64(r.events.count) / total.Seconds())
	r.result.Cases = append(r.result.Cases,
		Case{Name: "produce until durable", Figures: Figures{Seconds: seconds(produced), EventsPerSecond: round(float64(r.events.count) / produced.Seconds())}},
		Case{Name: "produce until views equal", Figures: Figures{Seconds: r.result.Seconds, EventsPerSecond: r.result.EventsPerSecond, PeakRSS: r.server.memory.peakMiB(), CPU: r.result.CPU}})
	return nil
}

// produce sends every flight and waits until all are durable.
func (r *flightsRun) produce(ctx context.Context) (time.Duration, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(r.server.kafka), kgo.DefaultProduceTopic("flights"),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(200_000), kgo.ProducerBatchMaxBytes(1_000_000))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var durable atomic.Int64
	acknowledged := func(_ *kgo.Record, err error) {
		if err != nil {
			cancel(fmt.Errorf("producing: %w", err))
			return
		}
		if n := durable.Add(1); n%4096 == 0 {
			r.o.Progress("producing flights", n, int64(r.events.count))
		}
	}
	began := time.Now()
	r.events.each(func(value []byte) bool {
		client.Produce(ctx, &kgo.Record{Value: value}, acknowledged)
		return ctx.Err() == nil
	})
	if err := client.Flush(ctx); err != nil {
		return 0, errors.Join(context.Cause(ctx), err)
	}
	return time.Since(began), context.Cause(ctx)
}

// viewPeriod is how often the smallest view is asked whether it has all flights.
const viewPeriod = 20 * time.Millisecond

// awaitViews waits until the smallest view has counted every flight, and then fetches all of them until they equal the
// peer's answers. It gives when the last answer came, and what is wrong with each view when the time is up.
func (r *flightsRun) awaitViews(ctx context.Context) (at time.Time, faults []error, err error) {
	deadline := time.Now().Add(equalTimeout)
	for {
		rows, err := answerRows(ctx, r.conn, "SELECT sum(flights) FROM delay_by_origin")
		if err != nil {
			return at, nil, err
		}
		late := time.Now().After(deadline)
		if late || rows[0][0] == fmt.Sprint(r.events.count) {
			at, faults, err = r.compareViews(ctx)
			if late || err != nil || errors.Join(faults...) == nil {
				return at, faults, err
			}
		}
		time.Sleep(viewPeriod)
	}
}

// compareViews fetches every view; at is when the last answer was here.
func (r *flightsRun) compareViews(ctx context.Context) (at time.Time, faults []error, err error) {
	got := make([][][]string, len(flightViews))
	for i, v := range flightViews {
		if got[i], err = answerRows(ctx, r.conn, "SELECT "+v.columns+" FROM "+v.name); err != nil {
			return at, nil, err
		}
	}
	at = time.Now()
	for i, v := range flightViews {
		faults = append(faults, same(got[i], r.want[i], v.keys))
	}
	return at, faults, nil
}
