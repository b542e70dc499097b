package pgwire_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// client speaks the protocol message by message.
type client struct {
	t *testing.T
	c net.Conn
	*pgproto3.Frontend
}

func dial(t *testing.T, s *nodetest.Server) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.PG)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(3 * time.Minute))
	return &client{t, c, pgproto3.NewFrontend(c, c)}
}

func (c *client) send(ms ...pgproto3.FrontendMessage) {
	c.t.Helper()
	for _, m := range ms {
		c.Send(m)
	}
	if err := c.Flush(); err != nil {
		c.t.Fatal(err)
	}
}

// until gives what the server sends up to ReadyForQuery, in short form.
func (c *client) until() []string {
	c.t.Helper()
	var got []string
	for {
		m, err := c.Receive()
		if err != nil {
			c.t.Fatalf("after %q: %v", got, err)
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			got = append(got, fmt.Sprintf("Error %s %d", m.Code, m.Position))
		case *pgproto3.DataRow:
			var f []string
			for _, v := range m.Values {
				f = append(f, string(v))
			}
			got = append(got, "Row "+strings.Join(f, "|"))
		case *pgproto3.CommandComplete:
			got = append(got, "Complete "+string(m.CommandTag))
		case *pgproto3.ParameterStatus:
			got = append(got, "Parameter "+m.Name+"="+m.Value)
		case *pgproto3.ReadyForQuery:
			return append(got, "Ready "+string(m.TxStatus))
		default:
			got = append(got, strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3."))
		}
	}
}

func (c *client) want(want ...string) {
	c.t.Helper()
	if got := c.until(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		c.t.Fatalf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func start(t *testing.T, s *nodetest.Server) *client {
	t.Helper()
	c := dial(t, s)
	c.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber,
		Parameters: map[string]string{"user": "miracledb", "database": "miracledb"}})
	c.until()
	return c
}

func TestStartupHandshake(t *testing.T) {
	s := nodetest.Start(t)
	c := dial(t, s)
	c.send(&pgproto3.SSLRequest{})
	var answer [1]byte
	if _, err := c.c.Read(answer[:]); err != nil || answer[0] != 'N' {
		t.Fatalf("SSLRequest: %q, %v", answer, err)
	}
	c.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber,
		Parameters: map[string]string{"user": "miracledb", "database": "miracledb", "application_name": "probe"}})
	got := c.until()
	if got[0] != "AuthenticationOk" || got[len(got)-1] != "Ready I" || got[len(got)-2] != "BackendKeyData" {
		t.Fatalf("handshake: %q", got)
	}

	other := dial(t, s)
	other.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber,
		Parameters: map[string]string{"user": "miracledb", "database": "nowhere"}})
	for {
		m, err := other.Receive()
		if err != nil {
			t.Fatal("closed without an error message")
		}
		if e, ok := m.(*pgproto3.ErrorResponse); ok {
			if e.Code != "3D000" || e.Severity != "FATAL" {
				t.Fatalf("unknown database: %s %s", e.Severity, e.Code)
			}
			break
		}
	}
}

func TestSimpleQuery(t *testing.T) {
	c := start(t, nodetest.Start(t))
	c.send(&pgproto3.Query{String: "SELECT 1 AS one, 'x'::text AS x"})
	c.want("RowDescription", "Row 1|x", "Complete SELECT 1", "Ready I")
	c.send(&pgproto3.Query{String: ""})
	c.want("EmptyQueryResponse", "Ready I")
	c.send(&pgproto3.Query{String: "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2); SELECT count(*) FROM t"})
	c.want("Complete CREATE TABLE", "Complete INSERT 0 2", "RowDescription", "Row 2", "Complete SELECT 1", "Ready I")
	// A text of several statements is one transaction.
	c.send(&pgproto3.Query{String: "INSERT INTO t VALUES (3); SELECT 1/0; INSERT INTO t VALUES (4)"})
	c.want("Complete INSERT 0 1", "RowDescription", "Error 22012 0", "Ready I")
	c.send(&pgproto3.Query{String: "SELECT count(*) FROM t"})
	c.want("RowDescription", "Row 2", "Complete SELECT 1", "Ready I")
}

