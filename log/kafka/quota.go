package kafka

import (
	"context"
	"encoding/binary"
	"strings"
	"sync"
	"time"

	"github.com/miracledb/miracledb/internal/clock"
	"github.com/miracledb/miracledb/log/access"
)

// Quotas are measured as Kafka does it: over quotaWindows windows of a second, of which the last is under way.
const (
	quotaWindows = 11
	quotaWindow  = time.Second
	// maxThrottle bounds how long a client is not listened to; maxRates how many rates are remembered.
	maxThrottle = 30 * time.Second
	maxRates    = 100_000
)

// waiting are the keys whose answer waits for others or for the disk: the wait is no time of the server's.
var waiting = map[int16]bool{produceKey: true, fetchKey: true, 11: true, 14: true, 68: true}

// rates are what clients with quotas have used.
type rates struct {
	mu struct {
		sync.Mutex
		of map[rateOf]*rate
	}
}

// rateOf is a quota and who shares it.
type rateOf struct {
	key    string
	shared access.QuotaEntity
}

// rate is what was used in each of the last windows.
type rate struct {
	used  [quotaWindows]float64
	until int64 // the newest window, in windows since 1970
}

// charge adds to a rate and gives for how long to wait until it is within its limit again.
func (r *rates) charge(of rateOf, used, limit float64, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.of == nil {
		r.mu.of = map[rateOf]*rate{}
	}
	one := r.mu.of[of]
	if one == nil {
		if len(r.mu.of) >= maxRates {
			clear(r.mu.of) // all begin anew: none is worse off
		}
		one = &rate{}
		r.mu.of[of] = one
	}
	return one.charge(used, limit, now)
}

func (r *rate) charge(used, limit float64, now time.Time) time.Duration {
	window := now.UnixNano() / int64(quotaWindow)
	for w := max(r.until+1, window-quotaWindows+1); w <= window; w++ {
		r.used[w%quotaWindows] = 0
	}
	r.until = max(r.until, window)
	r.used[r.until%quotaWindows] += used
	sum := 0.0
	for _, u := range r.used {
		sum += u
	}
	// The windows before the present one count whole, so that a client that has just come may use what it has not used.
	elapsed := ((quotaWindows-1)*quotaWindow + time.Duration(now.UnixNano()%int64(quotaWindow))).Seconds()
	over := sum - limit*elapsed
	if over <= 0 {
		return 0
	}
	return time.Duration(min(maxThrottle.Seconds(), over/limit) * float64(time.Second))
}

// throttle charges what a request has used, bytes of answer included, and gives for how long its client is not to be
// listened to: the longest that any of its quotas asks for.
func (s *Server) throttle(r *request, sent int) (wait time.Duration) {
	users := s.access.Current()
	if len(users.Quotas()) == 0 || r.bare {
		return 0
	}
	user := strings.TrimPrefix(string(r.principal), "User:")
	now := s.options.Clock.Now()
	charge := func(key string, used, unit float64) {
		if limit, shared, ok := users.Quota(key, user, r.clientID); ok {
			wait = max(wait, s.rates.charge(rateOf{key, shared}, used, limit*unit, now))
		}
	}
	switch r.key {
	case produceKey:
		charge(access.ProducerByteRate, float64(len(r.body)), 1)
	case fetchKey:
		charge(access.ConsumerByteRate, float64(sent), 1)
	case apiVersionsKey, saslHandshakeKey, saslAuthenticateKey:
		return 0
	}
	charge(access.RequestPercentage, r.busy.Seconds(), 0.01)
	return wait.Truncate(time.Millisecond)
}

// tell writes the time into an answer.
func (a *answer) tell(wait time.Duration) {
	if a.body != nil {
		binary.BigEndian.PutUint32(a.body[0], uint32(wait.Milliseconds())) // a fetch's begins with it
	} else if t, ok := a.response.(interface{ SetThrottle(int32) }); ok {
		t.SetThrottle(int32(wait.Milliseconds()))
	}
}

// mute has the client not listened to for some time, after it was answered (KIP-219).
func (c *conn) mute(wait time.Duration) { c.muted.Store(clock.System{}.Now().Add(wait).UnixNano()) }

// unmuted waits until the client is listened to again.
func (c *conn) unmuted(ctx context.Context) {
	wait := time.Duration(c.muted.Load() - clock.System{}.Now().UnixNano())
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-c.server.stopping:
	}
}
