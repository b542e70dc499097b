package node_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/backup"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/node"
)

// A server does not start on what a restore has begun and not finished.
func TestUnfinishedRestoreIsRefused(t *testing.T) {
	data := t.TempDir()
	if err := os.Mkdir(filepath.Join(data, backup.StagingFolder), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := node.Open(node.Config{Data: data}, slog.New(slog.DiscardHandler))
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "was cut short") {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(data, "log")); err == nil {
		t.Fatal("it began a log")
	}
}
