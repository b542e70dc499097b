package kafka

import (
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/testenv"
)

// Who says nothing, or stops in the midst of a handshake or a frame, does not keep its connection.
func TestStalledClients(t *testing.T) {
	const short = 100 * time.Millisecond
	ca := testenv.NewAuthority(t)
	l, catalog := newLog(t)
	patient := func(o *Options) { o.IdleTimeout = time.Hour }
	hasty := func(o *Options) { o.StallTimeout = short }
	clear, silent := serve(t, l, catalog, patient, hasty), serve(t, l, catalog, func(o *Options) { o.IdleTimeout = short })
	encrypted := serveTLS(t, ca, certs.Options{}, l, catalog, patient, hasty)
	hello := []byte{22, 3, 1, 2, 0, 1} // the beginning of a ClientHello
	for name, c := range map[string]struct {
		address string
		says    []byte
	}{
		"nothing": {silent, nil}, "half a length": {clear, []byte{0, 0}}, "a length": {clear, []byte{0, 0, 0, 20}},
		"half a frame": {clear, []byte{0, 0, 0, 20, 0, 18, 0, 0, 0}}, "nothing for TLS": {encrypted, nil}, "half a handshake": {encrypted, hello},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			p := dial(t, c.address)
			p.raw(c.says)
			p.closed()
			if took := time.Since(began); took < short || took > stalled {
				t.Errorf("after %v", took)
			}
		})
	}
}
