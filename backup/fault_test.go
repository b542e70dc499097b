package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func blockPath(dir string, b Block) string {
	return filepath.Join(dir, filepath.FromSlash(b.object()))
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustWrite(t testing.TB, path string, p []byte) {
	t.Helper()
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
}

// refused asks for a restore that must fail, with a fault that names the block, and leaves nothing.
func refused(t *testing.T, store Store, block Block) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	_, err := Restore(ctx, RestoreOptions{Store: store, Data: data, Target: Target{Latest: true}})
	names := []string{block.SHA256, block.First.String(), block.Last.String()}
	for _, name := range names {
		if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), name) {
			t.Fatalf("the fault does not name %s: %v", name, err)
		}
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("the data directory is there")
	}
}

func TestBackupVerification(t *testing.T) {
	s := startSource(t)
	s.fill(3000)
	store, dir := repository(t)
	first := s.backup(store)
	a, _ := s.Topic("a")
	b, _ := s.Topic("b")
	s.more(a, b, 20)
	m := s.backup(store)
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 || r.Restored != m.ID {
		t.Fatalf("%+v", r)
	}
	block := blocksOf(t, store, m)[0]
	path := blockPath(dir, block)
	whole := mustRead(t, path)
	for name, damage := range map[string]struct {
		bytes []byte
		level Level // the first that sees it
	}{
		"one bit":  {flip(whole, len(whole)/2), Full},
		"shorter":  {whole[:len(whole)-1], Quick},
		"longer":   {append(bytes.Clone(whole), 0), Quick},
		"empty":    {nil, Quick},
		"zeros":    {make([]byte, len(whole)), Full},
		"no block": {flip(whole, 0), Full},
	} {
		t.Run(name, func(t *testing.T) {
			mustWrite(t, path, damage.bytes)
			for level := Quick; level <= Sandbox; level++ {
				r := verify(t, store, level)
				if seen := len(r.Faults) > 0; seen != (level >= damage.level) {
					t.Fatalf("%v: %v", level, r.Faults)
				}
				if len(r.Faults) > 0 && (!errs.Is(r.Faults[0], errs.Corrupt) || !strings.Contains(r.Faults[0].Error(), block.SHA256)) {
					t.Fatalf("%v: %v", level, r.Faults)
				}
			}
			refused(t, store, block)
		})
	}
	// A whole block of other contents under the name.
	mustWrite(t, path, mustRead(t, blockPath(dir, m.Blocks[len(m.Blocks)-1])))
	refused(t, store, block)
	// A full backup writes the block anew: the older backups are whole again too.
	mustWrite(t, path, flip(whole, 7))
	s.backup(store, true)
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 {
		t.Fatalf("%+v", r)
	}
	if _, err := Restore(ctx, RestoreOptions{Store: store, Backup: first.ID, Data: filepath.Join(t.TempDir(), "d"), Target: Target{Latest: true}}); err != nil {
		t.Fatal(err)
	}
}

func flip(p []byte, at int) []byte {
	p = bytes.Clone(p)
	p[at] ^= 0x10
	return p
}

func TestMissingBlock(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(300)
	store, dir := repository(t)
	m := s.backup(store)
	last := m.Blocks[len(m.Blocks)-1]
	if err := os.Remove(blockPath(dir, last)); err != nil {
		t.Fatal(err)
	}
	refused(t, store, last)
	r := verify(t, store, Quick)
	if len(r.Faults) != 1 || !strings.Contains(r.Faults[0].Error(), "missing") || !strings.Contains(r.Faults[0].Error(), m.ID) {
		t.Fatal(r.Faults)
	}
	s.more(a, b, 3)
	_, err := Create(ctx, s.options(store, false))
	var e *errs.Error
	if !errors.As(err, &e) || e.Kind != errs.Corrupt || e.Hint == "" {
		t.Fatal(err)
	}
	s.backup(store, true)
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 {
		t.Fatal(r.Faults)
	}
}