func TestErrorResponse(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, CHECK (id > 0))", "INSERT INTO t VALUES (1, 'a')")
	for _, tc := range []struct {
		sql, code string
		position  int32
	}{
		{"SELEC 1", "42601", 1},
		{"SELECT nothing FROM t", "42703", 8},
		{"SELECT * FROM absent", "42P01", 15},
		{"SELECT 'x'::int", "22P02", 8},
		{"SELECT sqrt('a', 'b')", "42883", 8},
		{"INSERT INTO t VALUES (1, 'b')", "23505", 0},
		{"INSERT INTO t VALUES (2, NULL)", "23502", 0},
		{"INSERT INTO t VALUES (-2, 'b')", "23514", 0},
		{"SELECT " + strings.Repeat("1+", 64_000) + "1", "54001", 0},
		{"SELECT " + strings.Repeat("(", 64_000) + "1" + strings.Repeat(")", 64_000), "54001", 0},
		{"SELECT '\xff'", "22021", 0},
	} {
		name := tc.sql[:min(len(tc.sql), 40)]
		_, err := nodetest.TextErr(t.Context(), c, tc.sql)
		var pe *pgconn.PgError
		if !errors.As(err, &pe) || pe.Code != tc.code || tc.position != 0 && pe.Position != tc.position {
			t.Errorf("%s: %v (position %d), want %s at %d", name, err, position(pe), tc.code, tc.position)
		}
	}
	if got := nodetest.Text(t, c, "SELECT * FROM t"); got != "1|a" {
		t.Fatalf("after the errors: %q", got)
	}
}

func position(e *pgconn.PgError) int32 {
	if e == nil {
		return -1
	}
	return e.Position
}

func TestParameterStatus(t *testing.T) {
	c := dial(t, nodetest.Start(t))
	c.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber,
		Parameters: map[string]string{"user": "miracledb", "database": "miracledb", "TimeZone": "Europe/Berlin"}})
	got := strings.Join(c.until(), "\n")
	for _, want := range []string{"Parameter server_version=15", "Parameter client_encoding=UTF8", "Parameter DateStyle=ISO, MDY",
		"Parameter integer_datetimes=on", "Parameter standard_conforming_strings=on", "Parameter TimeZone=Europe/Berlin"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	c.send(&pgproto3.Query{String: "SET TIME ZONE 'Asia/Tokyo'"})
	c.want("Complete SET", "Parameter TimeZone=Asia/Tokyo", "Ready I")
	c.send(&pgproto3.Query{String: "SELECT '2026-01-01 00:00:00+00'::timestamptz"})
	c.want("RowDescription", "Row 2026-01-01 09:00:00+09", "Complete SELECT 1", "Ready I")
	c.send(&pgproto3.Query{String: "SHOW timezone"})
	c.want("RowDescription", "Row Asia/Tokyo", "Complete SHOW", "Ready I")
}

