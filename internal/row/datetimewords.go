package row

import (
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

// clock reads HH:MM[:SS[.f]] or HHMM[SS[.f]].
func (p *dateTime) clock(tok string) dateFault {
	if p.hasTime {
		return dateSyntax
	}
	body, frac, hasFrac := strings.Cut(tok, ".")
	parts := strings.Split(body, ":")
	if len(parts) == 1 {
		switch len(body) {
		case 4:
			parts = []string{body[:2], body[2:]}
		case 6:
			parts = []string{body[:2], body[2:4], body[4:]}
		default:
			return dateSyntax
		}
	}
	if len(parts) > 3 {
		return dateSyntax
	}
	if len(parts) == 2 && hasFrac {
		parts = []string{"0", parts[0], parts[1]}
	}
	var n [3]int64
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return dateSyntax
		}
		n[i] = int64(v)
	}
	var us int64
	if frac != "" {
		f, err := strconv.ParseFloat("0."+frac, 64)
		if err != nil {
			return dateSyntax
		}
		us = int64(math.RoundToEven(f * 1e6))
	}
	if n[0] > 24 || n[1] > 59 || n[2] > 60 || n[0] == 24 && (n[1] > 0 || n[2] > 0 || us > 0) {
		return dateField
	}
	p.hasTime, p.micros = true, (n[0]*3600+n[1]*60+n[2])*microsPerSecond+us
	return dateOK
}

// offset reads ±HH[MM[SS]] or with colons.
func (p *dateTime) offset(tok string) dateFault {
	if p.hasZone || !p.hasDate && !p.hasTime {
		return dateSyntax
	}
	parts := strings.Split(tok[1:], ":")
	if len(parts) == 1 && len(parts[0]) > 2 {
		d := parts[0]
		switch len(d) {
		case 3:
			parts = []string{d[:1], d[1:]}
		case 4:
			parts = []string{d[:2], d[2:]}
		case 6:
			parts = []string{d[:2], d[2:4], d[4:]}
		default:
			return dateSyntax
		}
	}
	var n [3]int
	if len(parts) > 3 {
		return dateSyntax
	}
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return dateSyntax
		}
		n[i] = int(v)
	}
	if n[0] > 15 || n[1] > 59 || n[2] > 59 {
		return dateDisplacement
	}
	p.hasZone, p.east = true, n[0]*3600+n[1]*60+n[2]
	if tok[0] == '-' {
		p.east = -p.east
	}
	return dateOK
}

// word reads a word; month is not 0 when it names one.
func (p *dateTime) word(tok string) (fault dateFault, month int) {
	w := strings.ToLower(tok)
	if m, ok := monthNames[w]; ok {
		return dateOK, m
	}
	if weekdays[w] {
		return dateOK, 0
	}
	if east, ok := zoneAbbreviations[w]; ok && !p.hasZone && (p.hasDate || p.hasTime) {
		p.hasZone, p.east = true, east
		return dateOK, 0
	}
	switch w {
	case "t":
		if p.hasTime || !p.clockOID && !p.hasDate {
			return dateSyntax, 0
		}
		return dateOK, 0
	case "am":
		p.pm = 1
	case "pm":
		p.pm = 2
	case "bc":
		p.bc = true
	case "ad", "at", "on":
	case "infinity", "+infinity":
		p.special = "infinity"
	case "-infinity":
		p.special = "-infinity"
	case "epoch", "now", "today", "tomorrow", "yesterday":
		p.special = w
	case "allballs":
		p.hasTime, p.hasZone = true, true
	default:
		return p.zoneName(tok), 0
	}
	return dateOK, 0
}

func (p *dateTime) zoneName(tok string) dateFault {
	if p.hasZone || !p.hasDate && !p.hasTime {
		return dateSyntax
	}
	loc, ok := LoadZone(tok)
	if !ok {
		if strings.IndexByte(tok, '/') < 0 {
			return dateSyntax
		}
		p.special = strings.ToLower(tok)
		return dateZone
	}
	p.hasZone, p.loc = true, loc
	return dateOK
}

// zones keeps what LoadZone found: time.LoadLocation reads a file each time.
var zones sync.Map

// LoadZone finds a time zone by its IANA name, in any case, as SET TimeZone and timestamps take it.
func LoadZone(name string) (*time.Location, bool) {
	if v, ok := zones.Load(name); ok {
		return v.(*time.Location), true
	}
	if equalFold(name, "local") || name == "" {
		return nil, false
	}
	for _, n := range []string{name, strings.ToUpper(name), titleZone(name)} {
		if loc, err := time.LoadLocation(n); err == nil {
			if n == name { // other spellings are a client's choice and without end
				zones.Store(name, loc)
			}
			return loc, true
		}
	}
	return nil, false
}

// titleZone writes america/new_york as America/New_York.
func titleZone(name string) string {
	b := []byte(strings.ToLower(name))
	for i := range b {
		if (i == 0 || b[i-1] == '/' || b[i-1] == '_') && b[i] >= 'a' && b[i] <= 'z' {
			b[i] -= 32
		}
	}
	return string(b)
}
