package bench

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// answerRows runs a query in PostgreSQL's simple protocol and gives its rows as texts; NULL is "".
func answerRows(ctx context.Context, conn *pgx.Conn, sql string) ([][]string, error) {
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, err)
	}
	var rows [][]string
	for _, in := range results[len(results)-1].Rows {
		out := make([]string, len(in))
		for i, v := range in {
			out[i] = string(v)
		}
		rows = append(rows, out)
	}
	return rows, nil
}

// tolerance is how far two numbers with digits after the point may differ, relative to their size: one side computes them
// in doubles.
const tolerance = 1e-9

// same compares two answers without regard to the order of their rows, whose first keys columns name them.
func same(got, want [][]string, keys int) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d rows, want %d", len(got), len(want))
	}
	wanted := make(map[string][]string, len(want))
	for _, row := range want {
		wanted[strings.Join(row[:keys], "\x00")] = row
	}
	for _, row := range got {
		other, ok := wanted[strings.Join(row[:keys], "\x00")]
		if !ok {
			return fmt.Errorf("row %v is not wanted, or twice there", row)
		}
		for i := keys; i < len(row); i++ {
			if !sameValue(row[i], other[i]) {
				return fmt.Errorf("row %v, want %v", row, other)
			}
		}
		delete(wanted, strings.Join(row[:keys], "\x00"))
	}
	return nil
}

func sameValue(a, b string) bool {
	if a == b {
		return true
	}
	if !strings.ContainsAny(a+b, ".e") {
		return false
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && math.Abs(x-y) <= tolerance*math.Max(1, math.Abs(y))
}
