package aborted

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
)

// history makes transactions as producers write them at the same time, some of them long, from an offset on.
type history struct {
	rng  *rand.Rand
	next int64
	open map[int64]int64
}

func (h *history) abort(n int) (txns []Txn) {
	for len(txns) < n {
		producer := h.rng.Int64N(12)
		first, open := h.open[producer]
		switch {
		case !open:
			h.open[producer] = h.next
		case producer > 2 || h.rng.IntN(200) == 0:
			delete(h.open, producer)
			t := Txn{log.AbortedTxn{Producer: producer, First: first, Last: h.next}, h.next + 1}
			for _, first := range h.open {
				t.Stable = min(t.Stable, first)
			}
			if h.rng.IntN(4) > 0 { // else it was committed
				txns = append(txns, t)
			}
		}
		h.next += 1 + h.rng.Int64N(3)
	}
	return txns
}

func newHistory(seed uint64) *history {
	return &history{rng: rand.New(rand.NewPCG(seed, 7)), open: map[int64]int64{}}
}

// between is what a Query should gather.
func between(all []Txn, from, to, forgotten int64) (out []log.AbortedTxn) {
	for _, t := range all {
		if t.Last >= max(from, forgotten) && t.First < to {
			out = append(out, t.AbortedTxn)
		}
	}
	return out
}

// ask asks x for all of a range, piece by piece, and compares.
func ask(t *testing.T, x *Index, all []Txn, from, to, forgotten int64, room int) {
	t.Helper()
	for at := from; at < to; {
		q := NewQuery(at, to, room)
		if err := x.Collect(q, math.MaxInt64); err != nil {
			t.Fatal(err)
		}
		got, upTo := q.Answer()
		if upTo <= at || upTo > to {
			t.Fatalf("asked from %d to %d: up to %d", at, to, upTo)
		}
		if want := between(all, at, upTo, forgotten); !reflect.DeepEqual(got, want) {
			t.Fatalf("from %d up to %d: %d transactions, want %d\n%v\n%v", at, upTo, len(got), len(want), got, want)
		}
		if len(got)-12 > room {
			t.Fatalf("%d transactions for %d of room", len(got), room)
		}
		at = upTo
	}
}

func files(t *testing.T, fs vfs.FS) (n int) {
	t.Helper()
	names, err := fs.List("p")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, suffix) {
			n++
		}
	}
	return n
}

func TestIndex(t *testing.T) {
	for seed := range uint64(4) {
		fs, h := vfs.NewMem(), newHistory(seed)
		opts := Options{FS: fs, Dir: "p", SlotsPerFile: 300 + h.rng.IntN(100)}
		x, err := Open(opts, State{})
		if err != nil {
			t.Fatal(err)
		}
		var all []Txn
		forgotten := int64(0)
		check := func() {
			t.Helper()
			for range 20 {
				from := h.rng.Int64N(h.next)
				ask(t, x, all, from, from+1+h.rng.Int64N(h.next), forgotten, 20+h.rng.IntN(300))
			}
			ask(t, x, all, 0, math.MaxInt64, forgotten, math.MaxInt)
			var left []Txn
			x.Check(func(err error) { t.Error(err) }, func(one Txn) { left = append(left, one) })
			if want := len(between(all, 0, math.MaxInt64, forgotten)); len(left) != want {
				t.Fatalf("%d are left, want %d", len(left), want)
			}
		}
		var st State
		for round := range 8 {
			txns := h.abort(200 + h.rng.IntN(400))
			all = append(all, txns...)
			if n, err := x.Append(txns); n != len(txns) || err != nil {
				t.Fatal(n, err)
			}
			check()
			var gone Retired
			if round%3 == 2 {
				forgotten = all[h.rng.IntN(len(all))].Last + h.rng.Int64N(2)
				gone = x.Forget(forgotten)
				forgotten = x.mu.forgotten
				check()
			}
			if err := x.Sync(); err != nil || x.Dirty() {
				t.Fatal(err, x.Dirty())
			}
			st = x.State()
			if err := gone.Remove(); err != nil {
				t.Fatal(err)
			}
			if n := files(t, fs); n != len(st.Files) {
				t.Fatalf("%d files, want %d", n, len(st.Files))
			}
			if round%2 == 1 {
				x = reopened(t, x, opts, st, h)
				check()
			}
		}
		if x.Forget(math.MaxInt64); len(x.State().Files) > 0 {
			t.Fatal(x.State())
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if err := x.Collect(NewQuery(0, 1, 1), 0); !errs.Is(err, errs.NotFound) {
			t.Fatal(err)
		}
	}
}

// reopened opens x again at a State, after more was written that no State names.
func reopened(t *testing.T, x *Index, opts Options, st State, h *history) *Index {
	t.Helper()
	lost := &history{h.rng, h.next, map[int64]int64{}}
	if _, err := x.Append(lost.abort(500)); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(opts, st)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Sweep(); err != nil {
		t.Fatal(err)
	}
	if n := files(t, opts.FS); n != len(st.Files) {
		t.Fatalf("%d files, want %d", n, len(st.Files))
	}
	if !reflect.DeepEqual(again.State(), st) {
		t.Fatal(again.State(), st)
	}
	return again
}

// Newer transactions come from elsewhere, and may be in the Index by now.
func TestBefore(t *testing.T) {
	h := newHistory(9)
	all := h.abort(500)
	x, err := Open(Options{FS: vfs.NewMem(), Dir: "p", SlotsPerFile: 200}, State{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Append(all[:400]); err != nil {
		t.Fatal(err)
	}
	for _, known := range []int{0, 100, 333, 400} {
		q := NewQuery(0, math.MaxInt64, math.MaxInt)
		if err := x.Collect(q, all[known].Last); err != nil {
			t.Fatal(err)
		}
		for _, one := range all[known:] {
			q.Add(one)
		}
		if got, _ := q.Answer(); !reflect.DeepEqual(got, between(all, 0, math.MaxInt64, 0)) {
			t.Fatalf("%d from the index: %d in all", known, len(got))
		}
	}
}

// A reader in the midst of very many reads a few strides: what it needs does not grow with them.
func TestReadsLittle(t *testing.T) {
	var read atomic.Int64
	fs := vfs.WithErrors(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileReadAt {
			read.Add(1)
		}
		return nil
	}))
	x, err := Open(Options{FS: fs, Dir: "p"}, State{})
	if err != nil {
		t.Fatal(err)
	}
	const n = 150_000
	txns := make([]Txn, n)
	for i := range txns {
		o := int64(2 * i)
		txns[i] = Txn{log.AbortedTxn{Producer: int64(i % 100), First: o, Last: o + 1}, o + 2}
	}
	if _, err := x.Append(txns); err != nil {
		t.Fatal(err)
	}
	ask(t, x, txns, 0, 10, 0, 10)
	read.Store(0)
	for _, from := range []int64{0, 1000, 120_000} {
		q := NewQuery(from, math.MaxInt64, 100)
		if err := x.Collect(q, math.MaxInt64); err != nil {
			t.Fatal(err)
		}
	}
	if read.Load() > 9 {
		t.Fatalf("%d reads for three questions", read.Load())
	}
}

// A full disk adds nothing that it does not tell of, and the same again goes on there.
func TestFullDisk(t *testing.T) {
	var left atomic.Int64
	left.Store(math.MaxInt64)
	fs := vfs.WithErrors(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if (op.Kind == errorfs.OpFileWriteAt || op.Kind == errorfs.OpCreate) && left.Add(-1) < 0 {
			return syscall.ENOSPC
		}
		return nil
	}))
	x, err := Open(Options{FS: fs, Dir: "p", SlotsPerFile: 50}, State{})
	if err != nil {
		t.Fatal(err)
	}
	all := newHistory(10).abort(330)
	done := 0
	for tries := 0; done < len(all); tries++ {
		left.Store(int64(tries % 4))
		n, err := x.Append(all[done:])
		if err == nil != (done+n == len(all)) || err != nil && !vfs.Scarce(err) {
			t.Fatal(n, err)
		}
		done += n
	}
	ask(t, x, all, 0, math.MaxInt64, 0, 40)
}

