package broker

import (
	"context"
	"maps"
	"slices"

	"github.com/miracledb/miracledb/log"
)

// propertiesChanged sets and removes properties.
type propertiesChanged []property

// property is a name with its value, nil: there is none.
type property struct {
	name  string
	value []byte
}

func (c propertiesChanged) kind() eventKind { return eventProperties }

func (c propertiesChanged) apply(s *state) {
	changes := make(map[string][]byte, len(c))
	for _, p := range c {
		changes[p.name] = p.value
	}
	s.properties = s.properties.With(changes)
}

func (c propertiesChanged) encode(e *encoder) {
	e.uint(uint64(len(c)))
	for _, p := range c {
		e.string(p.name)
		if p.value == nil {
			e.uint(0)
			continue
		}
		e.uint(1)
		e.bytes(p.value)
	}
}

func decodePropertiesChanged(d *decoder) propertiesChanged {
	var c propertiesChanged
	for range d.count() {
		p := property{name: d.string()}
		switch d.uint() {
		case 0:
		case 1:
			p.value = append([]byte{}, d.take(d.count())...)
		default:
			d.fail()
		}
		c = append(c, p)
	}
	return c
}

func (s *state) encodeProperties(e *encoder) {
	var all propertiesChanged
	for _, name := range slices.Sorted(maps.Keys(s.properties.Values)) {
		all = append(all, property{name, s.properties.Values[name]})
	}
	all.encode(e)
}

// Properties: see log.PropertyStore.
func (b *Broker) Properties() *log.Properties {
	b.durable.mu.RLock()
	defer b.durable.mu.RUnlock()
	return b.durable.mu.state.properties
}

// ChangeProperties: see log.PropertyStore.
func (b *Broker) ChangeProperties(ctx context.Context, decide func(*log.Properties) (map[string][]byte, error)) error {
	ticket, err := b.sequence.change(func(s *state) ([]event, error) {
		set, err := decide(s.properties)
		if err != nil {
			return nil, err
		}
		if err := s.properties.Check(set); err != nil {
			return nil, err
		}
		// Without anything to set there is still something to wait for: what decide has seen may not be durable.
		var change propertiesChanged
		for _, name := range slices.Sorted(maps.Keys(set)) {
			change = append(change, property{name, slices.Clone(set[name])})
		}
		return []event{change}, nil
	})
	if err != nil {
		return err
	}
	return ticket.Wait(ctx)
}
