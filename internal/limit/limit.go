// Package limit holds the named budgets over what a client may choose: a length, a count or a nesting passes one of
// them before memory is taken for it (DESIGN rule 6). Each constant stands beside its reason.
//
// It deliberately holds no state; quotas and admission are elsewhere.
package limit

import (
	"fmt"

	"github.com/miracledb/miracledb/internal/errs"
)

// Bytes is a size in bytes.
type Bytes int64

// Units of Bytes.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

func (b Bytes) String() string {
	switch {
	case b >= GiB && b%GiB == 0:
		return fmt.Sprintf("%d GiB", b/GiB)
	case b >= MiB:
		return fmt.Sprintf("%.4g MiB", float64(b)/float64(MiB))
	case b >= KiB:
		return fmt.Sprintf("%.4g KiB", float64(b)/float64(KiB))
	}
	return fmt.Sprintf("%d B", int64(b))
}

const (
	// KafkaRequest bounds one Kafka request frame: Kafka's socket.request.max.bytes default.
	KafkaRequest = 100 * MiB
	// RecordBatch bounds one produced record batch: Kafka's max.message.bytes default (1 MiB and the batch header).
	RecordBatch = 1*MiB + 12
	// Decompressed bounds what one record batch may unfold to, so that a bomb of 1 MiB cannot take 1 GiB.
	Decompressed = 128 * MiB
	// PGMessage bounds one PostgreSQL frontend message: a COPY row or a statement's text may be large, but not 2 GiB.
	PGMessage = 64 * MiB
	// SQLText bounds one query string.
	SQLText = 16 * MiB
	// SQLBrackets bounds the depth of brackets of one statement: the C parser recurses on them (DESIGN rule 8).
	SQLBrackets = 500
	// SQLOperators bounds operators, casts and prefixes in one expression (DESIGN rule 8).
	SQLOperators = 4000
	// JSONDepth bounds the nesting of a produced JSON value.
	JSONDepth = 64
	// SchemaText bounds one registered schema: with its key and JSON's escapes it fits into one record batch.
	SchemaText = 512 * KiB
	// SchemaDepth bounds the nesting of a schema: the parsers recurse on brackets.
	SchemaDepth = 100
	// Journal bounds one append in one journal entry; a larger one is several entries (DESIGN section 4).
	Journal = 64 * MiB
)

// Check gives a Limit error when n is over max. What names the thing for the user.
func Check(what string, n, max int64) error {
	if n > max {
		return errs.New(errs.Limit, "%s is %d, over the limit of %d", what, n, max)
	}
	return nil
}
