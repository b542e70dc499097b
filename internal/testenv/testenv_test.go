package testenv

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestPostgres(t *testing.T) {
	dsn := Postgres(t, "wal_level=logical")
	bin, err := PostgresBin()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(bin, "psql"), dsn, "-Atc", "show wal_level").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "logical" {
		t.Fatalf("psql: %s %v", out, err)
	}
}

// A component that failed to install is not taken for an installed one, and one that is complete is not made again.
func TestComponent(t *testing.T) {
	t.Setenv("MIRACLEDB_TEST_CACHE", t.TempDir())
	boom := errors.New("boom")
	if _, err := component("x", func(context.Context, string) error { return boom }); !errors.Is(err, boom) && !testing.Short() {
		t.Fatalf("got %v", err)
	}
	if testing.Short() {
		return
	}
	calls := 0
	for range 2 {
		if _, err := component("x", func(context.Context, string) error { calls++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 1 {
		t.Fatalf("installed %d times", calls)
	}
}
