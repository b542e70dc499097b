package log

import (
	"context"
	"maps"
)

// Properties are the named values of the cluster itself: what is no record of a topic and must be wherever the log is, such
// as credentials, ACLs and quotas. Names are paths ("scram/SCRAM-SHA-256/ann"); what a value says is up to who wrote it.
// One Properties never changes: each change makes a new one, so that who has made something of it compares pointers.
type Properties struct {
	Values map[string][]byte
}

// With gives the Properties that changes make of p; nil removes.
func (p *Properties) With(changes map[string][]byte) *Properties {
	values := make(map[string][]byte, len(p.Values)+len(changes))
	maps.Copy(values, p.Values)
	for name, value := range changes {
		if value == nil {
			delete(values, name)
		} else {
			values[name] = value
		}
	}
	return &Properties{Values: values}
}

// PropertyStore is the part of a Log that keeps its Properties.
type PropertyStore interface {
	// Properties are those at the durable end.
	Properties() *Properties
	// ChangeProperties sets what decide makes of the newest ones, durable or not; nil removes. All of it takes effect
	// together and is durable when this returns. decide must be quick, for every append waits for it. Errors: decide's,
	// Limit (too many or too large), Unavailable.
	ChangeProperties(ctx context.Context, decide func(p *Properties) (map[string][]byte, error)) error
}
