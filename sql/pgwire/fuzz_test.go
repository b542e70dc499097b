package pgwire

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql"
)

// A COPY's bytes give the same rows and the same verdict however they are cut into pieces.
func FuzzCopy(f *testing.F) {
	for i, s := range []string{"1\ta\\tb\n2\t\\N\n\\.\n", "1,\"x,\"\"y\"\"\nz\"\n2,\r\n", "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"} {
		f.Add(byte(i), []byte(s), uint16(5))
	}
	f.Fuzz(func(t *testing.T, format byte, b []byte, cut uint16) {
		cp := &sql.Copy{In: true, Columns: []sql.Column{{Name: "a", Type: row.T(row.Int4)}, {Name: "b", Type: row.T(row.Text)}},
			Format: sql.CopyFormat{Format: []string{"text", "csv", "binary"}[format%3], Delimiter: '\t', Null: `\N`, Quote: '"', Escape: '"',
				Header: format&8 != 0}}
		if format%3 == 1 {
			cp.Format.Delimiter, cp.Format.Null = ',', ""
		}
		whole, err := feed(cp, b)
		n := int(cut) % (len(b) + 1)
		parts, perr := feed(cp, b[:n], b[n:])
		if (err == nil) != (perr == nil) {
			t.Fatalf("whole: %v, cut at %d: %v", err, n, perr)
		}
		if err == nil && !bytes.Equal(encoded(whole), encoded(parts)) {
			t.Fatalf("whole: %v, cut at %d: %v", whole, n, parts)
		}
	})
}

func feed(cp *sql.Copy, pieces ...[]byte) (rows []row.Row, err error) {
	r := (&conn{}).copyReader(cp)
	for i := range len(pieces) + 1 {
		var b []byte
		if i < len(pieces) {
			b = bytes.Clone(pieces[i])
		}
		got, err := r.feed(b, i == len(pieces))
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

func encoded(rows []row.Row) (b []byte) {
	for _, r := range rows {
		b = append(row.EncodeRow(b, r), '|')
	}
	return b
}

// Whatever bytes a client sends, the connection answers or ends, and takes no more memory than its limits.
func FuzzConnection(f *testing.F) {
	message := func(tag byte, body string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{tag}, uint32(len(body)+4)), body...)
	}
	f.Add(message('Q', "SELECT 1\x00"))
	f.Add(bytes.Join([][]byte{message('P', "\x00SELECT $1\x00\x00\x01\x00\x00\x00\x17"), message('B', "\x00\x00\x00\x00\x00\x00\x00\x00"),
		message('D', "P\x00"), message('E', "\x00\x00\x00\x00\x00"), message('C', "S\x00"), message('S', "")}, nil))
	f.Add(message('F', "\x00\x00\x00\x00"))
	f.Add([]byte{'Q', 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		client, server := net.Pipe()
		s := New(Options{Database: deafDatabase{}})
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.serve(t.Context(), server)
			_ = server.Close()
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_ = client.SetWriteDeadline(time.Now().Add(time.Minute))
		start := "\x00\x03\x00\x00user\x00m\x00\x00"
		_, _ = client.Write(append(binary.BigEndian.AppendUint32(nil, uint32(4+len(start))), start...))
		_, _ = client.Write(b)
		_ = client.Close()
		select {
		case <-done:
		case <-time.After(2 * time.Minute):
			t.Fatal("the connection does not end")
		}
	})
}

// deafDatabase has sessions in which every statement fails.
type deafDatabase struct{}

func (deafDatabase) Open(context.Context, sql.Options) (sql.Session, error) {
	return deafSession{}, nil
}
func (deafDatabase) Cancel(int32, uint32) {}

type deafSession struct{ sql.Session }

var errDeaf = errs.SQL("0A000", "nothing is understood here")

func (deafSession) Key() (int32, uint32)                  { return 1, 2 }
func (deafSession) Parse(string) ([]sql.Statement, error) { return nil, errDeaf }
func (deafSession) Sync(context.Context) error            { return nil }
func (deafSession) Status() sql.TxStatus                  { return sql.Idle }
func (deafSession) Reports() []sql.Setting                { return nil }
func (deafSession) Notices() []sql.Notice                 { return nil }
func (deafSession) Location() *time.Location              { return time.UTC }
func (deafSession) Close() error                          { return nil }
