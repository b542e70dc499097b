package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	mvfs "github.com/miracledb/miracledb/internal/vfs"
)

const testFileSize = 64 * limit.KiB

func entry(payload string) []byte {
	return append(make([]byte, EntryHeaderSize), payload...)
}

func open(t testing.TB, fs mvfs.FS, from Place) (*Journal, []string, []Place) {
	t.Helper()
	var got []string
	var ends []Place
	j, err := Open(Options{FS: fs, Dir: "j", FileSize: testFileSize}, from, func(e Entry) error {
		got, ends = append(got, string(e.Payload)), append(ends, e.End)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return j, got, ends
}

func write(t testing.TB, j *Journal, payload string) {
	t.Helper()
	if err := j.Write(1, entry(payload)); err != nil {
		t.Fatal(err)
	}
}

func payload(i int) string { return fmt.Sprintf("%d:%s", i, bytes.Repeat([]byte("x"), i*397%5000)) }

func TestReopen(t *testing.T) {
	fs := vfs.NewMem()
	want := []string{}
	var released Place
	for round := range 5 {
		j, got, ends := open(t, fs, released)
		skip := len(want) - len(got)
		if skip < 0 || fmt.Sprint(got) != fmt.Sprint(want[skip:]) {
			t.Fatalf("round %d: got %d entries of %d", round, len(got), len(want))
		}
		for i := range 60 {
			write(t, j, payload(i))
			want = append(want, payload(i))
		}
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
		if len(ends) > 0 {
			released = ends[len(ends)/2]
			if err := j.Release(released); err != nil {
				t.Fatal(err)
			}
		}
		j.Close()
	}
	names, _ := fs.List("j")
	if len(names) > 8 {
		t.Errorf("%d files are left: recycling does not work", len(names))
	}
}

// After any crash every synced entry is there, in order, and what else is there is a prefix of what was written.
func TestCrash(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := mvfs.NewMem()
		var want []string
		synced := 0
		for range 4 {
			j, got, _ := open(t, fs, Place{})
			if len(got) < synced || len(got) > len(want) || fmt.Sprint(got) != fmt.Sprint(want[:len(got)]) {
				t.Fatalf("seed %d: %d entries; %d written, %d synced", seed, len(got), len(want), synced)
			}
			want = want[:len(got)]
			synced = len(got)
			for range rng.IntN(40) {
				p := fmt.Sprintf("%d:%s", rng.Uint64(), bytes.Repeat([]byte("y"), rng.IntN(9000)))
				write(t, j, p)
				want = append(want, p)
				if rng.IntN(3) == 0 {
					if err := j.Sync(); err != nil {
						t.Fatal(err)
					}
					synced = len(want)
				}
			}
			if s := j.synced; s == j.end {
				synced = len(want)
			}
			fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		}
	}
}

// One flipped bit below a synced point is reported as damage, never taken for the end; in the last synced entry it is
// found because of the mark behind it.
func TestDamageIsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	dir := t.TempDir()
	build := Options{FS: vfs.Default, Dir: dir, FileSize: testFileSize}
	j, err := Open(build, Place{}, func(Entry) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		write(t, j, payload(i))
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	end := j.end
	if err := j.Mark(1); err != nil {
		t.Fatal(err)
	}
	j.Close()
	names, _ := filepath.Glob(filepath.Join(dir, "*.journal"))
	for range 300 {
		name := names[rng.IntN(len(names))]
		data, _ := os.ReadFile(name)
		h, _ := decodeFileHeader(data)
		used := int(end.Offset)
		if h.number != end.File {
			used = len(data)
			if next, _ := os.ReadFile(build.name(h.number + 1)); next != nil {
				nh, _ := decodeFileHeader(next)
				used = int(nh.previousEnd)
			}
		}
		at := rng.IntN(used)
		if padding(data, at) {
			continue
		}
		bad := bytes.Clone(data)
		bad[at] ^= 1 << rng.IntN(8)
		os.WriteFile(name, bad, 0o644)
		_, err := Verify(build, Place{}, func(Entry) error { return nil })
		if !errs.Is(err, errs.Corrupt) {
			t.Fatalf("flip at %d of %s: %v", at, name, err)
		}
		os.WriteFile(name, data, 0o644)
	}
	if err := os.Remove(names[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(build, Place{}, func(Entry) error { return nil }); !errs.Is(err, errs.Corrupt) {
		t.Fatalf("missing file: %v", err)
	}
}

// padding reports whether byte at is between two entries, where nothing is stored.
func padding(data []byte, at int) bool {
	for off := int64(fileHeaderSize); off < int64(len(data)); {
		h, _, ok := decodeEntry(data[off:])
		if !ok {
			return false
		}
		end := off + EntryHeaderSize + int64(h.length)
		if int64(at) >= end && int64(at) < aligned(end) {
			return true
		}
		off = aligned(end)
	}
	return false
}

func TestSyncErrorIsFinal(t *testing.T) {
	var fail bool
	fs := mvfs.WithErrors(mvfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fail && (op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSync) {
			return errorfs.ErrInjected
		}
		return nil
	}))
	j, _, _ := open(t, fs, Place{})
	write(t, j, "a")
	fail = true
	if err := j.Sync(); !errs.Is(err, errs.Unavailable) || !errors.Is(err, errorfs.ErrInjected) {
		t.Fatal(err)
	}
	fail = false
	if err := j.Sync(); err == nil {
		t.Fatal("a failed sync was retried")
	}
	if err := j.Write(1, entry("b")); err == nil {
		t.Fatal("written after a failed sync")
	}
}

// A write that failed leaves no entry, also when its bytes look whole at the next start.
func TestFailedWriteIsNotResurrected(t *testing.T) {
	mem := mvfs.NewMem()
	var fail bool
	fs := mvfs.WithErrors(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fail && op.Kind == errorfs.OpFileWriteAt {
			return errorfs.ErrInjected
		}
		return nil
	}))
	j, _, _ := open(t, fs, Place{})
	write(t, j, "first")
	// Two entries reach the file and are then disowned, as a torn group would be.
	before := j.end
	write(t, j, "ghost-1")
	write(t, j, "ghost-2")
	j.end = before
	fail = true
	if err := j.Write(1, entry("x")); err == nil {
		t.Fatal("no error")
	}
	fail = false
	write(t, j, "after-1")
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	j.Close()
	_, got, _ := open(t, mem, Place{})
	if fmt.Sprint(got) != "[first after-1]" {
		t.Fatal(got)
	}
}

func FuzzOpen(f *testing.F) {
	mem := vfs.NewMem()
	j, _, _ := open(f, mem, Place{})
	write(f, j, "one")
	write(f, j, "two")
	j.Close()
	file, _ := mem.Open("j/0000000000000001.journal")
	data := make([]byte, 8192)
	file.ReadAt(data, 0)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		fs := vfs.NewMem()
		fs.MkdirAll("j", 0o755)
		file, _ := fs.Create("j/0000000000000001.journal", vfs.WriteCategoryUnspecified)
		file.Write(bytes.Clone(data))
		j, err := Open(Options{FS: fs, Dir: "j", FileSize: testFileSize}, Place{}, func(Entry) error { return nil })
		if err == nil {
			j.Close()
		} else if !errs.Is(err, errs.Corrupt) {
			t.Fatal(err)
		}
	})
}
