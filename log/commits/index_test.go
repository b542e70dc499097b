package commits

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

func commit(rng *rand.Rand, sequence uint64) Commit {
	c := Commit{
		Position: log.Position{Epoch: 1, Sequence: sequence}, Term: 2, Index: sequence / 3,
		Time: time.Unix(0, 1_000_000+int64(sequence/2)*1000).UTC(), Txn: rng.Uint64(),
	}
	for i := range 1 + rng.IntN(4) {
		c.Refs = append(c.Refs, Ref{
			Partition: log.Partition{Topic: log.TopicID{1}, Index: int32(i)},
			Base:      int64(sequence) * 10, Records: 10, Position: rng.Uint32(), Bytes: 7,
		})
	}
	return c
}

func TestIndex(t *testing.T) {
	fs := vfs.NewMem()
	rng := rand.New(rand.NewPCG(1, 1))
	opts := Options{FS: fs, Dir: "c", SlotsPerFile: 50}
	x, err := Open(opts, State{})
	if err != nil {
		t.Fatal(err)
	}
	const first = 17
	var all []Commit
	add := func(n int) {
		for range n {
			c := commit(rng, first+uint64(len(all)))
			all = append(all, c)
			if err := x.Append(c); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		var got []Commit
		x.Check(func(err error) { t.Error(err) }, func(c Commit) { got = append(got, c) })
		if !reflect.DeepEqual(got, all) {
			t.Fatalf("%d appends, want %d, or other ones", len(got), len(all))
		}
		for i, c := range all {
			at, ok, err := x.AtTime(c.Time)
			if err != nil || !ok || at.Time != c.Time || at.Position.Sequence < c.Position.Sequence {
				t.Fatalf("at time of %d: %v %v %v", i, at.Position, ok, err)
			}
			if i%7 != 0 {
				continue
			}
			last, ok, _, err := x.LastFor(c.Refs[0].Partition, c.Refs[0].Base+5, first, 1000)
			if err != nil || !ok || last.Position != c.Position {
				t.Fatalf("last for offset of %d: %v %v %v", i, last.Position, ok, err)
			}
		}
		if _, ok, _ := x.AtTime(time.Unix(0, 5)); ok {
			t.Fatal("an append before the first")
		}
	}
	add(120)
	check()
	if err := x.Sync(); err != nil {
		t.Fatal(err)
	}
	state := x.State()
	kept := len(all)
	add(30)
	check()
	x.Close()
	if x, err = Open(opts, state); err != nil {
		t.Fatal(err)
	}
	all = all[:kept:kept]
	check()
	add(77)
	check()

	file, _ := fs.OpenReadWrite(x.name(x.mu.files[1], 0), vfs.WriteCategoryUnspecified)
	file.WriteAt([]byte{0xff}, fileHeaderSize+3*SlotSize+20)
	found := 0
	x.Check(func(err error) {
		found++
		if !errs.Is(err, errs.Corrupt) {
			t.Error(err)
		}
	}, func(Commit) {})
	if found != 1 {
		t.Errorf("%d pieces of damage, want 1", found)
	}
	state.Files[0].Slots += 100
	if _, err := Open(opts, state); !errs.Is(err, errs.Corrupt) {
		t.Errorf("short file: %v", err)
	}
}

func FuzzSlot(f *testing.F) {
	c := commit(rand.New(rand.NewPCG(1, 1)), 9)
	f.Add(appendSlot(nil, c, 4), appendOverflow(nil, c.Refs))
	f.Fuzz(func(t *testing.T, slot, overflow []byte) {
		decodeSlot(slot)
		decodeOverflow(overflow, nil)
	})
}
