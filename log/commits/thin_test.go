package commits

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// Thinned again and again, an index gives every append that was kept as it was, and in the place of the others their
// Position, from wherever it is read; opened at its State it is the same.
func TestThin(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 3))
		opts := Options{FS: vfs.NewMem(), Dir: "c", SlotsPerFile: 30}
		x, err := Open(opts, State{})
		if err != nil {
			t.Fatal(err)
		}
		const first = 17
		var want []Commit
		kept := map[uint64]bool{}
		epoch := uint32(1)
		for range 6 {
			for range 40 + rng.IntN(100) {
				if rng.IntN(50) == 0 {
					epoch++
				}
				c := commit(rng, first+uint64(len(want)))
				c.Position.Epoch = epoch
				want, kept[c.Position.Sequence] = append(want, c), true
				if err := x.Append(c); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(x.Flush(), x.Sync()); err != nil {
				t.Fatal(err)
			}
			share := rng.IntN(100)
			for sequence := range kept {
				kept[sequence] = kept[sequence] && rng.IntN(100) >= share
			}
			for next := uint64(1); next > 0; {
				var thinned *Thinned
				var err error
				thinned, next, err = x.Thin(next, func(c Commit) (bool, error) { return kept[c.Position.Sequence], nil })
				if err != nil {
					t.Fatal(err)
				}
				if thinned == nil {
					continue
				}
				if err := x.Replace(thinned).Remove(); err != nil {
					t.Fatal(err)
				}
			}
			checkThinned(t, x, want, kept)
			state := x.State()
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			stray, err := opts.FS.Create("c/00000000000000000999-4.commits", vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			stray.Close()
			if x, err = Open(opts, state); err != nil {
				t.Fatal(err)
			}
			if err := x.Sweep(); err != nil {
				t.Fatal(err)
			}
			if _, err := opts.FS.Stat("c/00000000000000000999-4.commits"); err == nil {
				t.Fatal("a file that nobody names is still there")
			}
			checkThinned(t, x, want, kept)
		}
		names, _ := opts.FS.List("c")
		if max := 2 * (len(want)/15 + 2); len(names) > max {
			t.Errorf("%d files of %d appends, want at most %d", len(names), len(want), max)
		}
		x.Close()
	}
}

func checkThinned(t *testing.T, x *Index, want []Commit, kept map[uint64]bool) {
	t.Helper()
	var all []Commit
	x.Check(func(err error) { t.Error(err) }, func(c Commit) { all = append(all, c) })
	if len(all) != len(want) {
		t.Fatalf("%d appends, want %d", len(all), len(want))
	}
	var last time.Time
	for i, c := range all {
		switch {
		case c.Position != want[i].Position:
			t.Fatalf("append %v, want %v", c.Position, want[i].Position)
		case c.Time.Before(last):
			t.Fatalf("append %v is earlier than the one before", c.Position)
		case !c.Thinned && !reflect.DeepEqual(c, want[i]):
			t.Fatalf("append %+v, want %+v", c, want[i])
		case c.Thinned && kept[c.Position.Sequence]:
			t.Fatalf("append %v has left, and was to be kept", c.Position)
		case c.Thinned && c.Time.After(want[i].Time):
			t.Fatalf("append %v is later than it was", c.Position)
		}
		last = c.Time
		for _, n := range []int{1, 7, 100} {
			got, err := x.Read(c.Position.Sequence, n)
			if err != nil || len(got) == 0 || !reflect.DeepEqual(got, all[i:i+len(got)]) {
				t.Fatalf("read of %d from %v: %d appends, %v", n, c.Position, len(got), err)
			}
		}
		if at, ok, err := x.AtTime(c.Time); err != nil || !ok || at.Time != c.Time || at.Position.Sequence < c.Position.Sequence {
			t.Fatalf("at the time of %v: %v %v %v", c.Position, at.Position, ok, err)
		}
	}
}

// A reader that has begun in a file which is given up meanwhile reads on; damage in a thinned file is found, and Thin
// never writes over it.
func TestThinnedDamage(t *testing.T) {
	opts := Options{FS: vfs.NewMem(), Dir: "c", SlotsPerFile: 10}
	x, err := Open(opts, State{})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for s := range uint64(35) {
		if err := x.Append(commit(rng, s+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(x.Flush(), x.Sync()); err != nil {
		t.Fatal(err)
	}
	f, st, _ := x.find(3)
	if _, err := x.readSlots(f, st, 0, 1); err != nil {
		t.Fatal(err)
	}
	third := func(c Commit) (bool, error) { return c.Position.Sequence%3 == 0, nil }
	thinned, next, err := x.Thin(1, third)
	if err != nil || thinned == nil || next != 11 {
		t.Fatalf("thinned %v, next %d, %v", thinned, next, err)
	}
	if err := x.Replace(thinned).Remove(); err != nil {
		t.Fatal(err)
	}
	if got, err := x.readSlots(f, st, 4, 3); err != nil || got[0].Position != (log.Position{Epoch: 1, Sequence: 5}) {
		t.Fatalf("a reader of the old file: %v, %v", got, err)
	}
	f.release()
	if got, err := x.Read(5, 3); err != nil || len(got) != 3 || !got[0].Thinned || got[1].Thinned {
		t.Fatalf("a reader of the new file: %+v, %v", got, err)
	}
	file, err := opts.FS.OpenReadWrite(x.name(x.mu.files[0], 0), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	file.WriteAt([]byte{0xff}, fileHeaderSize+SlotSize+20)
	file.Close()
	found := 0
	x.Check(func(err error) {
		found++
		if !errs.Is(err, errs.Corrupt) {
			t.Error(err)
		}
	}, func(Commit) {})
	if found == 0 {
		t.Error("the damage is not found")
	}
	if thinned, _, err := x.Thin(1, func(Commit) (bool, error) { return false, nil }); !errs.Is(err, errs.Corrupt) || thinned != nil {
		t.Errorf("thinning a damaged file: %v, %v", thinned, err)
	}
}
