package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progressAfter is how long something takes before its progress is drawn.
const progressAfter = 2 * time.Second

// progress draws a bar on a terminal while something runs for longer than progressAfter; elsewhere it draws nothing.
type progress struct {
	w    io.Writer
	stop chan struct{}
	done sync.WaitGroup

	mu struct {
		sync.Mutex
		label       string
		done, total int64 // total 0: unknown
	}
}

// newProgress begins; stop ends it and wipes the line.
func newProgress(w io.Writer, label string) *progress {
	p := &progress{w: w, stop: make(chan struct{})}
	p.mu.label = label
	if isTerminal(w) {
		p.done.Add(1)
		go p.draw()
	}
	return p
}

// set says what is being done, and how much of it is. Total 0: unknown.
func (p *progress) set(label string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.label, p.mu.done, p.mu.total = label, done, total
}

func (p *progress) end() {
	close(p.stop)
	p.done.Wait()
}

func (p *progress) draw() {
	defer p.done.Done()
	started := time.Now()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	drawn := false
	for {
		select {
		case <-ticker.C:
		case <-p.stop:
			if drawn {
				fmt.Fprint(p.w, "\r\x1b[K")
			}
			return
		}
		if time.Since(started) >= progressAfter {
			fmt.Fprint(p.w, "\r\x1b[K"+p.line(time.Since(started)))
			drawn = true
		}
	}
}

const barWidth = 24

func (p *progress) line(elapsed time.Duration) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	seconds := elapsed.Round(time.Second)
	switch {
	case p.mu.total > 0:
		full := min(int(p.mu.done*barWidth/p.mu.total), barWidth)
		return fmt.Sprintf("%s [%s%s] %d%% %v", p.mu.label, strings.Repeat("#", full), strings.Repeat(".", barWidth-full),
			p.mu.done*100/p.mu.total, seconds)
	case p.mu.done > 0:
		return fmt.Sprintf("%s %d %v", p.mu.label, p.mu.done, seconds)
	}
	return fmt.Sprintf("%s %v", p.mu.label, seconds)
}
