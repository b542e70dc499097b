package runner

import (
	"context"
	"time"
)

// retryAfter is how long what failed for want of descriptors or space waits.
const retryAfter = time.Second

// patient does again what fails for want of what others may give back any moment, as again tells of an error.
func (o *Options) patient(ctx context.Context, again func(error) bool, do func() error) error {
	for told := false; ; told = true {
		err := do()
		if err == nil || !again(err) {
			return err
		}
		if !told {
			o.delayed(err)
		}
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// delayed tells of a fault after which the same is tried again.
func (o *Options) delayed(err error) {
	if o.Delayed != nil {
		o.Delayed(err)
	}
}
