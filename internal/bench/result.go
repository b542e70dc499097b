package bench

import (
	"math"
	"slices"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
)

// Figures are what a run gives; a field that the run does not measure is absent.
type Figures struct {
	EventsPerSecond float64 `json:"events_per_s,omitempty"`
	QPS             float64 `json:"qps,omitempty"`
	P50             float64 `json:"p50_ms,omitempty"`
	P99             float64 `json:"p99_ms,omitempty"`
	PeakRSS         float64 `json:"peak_rss_mb,omitempty"` // MiB
	Seconds         float64 `json:"seconds,omitempty"`
	// CPU is the processor time that the server with its children took, in seconds: what a busy machine does not change.
	CPU float64 `json:"cpu_s,omitempty"`
}

// Case is one part of a bench.
type Case struct {
	Name string `json:"name"`
	Figures
	Peer  *Figures `json:"peer"`
	Ratio float64  `json:"ratio,omitempty"` // ours to the peer's: of times under 1 is faster, of rates over 1
}

// Result is what a bench prints.
type Result struct {
	Bench string `json:"bench"`
	Figures
	Peer   *Figures        `json:"peer"`
	Ratio  float64         `json:"ratio,omitempty"`
	Checks map[string]bool `json:"checks"`
	Cases  []Case          `json:"cases,omitempty"`
	// Notes say what a check that failed found.
	Notes []string `json:"notes,omitempty"`
}

// check notes the outcome of a check.
func (r *Result) check(name string, fault error) {
	if r.Checks == nil {
		r.Checks = map[string]bool{}
	}
	r.Checks[name] = fault == nil
	if fault != nil {
		r.Notes = append(r.Notes, name+": "+fault.Error())
	}
}

// Err is the checks that failed.
func (r *Result) Err() error {
	var failed []string
	for name, passed := range r.Checks {
		if !passed {
			failed = append(failed, name)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	slices.Sort(failed)
	return errs.New(errs.Internal, "checks failed: %v", failed)
}

// Progress is told what is being done, and how much of it; total 0 is unknown.
type Progress func(what string, done, total int64)

func milliseconds(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

func seconds(d time.Duration) float64 { return round(d.Seconds()) }

// round keeps three digits after the point.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }

// quantile is the q-quantile (0 to 1) by nearest rank; 0 of nothing.
func quantile(ds []time.Duration, q float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(ds))
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

func median(ds []time.Duration) time.Duration { return quantile(ds, 0.5) }

func medianRate(rates []float64) float64 {
	if len(rates) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(rates))[(len(rates)-1)/2]
}

// geometricMean of ratios; 0 of nothing.
func geometricMean(ratios []float64) float64 {
	if len(ratios) == 0 {
		return 0
	}
	var sum float64
	for _, r := range ratios {
		sum += math.Log(r)
	}
	return math.Exp(sum / float64(len(ratios)))
}
