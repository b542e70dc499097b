package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/sql/ingest"
)

// maxAppend bounds the body of an append, and so what one takes memory for.
const maxAppend = 32 << 20

// KeyIn is a key in a request: a text, or bytes in base64. It is exported because huma looks into such embedded structs only.
type KeyIn struct {
	Key       *string `json:"key,omitempty" doc:"the record's key"`
	KeyBinary []byte  `json:"key_base64,omitempty" doc:"the key when it is no text" encoding:"base64"`
}

func (k KeyIn) bytes() []byte {
	if k.Key != nil {
		return []byte(*k.Key)
	}
	return k.KeyBinary
}

type recordIn struct {
	Topic     string `json:"topic" minLength:"1"`
	Partition *int32 `json:"partition,omitempty" doc:"default: as Kafka's clients choose it by the key; without a key the first" minimum:"0"`
	KeyIn
	Value       json.RawMessage   `json:"value,omitempty" doc:"any JSON; without a value the record is a tombstone"`
	ValueText   *string           `json:"value_text,omitempty" doc:"the value when it is no JSON"`
	ValueBinary []byte            `json:"value_base64,omitempty" doc:"the value when it is no text" encoding:"base64"`
	Headers     map[string]string `json:"headers,omitempty"`
	Timestamp   time.Time         `json:"timestamp,omitempty" doc:"default: now"`
}

func (r *recordIn) value() []byte {
	switch {
	case r.ValueText != nil:
		return []byte(*r.ValueText)
	case r.ValueBinary != nil:
		return r.ValueBinary
	case len(r.Value) == 0 || string(r.Value) == "null":
		return nil
	}
	return r.Value
}

type expectIn struct {
	Topic     string `json:"topic" minLength:"1"`
	Partition *int32 `json:"partition,omitempty" doc:"default: that of the key" minimum:"0"`
	KeyIn
	NextOffset *int64 `json:"next_offset,omitempty" doc:"the offset that the next record of the partition must get" minimum:"0"`
	LastOffset *int64 `json:"last_offset,omitempty" doc:"the offset of the last record with the key, -1: there is none; the topic needs miracle.key.index=true" minimum:"-1"`
}

type appendInput struct {
	Body struct {
		Records []recordIn `json:"records" minItems:"1" doc:"appended together or not at all, whatever their topics"`
		Expect  []expectIn `json:"expect,omitempty" doc:"what must hold just before"`
	}
}

type placeOut struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

type appendOutput struct {
	Body struct {
		Position string     `json:"position" doc:"the place of the append in the log's order: for /v1/wait" example:"1/42"`
		Time     time.Time  `json:"time"`
		Records  []placeOut `json:"records" doc:"where each record stands, in the request's order"`
	}
}

// unmetOut is a condition that did not hold, in the answer's errors.
type unmetOut struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Key       []byte `json:"key_base64,omitempty"`
	Actual    int64  `json:"actual" doc:"the next offset, or the last of the key, -1: none"`
}

func registerAppend(api huma.API, o Options) {
	huma.Register(api, huma.Operation{OperationID: "append", Method: http.MethodPost, Path: "/v1/append",
		Summary: "Append records to topics, all of them or none, if what is expected holds", MaxBodyBytes: maxAppend,
		Description: "The records are one entry of the log. 409: an expectation does not hold; errors[].value.actual is what does."},
		func(ctx context.Context, in *appendInput) (*appendOutput, error) {
			a := appending{log: o.Log, topics: map[string]log.Topic{}, names: map[log.TopicID]string{}, batch: map[log.Partition]int{}}
			out, err := a.run(ctx, in)
			if err != nil {
				return nil, a.failure(err)
			}
			return out, nil
		})
}

// appending makes one append of a request.
type appending struct {
	log      log.Log
	topics   map[string]log.Topic
	names    map[log.TopicID]string
	batch    map[log.Partition]int // index of the partition's batch
	order    []log.Partition
	builders []*record.Builder
}

