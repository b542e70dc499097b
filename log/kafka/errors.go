package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// errorCode is the Kafka error code of err, 0 for nil: the one place where error kinds become codes.
func errorCode(err error) int16 {
	if err == nil {
		return 0
	}
	return kafkaError(err).Code
}

func kafkaError(err error) *kerr.Error {
	var known *kerr.Error
	var refused *log.RecordError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return kerr.RequestTimedOut // the server is stopping, and an answer got out all the same
	case errors.As(err, &refused), errors.Is(err, log.ErrInvalidRecord), errors.Is(err, log.ErrExpectation):
		return kerr.InvalidRecord
	case errors.Is(err, log.ErrCorruptBatch):
		return kerr.CorruptMessage
	case errors.Is(err, log.ErrOffsetOutOfRange):
		return kerr.OffsetOutOfRange
	case errors.Is(err, log.ErrInvalidTopic):
		return kerr.InvalidTopicException
	case errors.Is(err, log.ErrInvalidConfig):
		return kerr.InvalidConfig
	case errors.Is(err, log.ErrOutOfOrderSequence):
		return kerr.OutOfOrderSequenceNumber
	case errors.Is(err, log.ErrDuplicateSequence):
		return kerr.DuplicateSequenceNumber
	case errors.Is(err, log.ErrProducerFenced):
		return kerr.InvalidProducerEpoch
	case errors.Is(err, log.ErrProducerMapping):
		return kerr.InvalidProducerIDMapping
	case errors.Is(err, log.ErrTxnState):
		return kerr.InvalidTxnState
	case errors.Is(err, log.ErrTxnTimeout):
		return kerr.InvalidTransactionTimeout
	}
	switch errs.KindOf(err) {
	case errs.Invalid:
		return kerr.InvalidRequest
	case errs.NotFound:
		return kerr.UnknownTopicOrPartition
	case errs.Exists:
		return kerr.TopicAlreadyExists
	case errs.Conflict, errs.Canceled, errs.Unknown:
		return kerr.RequestTimedOut // retriable, and says that the outcome is open
	case errs.Constraint:
		return kerr.InvalidRecord
	case errs.Limit:
		return kerr.MessageTooLarge
	case errs.Unsupported:
		return kerr.UnsupportedVersion
	case errs.Denied:
		return kerr.TopicAuthorizationFailed
	case errs.Unavailable, errs.Corrupt:
		return kerr.KafkaStorageError
	}
	return kerr.UnknownServerError
}

// message is err's text for a nullable error message: null for nil.
func message(err error) *string {
	if err == nil {
		return nil
	}
	text := err.Error()
	return &text
}

// fault is an error with a Kafka code of its own and a message for the person at the client.
type fault struct {
	code *kerr.Error
	text string
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.code }
