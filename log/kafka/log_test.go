package kafka

import (
	"testing"

	"github.com/miracledb/miracledb/log"
)

func newLog(t testing.TB) (log.Log, Catalog) {
	l := newMemLog()
	return l, l
}