func (a *appending) run(ctx context.Context, in *appendInput) (*appendOutput, error) {
	out := &appendOutput{}
	out.Body.Records = make([]placeOut, 0, len(in.Body.Records))
	for i := range in.Body.Records {
		place, err := a.add(&in.Body.Records[i])
		if err != nil {
			return nil, errs.New(errs.KindOf(err), "records[%d]: %w", i, err)
		}
		out.Body.Records = append(out.Body.Records, place)
	}
	var app log.Append
	for i, p := range a.order {
		data, err := a.builders[i].Build()
		if err != nil {
			return nil, err
		}
		app.Batches = append(app.Batches, log.PartitionBatch{Partition: p, Batch: data})
	}
	for i := range in.Body.Expect {
		e, err := a.expect(&in.Body.Expect[i])
		if err != nil {
			return nil, errs.New(errs.KindOf(err), "expect[%d]: %w", i, err)
		}
		app.Expect = append(app.Expect, e)
	}
	ticket, err := a.log.Produce(ctx, app)
	if err == nil {
		err = ticket.Wait(ctx)
	}
	if err != nil {
		return nil, err
	}
	out.Body.Position, out.Body.Time = ticket.Position.String(), ticket.Time
	for i := range out.Body.Records {
		r := &out.Body.Records[i]
		r.Offset += ticket.Offsets[a.batch[log.Partition{Topic: a.topics[r.Topic].ID, Index: r.Partition}]]
	}
	return out, nil
}

// add puts a record into its partition's batch; the offset it gives is the one in the batch.
func (a *appending) add(r *recordIn) (placeOut, error) {
	p, err := a.partition(r.Topic, r.Partition, r.bytes())
	if err != nil {
		return placeOut{}, err
	}
	i, known := a.batch[p]
	if !known {
		i = len(a.order)
		a.batch[p], a.order, a.builders = i, append(a.order, p), append(a.builders, &record.Builder{})
	}
	at := r.Timestamp
	if at.IsZero() {
		at = time.Now()
	}
	var headers []record.Header
	for name, value := range r.Headers {
		headers = append(headers, record.Header{Key: []byte(name), Value: []byte(value)})
	}
	a.builders[i].Add(at.UnixMilli(), r.bytes(), r.value(), headers...)
	return placeOut{r.Topic, p.Index, int64(a.builders[i].Count() - 1)}, nil
}

func (a *appending) expect(e *expectIn) (log.Expect, error) {
	out := log.Expect{NextOffset: -1, Key: e.bytes()}
	switch {
	case e.NextOffset == nil && e.LastOffset == nil:
		return out, errs.New(errs.Invalid, "neither next_offset nor last_offset is given")
	case (out.Key == nil) != (e.LastOffset == nil):
		return out, errs.New(errs.Invalid, "last_offset is that of a key: give both or neither")
	}
	var err error
	if out.Partition, err = a.partition(e.Topic, e.Partition, out.Key); err != nil {
		return out, err
	}
	if e.NextOffset != nil {
		out.NextOffset = *e.NextOffset
	}
	if e.LastOffset != nil {
		out.LastOffset = *e.LastOffset
	}
	return out, nil
}

func (a *appending) partition(topic string, index *int32, key []byte) (log.Partition, error) {
	t, known := a.topics[topic]
	if !known {
		var err error
		if t, err = topicOf(a.log, topic); err != nil {
			return log.Partition{}, err
		}
		a.topics[topic], a.names[t.ID] = t, topic
	}
	if index == nil {
		return log.Partition{Topic: t.ID, Index: partitionOf(&t, key)}, nil
	}
	if *index >= t.Partitions {
		return log.Partition{}, errs.New(errs.NotFound, "topic %s has no partition %d", topic, *index)
	}
	return log.Partition{Topic: t.ID, Index: *index}, nil
}

// partitionOf is where Kafka's clients put a key.
func partitionOf(t *log.Topic, key []byte) int32 {
	if key == nil {
		return 0
	}
	return ingest.PartitionOf(key, t.Partitions)
}

func topicOf(l log.Log, name string) (log.Topic, error) {
	t, ok := l.Topic(name)
	if !ok {
		return t, errs.New(errs.NotFound, "there is no topic %q", name)
	}
	return t, nil
}

// failure is failure with the conditions that did not hold.
func (a *appending) failure(err error) error {
	var unmet *log.ExpectationError
	if !errors.As(err, &unmet) {
		return failure(err)
	}
	var details []error
	for _, u := range unmet.Unmet {
		location := fmt.Sprintf("expect[%d]", u.Index)
		if u.Record >= 0 {
			location = "records" // by a header of one
		}
		details = append(details, &huma.ErrorDetail{Message: u.String(), Location: location,
			Value: unmetOut{a.names[u.Expect.Partition.Topic], u.Expect.Partition.Index, u.Expect.Key, u.Actual}})
	}
	return huma.NewError(http.StatusConflict, log.ErrExpectation.Error(), details...)
}