var damaged = regexp.MustCompile(`(\S+) is damaged in bytes (\d+) to (\d+)`)

// One bit flipped anywhere is found by Check, with its place, and by who needs what is damaged: nobody is told too little.
func TestDamage(t *testing.T) {
	fs := vfs.NewMem()
	opts := Options{FS: fs, Dir: "p"}
	x, err := Open(opts, State{})
	if err != nil {
		t.Fatal(err)
	}
	all := newHistory(11).abort(300)
	if _, err := x.Append(all); err != nil {
		t.Fatal(err)
	}
	if err := x.Sync(); err != nil {
		t.Fatal(err)
	}
	st := x.State()
	name := x.mu.files[0].name
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	flip := func(at int64) {
		f, err := fs.OpenReadWrite(name, vfs.WriteCategory)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 1)
		if _, err = f.ReadAt(p, at); err == nil {
			p[0] ^= 4
			_, err = f.WriteAt(p, at)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	for at := int64(0); at < headerSize+300*SlotSize; at += 13 {
		flip(at)
		x, err := Open(opts, st)
		if err != nil {
			t.Fatal(err)
		}
		var found []error
		x.Check(func(err error) { found = append(found, err) }, func(Txn) {})
		if len(found) == 0 || !errs.Is(found[0], errs.Corrupt) || !strings.HasPrefix(place(found[0], at), name) {
			t.Fatalf("bit flip at %d: %v", at, found)
		}
		if err := x.Collect(NewQuery(0, math.MaxInt64, math.MaxInt), math.MaxInt64); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("bit flip at %d: %v", at, err)
		}
		x.Close()
		flip(at)
	}
	if _, err := Open(opts, State{Files: []FileState{{First: st.Files[0].First, Slots: 301}}}); !errs.Is(err, errs.Corrupt) || place(err, headerSize+300*SlotSize) == "" {
		t.Fatalf("a file that is too short: %v", err)
	}
	if _, err := Open(opts, State{Files: []FileState{{First: 1, Slots: 1}}}); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), fmt.Sprintf("%020d", 1)) {
		t.Fatalf("a file that is missing: %v", err)
	}
}

// place gives the file whose damage the error tells of, when the place is in its range.
func place(err error, at int64) string {
	m := damaged.FindStringSubmatch(err.Error())
	if m == nil {
		return ""
	}
	from, _ := strconv.ParseInt(m[2], 10, 64)
	to, _ := strconv.ParseInt(m[3], 10, 64)
	if at < from || at >= to {
		return ""
	}
	return m[1]
}
