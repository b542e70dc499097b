package journal

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/miracledb/miracledb/internal/vfs"
)

// Where a next file cannot be made for want of descriptors, at any step, the journal goes on in the file that it has: what is
// synced there afterwards survives a power cut, and released files are kept for use.
func TestNoDescriptors(t *testing.T) {
	for _, recycled := range []bool{false, true} {
		for _, kind := range []errorfs.OpKind{errorfs.OpOpenDir, errorfs.OpOpen} {
			mem := vfs.NewMem()
			var none atomic.Bool
			fs := vfs.WithErrors(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if none.Load() && op.Kind == kind {
					return syscall.EMFILE
				}
				return nil
			}))
			j, _, _ := open(t, fs, Place{})
			var want []string
			put := func(p string) {
				write(t, j, p)
				if err := j.Sync(); err != nil {
					t.Fatal(err)
				}
				want = append(want, p)
			}
			large := strings.Repeat("x", int(testFileSize)/2-1000)
			from := Place{}
			if recycled {
				put(large)
				for j.end.File < 3 {
					put(large)
				}
				from, want = j.end, nil
				if err := j.Release(from); err != nil {
					t.Fatal(err)
				}
			}
			put(large)
			spares := len(j.mu.spares)
			none.Store(true)
			for range 4 {
				if err := j.Write(1, entry(strings.Repeat("y", int(testFileSize)/2-900))); !vfs.NoDescriptors(err) {
					t.Fatalf("Write without descriptors: %v", err)
				}
				put("small")
			}
			if len(j.mu.spares) != spares {
				t.Fatalf("%d of %d released files are left", len(j.mu.spares), spares)
			}
			cut := mem.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
			if _, got, _ := open(t, cut, from); !slices.Equal(got, want) {
				t.Fatalf("recycled %v, %v: %d entries of %d after a power cut", recycled, kind, len(got), len(want))
			}
			none.Store(false)
			put(large)
			put("last")
			cut = mem.CrashClone(pebblevfs.CrashCloneCfg{})
			if _, got, _ := open(t, cut, from); !slices.Equal(got, want) {
				t.Fatalf("recycled %v, %v: %d entries of %d at the end", recycled, kind, len(got), len(want))
			}
		}
	}
}
