package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/signal"
	"strconv"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/errs"
)

// start is where consume begins: an offset, negative ones from the end, or an instant.
type start struct {
	offset int64
	at     time.Time
}

func parseStart(text string) (start, error) {
	if text == "" {
		return start{}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return start{offset: n}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return start{}, usage{fmt.Errorf("--from %q is neither an offset nor a time such as 2026-11-22T10:00:00Z", text)}
	}
	return start{at: at}, nil
}

func newConsume() *cobra.Command {
	var from, key, asOf string
	var follow bool
	var most int64
	cmd := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Print the records of a topic",
		Long: `consume prints the value of each record on a line of its own, from the start of the topic or --from, up to the end
that it has now; with --follow it waits for more. With --json each line is an object with topic, partition, offset,
timestamp, key and value: a value that is JSON as it is, another as a string. With --as-of the topic ends where it ended
at that instant, in all partitions at one point of the log's order.

Records of Kafka transactions are printed as they were written, those of open and aborted ones too; with --key and
--as-of only committed ones. --key does not read the topic where it has a key index (miracle.key.index=true) and the
server answers over HTTP too.`,
		Example: `  miracledb consume flights --from -5
  miracledb consume flights --from 2026-11-22T10:00:00Z --follow --json
  miracledb consume flights --key UA1 --as-of 2026-11-22T10:00:00Z`,
		Args: oneArg("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := parseStart(from)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			cmd.SetContext(ctx)
			c := consumption{topic: args[0], from: at, follow: follow, most: most, json: wantsJSON(cmd)}
			if cmd.Flags().Changed("key") {
				c.key = &key
			}
			if asOf != "" {
				if c.asOf, err = time.Parse(time.RFC3339, asOf); err != nil {
					return usage{fmt.Errorf("--as-of %q is no time such as 2026-11-22T10:00:00Z", asOf)}
				}
				if follow {
					return usage{errors.New("--as-of names an end, --follow has none: give one of them")}
				}
			}
			return c.run(cmd)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "first offset (of each partition; -5: the last five), or a time in RFC 3339 (default: the start)")
	cmd.Flags().BoolVar(&follow, "follow", false, "wait for more at the end, until Ctrl-C")
	cmd.Flags().StringVar(&key, "key", "", "print only committed records with this key")
	cmd.Flags().StringVar(&asOf, "as-of", "", "end where the topic ended at this time in RFC 3339 (asks the server over HTTP too)")
	addServerFlag(cmd)
	cmd.Flags().Int64Var(&most, "max", 0, "stop after so many records (0: no bound)")
	addBrokersFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

type consumption struct {
	topic  string
	from   start
	follow bool
	key    *string
	asOf   time.Time // zero: now
	most   int64
	json   bool

	printed int64
}

// committed tells whether what transactions have not committed is left out.
func (c *consumption) committed() bool { return c.key != nil || !c.asOf.IsZero() }

// span is the part of a partition that is still to be printed.
type span struct{ next, end int64 }

func (c *consumption) run(cmd *cobra.Command) error {
	// Markers of transactions are looked at too: the last offset before the end may be one's.
	options := []kgo.Opt{kgo.KeepControlRecords()}
	if c.committed() {
		options = append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	client, err := kafkaClient(cmd, options...)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	spans, err := c.spans(cmd.Context(), admin)
	if err == nil && !c.asOf.IsZero() {
		err = c.cut(cmd, spans)
	}
	if err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	if c.key != nil {
		err = c.lookUp(cmd, admin, client, spans, out)
	}
	if err == nil && !c.done() {
		err = c.read(cmd.Context(), client, spans, out)
	}
	if errors.Is(err, context.Canceled) {
		err = nil // Ctrl-C is how --follow ends
	}
	return errors.Join(err, out.Flush())
}

// done tells whether all that were asked for are printed.
func (c *consumption) done() bool { return c.most > 0 && c.printed >= c.most }

// read prints what is left of the spans, and what comes with --follow.
func (c *consumption) read(ctx context.Context, client *kgo.Client, spans map[int32]*span, out *bufio.Writer) error {
	offsets := map[int32]kgo.Offset{}
	for p, s := range spans {
		if c.follow || s.next < s.end {
			offsets[p] = kgo.NewOffset().At(s.next)
		} else {
			delete(spans, p)
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{c.topic: offsets})
	return c.poll(ctx, client, spans, out)
}

// spans finds where each partition begins and ends.
func (c *consumption) spans(ctx context.Context, admin *kadm.Client) (map[int32]*span, error) {
	first, err := admin.ListStartOffsets(ctx, c.topic)
	if err != nil {
		return nil, err
	}
	list := admin.ListEndOffsets
	if c.committed() {
		list = admin.ListCommittedOffsets // nothing behind an open transaction's first record is read: to wait for it would be for ever
	}
	end, err := list(ctx, c.topic)
	if err != nil {
		return nil, err
	}
	if len(end[c.topic]) == 0 || end.Error() != nil {
		return nil, noTopic(c.topic)
	}
	var timed kadm.ListedOffsets
	if !c.from.at.IsZero() {
		if timed, err = admin.ListOffsetsAfterMilli(ctx, c.from.at.UnixMilli(), c.topic); err != nil {
			return nil, err
		}
	}
	spans := map[int32]*span{}
	for p, e := range end[c.topic] {
		s := &span{next: c.from.offset, end: e.Offset}
		if timed != nil {
			s.next = timed[c.topic][p].Offset
		} else if s.next < 0 {
			s.next = max(s.end+s.next, 0)
		}
		s.next = max(s.next, first[c.topic][p].Offset)
		if s.next > s.end && c.from.offset > 0 {
			return nil, errs.New(errs.NotFound, "partition %d of %s ends at offset %d, --from is %d", p, c.topic, s.end, c.from.offset).
				WithHint("Ask for an offset up to the end, or a negative one to count from it.")
		}
		spans[p] = s
	}
	return spans, nil
}

// cut ends the partitions where they ended at c.asOf.
func (c *consumption) cut(cmd *cobra.Command, spans map[int32]*span) error {
	server, err := serverURL(cmd)
	if err != nil {
		return err
	}
	var told struct {
		Partitions []struct {
			Partition int32
			Stable    int64
		}
	}
	path := server + "/v1/topics/" + url.PathEscape(c.topic) + "?as_of=" + url.QueryEscape(c.asOf.Format(time.RFC3339Nano))
	if err := get(cmd.Context(), server, path, &told); err != nil {
		return err
	}
	for _, p := range told.Partitions {
		if s := spans[p.Partition]; s != nil {
			s.end = min(s.end, p.Stable)
		}
	}
	return nil
}

func (c *consumption) poll(ctx context.Context, client *kgo.Client, spans map[int32]*span, out *bufio.Writer) error {
	for {
		fetches := client.PollFetches(ctx)
		for _, fault := range fetches.Errors() {
			return errs.New(errs.KindOf(fault.Err), "consuming %s partition %d: %w", fault.Topic, fault.Partition, fault.Err)
		}
		for records := fetches.RecordIter(); !records.Done(); {
			r := records.Next()
			s := spans[r.Partition]
			if s == nil || !c.follow && r.Offset >= s.end {
				continue
			}
			s.next = r.Offset + 1
			if !c.follow && s.next >= s.end {
				delete(spans, r.Partition)
			}
			if r.Attrs.IsControl() || !c.asks(r) {
				continue
			}
			if err := c.print(out, r); err != nil {
				return err
			}
			if c.done() {
				return nil
			}
		}
		if len(spans) == 0 {
			return nil
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

// asks tells whether a record has the key that was asked for, if any.
func (c *consumption) asks(r *kgo.Record) bool {
	return c.key == nil || r.Key != nil && *c.key == string(r.Key)
}

// consumed is a record as --json prints it.
type consumed struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Timestamp time.Time         `json:"timestamp"`
	Key       *string           `json:"key"`
	Value     json.RawMessage   `json:"value"`
	Headers   map[string]string `json:"headers,omitempty"`
}

func (c *consumption) print(out *bufio.Writer, r *kgo.Record) error {
	line := r.Value
	if c.json {
		j := consumed{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UTC(), Value: jsonValue(r.Value)}
		if r.Key != nil {
			key := string(r.Key)
			j.Key = &key
		}
		for _, h := range r.Headers {
			if j.Headers == nil {
				j.Headers = map[string]string{}
			}
			j.Headers[h.Key] = string(h.Value)
		}
		var err error
		if line, err = json.Marshal(j); err != nil {
			return err
		}
	}
	c.printed++
	_, err := out.Write(line)
	return errors.Join(err, out.WriteByte('\n'))
}

// jsonValue is a record's value inside JSON: itself where it is JSON, a string elsewhere.
func jsonValue(v []byte) json.RawMessage {
	if v == nil {
		return json.RawMessage("null")
	}
	if json.Valid(v) && utf8.Valid(v) {
		return v
	}
	text, _ := json.Marshal(string(v)) // a string always encodes
	return text
}
