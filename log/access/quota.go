package access

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// The quotas, by Kafka's names: bytes a second, and time of the server in percent of one processor.
const (
	ProducerByteRate  = "producer_byte_rate"
	ConsumerByteRate  = "consumer_byte_rate"
	RequestPercentage = "request_percentage"
)

// QuotaKeys are the quotas that there are.
var QuotaKeys = []string{ProducerByteRate, ConsumerByteRate, RequestPercentage}

// DefaultEntity stands for every user, or client id, that has no quota of its own.
const DefaultEntity = "<default>"

// QuotaEntity is whom a quota is for; an empty part is not part of it.
type QuotaEntity struct{ User, ClientID string }

const quotaPrefix = "quota/" // quota/USER/CLIENT, each escaped as in a URL

// quotaPart keeps the default apart from a user of that name: escaping changes the brackets of names.
func quotaPart(name string) string {
	if name == DefaultEntity {
		return name
	}
	return url.PathEscape(name)
}

func (e QuotaEntity) property() string {
	return quotaPrefix + quotaPart(e.User) + "/" + quotaPart(e.ClientID)
}

func parseQuotaEntity(property string) (e QuotaEntity, ok bool) {
	user, client, _ := strings.Cut(strings.TrimPrefix(property, quotaPrefix), "/")
	var err, err2 error
	e.User, err = url.PathUnescape(user)
	e.ClientID, err2 = url.PathUnescape(client)
	return e, err == nil && err2 == nil
}

func readQuotas(into map[QuotaEntity]map[string]float64, name string, value []byte) {
	var quotas map[string]float64
	if e, ok := parseQuotaEntity(name); ok && json.Unmarshal(value, &quotas) == nil {
		into[e] = quotas
	}
}

// Quotas gives all quotas, by whom they are for.
func (s *Snapshot) Quotas() map[QuotaEntity]map[string]float64 { return s.quotas }

// Quota gives the limit of a user's client, with Kafka's precedence, and who shares it. ok is false when there is none.
func (s *Snapshot) Quota(key, user, client string) (limit float64, shared QuotaEntity, ok bool) {
	if len(s.quotas) == 0 {
		return 0, shared, false
	}
	for _, u := range []string{user, DefaultEntity} {
		for _, c := range []string{client, DefaultEntity, ""} {
			if limit, ok := s.quotas[QuotaEntity{u, c}][key]; ok && u != "" {
				if c != "" {
					return limit, QuotaEntity{user, client}, true
				}
				return limit, QuotaEntity{User: user}, true
			}
		}
	}
	for _, c := range []string{client, DefaultEntity} {
		if limit, ok := s.quotas[QuotaEntity{"", c}][key]; ok && c != "" {
			return limit, QuotaEntity{ClientID: client}, true
		}
	}
	return 0, shared, false
}

// QuotaChange sets some quotas of an entity; nil removes.
type QuotaChange struct {
	Entity QuotaEntity
	Set    map[string]*float64
}

// Check refuses what no quota can be. Errors: Invalid.
func (c QuotaChange) Check() error {
	if c.Entity == (QuotaEntity{}) || len(c.Entity.User) > maxUserName || len(c.Entity.ClientID) > maxUserName {
		return errs.New(errs.Invalid, "a quota is for a user, a client id, or both, of at most %d bytes", maxUserName)
	}
	for key, v := range c.Set {
		if !slices.Contains(QuotaKeys, key) {
			return errs.New(errs.Invalid, "there is no quota %q: there are %s", key, strings.Join(QuotaKeys, ", "))
		}
		if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0) || *v <= 0) {
			return errs.New(errs.Invalid, "quota %s is to be above zero", key)
		}
	}
	return nil
}

// AlterQuotas makes changes that Check has taken, all of them or none.
func (s *Store) AlterQuotas(ctx context.Context, changes []QuotaChange) error {
	return s.log.ChangeProperties(ctx, func(p *log.Properties) (map[string][]byte, error) {
		set := map[string][]byte{}
		all := read(p).quotas
		for _, c := range changes {
			quotas := maps.Clone(all[c.Entity])
			if quotas == nil {
				quotas = map[string]float64{}
			}
			for key, v := range c.Set {
				if v == nil {
					delete(quotas, key)
				} else {
					quotas[key] = *v
				}
			}
			all[c.Entity] = quotas
			var err error
			if set[c.Entity.property()], err = json.Marshal(quotas); err != nil {
				return nil, err
			}
			if len(quotas) == 0 {
				set[c.Entity.property()] = nil
			}
		}
		return set, nil
	})
}