func TestReadyForQuery(t *testing.T) {
	c := start(t, nodetest.Start(t))
	for _, step := range []struct {
		sql  string
		want []string
	}{
		{"BEGIN", []string{"Complete BEGIN", "Ready T"}},
		{"SELECT 1/0", []string{"RowDescription", "Error 22012 0", "Ready E"}},
		{"SELECT 1", []string{"Error 25P02 0", "Ready E"}},
		{"COMMIT", []string{"Complete ROLLBACK", "Ready I"}},
		{"BEGIN; SELECT 1", []string{"Complete BEGIN", "RowDescription", "Row 1", "Complete SELECT 1", "Ready T"}},
		{"ROLLBACK", []string{"Complete ROLLBACK", "Ready I"}},
	} {
		c.send(&pgproto3.Query{String: step.sql})
		c.want(step.want...)
	}
	// The extended protocol skips to Sync after an error, and is ready once.
	c.send(&pgproto3.Parse{Query: "SELECT $1::int"}, &pgproto3.Bind{Parameters: [][]byte{[]byte("x")}},
		&pgproto3.Execute{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	c.want("ParseComplete", "Error 22P02 0", "Ready I")
	c.send(&pgproto3.Parse{Query: "SELECT $1::int + 1"}, &pgproto3.Describe{ObjectType: 'S'},
		&pgproto3.Bind{Parameters: [][]byte{[]byte("41")}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	c.want("ParseComplete", "ParameterDescription", "RowDescription", "BindComplete", "Row 42", "Complete SELECT 1", "Ready I")
}

// Rows come in portions when a client asks so, and a portal keeps its place.
func TestPortal(t *testing.T) {
	c := start(t, nodetest.Start(t))
	c.send(&pgproto3.Query{String: "BEGIN"})
	c.until()
	c.send(&pgproto3.Parse{Query: "SELECT g FROM generate_series(1, 5) g"}, &pgproto3.Bind{DestinationPortal: "p"},
		&pgproto3.Execute{Portal: "p", MaxRows: 2}, &pgproto3.Execute{Portal: "p", MaxRows: 2},
		&pgproto3.Execute{Portal: "p", MaxRows: 2}, &pgproto3.Sync{})
	c.want("ParseComplete", "BindComplete", "Row 1", "Row 2", "PortalSuspended", "Row 3", "Row 4", "PortalSuspended", "Row 5",
		"Complete SELECT 1", "Ready T")
}

func TestCancel(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	ended, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for over := false; !over && err == nil; { // a request that comes before the query does nothing
			select {
			case <-time.After(300 * time.Millisecond):
				err = c.PgConn().CancelRequest(context.Background())
			case <-ended:
				over = true
			}
		}
		stopped <- err
	}()
	_, err := nodetest.TextErr(t.Context(), c, "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b")
	close(ended)
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != "57014" {
		t.Fatalf("a cancelled query: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if got := nodetest.Text(t, c, "SELECT 1"); got != "1" {
		t.Fatal(got)
	}
}

func TestCopy(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2))")
	for _, tc := range []struct{ sql, in string }{
		{"COPY t FROM STDIN", "1\ta\\tb\t1.50\n2\t\\N\t\\N\n\\.\n"},
		{"COPY t (id, v) FROM STDIN (FORMAT csv, HEADER)", "id,v\n3,\"x,\"\"y\"\"\nz\"\n4,\n"},
	} {
		if _, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader(tc.in), tc.sql); err != nil {
			t.Fatalf("%s: %v", tc.sql, err)
		}
	}
	var out bytes.Buffer
	if _, err := c.PgConn().CopyTo(t.Context(), &out, "COPY (SELECT * FROM t ORDER BY id) TO STDOUT"); err != nil {
		t.Fatal(err)
	}
	if want := "1\ta\\tb\t1.50\n2\t\\N\t\\N\n3\tx,\"y\"\\nz\t\\N\n4\t\\N\t\\N\n"; out.String() != want {
		t.Fatalf("got %q, want %q", out.String(), want)
	}
	// pgx's CopyFrom is binary.
	n, err := c.CopyFrom(t.Context(), pgx.Identifier{"t"}, []string{"id", "v"}, pgx.CopyFromRows([][]any{{int32(10), "j"}, {int32(11), nil}}))
	if err != nil || n != 2 {
		t.Fatalf("binary COPY: %d rows, %v", n, err)
	}
	// Nothing of a COPY that fails stays.
	_, err = c.PgConn().CopyFrom(t.Context(), strings.NewReader("20\tx\t1\nnot\ta\trow\n"), "COPY t FROM STDIN")
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != "22P02" {
		t.Fatalf("a bad line: %v", err)
	}
	if got := nodetest.Text(t, c, "SELECT count(*) FROM t WHERE id = 20"); got != "0" {
		t.Fatal("a failed COPY left rows")
	}
}

// Bytes that are no protocol, and lengths that nobody could mean, end their own connection only.
func TestGarbage(t *testing.T) {
	s := nodetest.Start(t)
	long := binary.BigEndian.AppendUint32(nil, 2_000_000_000)
	for name, b := range map[string][]byte{
		"text":           []byte("GET / HTTP/1.1\r\n\r\n"),
		"length":         append(long, 0, 3, 0, 0),
		"negative":       {0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0},
		"version":        {0, 0, 0, 8, 0, 9, 0, 0},
		"no terminators": {0, 0, 0, 16, 0, 3, 0, 0, 'u', 's', 'e', 'r', 'x', 'x', 'x', 'x'},
	} {
		c := dial(t, s)
		if _, err := c.c.Write(b); err != nil {
			t.Fatal(err)
		}
		_, _ = bytes.NewBuffer(nil).ReadFrom(c.c) // until the server closes
		t.Log(name, "closed")
	}
	c := start(t, s)
	if _, err := c.c.Write(append([]byte{'Q'}, long...)); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Receive(); err == nil {
		if e, ok := m.(*pgproto3.ErrorResponse); !ok || e.Severity != "FATAL" {
			t.Fatalf("a message of 2 GB: %T", m)
		}
	}
	start(t, s).send(&pgproto3.Terminate{})
}
