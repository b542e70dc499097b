package external

import (
	"reflect"
	"testing"

	"github.com/miracledb/miracledb/log"
)

func sample() commit {
	p := log.Partition{Topic: log.TopicID{1, 2}, Index: 3}
	return commit{position: log.Position{Epoch: 1, Sequence: 70_000}, time: 1 << 60, txn: 9,
		refs: []ref{{kind: refOwnClean, partition: p, base: 5, count: 2}, {kind: refForeign, partition: p, base: 8, count: 4,
			opens: []opening{{77, 9}}}, {kind: refCommit, partition: p, base: 12, count: 1, producer: 77, first: 9}},
		made:       []madeTopic{{log.TopicID{4}, log.TopicID{5}, "flights"}},
		properties: map[string][]byte{"a": nil, "b": {}, "c": []byte("x")}}
}

func TestCommitFormat(t *testing.T) {
	want := sample()
	p := want.encode(nil)
	got, err := decodeCommit(p)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v\nwant %+v", got, err, want)
	}
	for n := range p {
		if _, err := decodeCommit(p[:n]); err == nil {
			t.Fatalf("cut at %d of %d bytes and taken", n, len(p))
		}
	}
}

// What decodes encodes to what decodes to the same; nothing panics or takes memory beyond its input's size.
func FuzzCommit(f *testing.F) {
	c := sample()
	f.Add(c.encode(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		c, err := decodeCommit(p)
		if err != nil {
			return
		}
		again, err := decodeCommit(c.encode(nil))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%+v, then %+v, %v", c, again, err)
		}
	})
}
