package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// A cut takes what was not synced and leaves what was.
func TestDiskCut(t *testing.T) {
	if !OwnMounts(t) {
		return
	}
	d := NewDisk(t, 64<<20)
	synced, lost := filepath.Join(d.Dir, "synced"), filepath.Join(d.Dir, "lost")
	f, err := os.Create(synced)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteString("synced"); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(" and not"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lost, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Cut(); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err == nil {
		t.Error("a sync after the cut has no error")
	}
	_ = f.Close()
	if err := d.Unmount(); err != nil {
		t.Fatal(err)
	}
	if err := d.Mount("commit=1"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(synced); err != nil || string(b) != "synced" {
		t.Errorf("the synced file is %q, %v", b, err)
	}
	if _, err := os.Stat(lost); !os.IsNotExist(err) {
		t.Errorf("the file that was not synced: %v", err)
	}
}
