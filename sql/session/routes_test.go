package session_test

import (
	"testing"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

// Both routes give the same rows for what makes rows of several inputs.
func TestRoutesAgree(t *testing.T) {
	c := nodetest.Start(t).Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE a (id int PRIMARY KEY, k int, n numeric(6,2))", "CREATE TABLE b (id int PRIMARY KEY, k int, n numeric(8,3))",
		"INSERT INTO a VALUES (1, 2, 1.5), (2, 2, NULL), (3, NULL, 0), (4, 7, 3.25)", "INSERT INTO b VALUES (1, 7, 1.5), (2, 3, NULL), (3, NULL, 0)")
	for _, q := range []string{
		"SELECT k FROM a UNION SELECT k FROM b ORDER BY 1",
		"SELECT k FROM a UNION ALL SELECT k FROM b ORDER BY 1",
		"SELECT k FROM a INTERSECT SELECT k FROM b ORDER BY 1",
		"SELECT k FROM a EXCEPT SELECT k FROM b ORDER BY 1",
		"SELECT n, 1 AS s FROM a UNION ALL SELECT n, 2 FROM b ORDER BY 1, 2",
		"SELECT a.id, v.x, v.y FROM a CROSS JOIN (VALUES (2, 'p'), (7, 'q')) v(x, y) WHERE a.k = v.x ORDER BY 1",
		"SELECT a.id, v.x FROM a, (VALUES (1.5), (3.250), (NULL)) v(x) WHERE a.n = v.x ORDER BY 1",
	} {
		nodetest.Exec(t, c, "SET miracledb.route = 'row'")
		want := nodetest.Text(t, c, q)
		nodetest.Exec(t, c, "SET miracledb.route = 'analytic'")
		if got := nodetest.Text(t, c, q); got != want {
			t.Errorf("%s\nanalytic %q\nrow      %q", q, got, want)
		}
	}
}
