package http

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// answerBytes bounds the values of one answer.
const answerBytes = 16 << 20

// Log is what the door asks of the log.
type Log interface {
	log.KeyReader
	// Txns lists the transactional ids that were used of late.
	Txns() []log.Txn
}

// KeyInput names a key. It is exported because huma looks into such embedded structs only.
type KeyInput struct {
	Topic     string    `path:"topic"`
	Key       string    `path:"key" doc:"percent-encoded"`
	Partition int32     `query:"partition" default:"-1" doc:"default: all of them"`
	AsOf      time.Time `query:"as_of" doc:"what was there at this instant (RFC 3339)"`
}

type historyInput struct {
	KeyInput
	Limit  int   `query:"limit" minimum:"1" maximum:"10000" default:"100"`
	Before int64 `query:"before" default:"-1" minimum:"-1" doc:"only records of a partition below this offset: with partition, to go on"`
}

// recordOut is one record.
type recordOut struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Position  string            `json:"position"`
	Timestamp time.Time         `json:"timestamp"`
	Key       *string           `json:"key"`
	KeyBinary []byte            `json:"key_base64,omitempty" doc:"the key when it is no text"`
	Value     json.RawMessage   `json:"value" doc:"the value where it is JSON, a string elsewhere; null: a tombstone"`
	Binary    []byte            `json:"value_base64,omitempty" doc:"the value when it is no text"`
	Headers   map[string]string `json:"headers,omitempty"`
}

func newRecordOut(topic string, partition int32, at log.Position, r record.Record) recordOut {
	out := recordOut{Topic: topic, Partition: partition, Offset: r.Offset, Position: at.String(), Timestamp: time.UnixMilli(r.Timestamp).UTC()}
	switch {
	case r.Key == nil:
	case utf8.Valid(r.Key):
		text := string(r.Key)
		out.Key = &text
	default:
		out.KeyBinary = r.Key
	}
	switch {
	case r.Value == nil:
		out.Value = json.RawMessage("null")
	case !utf8.Valid(r.Value):
		out.Value, out.Binary = json.RawMessage("null"), r.Value
	case json.Valid(r.Value):
		out.Value = r.Value
	default:
		out.Value, _ = json.Marshal(string(r.Value)) // a string always encodes
	}
	for _, h := range r.Headers {
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		out.Headers[string(h.Key)] = string(h.Value)
	}
	return out
}

type keyOutput struct{ Body recordOut }

type historyOutput struct {
	Body struct {
		Records []recordOut `json:"records" doc:"the newest first"`
	}
}

func registerRecords(api huma.API, o Options) {
	huma.Register(api, huma.Operation{OperationID: "key", Method: http.MethodGet, Path: "/v1/topics/{topic}/keys/{key}",
		Summary: "The last record with a key", Description: "Needs a topic with miracle.key.index=true. A tombstone is a record, with the value null."},
		func(ctx context.Context, in *KeyInput) (*keyOutput, error) {
			found, err := keyRecords(ctx, o.Log, in, -1, 1)
			if err == nil && len(found) == 0 {
				err = errs.New(errs.NotFound, "topic %s has no record with this key", in.Topic)
			}
			if err != nil {
				return nil, failure(err)
			}
			return &keyOutput{found[0]}, nil
		})
	huma.Register(api, huma.Operation{OperationID: "key-history", Method: http.MethodGet, Path: "/v1/topics/{topic}/keys/{key}/history",
		Summary: "The records with a key, the newest first"},
		func(ctx context.Context, in *historyInput) (*historyOutput, error) {
			found, err := keyRecords(ctx, o.Log, &in.KeyInput, in.Before, in.Limit)
			if err != nil {
				return nil, failure(err)
			}
			out := &historyOutput{}
			out.Body.Records = found
			return out, nil
		})
	registerKeyOffsets(api, o)
	registerTopic(api, o)
	registerWait(api, o)
}

type keyOffsetsInput struct {
	Topic     string `path:"topic"`
	Key       string `query:"key" doc:"default: the empty key"`
	Partition int32  `query:"partition" minimum:"0"`
	Limit     int    `query:"limit" minimum:"1" maximum:"100000" default:"1000"`
	Before    int64  `query:"before" default:"-1" minimum:"-1" doc:"only offsets below this one: to go on"`
}

type keyOffsetsOutput struct {
	Body struct {
		TopicID string  `json:"topic_id" doc:"as Kafka's Metadata tells it, in hexadecimal: whether this is the topic that was meant"`
		Offsets []int64 `json:"offsets" doc:"the newest first"`
	}
}

func registerKeyOffsets(api huma.API, o Options) {
	huma.Register(api, huma.Operation{OperationID: "key-offsets", Method: http.MethodGet, Path: "/v1/topics/{topic}/key-offsets",
		Summary: "Where the committed records with a key stand in a partition", Description: "For who reads them by Fetch. Needs a topic with miracle.key.index=true."},
		func(ctx context.Context, in *keyOffsetsInput) (*keyOffsetsOutput, error) {
			t, err := topicOf(o.Log, in.Topic)
			if err != nil {
				return nil, failure(err)
			}
			offsets, err := o.Log.KeyOffsets(ctx, log.Partition{Topic: t.ID, Index: in.Partition}, []byte(in.Key), in.Before, in.Limit)
			if err != nil {
				return nil, failure(err)
			}
			out := &keyOffsetsOutput{}
			out.Body.TopicID, out.Body.Offsets = t.ID.String(), append([]int64{}, offsets...)
			return out, nil
		})
}

