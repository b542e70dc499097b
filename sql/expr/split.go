package expr

import (
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

func splitPart(args []row.Value) (row.Value, error) {
	s, sep, n := args[0].Str(), args[1].Str(), args[2].Int()
	if n == 0 {
		return row.Null, errs.SQL("22023", "field position must not be zero")
	}
	parts := []string{s}
	if sep != "" {
		parts = strings.Split(s, sep)
	}
	if n < 0 {
		n += int64(len(parts)) + 1
	}
	if n < 1 || n > int64(len(parts)) {
		return row.NewText(""), nil
	}
	return row.NewText(parts[n-1]), nil
}

func sqlSplit(args []row.Value) []row.Value {
	s, sep := args[0], args[1]
	if s.IsNull() {
		return nil
	}
	var parts []string
	switch {
	case s.Str() == "":
		return []row.Value{}
	case sep.IsNull():
		for _, r := range s.Str() {
			parts = append(parts, string(r))
		}
	case sep.Str() == "":
		parts = []string{s.Str()}
	default:
		parts = strings.Split(s.Str(), sep.Str())
	}
	out := make([]row.Value, len(parts))
	for i, p := range parts {
		if len(args) > 2 && !args[2].IsNull() && p == args[2].Str() {
			continue
		}
		out[i] = row.NewText(p)
	}
	return out
}

func stringToArray(args []row.Value) (row.Value, error) {
	list := sqlSplit(args)
	if list == nil {
		return row.Null, nil
	}
	return row.NewList(list), nil
}

func stringToTable(_ *Ctx, args []row.Value) ([]row.Row, error) { return rowsOf(sqlSplit(args)), nil }

// parseIdent splits a qualified name, folding what is not quoted.
func parseIdent(args []row.Value) (row.Value, error) {
	s := strings.TrimSpace(args[0].Str())
	strict := len(args) < 2 || args[1].Bool()
	bad := errs.SQL("22023", "string is not a valid identifier: \"%s\"", args[0].Str())
	var out []row.Value
	for {
		s = strings.TrimLeft(s, " \t\n")
		part := ""
		if strings.HasPrefix(s, `"`) {
			i := 1
			for {
				j := strings.IndexByte(s[i:], '"')
				if j < 0 {
					return row.Null, bad
				}
				part += s[i : i+j]
				i += j + 1
				if i < len(s) && s[i] == '"' {
					part += `"`
					i++
					continue
				}
				break
			}
			if part == "" {
				return row.Null, bad
			}
			s = s[i:]
		} else {
			i := 0
			for i < len(s) && (s[i] == '_' || s[i] >= 0x80 || s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || i > 0 && (s[i] >= '0' && s[i] <= '9' || s[i] == '$')) {
				i++
			}
			if i == 0 {
				return row.Null, bad
			}
			part, s = strings.ToLower(s[:i]), s[i:]
		}
		out = append(out, row.NewText(part))
		s = strings.TrimLeft(s, " \t\n")
		if s == "" {
			return row.NewList(out), nil
		}
		if s[0] != '.' {
			if !strict {
				return row.NewList(out), nil
			}
			return row.Null, bad
		}
		s = s[1:]
	}
}