func TestDamagedManifest(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(30)
	store, dir := repository(t)
	first := s.backup(store)
	s.more(a, b, 3)
	second := s.backup(store)
	path := filepath.Join(dir, "manifests", second.ID+".json")
	whole := mustRead(t, path)
	for name, damaged := range map[string][]byte{
		"truncated":  whole[:len(whole)/2],
		"empty":      nil,
		"a digit":    bytes.Replace(whole, []byte(`"appends":`), []byte(`"appends":1`), 1),
		"other name": mustRead(t, filepath.Join(dir, "manifests", first.ID+".json")),
		"newer":      bytes.Replace(whole, []byte(`"format":1`), []byte(`"format":9`), 1),
	} {
		t.Run(name, func(t *testing.T) {
			mustWrite(t, path, damaged)
			want := errs.Corrupt
			if name == "newer" {
				want = errs.Unsupported
			}
			listed, err := List(ctx, store)
			if len(listed) != 1 || !errs.Is(err, want) || !strings.Contains(err.Error(), second.ID) {
				t.Fatal(listed, err)
			}
			if r := verify(t, store, Quick); len(r.Faults) != 1 {
				t.Fatal(r.Faults)
			}
			data := filepath.Join(t.TempDir(), "data")
			if _, err := Restore(ctx, RestoreOptions{Store: store, Data: data, Target: Target{Latest: true}}); !errs.Is(err, want) {
				t.Fatal(err)
			}
			if _, err := Restore(ctx, RestoreOptions{Store: store, Data: data, Target: Target{Latest: true}, Backup: second.ID}); !errs.Is(err, want) {
				t.Fatal(err)
			}
			if r, err := Restore(ctx, RestoreOptions{Store: store, Data: data, Target: Target{Latest: true}, Backup: first.ID}); err != nil || r.Position != first.To {
				t.Fatal(err)
			}
			if _, err := Prune(ctx, PruneOptions{Store: store, Keep: 1}); !errs.Is(err, want) {
				t.Fatal(err)
			}
		})
	}
	// A newer whole backup reaches further than the damaged one: it is enough.
	third := s.backup(store)
	if r, _ := restore(t, store, Target{Latest: true}); r.Backup != third.ID {
		t.Fatal(r.Backup)
	}
}

// faulty is a store in memory whose writes fail once armed: the n-th from then on, and all after it.
type faulty struct {
	mem    *pebblevfs.MemFS
	store  *Directory
	writes atomic.Int64
	err    error
}

func newFaulty() *faulty {
	f := &faulty{err: syscall.ENOSPC}
	f.writes.Store(1 << 40)
	f.mem = vfs.NewMem()
	f.store = NewDirectory(vfs.WithErrors(f.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpRename, errorfs.OpCreate:
			if f.writes.Add(-1) < 0 {
				return f.err
			}
		}
		return nil
	})), "repo")
	return f
}

// The disk fills at every write of a backup in turn: the repository's backups stay what they were, and once there is
// room the next one is whole.
func TestFullDisk(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(50)
	f := newFaulty()
	first := s.backup(f.store)
	s.more(a, b, 10)
	all := logtest.Entries(t, s, log.Position{})
	failures := 0
	for n := int64(0); ; n++ {
		f.writes.Store(n)
		_, err := Create(ctx, s.options(f.store, false))
		f.writes.Store(1 << 40)
		if err == nil {
			break
		}
		failures++
		var e *errs.Error
		if !errors.As(err, &e) || e.Kind != errs.Unavailable || e.Hint == "" {
			t.Fatalf("write %d: %v", n, err)
		}
		listed, err := List(ctx, f.store)
		// When only the last sync failed the manifest may be there: then it counts, and is whole.
		if err != nil || len(listed) == 0 || listed[len(listed)-1].ID != first.ID {
			t.Fatalf("write %d: %v, %v", n, listed, err)
		}
		if r := verify(t, f.store, Full); len(r.Faults) > 0 {
			t.Fatalf("write %d: %v", n, r.Faults)
		}
	}
	if failures < 6 {
		t.Fatalf("only %d writes could fail", failures)
	}
	s.backup(f.store)
	_, data := restore(t, f.store, Target{Latest: true})
	same(t, data, all)
}

// A power cut at any write leaves the old backups, and a repository that the next backup can use.
func TestPowerCut(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(50)
	f := newFaulty()
	first := s.backup(f.store)
	s.more(a, b, 10)
	all := logtest.Entries(t, s, log.Position{})
	for n := int64(0); ; n++ {
		f.writes.Store(n)
		_, err := Create(ctx, s.options(f.store, false))
		f.writes.Store(1 << 40)
		after := NewDirectory(f.mem.CrashClone(vfs.CrashCloneCfg{}), "repo")
		listed, lerr := List(ctx, after)
		if lerr != nil || len(listed) == 0 || listed[len(listed)-1].ID != first.ID || err == nil && len(listed) < 2 {
			t.Fatalf("write %d: %v, %v", n, listed, lerr)
		}
		if r := verify(t, after, Full); len(r.Faults) > 0 {
			t.Fatalf("write %d: %v", n, r.Faults)
		}
		s.backup(after)
		_, data := restore(t, after, Target{Latest: true})
		same(t, data, all)
		if err == nil {
			return
		}
	}
}

