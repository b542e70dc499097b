package group

import (
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"sort"

	"github.com/miracledb/miracledb/internal/errs"
)

// maxRegex and maxProgram bound a regular expression, as text and as instructions: each costs memory, and time with each topic
// that is made. A repetition count makes a short text a long program.
const maxRegex, maxProgram = 16 << 10, 20_000

// pattern is a regular expression that members subscribe by, with the topics whose whole name it matches.
type pattern struct {
	re      *regexp.Regexp
	matches []string
}

// compile makes the matcher of a whole name. Go's expressions are RE2's, as KIP-848 asks.
func compile(text string) (*regexp.Regexp, error) {
	if len(text) > maxRegex {
		return nil, errs.New(errs.Limit, "the regular expression is longer than %d bytes", maxRegex)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxProgram {
		return nil, errs.New(errs.Limit, "the regular expression is too large")
	}
	return regexp.Compile(`\A(?:` + text + `)\z`)
}

// setTopics takes in which topics there are: groups whose subscriptions mean something else now get a new epoch.
func (m *Machine) setTopics(in Topics) {
	m.topics, m.topicNames = make(map[string]Topic, len(in.All)), m.topicNames[:0]
	for _, t := range in.All {
		m.topics[t.Name] = t
		// Nobody means the server's own topics by a pattern.
		if !t.Internal {
			m.topicNames = append(m.topicNames, t.Name)
		}
	}
	sort.Strings(m.topicNames)
	for _, name := range slices.Sorted(maps.Keys(m.groups)) {
		if g := m.groups[name]; g.consumers.any() {
			for _, p := range g.consumers.patterns {
				p.matches = nil
			}
			if m.resolve(g.consumers) {
				m.rebalance(g)
			}
		}
	}
}

// resolve finds the topics that each member is subscribed to, and says whether anything is not as it was.
func (m *Machine) resolve(g *consumers) (changed bool) {
	topics, patterns := map[string]Topic{}, map[string]*pattern{}
	for _, c := range g.order {
		subscribed := make([]string, 0, len(c.topics))
		add := func(name string) {
			if t, ok := m.topics[name]; ok {
				topics[name] = t
				subscribed = append(subscribed, name)
			}
		}
		for _, name := range c.topics {
			add(name)
		}
		if c.regex != "" {
			p := g.patterns[c.regex]
			if p.matches == nil {
				p.matches = []string{}
				for _, name := range m.topicNames {
					if p.re.MatchString(name) {
						p.matches = append(p.matches, name)
					}
				}
			}
			patterns[c.regex] = p
			for _, name := range p.matches {
				add(name)
			}
		}
		slices.Sort(subscribed)
		subscribed = slices.Compact(subscribed)
		if !slices.Equal(subscribed, c.subscribed) {
			c.subscribed, changed = subscribed, true
		}
	}
	changed = changed || !maps.Equal(topics, g.topics)
	g.topics, g.patterns = topics, patterns
	return changed
}

// subscribe takes in what a heartbeat says of the member, and says whether its subscription is another one.
func (m *Machine) subscribe(g *consumers, c *consumer, in ConsumerHeartbeat) (changed bool, fault *Fault) {
	if in.Regex != nil && *in.Regex != "" && g.patterns[*in.Regex] == nil {
		re, err := compile(*in.Regex)
		if err != nil {
			return false, &Fault{invalidRegex, err.Error()}
		}
		g.patterns[*in.Regex] = &pattern{re: re}
	}
	if in.Regex != nil && *in.Regex != c.regex {
		c.regex, changed = *in.Regex, true
	}
	if in.Topics != nil {
		topics := slices.Clone(in.Topics)
		slices.Sort(topics)
		if topics = slices.Compact(topics); !slices.Equal(topics, c.topics) {
			c.topics, changed = topics, true
		}
	}
	if in.RebalanceTimeout > 0 {
		c.rebalance = in.RebalanceTimeout
	}
	if in.Assignor != "" {
		c.assignor = in.Assignor
	}
	if in.Rack != "" {
		c.rack = in.Rack
	}
	c.clientID, c.clientHost = in.ClientID, in.ClientHost
	return changed, nil
}
