package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// restart kills the server as a crash does, starts it again, and looks at the views.
func (r *flightsRun) restart(ctx context.Context) (err error) {
	r.o.Progress("kill -9 and restart", 0, 0)
	r.server.kill()
	took, err := r.server.start(ctx)
	if err != nil {
		return err
	}
	used := r.server.cpu()
	if r.conn, err = r.server.connect(ctx); err != nil {
		return err
	}
	_, faults, err := r.awaitViews(ctx)
	if err != nil {
		return err
	}
	r.result.check("views equal DuckDB after kill -9", errors.Join(faults...))
	r.result.Cases = append(r.result.Cases, Case{Name: "ready after kill -9", Figures: Figures{Seconds: seconds(took), CPU: seconds(used)}})
	return nil
}

// groupRuns is how often each query is timed, ours and DuckDB's in turn, after one run that warms both.
const groupRuns = 7

// groupBy times aggregates over the whole stream against DuckDB on the Parquet file.
func (r *flightsRun) groupBy(ctx context.Context) error {
	var ratios []float64
	for i, g := range groupings {
		r.o.Progress("GROUP BY beside DuckDB", int64(i), int64(len(groupings)))
		own, peer, err := r.timeGrouping(ctx, g)
		if err != nil {
			return err
		}
		ratio := own.Seconds() / peer.Seconds()
		r.result.Cases = append(r.result.Cases, Case{Name: g.name, Ratio: round(ratio),
			Figures: Figures{Seconds: seconds(own)}, Peer: &Figures{Seconds: seconds(peer)}})
		ratios = append(ratios, ratio)
	}
	r.result.Ratio = round(geometricMean(ratios))
	r.result.Peer = &Figures{PeakRSS: r.duck.peakMiB}
	return nil
}

// timeGrouping gives the medians of one query, and checks that both answers are equal.
func (r *flightsRun) timeGrouping(ctx context.Context, g view) (own, peer time.Duration, err error) {
	var ours, theirs []time.Duration
	for i := range groupRuns + 1 {
		began := time.Now()
		got, err := answerRows(ctx, r.conn, g.query)
		took := time.Since(began)
		if err != nil {
			return 0, 0, err
		}
		want, peerTook, err := r.duck.query(r.forDuck(g.duck))
		if err != nil {
			return 0, 0, err
		}
		if i == 0 {
			r.result.check(g.name+" equals DuckDB", same(got, want, g.keys))
			continue
		}
		ours, theirs = append(ours, took), append(theirs, peerTook)
	}
	return median(ours), median(theirs), nil
}

// latency is the time from a write over psql's protocol to its sight in a view.
func (r *flightsRun) latency(ctx context.Context) error {
	cpu := r.server.cpu()
	w, err := measureWrites(ctx, r.server, r.o.Progress)
	if err != nil {
		return err
	}
	cpu = r.server.cpu() - cpu
	r.result.P50, r.result.P99 = milliseconds(quantile(w.seen, 0.5)), milliseconds(quantile(w.seen, 0.99))
	var missing, slow error
	if w.lost > 0 {
		missing = fmt.Errorf("%d of %d writes were never seen", w.lost, writesTotal)
	}
	if rate := writesTotal / w.took.Seconds(); rate < 0.98*writesPerSecond {
		slow = fmt.Errorf("%.0f writes/s, want %d", rate, writesPerSecond)
	}
	r.result.check("every write is seen in the view", missing)
	r.result.check("the rate of writes was held", slow)
	r.result.Cases = append(r.result.Cases,
		Case{Name: "write until acknowledged", Figures: Figures{QPS: round(writesTotal / w.took.Seconds()),
			P50: milliseconds(quantile(w.acknowledged, 0.5)), P99: milliseconds(quantile(w.acknowledged, 0.99))}},
		Case{Name: "write until seen in the view by WebSocket", Figures: Figures{QPS: round(writesTotal / w.took.Seconds()),
			P50: r.result.P50, P99: r.result.P99, CPU: seconds(cpu)}})
	return nil
}

// finish stops the server in order.
func (r *flightsRun) finish(context.Context) error {
	r.result.PeakRSS = r.server.memory.peakMiB()
	return r.server.stop()
}