// killed stops a backup when its manifest is to be written: all blocks are there, and nothing names them.
type killed struct{ *Directory }

func (k killed) Put(ctx context.Context, name string, data []byte) error {
	if strings.HasPrefix(name, manifestFolder) {
		return context.Canceled
	}
	return k.Directory.Put(ctx, name, data)
}

func TestKilledBeforeManifest(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(300)
	store, _ := repository(t)
	first := s.backup(store)
	s.more(a, b, 10)
	if _, err := Create(ctx, s.options(killed{store}, false)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	listed, err := List(ctx, store)
	if err != nil || len(listed) != 1 || listed[0].ID != first.ID {
		t.Fatal(listed, err)
	}
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 || r.Unused != 1 || r.Position != first.To {
		t.Fatalf("%+v", r)
	}
	if p, err := Prune(ctx, PruneOptions{Store: store}); err != nil || p.Blocks != 1 || len(p.Backups) != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	s.backup(store)
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 || r.Unused != 0 {
		t.Fatalf("%+v", r)
	}
}

// A block that another backup names is not uploaded again, though the history is another one.
func TestBlocksAreReused(t *testing.T) {
	s := startSource(t)
	a, b := s.fill(600)
	store, _ := repository(t)
	before := s.End()
	s.more(a, b, 5)
	old := s.backup(store)
	all := logtest.Entries(t, s, log.Position{})
	_, data := restore(t, store, Target{Time: all[before.Sequence-1].Time})
	branch := openSource(t, data, s.clock.Now())
	branch.append(a, 0, "other")
	m := branch.backup(store)
	if n := len(blocksOf(t, store, m)); m.Previous != "" || m.NewBlocks != 1 || n != len(blocksOf(t, store, old)) || n < 5 {
		t.Fatalf("%d blocks, new %d, previous %q", n, m.NewBlocks, m.Previous)
	}
	_, data = restore(t, store, Target{Latest: true})
	same(t, data, logtest.Entries(t, branch, log.Position{}))
}

func TestDamagedList(t *testing.T) {
	s := startSource(t)
	s.fill(600)
	store, dir := repository(t)
	m := s.backup(store)
	if len(m.Lists) == 0 {
		t.Fatal("no list")
	}
	path := filepath.Join(dir, filepath.FromSlash(m.Lists[0].object()))
	whole := mustRead(t, path)
	for _, damage := range []func(){
		func() { mustWrite(t, path, flip(whole, 100)) },
		func() { mustWrite(t, path, whole[:200]) },
		func() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		damage()
		r := verify(t, store, Quick)
		if len(r.Faults) != 1 || !errs.Is(r.Faults[0], errs.Corrupt) || !strings.Contains(r.Faults[0].Error(), m.Lists[0].SHA256) {
			t.Fatal(r.Faults)
		}
		_, err := Restore(ctx, RestoreOptions{Store: store, Data: filepath.Join(t.TempDir(), "d"), Target: Target{Latest: true}})
		if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), m.Lists[0].SHA256) {
			t.Fatal(err)
		}
		if _, err := Prune(ctx, PruneOptions{Store: store, Keep: 1}); !errs.Is(err, errs.Corrupt) {
			t.Fatal(err)
		}
	}
	s.backup(store, true)
	if r := verify(t, store, Sandbox); len(r.Faults) != 1 && len(r.Faults) != 0 {
		t.Fatal(r.Faults)
	}
	restore(t, store, Target{Latest: true})
}

