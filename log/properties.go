package log

import (
	"context"
	"maps"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
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

// Bounds of the properties: they are in memory several times over, and whole in snapshots.
const (
	maxProperties    = 20_000
	maxPropertyName  = 1024
	maxPropertyValue = int(64 * limit.KiB)
	maxPropertyBytes = int(64 * limit.MiB)
)

// Check refuses changes that are too large, or make too much of p. Errors: Limit.
func (p *Properties) Check(changes map[string][]byte) error {
	count, size := len(p.Values), 0
	for name, value := range p.Values {
		if _, replaced := changes[name]; !replaced {
			size += len(name) + len(value)
		}
	}
	for name, value := range changes {
		if name == "" || len(name) > maxPropertyName {
			return errs.New(errs.Limit, "the name of a property has 1 to %d bytes", maxPropertyName)
		}
		if len(value) > maxPropertyValue {
			return errs.New(errs.Limit, "property %s has %d bytes, the limit is %d", name, len(value), maxPropertyValue)
		}
		_, known := p.Values[name]
		switch {
		case value == nil && known:
			count--
		case value != nil && !known:
			count++
		}
		if value != nil {
			size += len(name) + len(value)
		}
	}
	if count > max(maxProperties, len(p.Values)) || size > maxPropertyBytes {
		return errs.New(errs.Limit, "there would be %d properties (users, ACLs, quotas) of %d bytes, the limit is %d of %d", count, size, maxProperties, maxPropertyBytes)
	}
	return nil
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
