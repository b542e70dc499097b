package vfs

import "time"

const (
	// patience is how long an opening waits for a descriptor: those who hold them may be waiting for us.
	patience = 30 * time.Second
	// patientRetry is how often it is tried.
	patientRetry = 20 * time.Millisecond
)

// Patient gives fs whose Open, of a file to read, waits for a file descriptor, half a minute at most or until ended is closed. It is
// for libraries that do again what they write, and to whose callers a file that cannot be read is an error for good.
func Patient(fs FS, ended <-chan struct{}) FS { return patient{fs, ended} }

type patient struct {
	FS
	ended <-chan struct{}
}

func (p patient) Unwrap() FS { return p.FS }

func (p patient) Open(name string, opts ...OpenOption) (File, error) {
	var waited time.Duration
	for ; ; waited += patientRetry {
		f, err := p.FS.Open(name, opts...)
		if err == nil || !NoDescriptors(err) || waited >= patience {
			return f, err
		}
		select {
		case <-time.After(patientRetry):
		case <-p.ended:
			return f, err
		}
	}
}
