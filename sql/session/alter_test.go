package session_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

// A constraint that is added holds for the rows that are there, or is not added.
func TestAddedConstraintsAreChecked(t *testing.T) {
	c := nodetest.Start(t).Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE p (id int PRIMARY KEY)", "INSERT INTO p VALUES (1)",
		"CREATE TABLE t (id int PRIMARY KEY, a int, b int)", "INSERT INTO t VALUES (1, 1, NULL), (2, 1, 7)")
	for _, f := range []struct{ sql, state string }{
		{"ALTER TABLE t ADD CHECK (a > 1)", "23514"},
		{"ALTER TABLE t ADD UNIQUE (a)", "23505"},
		{"ALTER TABLE t ALTER COLUMN b SET NOT NULL", "23502"},
		{"ALTER TABLE t ADD COLUMN c int NOT NULL", "23502"},
		{"ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES p", "23503"},
		{"ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES t", "23503"},
	} {
		_, err := c.Exec(context.Background(), f.sql)
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != f.state {
			t.Errorf("%s: %v, wanted %s", f.sql, err, f.state)
		}
	}
	nodetest.Exec(t, c, "ALTER TABLE t ADD CHECK (a > 0), ADD UNIQUE (b), ADD FOREIGN KEY (a) REFERENCES p, ADD COLUMN d int NOT NULL DEFAULT 4",
		"ALTER TABLE t ALTER COLUMN d DROP DEFAULT")
	for _, want := range []string{"1|1||4\n2|1|7|4", "1|1||4\n2|1|7|4\n3|1|8|5"} {
		for _, route := range []string{"row", "analytic"} {
			nodetest.Exec(t, c, "SET miracledb.route = "+route)
			if got := nodetest.Text(t, c, "SELECT * FROM t ORDER BY id"); got != want {
				t.Errorf("%s route: %q", route, got)
			}
		}
		nodetest.Exec(t, c, "INSERT INTO t VALUES (3, 1, 8, 5) ON CONFLICT DO NOTHING")
	}
	if _, err := c.Exec(context.Background(), "INSERT INTO t VALUES (4, 2, 9, 5)"); err == nil {
		t.Error("a foreign key that was added is not kept")
	}
}

// A table may refer to itself, and is defined again after a rollback with ids of its own.
func TestCreateAgain(t *testing.T) {
	c := nodetest.Start(t).Connect(t)
	create := "CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree, name text UNIQUE)"
	nodetest.Exec(t, c, "BEGIN", create, "ROLLBACK", "BEGIN", create, "COMMIT", "INSERT INTO tree VALUES (1, NULL, 'root'), (2, 1, 'leaf')")
	if _, err := c.Exec(context.Background(), "INSERT INTO tree VALUES (3, 7, 'x')"); err == nil {
		t.Error("a row refers to one that is not there")
	}
	if got := nodetest.Text(t, c, "SELECT id FROM tree WHERE name = 'leaf'"); got != "2" {
		t.Error(got)
	}
}
