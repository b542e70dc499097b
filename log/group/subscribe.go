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

// pattern is a regular expression that members subscribe by, with the topics whose whole name it matches, and those among
// them that each of the members may see.
type pattern struct {
	re      *regexp.Regexp
	matches []string // nil: not looked for since the topics have changed
	seen    map[Viewer][]string
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

// setTopics takes in which topics there are, and for whom: groups whose subscriptions mean something else now get a new epoch.
func (m *Machine) setTopics(in Topics) {
	m.may = in.May
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
				p.matches, p.seen = nil, nil
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
			p := patterns[c.regex]
			if p == nil {
				p = g.patterns[c.regex].again(m.topicNames)
				patterns[c.regex] = p
			}
			if _, done := p.seen[c.viewer]; !done {
				p.seen[c.viewer] = m.seen(g.patterns[c.regex], p.matches, c.viewer)
			}
			for _, name := range p.seen[c.viewer] {
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

// again is the pattern with what it matches, and nobody yet who sees it.
func (p *pattern) again(names []string) *pattern {
	matches := p.matches
	if matches == nil {
		matches = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !p.re.MatchString(name) })
	}
	return &pattern{re: p.re, matches: matches, seen: map[Viewer][]string{}}
}

// seen gives those among a pattern's matches that somebody may see, as it was found out before where it was.
func (m *Machine) seen(before *pattern, matches []string, who Viewer) []string {
	if names, done := before.seen[who]; done {
		return names
	}
	if m.may == nil {
		return matches
	}
	return slices.DeleteFunc(slices.Clone(matches), func(name string) bool { return !m.may(who, name) })
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
	if in.Viewer != c.viewer {
		c.viewer, changed = in.Viewer, changed || c.regex != ""
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
