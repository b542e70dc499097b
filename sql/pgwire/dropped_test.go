package pgwire_test

import (
	"context"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/miracledb/miracledb/internal/node/nodetest"
)

// The statement of a client that goes in its midst ends, however it went, and its transaction lets go of what it locked.
func TestDroppedClient(t *testing.T) {
	s := nodetest.Start(t)
	c := s.Connect(t)
	nodetest.Exec(t, c, "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0)")
	const running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
	for _, linger := range []int{-1, 0} { // a close, a reset
		config, err := pgconn.ParseConfig(s.DSN())
		if err != nil {
			t.Fatal(err)
		}
		var wire *net.TCPConn
		config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			n, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil {
				wire = n.(*net.TCPConn)
			}
			return n, err
		}
		client, err := pgconn.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		client.Frontend().Send(&pgproto3.Query{String: "BEGIN; UPDATE t SET v = v + 1; SELECT pg_sleep(3600)"})
		if err := client.Frontend().Flush(); err != nil {
			t.Fatal(err)
		}
		nodetest.Eventually(t, c, running, "1")
		if err := wire.SetLinger(linger); err != nil {
			t.Fatal(err)
		}
		wire.Close()
		nodetest.Eventually(t, c, running, "0")
		nodetest.Exec(t, c, "UPDATE t SET v = v + 10")
	}
	if got := nodetest.Text(t, c, "SELECT v FROM t"); got != "20" {
		t.Errorf("%s: something of theirs was committed", got)
	}
}
