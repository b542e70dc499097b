package schemas

import (
	"context"
	"fmt"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/schema"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
)

// maxRefused is how many records of a batch are told apart in a refusal.
const maxRefused = 100

// Validates reports whether a topic's config asks for records that name a schema of their subject.
func Validates(t *log.Topic) bool {
	return t.Setting(log.ConfigValueValidation) == "true" || t.Setting(log.ConfigKeyValidation) == "true"
}

// Admit is the admission hook of a topic: what its config asks of keys and values is checked, then next (nil: none) is asked. A
// batch with a record that names no schema of its subject is refused whole, with each such record (log.RecordErrors). Nulls pass.
func (s *Store) Admit(topic log.TopicID, next log.AdmissionHook) log.AdmissionHook {
	return func(ctx context.Context, a log.Append, submit func(log.Append) (*log.Ticket, error)) (*log.Ticket, error) {
		if t, ok := s.o.Log.TopicByID(topic); ok && Validates(&t) {
			for i := range a.Batches {
				if a.Batches[i].Partition.Topic != topic {
					continue
				}
				if err := s.validate(ctx, &t, a.Batches[i].Batch); err != nil {
					return nil, err
				}
			}
		}
		if next == nil {
			return submit(a)
		}
		return next(ctx, a, submit)
	}
}

// part is one side of a topic's records.
type part struct {
	name, strategy string
	of             func(record.Record) []byte
}

func (s *Store) validate(ctx context.Context, t *log.Topic, batches []byte) error {
	var parts []part
	if t.Setting(log.ConfigKeyValidation) == "true" {
		parts = append(parts, part{"key", t.Setting(log.ConfigKeySubject), func(r record.Record) []byte { return r.Key }})
	}
	if t.Setting(log.ConfigValueValidation) == "true" {
		parts = append(parts, part{"value", t.Setting(log.ConfigValueSubject), func(r record.Record) []byte { return r.Value }})
	}
	var refused log.RecordErrors
	var it record.Iterator
	index := 0
	for b, err := range record.Batches(batches) {
		if err != nil {
			return err
		}
		if err := it.Reset(b); err != nil {
			return err
		}
		for ; it.Next(); index++ {
			for _, p := range parts {
				reason, err := s.reason(ctx, t, p, p.of(it.Record()))
				if err != nil {
					return err
				}
				if reason != "" && len(refused) < maxRefused {
					refused = append(refused, log.RecordError{Index: index, Message: "the " + p.name + " " + reason})
					break
				}
			}
		}
		if err := it.Err(); err != nil {
			return err
		}
	}
	if len(refused) > 0 {
		return errs.New(errs.Constraint, "topic %s wants records with a schema: %w", t.Name, refused)
	}
	return nil
}

// reason says why bytes name no schema of their subject; "": they do.
func (s *Store) reason(ctx context.Context, t *log.Topic, p part, b []byte) (string, error) {
	if b == nil {
		return "", nil
	}
	id, payload, ok := schema.Frame(b)
	if !ok {
		return "does not begin with a schema id", nil
	}
	subject := t.Name + "-" + p.name
	if p.strategy != log.SubjectOfTopic {
		c, known, err := s.Writer(ctx, id, log.Position{})
		if err != nil {
			return "", err
		}
		if !known {
			return fmt.Sprintf("names schema id %d, which is not registered", id), nil
		}
		name := recordName(c, payload)
		if name == "" {
			return fmt.Sprintf("names schema id %d, which is of no named record", id), nil
		}
		subject = name
		if p.strategy == log.SubjectOfTopicAndRecord {
			subject = t.Name + "-" + name
		}
	}
	has, err := s.Has(ctx, subject, id)
	if err != nil || has {
		return "", err
	}
	return fmt.Sprintf("names schema id %d, which is not registered under subject %s", id, subject), nil
}

// recordName is the name of the record type that a payload is of: Avro's and Protobuf's full name, JSON Schema's title.
func recordName(c *Content, payload []byte) string {
	x, err := c.Schema()
	if err != nil {
		return ""
	}
	name, err := x.RecordName(payload)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(name)
}
