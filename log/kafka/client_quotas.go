package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/log/access"
)

// Ways of a DescribeClientQuotas component to match a part of an entity.
const (
	matchExact   = 0
	matchDefault = 1
	matchAny     = 2
)

// describeClientQuotas lists the quotas whose entities match (KIP-546).
func (s *Server) describeClientQuotas(_ context.Context, _ *request, q *kmsg.DescribeClientQuotasRequest) answer {
	a := kmsg.NewPtrDescribeClientQuotasResponse()
	seen := map[string]bool{}
	for _, c := range q.Components {
		var err error
		switch {
		case c.EntityType != "user" && c.EntityType != "client-id":
			err = &fault{kerr.UnsupportedVersion, fmt.Sprintf("quotas are for a user or a client-id, not a %q", c.EntityType)}
		case seen[c.EntityType] || c.MatchType < matchExact || c.MatchType > matchAny || (c.MatchType == matchExact) != (c.Match != nil):
			err = &fault{kerr.InvalidRequest, fmt.Sprintf("component %q of the filter", c.EntityType)}
		}
		if err != nil {
			a.ErrorCode, a.ErrorMessage = errorCode(err), message(err)
			return answer{response: a}
		}
		seen[c.EntityType] = true
	}
	a.Entries = []kmsg.DescribeClientQuotasResponseEntry{} // null is no answer to Java
	for entity, quotas := range s.access.Current().Quotas() {
		if !quotaMatches(q, entity) {
			continue
		}
		e := kmsg.NewDescribeClientQuotasResponseEntry()
		for kind, name := range quotaParts(entity) {
			e.Entity = append(e.Entity, kmsg.DescribeClientQuotasResponseEntryEntity{Type: kind, Name: quotaName(name)})
		}
		for key, value := range quotas {
			e.Values = append(e.Values, kmsg.DescribeClientQuotasResponseEntryValue{Key: key, Value: value})
		}
		a.Entries = append(a.Entries, e)
	}
	return answer{response: a}
}

func quotaParts(e access.QuotaEntity) map[string]string {
	parts := map[string]string{}
	if e.User != "" {
		parts["user"] = e.User
	}
	if e.ClientID != "" {
		parts["client-id"] = e.ClientID
	}
	return parts
}

// quotaName is a part of an entity in the protocol: null is the default.
func quotaName(name string) *string {
	if name == access.DefaultEntity {
		return nil
	}
	return &name
}

func quotaMatches(q *kmsg.DescribeClientQuotasRequest, e access.QuotaEntity) bool {
	parts := quotaParts(e)
	for _, c := range q.Components {
		name, has := parts[c.EntityType]
		if !has || c.MatchType == matchDefault && name != access.DefaultEntity || c.MatchType == matchExact && name != *c.Match {
			return false
		}
	}
	return !q.Strict || len(parts) == len(q.Components)
}

// alterClientQuotas changes quotas, each entity's for itself.
func (s *Server) alterClientQuotas(ctx context.Context, _ *request, q *kmsg.AlterClientQuotasRequest) answer {
	a := kmsg.NewPtrAlterClientQuotasResponse()
	for _, e := range q.Entries {
		r := kmsg.NewAlterClientQuotasResponseEntry()
		for _, part := range e.Entity {
			r.Entity = append(r.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: part.Type, Name: part.Name})
		}
		change, err := quotaChange(&e)
		if err == nil {
			err = change.Check()
		}
		if err == nil && !q.ValidateOnly {
			err = s.access.AlterQuotas(ctx, []access.QuotaChange{change})
		}
		r.ErrorCode, r.ErrorMessage = errorCode(err), message(err)
		a.Entries = append(a.Entries, r)
	}
	return answer{response: a}
}

func quotaChange(e *kmsg.AlterClientQuotasRequestEntry) (c access.QuotaChange, err error) {
	c.Set = map[string]*float64{}
	for _, part := range e.Entity {
		name := access.DefaultEntity
		if part.Name != nil {
			name = *part.Name
		}
		to := &c.Entity.User
		switch part.Type {
		case "user":
		case "client-id":
			to = &c.Entity.ClientID
		default:
			return c, &fault{kerr.UnsupportedVersion, fmt.Sprintf("quotas are for a user or a client-id, not a %q", part.Type)}
		}
		if name == "" || *to != "" {
			return c, &fault{kerr.InvalidRequest, fmt.Sprintf("an entity has one %s with a name", part.Type)}
		}
		*to = name
	}
	for _, op := range e.Ops {
		if c.Set[op.Key] = &op.Value; op.Remove {
			c.Set[op.Key] = nil
		}
	}
	return c, nil
}
