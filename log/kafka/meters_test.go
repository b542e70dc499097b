package kafka

import (
	"sync"
	"testing"
	"time"

	"github.com/miracledb/miracledb/log"
)

// Counting allocates nothing, and loses nothing to others that count, or use a topic for the first time, meanwhile.
func TestMeters(t *testing.T) {
	m, r := newMeters(), &request{key: produceKey}
	known := log.TopicID{1}
	m.topic(known)
	count := func() {
		m.topic(known).produced(3, 100)
		m.topic(known).fetched(50, true)
		m.answered(r, 9, 3*time.Millisecond, time.Second)
	}
	if n := testing.AllocsPerRun(100, count); n != 0 {
		t.Errorf("counting allocates %v times", n)
	}
	before := m.topic(known).counts()
	const each = 1000
	var running sync.WaitGroup
	for worker := range byte(4) {
		running.Go(func() {
			for i := range each {
				count()
				m.topic(log.TopicID{2, byte(i), worker % 2, byte(i >> 8)}).fetched(0, false)
			}
		})
	}
	running.Wait()
	got := m.topic(known).counts()
	if got.MessagesIn-before.MessagesIn != 4*each*3 || got.BytesOut-before.BytesOut != 4*each*50 || got.FailedFetches-before.FailedFetches != 4*each {
		t.Errorf("after %+v: %+v", before, got)
	}
	if n := len(*m.topics.Load()); n != 1+2*each {
		t.Errorf("%d topics have meters, want %d", n, 1+2*each)
	}
	for _, c := range m.requestCounts() {
		if c.Versions[9] != before.FailedFetches+4*each || c.Buckets[4] != c.Versions[9] || c.Throttled != time.Duration(c.Versions[9])*time.Second {
			t.Errorf("requests: %+v", c)
		}
	}
}
