package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/spf13/cobra"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/node"
	"github.com/miracledb/miracledb/sql/parse"
)

func newSQL() *cobra.Command {
	var file, user, database string
	cmd := &cobra.Command{
		Use:   "sql [STATEMENT]",
		Short: "Run SQL and print its rows",
		Long: `sql sends a statement to a server and prints what it gives. Several statements of one argument are one transaction,
as in psql -c; those of -f or of standard input are sent one after the other, and the first that fails ends it. For
work by hand psql has more: psql -h 127.0.0.1 -U miracledb miracledb.`,
		Example: `  miracledb sql 'SELECT origin, count(*) FROM flights GROUP BY 1'
  miracledb sql --json 'SELECT 1 AS one'
  miracledb sql -f schema.sql`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && file != "" {
				return usage{fmt.Errorf("%s takes one statement or -f; quote the statement\nhint: see %s --help", c.CommandPath(), c.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			texts := args
			if len(args) == 0 {
				var err error
				if texts, err = statements(cmd, file); err != nil {
					return err
				}
			}
			return runSQL(cmd, user, database, texts)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file of statements (-: standard input)")
	cmd.Flags().StringVar(&user, "user", "miracledb", "user")
	cmd.Flags().StringVar(&database, "database", "miracledb", "database")
	cmd.Flags().String("pg", node.DefaultPG, "PostgreSQL address, HOST:PORT")
	addJSONFlag(cmd)
	return cmd
}

// statements reads and splits a file.
func statements(cmd *cobra.Command, file string) ([]string, error) {
	in := cmd.InOrStdin()
	if file != "" && file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, errs.New(errs.NotFound, "%w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	} else if f, ok := in.(*os.File); ok && isTerminal(f) {
		fmt.Fprintln(cmd.ErrOrStderr(), "reading statements; end with Ctrl-D")
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	list, err := parse.Parse(string(text))
	if err != nil {
		var e *errs.Error
		if errors.As(err, &e) {
			err = errors.New(e.Message + place(string(text), e.Position))
		}
		return nil, errs.New(errs.Invalid, "%w", err).WithHint("Nothing was run: a file must parse as a whole.")
	}
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = s.Text()
	}
	return texts, nil
}

func runSQL(cmd *cobra.Command, user, database string, texts []string) error {
	s, err := loadSettings(cmd)
	if err != nil {
		return err
	}
	address := reachable(s.value("pg"))
	conn, err := connect(cmd, address, user, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(cmd.Context())) }() // the answers are here
	p := newProgress(cmd.ErrOrStderr(), "running")
	defer p.end()
	for _, text := range texts {
		results := conn.Exec(cmd.Context(), text)
		for results.NextResult() {
			if err := printResult(cmd, results.ResultReader()); err != nil {
				return sqlError(err, text)
			}
		}
		if err := results.Close(); err != nil {
			return sqlError(err, text)
		}
	}
	return nil
}

func connect(cmd *cobra.Command, address, user, database string) (*pgconn.PgConn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usage{fmt.Errorf("--pg %q is not HOST:PORT", address)}
	}
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%s sslmode=prefer", host, port))
	if err != nil {
		return nil, usage{err}
	}
	config.User, config.Database, config.ConnectTimeout = user, database, dialTimeout
	config.RuntimeParams["application_name"] = "miracledb sql"
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", n.Severity, n.Message)
	}
	conn, err := pgconn.ConnectConfig(cmd.Context(), &config.Config)
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return nil, sqlError(err, "")
	}
	if err != nil {
		return nil, errs.New(errs.Unavailable, "no PostgreSQL server answers at %s: %w", address, err).
			WithHint("Start one with `miracledb serve`, or name another with --pg HOST:PORT.")
	}
	return conn, nil
}

// sqlError is the server's error as a person reads it.
func sqlError(err error, text string) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return errs.New(errs.Unavailable, "the connection was lost: %w", err).
			WithHint("Whether the statement took effect is not known: look before you repeat it.")
	}
	out := errs.SQL(e.Code, "%s: %s (SQLSTATE %s)%s", e.Severity, e.Message, e.Code, place(text, int(e.Position)))
	if e.Detail != "" {
		out.Message += "\ndetail: " + e.Detail
	}
	out.Hint = e.Hint
	return out
}

// place shows the line of a text that a 1-based character position is in, with a mark under it.
func place(text string, position int) string {
	characters := []rune(text)
	if position < 1 || position > len(characters)+1 {
		return ""
	}
	before := string(characters[:position-1])
	line := strings.Count(before, "\n") + 1
	start := strings.LastIndexByte(before, '\n') + 1
	whole, _, _ := strings.Cut(text[start:], "\n")
	label := fmt.Sprintf("line %d: ", line)
	indent := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, label+before[start:])
	return "\n" + label + whole + "\n" + indent + "^"
}

// printResult prints one statement's rows, or its command tag on standard error.
func printResult(cmd *cobra.Command, r *pgconn.ResultReader) error {
	fields := r.FieldDescriptions()
	t := table{}
	for _, f := range fields {
		t.header = append(t.header, f.Name)
		t.right = append(t.right, isNumber(f.DataTypeOID))
	}
	out, asJSON := cmd.OutOrStdout(), wantsJSON(cmd)
	for r.NextRow() {
		if asJSON {
			if _, err := out.Write(appendRow(nil, fields, r.Values())); err != nil {
				return err
			}
			continue
		}
		cells := make([]string, len(fields))
		for i, v := range r.Values() {
			cells[i] = string(v)
		}
		t.rows = append(t.rows, cells)
	}
	tag, err := r.Close()
	if err != nil {
		return err
	}
	if len(fields) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), tag)
		return nil
	}
	if asJSON {
		return nil
	}
	if err := t.write(out); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "(%s)\n", plural(len(t.rows), "row"))
	return err
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func isNumber(oid uint32) bool {
	switch oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID, pgtype.OIDOID:
		return true
	}
	return false
}

// appendRow appends a row as a line of JSON: int8 and numeric are strings, as everywhere in the HTTP API.
func appendRow(dst []byte, fields []pgconn.FieldDescription, values [][]byte) []byte {
	for i, f := range fields {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		name, _ := json.Marshal(f.Name) // a string always encodes
		dst = append(append(append(dst, sep), name...), ':')
		dst = append(dst, cell(f.DataTypeOID, values[i])...)
	}
	return append(dst, "}\n"...)
}

// cell is a value in PostgreSQL's text form as JSON.
func cell(oid uint32, v []byte) []byte {
	if v == nil {
		return []byte("null")
	}
	switch oid {
	case pgtype.BoolOID:
		return strconv.AppendBool(nil, string(v) == "t")
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.JSONOID, pgtype.JSONBOID:
		if json.Valid(v) { // Infinity and NaN are not
			return v
		}
	case pgtype.TimestampOID:
		if at, err := time.Parse("2006-01-02 15:04:05.999999", string(v)); err == nil {
			v = []byte(at.Format("2006-01-02T15:04:05.999999"))
		}
	}
	text, _ := json.Marshal(string(v)) // a string always encodes
	return text
}
