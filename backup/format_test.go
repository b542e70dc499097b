package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/vfs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/logtest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden repository of the current format version anew")

// goldenDir holds a repository that every later program must read, and what is in it.
const goldenDir = "testdata/v1"

func TestGolden(t *testing.T) {
	if *rewrite {
		writeGolden(t)
	}
	store := NewDirectory(vfs.Default, filepath.Join(goldenDir, "repo"))
	want := mustRead(t, filepath.Join(goldenDir, "repo.txt"))
	if got := describe(t, store); got != string(want) {
		t.Fatalf("the golden repository reads as\n%s\nwant\n%s", got, want)
	}
	if r := verify(t, store, Sandbox); len(r.Faults) > 0 || r.Unused > 0 {
		t.Fatal(r)
	}
}

func writeGolden(t *testing.T) {
	if err := os.RemoveAll(goldenDir); err != nil {
		t.Fatal(err)
	}
	s := startSource(t)
	store := NewDirectory(vfs.Default, filepath.Join(goldenDir, "repo"))
	o := s.options(store, false)
	o.blockSize, o.perList = 1<<10, 2
	a, b := s.fill(12)
	for range 2 {
		if _, err := Create(ctx, o); err != nil {
			t.Fatal(err)
		}
		s.more(a, b, 5)
	}
	for _, rest := range []string{lockName, unfinishedFolder} {
		if err := os.RemoveAll(filepath.Join(goldenDir, "repo", rest)); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(t, filepath.Join(goldenDir, "repo.txt"), []byte(describe(t, store)))
}

// describe tells everything that a repository holds.
func describe(t *testing.T, store Store) string {
	t.Helper()
	var out strings.Builder
	whole, err := List(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range whole {
		text, err := json.MarshalIndent(m, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "backup %s\n", text)
		for e, err := range entries(ctx, store, blocksOf(t, store, m), func(*Block) {}) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "append %v term %d index %d time %s txn %d\n", e.Position, e.Term, e.Index, e.Time.Format(time.RFC3339Nano), e.Txn)
			for _, b := range e.Batches {
				values, first, last := logtest.Values(t, b.Batch)
				sum := sha256.Sum256([]byte(strings.Join(values, "\n")))
				fmt.Fprintf(&out, "  %v/%d offsets %d to %d, sha256 %x\n", b.Partition.Topic, b.Partition.Index, first, last, sum[:8])
			}
		}
	}
	return out.String()
}

// FuzzDecodeBlock: any bytes give an error or items; items encode to the same bytes, and no memory is taken for what is
// only claimed.
func FuzzDecodeBlock(f *testing.F) {
	e := log.Entry{Position: log.Position{Epoch: 1, Sequence: 2}, Term: 3, Index: 4, Time: epochStart, Txn: 5, Batches: []log.PartitionBatch{
		{Partition: log.Partition{Topic: log.CatalogTopicID, Index: 1}, Batch: logtest.Batch(f, 1, "x", "y"), BaseOffset: 7, Records: 2}}}
	head := append([]byte(blockMagic), blockVersion)
	f.Add(head)
	f.Add(appendItem(appendItem(head, 0, &e, e.Batches), moreFollows, &e, nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		again := append([]byte(blockMagic), blockVersion)
		var j joiner
		err := decodeBlock(p, func(it item) error {
			again = appendItem(again, it.flags, &it.entry, it.entry.Batches)
			_, _, _ = j.add(it)
			_ = checkBatches(it)
			return nil
		})
		if err == nil && !bytes.Equal(p, again) {
			t.Fatalf("%x encodes as %x", p, again)
		}
		if err != nil && !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.Unsupported) {
			t.Fatal(err)
		}
	})
}

// FuzzUnseal: stored bytes with the right digest, whatever they hold, give Corrupt or contents of the size that was said.
func FuzzUnseal(f *testing.F) {
	var b Block
	f.Add(b.seal([]byte("contents")), int64(8))
	f.Add(b.seal(make([]byte, 1<<20)), int64(10))
	f.Fuzz(func(t *testing.T, stored []byte, raw int64) {
		sum := sha256.Sum256(stored)
		b := Block{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(stored)), Raw: raw % (1 << 20)}
		if b.validate() != nil {
			return
		}
		p, err := b.unseal(stored)
		if err == nil && int64(len(p)) != b.Raw || err != nil && !errs.Is(err, errs.Corrupt) {
			t.Fatal(len(p), err)
		}
	})
}

// FuzzManifest: a manifest with the right checksum gives an error or one that is written and read again unchanged.
func FuzzManifest(f *testing.F) {
	for _, path := range goldenManifests(f) {
		var env envelope
		if err := json.Unmarshal(mustRead(f, path), &env); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(env.Manifest))
	}
	f.Add([]byte(`{"blocks":[{"sha256":"../../x"}],"to":"1/1"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		sum := sha256.Sum256(bytes.TrimSpace(body))
		data := fmt.Appendf(nil, `{"format":1,"sha256":"%x","manifest":%s}`, sum, body)
		m, err := decodeManifest(data)
		if err != nil {
			if !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.Unsupported) {
				t.Fatal(err)
			}
			return
		}
		for i := range m.Blocks {
			if strings.ContainsAny(m.Blocks[i].SHA256, "./") {
				t.Fatalf("block %q", m.Blocks[i].SHA256)
			}
		}
		data, err = encodeManifest(m)
		if err != nil {
			return // a time that JSON cannot write
		}
		again, err := decodeManifest(data)
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%v\n%+v\n%+v", err, m, again)
		}
	})
}

func goldenManifests(t testing.TB) []string {
	paths, err := filepath.Glob(filepath.Join(goldenDir, "repo", "manifests", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	return paths
}

// FuzzEnvelope: any file is a manifest or an error.
func FuzzEnvelope(f *testing.F) {
	for _, path := range goldenManifests(f) {
		f.Add(mustRead(f, path))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := decodeManifest(data); err != nil && !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.Unsupported) {
			t.Fatal(err)
		}
		l := BlockList{SHA256: hexSum(data), Blocks: 1}
		if _, err := l.decode(data); err != nil && !errs.Is(err, errs.Corrupt) {
			t.Fatal(err)
		}
	})
}

// FuzzParseTarget: what is read is written and read again the same.
func FuzzParseTarget(f *testing.F) {
	f.Add("a/0=1,b.c/12=34", "")
	f.Add("", "2026-11-22T11:00:00.5+01:00")
	f.Fuzz(func(t *testing.T, offset, timestamp string) {
		got, err := ParseTarget(offset, timestamp, false)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if offset != "" {
			offset = got.String()
		} else {
			timestamp = got.Time.Format(time.RFC3339Nano)
		}
		again, err := ParseTarget(offset, timestamp, false)
		if err != nil || !reflect.DeepEqual(got.Offsets, again.Offsets) || !got.Time.Equal(again.Time) {
			t.Fatal(got, again, err)
		}
	})
}
