package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/row"
)

func newProduce() *cobra.Command {
	var file, key string
	cmd := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Produce lines, one record each, to a topic",
		Long: `produce sends each line of standard input or of --file as a record's value and returns when all are durable. A topic
that is not there is made. Empty lines are skipped. With --key a line must be a JSON object: the named field (or
fields, a,b) is the record's key, a string as it is, a number as its digits, several as a JSON object.`,
		Example: `  echo '{"id": 1, "name": "Ada"}' | miracledb produce people --key id
  miracledb produce flights --file flights.jsonl`,
		Args: oneArg("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if file != "" && file != "-" {
				f, err := os.Open(file)
				if err != nil {
					return errs.New(errs.NotFound, "%w", err)
				}
				defer func() { _ = f.Close() }() // it was only read
				in = f
			}
			var fields []string
			if key != "" {
				fields = strings.Split(key, ",")
			}
			return produce(cmd, args[0], in, fields)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "file of lines (default: standard input)")
	cmd.Flags().StringVar(&key, "key", "", "JSON field of the value that is the record's key")
	addBrokersFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

// produced is what produce says at its end.
type produced struct {
	Topic   string  `json:"topic"`
	Records int64   `json:"records"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

func produce(cmd *cobra.Command, topic string, in io.Reader, key []string) error {
	client, err := kafkaClient(cmd, kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(topic), kgo.UnknownTopicRetries(2),
		kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchMaxBytes(int32(limit.RecordBatch)))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	p := newProgress(cmd.ErrOrStderr(), "producing")
	started := time.Now()
	out := produced{Topic: topic}
	err = sendLines(ctx, cancel, client, in, key, &out, p)
	if ferr := client.Flush(ctx); err == nil {
		err = ferr
	}
	p.end()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return produceError(topic, err)
	}
	out.Seconds = time.Since(started).Seconds()
	if wantsJSON(cmd) {
		return writeJSON(cmd.OutOrStdout(), out)
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%d records, %d bytes, durable in %s\n", out.Records, out.Bytes, topic)
	return err
}

// sendLines produces each line; the first failed one cancels.
func sendLines(ctx context.Context, cancel context.CancelCauseFunc, client *kgo.Client, in io.Reader, key []string, out *produced, p *progress) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), int(limit.RecordBatch))
	var durable atomic.Int64
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSuffix(lines.Bytes(), []byte{'\r'})
		if len(line) == 0 {
			continue
		}
		r := &kgo.Record{Value: bytes.Clone(line)}
		if key != nil {
			k, err := keyOf(line, key)
			if err != nil {
				return errs.New(errs.Invalid, "line %d: %w", n, err)
			}
			r.Key = k
		}
		client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				cancel(err)
				return
			}
			p.set("producing", durable.Add(1), 0)
		})
		out.Records++
		out.Bytes += int64(len(line))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return errs.New(errs.Limit, "line %d is longer than %v", out.Records+1, limit.RecordBatch)
	}
	return lines.Err()
}

// keyOf builds a record's key from fields of a JSON object, as the server writes primary keys.
func keyOf(line []byte, fields []string) ([]byte, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return nil, fmt.Errorf("--key needs JSON objects: %w", err)
	}
	for _, f := range fields {
		if v, ok := object[f]; !ok || string(v) == "null" {
			return nil, fmt.Errorf("the object has no field %q to be the key", f)
		}
	}
	if len(fields) == 1 {
		v := object[fields[0]]
		var text string
		if json.Unmarshal(v, &text) == nil && text != "" && text[0] != '"' && text[0] != '{' {
			return []byte(text), nil
		}
		return v, nil
	}
	key := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			key = append(key, ',')
		}
		key = append(append(row.AppendJSONString(key, f), ':'), object[f]...)
	}
	return append(key, '}'), nil
}

func produceError(topic string, err error) error {
	e := errs.New(errs.KindOf(err), "producing to %s: %w", topic, err)
	switch {
	case errors.Is(err, kerr.InvalidTopicException):
		return e.WithHint("A topic's name has 1 to 249 characters of a-z, A-Z, 0-9, '.', '_' and '-', and does not begin with __.")
	case errors.Is(err, kerr.MessageTooLarge):
		return e.WithHint("Send smaller records, or create the topic with a larger max.message.bytes.")
	case errors.Is(err, kerr.InvalidRecord):
		return e.WithHint("The relation behind the topic refuses the record: compare it with \\d in psql.")
	}
	return e
}
