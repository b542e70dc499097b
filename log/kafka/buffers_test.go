package kafka

import "testing"

func TestBufferClasses(t *testing.T) {
	var pool buffers
	b := borrowed{from: &pool}
	for _, n := range []int{1, bufferExtra, smallestBuffer + bufferExtra, smallestBuffer + bufferExtra + 1, 1 << 20, 1<<20 + bufferExtra, 16<<20 + bufferExtra, 16<<20 + bufferExtra + 1, 50 << 20} {
		p := b.take(n)
		if len(p) != n {
			t.Fatalf("%d bytes for %d", len(p), n)
		}
		if class := bufferClass(n); class < bufferClasses && cap(p) != smallestBuffer<<class+bufferExtra {
			t.Errorf("%d bytes of a buffer of %d", n, cap(p))
		}
	}
	if len(b.by) != 7 {
		t.Errorf("%d are lent", len(b.by))
	}
	b.giveBack(0)
	if len(b.by) != 0 {
		t.Error("something is lent still")
	}
	b.take(100)
	if p := b.fit(1, b.take(1 << 20)[:71]); cap(p) > 200 || len(b.by) != 1 {
		t.Errorf("71 bytes stay in %d, with %d lent", cap(p), len(b.by))
	}
	if p := b.fit(1, b.take(1 << 20)[:1<<20]); cap(p) < 1<<20 || len(b.by) != 2 {
		t.Errorf("a full buffer is not kept: %d, %d lent", cap(p), len(b.by))
	}
}
