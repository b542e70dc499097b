package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
)

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

func sample(t testing.TB, c Codec, n int) []byte {
	t.Helper()
	b := Builder{Codec: c}
	for i := range n {
		switch i % 3 {
		case 0:
			b.Add(1000+int64(i), []byte(fmt.Sprintf("key%d", i)), bytes.Repeat([]byte{byte(i)}, i))
		case 1:
			b.Add(900, nil, []byte{}, Header{[]byte("h"), nil}, Header{[]byte(""), []byte("v")})
		default:
			b.Add(2000, []byte{}, nil)
		}
	}
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRoundTrip(t *testing.T) {
	var it Iterator
	for _, c := range codecs {
		p := sample(t, c, 300)
		SetBaseOffset(p, 77)
		SetLeaderEpoch(p, 3)
		b, rest, err := Parse(append(p, 1, 2, 3))
		if err != nil || len(rest) != 3 {
			t.Fatalf("%v: %v, rest %d", c, err, len(rest))
		}
		if b.BaseOffset != 77 || b.LeaderEpoch != 3 || b.Count != 300 || b.LastOffset() != 376 || b.MaxTimestamp != 2000 || b.ProducerID != -1 {
			t.Fatalf("%v: header %+v", c, b)
		}
		if err := b.ValidateProduced(); err != nil {
			t.Fatal(err)
		}
		if err := it.Reset(b); err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; it.Next(); n++ {
			r := it.Record()
			if r.Offset != 77+int64(n) {
				t.Fatalf("offset %d of record %d", r.Offset, n)
			}
			switch n % 3 {
			case 0:
				if r.Timestamp != 1000+int64(n) || string(r.Key) != fmt.Sprintf("key%d", n) || len(r.Value) != n {
					t.Fatalf("record %d: %+v", n, r)
				}
			case 1:
				if r.Timestamp != 900 || r.Key != nil || r.Value == nil || len(r.Headers) != 2 || r.Headers[0].Value != nil || string(r.Headers[1].Value) != "v" {
					t.Fatalf("record %d: %+v", n, r)
				}
			default:
				if r.Key == nil || r.Value != nil {
					t.Fatalf("record %d: %+v", n, r)
				}
			}
		}
		if it.Err() != nil || n != 300 {
			t.Fatalf("%v: %d records, %v", c, n, it.Err())
		}
	}
}

// The oracle is franz-go's own reading of the same bytes.
func TestHeaderEqualsKmsg(t *testing.T) {
	b := Builder{}
	b.Producer(9, 2, 1<<31-2)
	b.Add(5, nil, []byte("x"))
	b.Add(6, nil, []byte("y"))
	b.Add(7, nil, []byte("z"))
	p, _ := b.Build()
	var k kmsg.RecordBatch
	if err := k.ReadFrom(p); err != nil {
		t.Fatal(err)
	}
	got, _, err := Parse(p)
	if err != nil {
		t.Fatal(err)
	}
	if k.ProducerID != got.ProducerID || k.ProducerEpoch != got.ProducerEpoch || k.FirstSequence != got.BaseSequence ||
		k.NumRecords != got.Count || k.LastOffsetDelta != got.LastOffsetDelta || k.FirstTimestamp != got.BaseTimestamp ||
		k.MaxTimestamp != got.MaxTimestamp || k.Magic != 2 || int(k.Length) != len(p)-12 {
		t.Fatalf("kmsg %+v, ours %+v", k, got)
	}
	if got.LastSequence() != 0 {
		t.Fatalf("sequence after 2^31-2, 2^31-1 is %d, want 0", got.LastSequence())
	}
}

func TestDamage(t *testing.T) {
	p := sample(t, None, 10)
	for _, at := range []int{atLength + 3, atMagic, atCRC, atAttributes, atCount, HeaderSize, len(p) - 1} {
		q := bytes.Clone(p)
		q[at] ^= 0x40
		if _, _, err := Parse(q); !errors.Is(err, log.ErrCorruptBatch) || errs.KindOf(err) != errs.Invalid {
			t.Errorf("flip at %d: %v", at, err)
		}
	}
	for n := range p {
		if _, _, err := Parse(p[:n]); !errors.Is(err, log.ErrCorruptBatch) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	binary.BigEndian.PutUint32(p[atLength:], 0x7fffffff)
	if _, _, err := Parse(p); !errors.Is(err, log.ErrCorruptBatch) {
		t.Errorf("2 GB length: %v", err)
	}
}

func TestValidateProduced(t *testing.T) {
	p := sample(t, None, 3)
	for _, count := range []uint32{0, 2} {
		q := bytes.Clone(p)
		binary.BigEndian.PutUint32(q[atCount:], count)
		reseal(q)
		b, _, err := Parse(q)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.ValidateProduced(); !errors.Is(err, log.ErrInvalidRecord) {
			t.Errorf("count %d: %v", count, err)
		}
	}
}

func reseal(p []byte) {
	binary.BigEndian.PutUint32(p[atLength:], uint32(len(p)-overhead))
	binary.BigEndian.PutUint32(p[atCRC:], crc32.Checksum(p[atAttributes:], castagnoli))
}

func TestLogAppendTime(t *testing.T) {
	p := sample(t, Zstd, 5)
	SetLogAppendTime(p, 424242)
	b, _, err := Parse(p)
	if err != nil || !b.LogAppendTime() {
		t.Fatal(err)
	}
	var it Iterator
	if err := it.Reset(b); err != nil {
		t.Fatal(err)
	}
	for it.Next() {
		if it.Record().Timestamp != 424242 {
			t.Fatalf("timestamp %d", it.Record().Timestamp)
		}
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
}

func TestRawSnappy(t *testing.T) {
	p := sample(t, None, 40)
	q := append(bytes.Clone(p[:HeaderSize]), snappy.Encode(nil, p[HeaderSize:])...)
	q[atAttributes+1] = byte(Snappy)
	reseal(q)
	b, _, err := Parse(q)
	if err != nil {
		t.Fatal(err)
	}
	var it Iterator
	if err := it.Reset(b); err != nil {
		t.Fatal(err)
	}
	n := 0
	for it.Next() {
		n++
	}
	if n != 40 || it.Err() != nil {
		t.Fatalf("%d, %v", n, it.Err())
	}
}

func TestBomb(t *testing.T) {
	zeros := make([]byte, limit.Decompressed+1)
	for _, c := range codecs[1:] {
		body, err := compress(nil, c, zeros)
		if err != nil {
			t.Fatal(err)
		}
		p := append(bytes.Clone(sample(t, None, 1)[:HeaderSize]), body...)
		p[atAttributes+1] = byte(c)
		reseal(p)
		b, _, err := Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		var it Iterator
		if err := it.Reset(b); !errors.Is(err, log.ErrTooLarge) || errs.KindOf(err) != errs.Limit {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// FuzzBatch: no bytes make Parse or the iterator panic, take more than the limit, or give records outside the batch.
func FuzzBatch(f *testing.F) {
	for _, c := range codecs {
		f.Add(sample(f, c, 7), false)
		f.Add(sample(f, c, 7), true)
	}
	f.Fuzz(func(t *testing.T, p []byte, seal bool) {
		if seal && len(p) >= HeaderSize && len(p) < 1<<20 {
			reseal(p)
		}
		b, rest, err := Parse(p)
		if err != nil {
			return
		}
		if len(b.Bytes)+len(rest) != len(p) {
			t.Fatal("bytes lost")
		}
		var it Iterator
		if it.Reset(b) != nil {
			return
		}
		n := int32(0)
		for it.Next() {
			n++
			if r := it.Record(); r.Offset < b.BaseOffset || r.Offset > b.LastOffset() {
				t.Fatalf("offset %d outside [%d, %d]", r.Offset, b.BaseOffset, b.LastOffset())
			}
		}
		if it.Err() == nil && n != b.Count {
			t.Fatalf("%d records of %d", n, b.Count)
		}
	})
}

func TestIterateAllocatesNothing(t *testing.T) {
	b, _, _ := Parse(sample(t, None, 1000))
	var it Iterator
	allocs := testing.AllocsPerRun(20, func() {
		if it.Reset(b) != nil {
			t.Fatal(it.Err())
		}
		for it.Next() {
			_ = it.Record()
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per 1000 records", allocs)
	}
}

func BenchmarkIterate(b *testing.B) {
	for _, c := range codecs {
		b.Run(c.String(), func(b *testing.B) {
			builder := Builder{Codec: c}
			for i := range 1000 {
				builder.Add(int64(i), nil, fmt.Appendf(nil, `{"flight":%d,"origin":"JFK","dest":"SFO","delay":%d,"carrier":"UA"}`, i, i%97))
			}
			p, _ := builder.Build()
			batch, _, _ := Parse(p)
			var it Iterator
			b.ReportAllocs()
			for b.Loop() {
				if err := it.Reset(batch); err != nil {
					b.Fatal(err)
				}
				for it.Next() {
					_ = it.Record()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
		})
	}
}
