package ingest

import (
	"bytes"
	"encoding/hex"
	"unicode/utf8"

	"github.com/miracledb/miracledb/internal/row"
)

// Readable gives a record's bytes as text: bytes that are no UTF-8 (or hold a zero byte, which PostgreSQL's text cannot)
// in bytea's hex form. nil is NULL.
func Readable(b []byte) row.Value {
	switch {
	case b == nil:
		return row.Null
	case utf8.Valid(b) && bytes.IndexByte(b, 0) < 0:
		return row.NewText(string(b))
	}
	return row.NewText(`\x` + hex.EncodeToString(b))
}
