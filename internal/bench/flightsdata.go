package bench

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/miracledb/miracledb/internal/errs"
)

// events are records' values behind each other in few large pieces of memory.
type events struct {
	pieces [][]byte
	ends   [][]uint32 // of each value in its piece
	count  int
}

const (
	pieceSize   = 64 << 20
	longestLine = 4 << 10 // of one flight as JSON; origin and destination are checked
)

// each gives every value in order until f returns false.
func (e *events) each(f func(value []byte) bool) {
	for i, piece := range e.pieces {
		from := uint32(0)
		for _, end := range e.ends[i] {
			if !f(piece[from:end:end]) {
				return
			}
			from = end
		}
	}
}

// flightColumns are the places of the file's columns.
type flightColumns struct{ date, delay, distance, origin, destination int }

// readFlights turns the first most rows of a Parquet file of flights (most 0: all) into JSON, ahead of the run: what is
// measured is the server and a stock client, not this.
func readFlights(ctx context.Context, path string, most int64, progress Progress) (*events, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, errs.New(errs.NotFound, "%w", err).WithHint("--data-file names a Parquet file of flights: date, delay, distance, origin, destination.")
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	in, err := parquet.OpenFile(file, info.Size())
	if err != nil {
		return nil, errs.New(errs.Invalid, "%s: %w", path, err)
	}
	columns, err := findFlightColumns(in.Schema())
	if err != nil {
		return nil, errs.New(errs.Invalid, "%s: %w", path, err)
	}
	total := in.NumRows()
	if most > 0 {
		total = min(total, most)
	}
	e := &events{}
	r := parquet.NewReader(in)
	buf := make([]parquet.Row, 1024)
	for int64(e.count) < total && ctx.Err() == nil {
		n, err := r.ReadRows(buf[:min(int64(len(buf)), total-int64(e.count))])
		for _, row := range buf[:n] {
			if err := e.add(row, columns); err != nil {
				return nil, err
			}
		}
		progress("reading flights", int64(e.count), total)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, errs.New(errs.Corrupt, "%s: %w", path, err)
		}
		if n == 0 {
			break
		}
	}
	return e, errors.Join(ctx.Err(), r.Close())
}

func findFlightColumns(schema *parquet.Schema) (c flightColumns, err error) {
	for name, at := range map[string]*int{"date": &c.date, "delay": &c.delay, "distance": &c.distance, "origin": &c.origin, "destination": &c.destination} {
		leaf, ok := schema.Lookup(name)
		if !ok {
			return c, errors.New("it has no column " + name)
		}
		*at = leaf.ColumnIndex
	}
	date, _ := schema.Lookup("date")
	if t := date.Node.Type().LogicalType(); t == nil || !isMicros(t.Value) {
		return c, errors.New("its column date is no timestamp in microseconds")
	}
	return c, nil
}

func isMicros(t format.LogicalTypeValue) bool {
	stamp, ok := t.(*format.TimestampType)
	if !ok {
		return false
	}
	_, ok = stamp.Unit.Value.(*format.MicroSeconds)
	return ok
}

func (e *events) add(r parquet.Row, c flightColumns) error {
	last := len(e.pieces) - 1
	if last < 0 || len(e.pieces[last])+longestLine > pieceSize {
		e.pieces = append(e.pieces, make([]byte, 0, pieceSize))
		e.ends = append(e.ends, make([]uint32, 0, pieceSize/80))
		last++
	}
	origin, destination := r[c.origin].ByteArray(), r[c.destination].ByteArray()
	if !isCode(origin) || !isCode(destination) {
		return errs.New(errs.Invalid, "row %d: %q to %q are no airport codes", e.count, origin, destination)
	}
	b := append(e.pieces[last], `{"date":"`...)
	b = time.UnixMicro(r[c.date].Int64()).UTC().AppendFormat(b, "2006-01-02 15:04:05")
	b = append(b, `","delay":`...)
	b = strconv.AppendInt(b, r[c.delay].Int64(), 10)
	b = append(b, `,"distance":`...)
	b = strconv.AppendInt(b, r[c.distance].Int64(), 10)
	b = append(append(b, `,"origin":"`...), origin...)
	b = append(append(append(b, `","destination":"`...), destination...), `"}`...)
	e.pieces[last] = b
	e.ends[last] = append(e.ends[last], uint32(len(b)))
	e.count++
	return nil
}

// isCode reports whether b needs no escapes in JSON and is short.
func isCode(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > 'z' || c == '\\' {
			return false
		}
	}
	return len(b) > 0 && len(b) < 16
}
