package bench_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/bench"
	"github.com/miracledb/miracledb/internal/cli"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/sql/duck"
)

// TestMain is also the server: the benches start their own program with serve.
func TestMain(m *testing.M) {
	if duck.ChildMain() {
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

const flightsFile = "/work/shared/data/flights-3m.parquet"

// The whole scenario on few rows: every answer equals DuckDB's, before and after kill -9.
func TestFlights(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole scenario takes half a minute")
	}
	_, err := os.Stat(flightsFile)
	testenv.Need(t, flightsFile, err)
	r, err := bench.Flights(t.Context(), bench.FlightsOptions{DataFile: flightsFile, Rows: 20_000})
	if errs.Is(err, errs.Unavailable) {
		testenv.Need(t, "DuckDB from PyPI", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, passed := range r.Checks {
		if !passed && name != "the rate of writes was held" { // a busy machine is no fault
			t.Errorf("check %q failed", name)
		}
	}
	if len(r.Checks) < 8 || r.Seconds <= 0 || r.EventsPerSecond <= 0 || r.PeakRSS <= 0 || r.P99 <= 0 || r.Ratio <= 0 {
		t.Errorf("figures are missing: %+v", r)
	}
	if t.Failed() {
		t.Log(r.Notes)
	}
}

func TestPgbench(t *testing.T) {
	if testing.Short() {
		t.Skip("two servers and pgbench take ten seconds")
	}
	_, err := testenv.PostgresBin()
	testenv.Need(t, "PostgreSQL 15", err)
	_, err = exec.LookPath("pgbench")
	testenv.Need(t, "pgbench", err)
	r, err := bench.Pgbench(t.Context(), bench.PgbenchOptions{Rows: 1000, Runs: 1, Duration: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil || r.QPS <= 0 || r.Peer == nil || r.Peer.QPS <= 0 || r.P50 <= 0 || r.Peer.PeakRSS <= 0 {
		t.Errorf("%v %+v", err, r)
	}
}

func TestOptions(t *testing.T) {
	for _, err := range []error{
		bench.FlightsOptions{}.Validate(),
		bench.FlightsOptions{DataFile: "f", Rows: -1}.Validate(),
		bench.PgbenchOptions{Rows: -1}.Validate(),
		bench.PgbenchOptions{Duration: time.Millisecond}.Validate(),
	} {
		var e *errs.Error
		if !errors.As(err, &e) || e.Kind != errs.Invalid {
			t.Errorf("got %v, want an Invalid error", err)
		}
	}
	if _, err := bench.Flights(t.Context(), bench.FlightsOptions{DataFile: "/nonexistent"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("no file: %v", err)
	}
}
