package kafka

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/record"
)

// lz4Batch makes a batch whose records stand uncompressed in a frame with these descriptor bytes, under the checksum that
// fits them.
func lz4Batch(t *testing.T, flags, block byte, change func(frame []byte)) []byte {
	plain := batch(t, record.None, "one", "two")
	header, body := plain[:record.HeaderSize], plain[record.HeaderSize:]
	frame := []byte{0x04, 0x22, 0x4d, 0x18, flags, block, 0}
	frame = binary.LittleEndian.AppendUint32(frame, 1<<31|uint32(len(body)))
	frame = append(append(frame, body...), 0, 0, 0, 0)
	for sum := range 256 {
		frame[6] = byte(sum)
		if ok, _ := lz4.ValidFrameHeader(frame); ok {
			break
		}
	}
	if change != nil {
		change(frame)
	}
	out := append(append([]byte{}, header...), frame...)
	out[22] = byte(record.LZ4)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	rehash(out)
	return out
}

// An lz4 frame that Java's consumers cannot read is refused at produce, as Kafka refuses it: among them one with dependent
// blocks, which liblz4's own tool makes. What Kafka takes is taken.
func TestGotchaLZ4Frames(t *testing.T) {
	brokers := besideKafka(t, 1)
	for _, c := range []struct {
		name    string
		records []byte
		want    *kerr.Error
	}{
		{"independent blocks", lz4Batch(t, 0x60, 0x40, nil), nil},
		{"blocks of 4 MiB", lz4Batch(t, 0x60, 0x70, nil), nil},
		{"dependent blocks", lz4Batch(t, 0x40, 0x40, nil), kerr.InvalidRecord},
		{"a dictionary", lz4Batch(t, 0x61, 0x40, nil), kerr.InvalidRecord},
		{"a version to come", lz4Batch(t, 0xa0, 0x40, nil), kerr.InvalidRecord},
		{"blocks of 64 bytes", lz4Batch(t, 0x60, 0x30, nil), kerr.InvalidRecord},
		{"a reserved bit", lz4Batch(t, 0x60, 0x41, nil), kerr.InvalidRecord},
		{"another descriptor's checksum", lz4Batch(t, 0x60, 0x40, func(f []byte) { f[6]++ }), kerr.InvalidRecord},
		{"no frame", lz4Batch(t, 0x60, 0x40, func(f []byte) { f[0]++ }), kerr.InvalidRecord},
	} {
		for broker, address := range brokers {
			p := dial(t, address)
			got := p.ask(produce(9, "t", 0, bytes.Clone(c.records))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			code := kerr.TypedErrorForCode(got.ErrorCode)
			if broker != "ours" && code == kerr.UnknownServerError {
				code = kerr.InvalidRecord // Kafka trips over the frame: no retry either, and no reason given
			}
			if code != c.want {
				t.Errorf("%s, %s: %v (%v), want %v", broker, c.name, code, text(got.ErrorMessage), c.want)
			}
		}
	}
}
