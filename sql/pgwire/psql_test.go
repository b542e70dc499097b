package pgwire_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata")

// sampleTables are one relation of each kind.
var sampleTables = []string{
	"CREATE TABLE customers (id int PRIMARY KEY, name varchar(40) NOT NULL, email text UNIQUE, tags text[], created timestamptz DEFAULT now())",
	"CREATE INDEX customers_name ON customers (name, created)",
	"COMMENT ON TABLE customers IS 'who buys'",
	"CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int NOT NULL REFERENCES customers (id), amount numeric(10,2) DEFAULT 1 CHECK (amount > 0), note jsonb)",
	"CREATE TABLE keyless (x float8)",
	"CREATE TABLE clicks (ts timestamptz NOT NULL, url text) WITH (append_only, event_time = 'ts', watermark = '5 seconds')",
	"CREATE VIEW large AS SELECT id, amount FROM orders WHERE amount > 10",
	"CREATE MATERIALIZED VIEW totals AS SELECT customer_id, sum(amount) AS total FROM orders GROUP BY customer_id",
	"CREATE SCHEMA shop", "CREATE TABLE shop.items (id uuid PRIMARY KEY)",
}

// TestPsql holds what psql's backslash commands print of a database with one relation of each kind.
func TestPsql(t *testing.T) {
	psql, err := exec.LookPath("psql")
	testenv.Need(t, "psql", err)
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, sampleTables...)
	var got bytes.Buffer
	for _, command := range []string{`\d`, `\dt`, `\dt+ customers`, `\dt *.*items`, `\d customers`, `\d orders`, `\d+ orders`, `\d keyless`,
		`\d+ clicks`, `\d+ large`, `\d+ totals`, `\d orders__rejected`, `\d shop.items`, `\d customers_pkey`, `\di`, `\dv`, `\dm`, `\ds`, `\dn`,
		`\du`, `\l`, `\df lower`, `\dT jsonb`, `\dx`, `\dp orders`, `\sv large`, `\dconfig work_mem`, `\da sum`, `\do ||`, `\dC bool`,
		`\db`, `\dy`, `\dRp`, `\des`, `\dl`, `\dD`, `\dF`, `\dO POSIX`, `\dL`, `\dA`, `\dc`, `\ddp`, `\drds`, `\dE`} {
		got.WriteString("# " + command + "\n")
		cmd := exec.Command(psql, "-X", "-q", s.DSN(), "-c", command)
		cmd.Env = append(os.Environ(), "LANG=C.UTF-8", "PAGER=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
		for line := range strings.Lines(string(out)) {
			got.WriteString(strings.TrimRight(volatile.ReplaceAllString(line, "SIZE"), " \n") + "\n")
		}
	}
	golden(t, "testdata/psql.txt", got.Bytes())
}

// golden compares what a client printed with a file.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s says otherwise (run with -rewrite to see what differs):\n%s", file, got)
	}
}

// volatile are sizes, which depend on what was flushed.
var volatile = regexp.MustCompile(`[0-9]+ (bytes|kB|MB) *`)
