package log

import (
	"fmt"

	"github.com/miracledb/miracledb/internal/errs"
)

// RecordError says which record of a produced batch was refused: an admission hook returns it inside an errs.Constraint
// or errs.Invalid error (a %w verb of errs.New), and log/kafka answers INVALID_RECORD with the record's index (KIP-467).
type RecordError struct {
	// Index is the record's place in the partition's batch, from 0.
	Index int
	// Message says why, to the person who produced the record.
	Message string
}

func (e *RecordError) Error() string { return fmt.Sprintf("record %d: %s", e.Index, e.Message) }

// Why a batch of an idempotent producer is refused; find them with errors.Is. A batch that was appended before is no
// error (Appended.Duplicate).
var (
	// ErrOutOfOrderSequence: there is a gap between the producer's last sequence and this batch's.
	ErrOutOfOrderSequence = errs.New(errs.Conflict, "the batch's sequence does not follow the producer's last one")
	// ErrDuplicateSequence: the batch was appended before, so long ago that its offsets are no longer known.
	ErrDuplicateSequence = errs.New(errs.Conflict, "the batch's sequence is below the producer's remembered ones")
	// ErrProducerFenced: a newer epoch of the same producer has written.
	ErrProducerFenced = errs.New(errs.Conflict, "the producer's epoch is older than one that has written")
)