// keyRecords gives the newest records with a key, up to n, over all partitions that the request names.
func keyRecords(ctx context.Context, l Log, in *KeyInput, before int64, n int) ([]recordOut, error) {
	t, err := topicOf(l, in.Topic)
	if err != nil {
		return nil, err
	}
	if in.Partition >= t.Partitions {
		return nil, errs.New(errs.NotFound, "topic %s has no partition %d", in.Topic, in.Partition)
	}
	var cuts []record.Cut
	if !in.AsOf.IsZero() {
		if _, cuts, err = record.AsOf(ctx, l, t, in.AsOf, len(l.Txns()) > 0); err != nil {
			return nil, err
		}
	}
	type place struct {
		partition log.Partition
		offset    int64
		at        log.Position
	}
	var places []place
	for i := range t.Partitions {
		if in.Partition >= 0 && in.Partition != i {
			continue
		}
		p, below := log.Partition{Topic: t.ID, Index: i}, before
		if cuts != nil && (below < 0 || below > cuts[i].Stable) {
			below = cuts[i].Stable
		}
		offsets, err := l.KeyOffsets(ctx, p, []byte(in.Key), below, n)
		if err != nil {
			return nil, err
		}
		for _, offset := range offsets {
			at, err := l.PositionOf(p, offset)
			if err != nil {
				return nil, err
			}
			places = append(places, place{p, offset, at})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return b.at.Compare(a.at) })
	out, size := []recordOut{}, 0
	for _, one := range places[:min(n, len(places))] {
		r, ok, err := record.At(ctx, l, one.partition, one.offset)
		if err != nil {
			return nil, err
		}
		if !ok || string(r.Key) != in.Key {
			continue // compacted away
		}
		if size += len(r.Value); size > answerBytes && len(out) > 0 {
			break
		}
		out = append(out, newRecordOut(t.Name, one.partition.Index, one.at, r))
	}
	return out, nil
}

type topicInput struct {
	Topic string    `path:"topic"`
	AsOf  time.Time `query:"as_of" doc:"as it was at this instant (RFC 3339); default: now"`
}

type topicOutput struct {
	Body struct {
		Topic      string         `json:"topic"`
		Position   string         `json:"position" doc:"the last append that is in it"`
		Partitions []partitionOut `json:"partitions"`
	}
}

type partitionOut struct {
	Partition int32 `json:"partition"`
	Start     int64 `json:"start" doc:"the first offset that is kept"`
	End       int64 `json:"end" doc:"the offset after the last record"`
	Stable    int64 `json:"stable" doc:"the first offset of a transaction that was open, end when there was none"`
}

func registerTopic(api huma.API, o Options) {
	huma.Register(api, huma.Operation{OperationID: "topic", Method: http.MethodGet, Path: "/v1/topics/{topic}",
		Summary: "A topic's partitions, now or as they were: a cut over all of them at one Position"},
		func(ctx context.Context, in *topicInput) (*topicOutput, error) {
			t, err := topicOf(o.Log, in.Topic)
			if err != nil {
				return nil, failure(err)
			}
			at := in.AsOf
			if at.IsZero() {
				at = time.Now()
			}
			position, cuts, err := record.AsOf(ctx, o.Log, t, at, len(o.Log.Txns()) > 0)
			if err != nil {
				return nil, failure(err)
			}
			out := &topicOutput{}
			out.Body.Topic, out.Body.Position = t.Name, position.String()
			for i, c := range cuts {
				out.Body.Partitions = append(out.Body.Partitions, partitionOut{int32(i), c.Start, c.End, c.Stable})
			}
			return out, nil
		})
}

type waitInput struct {
	Position string  `query:"position" required:"true" doc:"of an append, or a subscription's token" example:"1/42"`
	Timeout  float64 `query:"timeout" default:"10" minimum:"0" maximum:"300" doc:"seconds"`
}

type waitOutput struct {
	Body struct {
		Position string `json:"position" doc:"that views and readers have reached"`
	}
}

func registerWait(api huma.API, o Options) {
	huma.Register(api, huma.Operation{OperationID: "wait", Method: http.MethodGet, Path: "/v1/wait",
		Summary: "Wait until an append is visible in tables and views", Description: "504: not within the timeout; it may be later."},
		func(ctx context.Context, in *waitInput) (*waitOutput, error) {
			p, err := delta.ParsePosition(in.Position)
			if err != nil {
				return nil, failure(err)
			}
			waiting, cancel := context.WithTimeout(ctx, time.Duration(in.Timeout*float64(time.Second)))
			defer cancel()
			reached, err := o.Visible(waiting, p)
			switch {
			case err == nil:
				out := &waitOutput{}
				out.Body.Position = reached.String()
				return out, nil
			case errors.Is(waiting.Err(), context.DeadlineExceeded):
				return nil, huma.NewError(http.StatusGatewayTimeout, "position "+in.Position+" is not visible yet")
			}
			return nil, failure(err)
		})
}