func TestOneWriter(t *testing.T) {
	s := startSource(t)
	s.fill(3)
	store, _ := repository(t)
	release, err := store.Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(ctx, s.options(store, false)); !errs.Is(err, errs.Unavailable) {
		t.Fatal(err)
	}
	if _, err := Prune(ctx, PruneOptions{Store: store}); !errs.Is(err, errs.Unavailable) {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	s.backup(store)
}

// A restore that ends early, by damage in the last block, a cancellation, a full disk or a fault of Finish, leaves
// nothing that looks like a data directory.
func TestUnfinishedRestore(t *testing.T) {
	s := startSource(t)
	s.fill(1000)
	store, _ := repository(t)
	s.backup(store)
	gone := func(t *testing.T, fs vfs.FS, data string) {
		t.Helper()
		if _, err := fs.Stat(data); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%s is there", data)
		}
	}
	t.Run("canceled", func(t *testing.T) {
		data := filepath.Join(t.TempDir(), "data")
		running, cancel := context.WithCancel(ctx)
		_, err := Restore(running, RestoreOptions{Store: store, Data: data, Target: Target{Latest: true}, Progress: func(_, _ int64) { cancel() },
			Finish: func(string, *Result) error { return running.Err() }})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		gone(t, vfs.Default, data)
	})
	t.Run("finish", func(t *testing.T) {
		data := filepath.Join(t.TempDir(), "data")
		_, err := Restore(ctx, RestoreOptions{Store: store, Data: data, Target: Target{Latest: true},
			Finish: func(string, *Result) error { return fmt.Errorf("no") }})
		if err == nil {
			t.Fatal("no error")
		}
		gone(t, vfs.Default, data)
	})
	t.Run("full disk", func(t *testing.T) {
		var left atomic.Int64
		for n := int64(0); n < 1000; n += 3 {
			left.Store(n)
			disk := vfs.WithErrors(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				if (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpFileWriteAt) && left.Add(-1) < 0 {
					return syscall.ENOSPC
				}
				return nil
			}))
			_, err := Restore(ctx, RestoreOptions{Store: store, FS: disk, Data: "data", Target: Target{Latest: true}})
			if err == nil {
				return
			}
			gone(t, disk, "data")
		}
		t.Fatal("it never had enough room")
	})
	t.Run("killed", func(t *testing.T) {
		data := filepath.Join(t.TempDir(), "data")
		died := fmt.Errorf("died")
		func() {
			defer func() { _ = recover() }()
			_, _ = Restore(ctx, RestoreOptions{Store: store, Data: data, Target: Target{Latest: true},
				Finish: func(string, *Result) error { panic(died) }})
		}()
		if _, err := os.Stat(filepath.Join(data, LogFolder)); !errors.Is(err, os.ErrNotExist) {
			t.Fatal("there is a log")
		}
		_, err := Restore(ctx, RestoreOptions{Store: store, Data: data, Target: Target{Latest: true}})
		var e *errs.Error
		if !errors.As(err, &e) || e.Kind != errs.Exists || e.Hint == "" {
			t.Fatal(err)
		}
	})
}

// A flipped bit anywhere in a repository is found, or changes nothing that is read.
func TestBitFlips(t *testing.T) {
	mem := vfs.NewMem()
	store := NewDirectory(mem, "repo")
	golden := NewDirectory(vfs.Default, filepath.Join(goldenDir, "repo"))
	var objects []Object
	for _, folder := range []string{manifestFolder, listFolder, blockFolder} {
		list, err := golden.List(ctx, folder)
		if err != nil || len(list) == 0 {
			t.Fatal(list, err)
		}
		objects = append(objects, list...)
	}
	whole := map[string][]byte{}
	for _, o := range objects {
		p, err := golden.Get(ctx, o.Name, o.Size)
		if err == nil {
			err = store.Put(ctx, o.Name, p)
		}
		if err != nil {
			t.Fatal(err)
		}
		whole[o.Name] = p
	}
	want := describe(t, store)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, o := range objects {
		for at := rng.IntN(29); at < len(whole[o.Name]); at += 1 + rng.IntN(57) {
			p := bytes.Clone(whole[o.Name])
			p[at] ^= 1 << rng.IntN(8)
			if err := store.Put(ctx, o.Name, p); err != nil {
				t.Fatal(err)
			}
			if r := verify(t, store, Full); len(r.Faults) == 0 {
				// A letter of another case in the names around the checksum: JSON's decoder takes it.
				if got := describe(t, store); got != want {
					t.Fatalf("byte %d of %s: not found, and it reads as\n%s", at, o.Name, got)
				}
			}
		}
		if err := store.Put(ctx, o.Name, whole[o.Name]); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, store, Full); len(r.Faults) > 0 {
		t.Fatal(r.Faults)
	}
}
