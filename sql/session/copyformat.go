package session

import (
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql"
	"github.com/miracledb/miracledb/sql/plan"
)

// copyFormat reads COPY's options with PostgreSQL's defaults and rules (COPY, ProcessCopyOptions).
func copyFormat(st *plan.Copy) (sql.CopyFormat, error) {
	f := sql.CopyFormat{Format: st.Format, Delimiter: '\t', Null: `\N`, Quote: '"'}
	if f.Format == "" {
		f.Format = "text"
	}
	switch f.Format {
	case "text", "binary":
	case "csv":
		f.Delimiter, f.Null = ',', ""
	default:
		return f, errs.SQL("22023", "COPY format %q not recognized", f.Format)
	}
	for name, value := range st.Options {
		if err := copyOption(&f, name, value); err != nil {
			return f, err
		}
	}
	if f.Escape == 0 {
		f.Escape = f.Quote
	}
	if f.Delimiter == '\n' || f.Delimiter == '\r' || strings.ContainsRune(f.Null, rune(f.Delimiter)) {
		return f, errs.SQL("22023", "COPY delimiter must not be a newline or appear in the NULL specification")
	}
	return f, nil
}

func copyOption(f *sql.CopyFormat, name, value string) error {
	one := func() (byte, error) {
		if len(value) != 1 {
			return 0, errs.SQL("0A000", "COPY %s must be a single one-byte character", name)
		}
		return value[0], nil
	}
	csv := func() error {
		if f.Format != "csv" {
			return errs.SQL("0A000", "COPY %s available only in CSV mode", name)
		}
		return nil
	}
	columns := func() (map[string]bool, error) {
		m := map[string]bool{}
		for _, c := range strings.Split(value, ",") {
			m[strings.TrimSpace(c)] = true
		}
		return m, csv()
	}
	var err error
	switch name {
	case "format", "freeze", "oids":
	case "delimiter":
		f.Delimiter, err = one()
	case "null":
		f.Null = value
	case "header":
		switch strings.ToLower(value) {
		case "", "true", "on", "1":
			f.Header = true
		case "match":
			f.Header, f.HeaderTest = true, true
		case "false", "off", "0":
		default:
			err = errs.SQL("42601", "header requires a Boolean value or \"match\"")
		}
	case "quote":
		if f.Quote, err = one(); err == nil {
			err = csv()
		}
	case "escape":
		if f.Escape, err = one(); err == nil {
			err = csv()
		}
	case "force_quote":
		f.ForceQuote, err = columns()
	case "force_null":
		f.ForceNull, err = columns()
	case "force_not_null":
		f.ForceNotNull, err = columns()
	case "encoding":
		_, err = checkEncoding(value)
	default:
		err = errs.SQL("42601", "option %q not recognized", name)
	}
	return err
}
