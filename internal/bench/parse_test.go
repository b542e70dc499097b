package bench

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

func TestQuantile(t *testing.T) {
	ds := []time.Duration{4, 1, 3, 2}
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0, 1}, {0.25, 1}, {0.5, 2}, {0.51, 3}, {0.99, 4}, {1, 4}} {
		if got := quantile(ds, c.q); got != c.want {
			t.Errorf("quantile %v is %v, want %v", c.q, got, c.want)
		}
	}
	if quantile(nil, 0.5) != 0 || geometricMean(nil) != 0 || medianRate(nil) != 0 {
		t.Error("figures of nothing are not 0")
	}
	if g := geometricMean([]float64{1, 4}); g < 1.999 || g > 2.001 {
		t.Errorf("geometric mean %v", g)
	}
}

func TestSame(t *testing.T) {
	want := [][]string{{"a", "1", "0.333333333333333"}, {"b", "2", ""}}
	for _, c := range []struct {
		got   [][]string
		fault string
	}{
		{[][]string{{"b", "2", ""}, {"a", "1", "0.33333333333333333333"}}, ""},
		{[][]string{{"a", "1", "0.3333"}, {"b", "2", ""}}, "want"},
		{[][]string{{"a", "2", "0.333333333333333"}, {"b", "2", ""}}, "want"},
		{[][]string{{"a", "1", "0.333333333333333"}, {"b", "2", "0.0"}}, "want"},
		{[][]string{{"a", "1", "0.333333333333333"}}, "1 rows"},
		{[][]string{{"a", "1", "0.333333333333333"}, {"a", "1", "0.333333333333333"}}, "twice"},
		{[][]string{{"a", "1", "0.333333333333333"}, {"c", "2", ""}}, "not wanted"},
	} {
		err := same(c.got, want, 1)
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%v: %v, want %q", c.got, err, c.fault)
		}
	}
}

func TestParsePgbench(t *testing.T) {
	dir := t.TempDir()
	log := "0 1 150 0 1700000000 1\n1 2 250 0 1700000000 2\n"
	if err := os.WriteFile(filepath.Join(dir, "pgbench_log.7"), []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	const summary = "number of transactions actually processed: 2\nnumber of failed transactions: 0 (0.000%)\n" +
		"latency average = 0.2 ms\ntps = 47800.5 (without initial connection time)\n"
	r, err := parsePgbench([]byte(summary), dir)
	if err != nil || r.tps != 47800.5 || len(r.latencies) != 2 || r.latencies[1] != 250*time.Microsecond {
		t.Errorf("%+v %v", r, err)
	}
	for _, bad := range []string{"", "tps = x\n", strings.Replace(summary, "failed transactions: 0", "failed transactions: 3", 1)} {
		if _, err := parsePgbench([]byte(bad), dir); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestReadFlights(t *testing.T) {
	type flight struct {
		Date        time.Time `parquet:"date,timestamp(microsecond)"`
		Delay       int64     `parquet:"delay"`
		Distance    int64     `parquet:"distance"`
		Origin      string    `parquet:"origin"`
		Destination string    `parquet:"destination"`
	}
	at := time.Date(2001, 1, 2, 3, 4, 5, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "f.parquet")
	write := func(rows ...flight) {
		if err := parquet.WriteFile(path, rows); err != nil {
			t.Fatal(err)
		}
	}
	write(flight{at, -3, 700, "ATL", "SEA"}, flight{at, 12, 1, "SEA", "ATL"}, flight{at, 1, 1, "SEA", "ATL"})
	e, err := readFlights(t.Context(), path, 2, func(string, int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	e.each(func(v []byte) bool { got = append(got, string(v)); return true })
	want := []string{`{"date":"2001-01-02 03:04:05","delay":-3,"distance":700,"origin":"ATL","destination":"SEA"}`,
		`{"date":"2001-01-02 03:04:05","delay":12,"distance":1,"origin":"SEA","destination":"ATL"}`}
	if e.count != 2 || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %q", got)
	}
	write(flight{at, 1, 1, `A"`, "SEA"})
	if _, err := readFlights(t.Context(), path, 0, func(string, int64, int64) {}); err == nil {
		t.Error("an airport with a quote was accepted")
	}
	if err := parquet.WriteFile(path, []struct{ X int }{{1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := readFlights(t.Context(), path, 0, func(string, int64, int64) {}); err == nil || !strings.Contains(err.Error(), "no column") {
		t.Errorf("a file of other columns: %v", err)
	}
}

func TestMemoryOfATree(t *testing.T) {
	if got := residentTree(os.Getpid()); got < 1<<20 {
		t.Errorf("this process has %d bytes", got)
	}
	if got := residentTree(1 << 30); got != 0 {
		t.Errorf("a process that is not there has %d bytes", got)
	}
}

func TestChecks(t *testing.T) {
	var r Result
	r.check("b", nil)
	if r.Err() != nil {
		t.Error(r.Err())
	}
	r.check("a", errors.New("boom"))
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "[a]") || len(r.Notes) != 1 {
		t.Errorf("%v %v", err, r.Notes)
	}
}
