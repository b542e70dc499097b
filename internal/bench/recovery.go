package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/miracledb/miracledb/internal/errs"
)

// RecoveryOptions are those of Recovery; the zero value of each is the default.
type RecoveryOptions struct {
	Bytes      int64  // of the log; default 10 GB
	Partitions int32  // of the topic with many; default 10,000
	Pprof      string // as in FlightsOptions
	Progress   Progress
}

// Validate gives every fault at once.
func (o RecoveryOptions) Validate() error {
	var faults []error
	if o.Bytes < 0 {
		faults = append(faults, errs.New(errs.Invalid, "--bytes is %d", o.Bytes))
	}
	if o.Partitions < 0 {
		faults = append(faults, errs.New(errs.Invalid, "--partitions is %d", o.Partitions))
	}
	return errors.Join(faults...)
}

// Recovery fills a log, kills its server and starts it again; then the same with many partitions. Seconds are from the
// start of the process until it is ready, memory is resident a moment later.
func Recovery(ctx context.Context, o RecoveryOptions) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Bytes == 0 {
		o.Bytes = 10e9
	}
	if o.Partitions == 0 {
		o.Partitions = 10_000
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	dir, err := os.MkdirTemp("", "miracledb-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r := recovering{options: o, result: &Result{Bench: "recovery"}}
	if err := r.run(ctx, filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	return r.result, nil
}

type recovering struct {
	options RecoveryOptions
	server  *server
	result  *Result
}

func (r *recovering) run(ctx context.Context, data string) error {
	own, took, err := startServer(ctx, data, r.options.Pprof)
	if err != nil {
		return err
	}
	defer own.kill()
	r.server = own
	r.add("start on an empty directory", seconds(took))
	if err := r.fill(ctx, replaying{partitions: logPartitions, recordSize: 1000, records: r.options.Bytes / 1000}); err != nil {
		return r.lastWords(err)
	}
	r.add(fmt.Sprintf("a log of %d MB, written", r.options.Bytes/1e6), 0)
	if err := r.restart(ctx, fmt.Sprintf("a log of %d MB, after kill -9", r.options.Bytes/1e6)); err != nil {
		return err
	}
	if err := r.fill(ctx, replaying{partitions: r.options.Partitions, recordSize: 100, batch: 100, records: int64(r.options.Partitions) * 10}); err != nil {
		return r.lastWords(err)
	}
	r.add(fmt.Sprintf("%d partitions with records", r.options.Partitions), 0)
	if err := r.restart(ctx, fmt.Sprintf("%d partitions with records, after kill -9", r.options.Partitions)); err != nil {
		return err
	}
	r.result.PeakRSS = own.memory.peakMiB()
	return nil
}

func (r *recovering) lastWords(err error) error {
	return fmt.Errorf("%w\nthe server's last words: %s", err, r.server.output.String())
}

func (r *recovering) broker() *broker {
	return &broker{name: "MiracleDB", address: r.server.kafka, pid: r.server.cmd.Process.Pid, topics: len(r.result.Cases)}
}

func (r *recovering) add(name string, seconds float64) {
	r.result.Cases = append(r.result.Cases, Case{Name: name, Figures: Figures{Seconds: seconds, PeakRSS: r.broker().resident()}})
}

// fill makes a topic and writes records to every partition of it.
func (r *recovering) fill(ctx context.Context, with replaying) (err error) {
	r.options.Progress(fmt.Sprintf("filling %d partitions", with.partitions), 0, 0)
	b := r.broker()
	if with.topic, err = b.topic(ctx, with.partitions, nil); err != nil {
		return err
	}
	_, err = replay(ctx, b.address, with)
	return err
}

// restart kills the server and starts it again.
func (r *recovering) restart(ctx context.Context, name string) error {
	r.options.Progress(name, 0, 0)
	r.server.kill()
	took, err := r.server.start(ctx)
	if err != nil {
		return err
	}
	r.add(name, seconds(took))
	return nil
}
