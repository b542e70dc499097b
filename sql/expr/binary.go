package expr

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

func encode(a, b row.Value) (row.Value, error) {
	data := a.Str()
	switch strings.ToLower(b.Str()) {
	case "hex":
		return row.NewText(hex.EncodeToString([]byte(data))), nil
	case "base64":
		s := base64.StdEncoding.EncodeToString([]byte(data))
		var out strings.Builder
		for len(s) > 76 { // PostgreSQL breaks lines as MIME does
			out.WriteString(s[:76] + "\n")
			s = s[76:]
		}
		out.WriteString(s)
		return row.NewText(out.String()), nil
	case "escape":
		var out strings.Builder
		for i := range len(data) {
			switch c := data[i]; {
			case c == 0 || c >= 0x80:
				fmt.Fprintf(&out, "\\%03o", c)
			case c == '\\':
				out.WriteString(`\\`)
			default:
				out.WriteByte(c)
			}
		}
		return row.NewText(out.String()), nil
	}
	return row.Null, errs.SQL("22023", "unrecognized encoding: \"%s\"", b.Str())
}

func decode(a, b row.Value) (row.Value, error) {
	s := a.Str()
	switch strings.ToLower(b.Str()) {
	case "hex":
		clean := strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, s)
		out, err := hex.DecodeString(clean)
		if err != nil {
			if len(clean)%2 == 1 {
				return row.Null, errs.SQL("22023", "invalid hexadecimal data: odd number of digits")
			}
			return row.Null, errs.SQL("22023", "invalid hexadecimal digit: \"%s\"", firstNonHex(clean))
		}
		return row.NewBytes(out), nil
	case "base64":
		clean := strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, s)
		out, err := base64.StdEncoding.DecodeString(clean)
		if err != nil {
			return row.Null, errs.SQL("22023", "invalid base64 end sequence").WithHint("Input data is missing padding, is truncated, or is otherwise corrupted.")
		}
		return row.NewBytes(out), nil
	case "escape":
		return row.ParseText(row.T(row.Bytea), s)
	}
	return row.Null, errs.SQL("22023", "unrecognized encoding: \"%s\"", b.Str())
}

func firstNonHex(s string) string {
	for _, r := range s {
		if !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return string(r)
		}
	}
	return ""
}

func getByte(a, b row.Value) (row.Value, error) {
	n := b.Int()
	if n < 0 || n >= int64(len(a.Str())) {
		return row.Null, errs.SQL("2202E", "index %d out of valid range, 0..%d", n, len(a.Str())-1)
	}
	return row.NewInt(int64(a.Str()[n])), nil
}

func setByte(args []row.Value) (row.Value, error) {
	data, n := []byte(args[0].Str()), args[1].Int()
	if n < 0 || n >= int64(len(data)) {
		return row.Null, errs.SQL("2202E", "index %d out of valid range, 0..%d", n, len(data)-1)
	}
	data[n] = byte(args[2].Int())
	return row.NewBytes(data), nil
}

func toHex(a row.Value) (row.Value, error) {
	return row.NewText(fmt.Sprintf("%x", uint64(a.Int()))), nil
}

func toHex32(a row.Value) (row.Value, error) {
	return row.NewText(fmt.Sprintf("%x", uint32(a.Int()))), nil
}

func sum(hash func([]byte) []byte) unaryFunc {
	return func(a row.Value) (row.Value, error) { return row.NewBytes(hash([]byte(a.Str()))), nil }
}

func md5Hex(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
