package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/broker"
	"github.com/miracledb/miracledb/log/record"
)

func newLog() *cobra.Command {
	return parent("log", "Look at the files of a stopped server's log", newLogCheck(), newLogDump())
}

// logOptions names the log in the data directory that the command is for.
func logOptions(cmd *cobra.Command) (broker.Options, error) {
	s, err := loadSettings(cmd)
	if err != nil {
		return broker.Options{}, err
	}
	return broker.Options{Dir: filepath.Join(s.value("data"), "log")}, nil
}

func addDataFlags(cmd *cobra.Command) {
	cmd.Flags().String("data", "data", "data directory")
	addJSONFlag(cmd)
}

// stopFirst adds what to do to the errors of a log that cannot be opened.
func stopFirst(err error) error {
	e := errs.New(errs.KindOf(err), "%w", err)
	switch e.Kind {
	case errs.NotFound:
		return e.WithHint("Name the server's data directory with --data.")
	case errs.Unavailable:
		return e.WithHint("Stop the server that uses it first.")
	}
	return err
}

// checked is what log check says.
type checked struct {
	End            string   `json:"end"`
	Appends        uint64   `json:"appends"`
	Partitions     int      `json:"partitions"`
	Bytes          int64    `json:"bytes"`
	JournalEntries int      `json:"journal_entries"`
	Aborted        int      `json:"aborted_transactions"`
	Faults         []string `json:"faults"`
}

func newLogCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read every byte of the log and report damage with its place",
		Long: `check reads journal, segments, their aborted transactions and commit index, compares checksums and what each says of
the others, and changes nothing. Damage makes the exit status 1. No server may use the directory.`,
		Example: "  miracledb log check --data /var/lib/miracledb",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := logOptions(cmd)
			if err != nil {
				return err
			}
			p := newProgress(cmd.ErrOrStderr(), "checking "+o.Dir)
			r, err := broker.Check(o)
			p.end()
			if err != nil {
				return stopFirst(err)
			}
			return report(cmd, o.Dir, &r)
		},
	}
	addDataFlags(cmd)
	return cmd
}

func report(cmd *cobra.Command, dir string, r *broker.Report) error {
	out := checked{End: r.End.String(), Appends: r.Appends, Partitions: r.Partitions, Bytes: r.Bytes, JournalEntries: r.JournalEntries, Aborted: r.Aborted, Faults: []string{}}
	for _, f := range r.Faults {
		out.Faults = append(out.Faults, f.Error())
	}
	var err error
	if wantsJSON(cmd) {
		err = writeJSON(cmd.OutOrStdout(), out)
	} else {
		w := cmd.OutOrStdout()
		for _, f := range out.Faults {
			fmt.Fprintln(w, "damage: "+f)
		}
		_, err = fmt.Fprintf(w, "read %s in %s (%d bytes) and %s of the journal; the log ends at %s\n", plural(int(r.Appends), "append"),
			plural(r.Partitions, "partition"), r.Bytes, plural(r.JournalEntries, "append"), out.End)
	}
	if err == nil && len(out.Faults) > 0 {
		return errs.New(errs.Corrupt, "%s is damaged in %s", dir, plural(len(out.Faults), "place")).
			WithHint("Restore from a backup; keep the directory as it is until then.")
	}
	return err
}

func newLogDump() *cobra.Command {
	var from uint64
	var name string
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Print the log's records in their order",
		Long: `dump prints each record of each append, from the oldest one kept or --from: sequence, commit time, topic, partition,
offset, key and value. It recovers the log first as serve does. No server may use the directory.`,
		Example: "  miracledb log dump --data /var/lib/miracledb --topic flights --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := logOptions(cmd)
			if err != nil {
				return err
			}
			if _, err := os.Stat(o.Dir); err != nil {
				return stopFirst(errs.New(errs.NotFound, "there is no log: %w", err)) // Open would make one
			}
			b, err := broker.Open(o)
			if err != nil {
				return stopFirst(err)
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			d := dump{log: b, out: out, topic: name, json: wantsJSON(cmd)}
			return errors.Join(d.run(cmd, from), out.Flush(), b.Close())
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "first append's sequence")
	cmd.Flags().StringVar(&name, "topic", "", "only this topic")
	addDataFlags(cmd)
	return cmd
}

type dump struct {
	log   log.Log
	out   *bufio.Writer
	topic string
	json  bool
	names map[log.TopicID]string
	it    record.Iterator
}

// dumped is a record as dump --json prints it.
type dumped struct {
	Sequence  uint64          `json:"sequence"`
	Time      time.Time       `json:"time"`
	Topic     string          `json:"topic"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	Key       *string         `json:"key"`
	Value     json.RawMessage `json:"value"`
}

func (d *dump) run(cmd *cobra.Command, from uint64) error {
	d.names = map[log.TopicID]string{}
	for _, t := range d.log.Topics() {
		d.names[t.ID] = t.Name
	}
	var at log.Position
	for end := d.log.End(); at.Sequence < end.Sequence; {
		entries, err := d.log.ReadFrom(cmd.Context(), at, 1<<20)
		if err != nil {
			return err
		}
		for i := range entries {
			at = entries[i].Position
			if at.Sequence < from {
				continue
			}
			if err := d.entry(&entries[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *dump) entry(e *log.Entry) error {
	for _, b := range e.Batches {
		name := d.names[b.Partition.Topic]
		if d.topic != "" && d.topic != name {
			continue
		}
		for batch, err := range record.Batches(b.Batch) {
			if err != nil {
				return err
			}
			if err := d.it.Reset(batch); err != nil {
				return err
			}
			for d.it.Next() {
				if err := d.record(e, name, b.Partition.Index, d.it.Record()); err != nil {
					return err
				}
			}
			if err := d.it.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *dump) record(e *log.Entry, name string, partition int32, r record.Record) error {
	line := dumped{Sequence: e.Position.Sequence, Time: e.Time.UTC(), Topic: name, Partition: partition, Offset: r.Offset, Value: jsonValue(r.Value)}
	if r.Key != nil {
		key := string(r.Key)
		line.Key = &key
	}
	if d.json {
		b, err := json.Marshal(line)
		if err != nil {
			return err
		}
		_, err = d.out.Write(append(b, '\n'))
		return err
	}
	key := "null"
	if line.Key != nil {
		key = strconv.Quote(*line.Key)
	}
	_, err := fmt.Fprintf(d.out, "%d %s %s/%d@%d %s %s\n", line.Sequence, line.Time.Format(time.RFC3339Nano), name, partition, r.Offset, key, line.Value)
	return err
}
