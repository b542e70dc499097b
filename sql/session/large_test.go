package session_test

import (
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

// Statements that make large values, from constants or row by row, hold no more than a few of them and end when they are told
// to: by their timeout, and by the server's stop.
func TestLargeValues(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, v text)",
		"INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 20000) i", "SET statement_timeout = '300ms'")
	for _, query := range []string{
		"SELECT length(repeat('a', 100000000) || v) FROM t",
		"SELECT sum(length(repeat('a', 100000000) || v)) FROM t",
		"SELECT count(*) FROM t WHERE repeat(v, 2000000) = 'a'",
		"SELECT max(lpad(v, 30000000)) FROM t",
		"SELECT length(repeat('a', 30000000) || id) FROM generate_series(1, 100000) id",
		"SELECT id FROM t ORDER BY md5(repeat(v, 3000000))",
	} {
		began := time.Now()
		_, err := c.Exec(t.Context(), query)
		if took := time.Since(began); code(err) != "57014" || took > time.Minute {
			t.Errorf("%s: %v after %v", query, err, took)
		} else {
			t.Logf("%s: after %v", query, took)
		}
	}
	nodetest.Exec(t, c, "SET statement_timeout = 0")
	if got := nodetest.Text(t, c, "SELECT length(repeat('a', 100000000) || v) FROM t WHERE id = 1"); got != "100000002" {
		t.Error(got)
	}
	for query, want := range map[string]string{
		"SELECT repeat('a', 1000000000) || repeat('b', 100000000) FROM t": "54000",
		"SELECT repeat('a', 2000000000)":                                  "54000",
	} {
		if _, err := c.Exec(t.Context(), query); code(err) != want {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
	other := s.Connect(t)
	ended := make(chan error, 1)
	go func() {
		_, err := other.Exec(t.Context(), "SELECT repeat('a', 300000000) || v FROM t")
		ended <- err
	}()
	time.Sleep(500 * time.Millisecond)
	began := time.Now()
	s.Stop(t)
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the server ended after %v", took)
	}
	if err := <-ended; err == nil {
		t.Error("a statement of terabytes came to its end")
	}
}
