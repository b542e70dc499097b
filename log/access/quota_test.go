package access

import (
	"context"
	"math"
	"testing"
)

func TestQuotaPrecedence(t *testing.T) {
	s := NewStore(&properties{})
	var changes []QuotaChange
	add := func(user, client string, limit float64) {
		changes = append(changes, QuotaChange{QuotaEntity{user, client}, map[string]*float64{ProducerByteRate: &limit}})
	}
	// Kafka's order (ClientQuotaManager).
	add("u", "c", 1)
	add("u", DefaultEntity, 2)
	add("u", "", 3)
	add(DefaultEntity, "c", 4)
	add(DefaultEntity, DefaultEntity, 5)
	add(DefaultEntity, "", 6)
	add("", "c", 7)
	add("", DefaultEntity, 8)
	asked := []struct{ user, client string }{{"u", "c"}, {"u", "x"}, {"u", "c"}, {"y", "c"}, {"y", "x"}, {"y", "x"}, {"y", "c"}, {"y", "x"}}
	shared := []QuotaEntity{{"u", "c"}, {"u", "x"}, {"u", ""}, {"y", "c"}, {"y", "x"}, {"y", ""}, {"", "c"}, {"", "x"}}
	if err := s.AlterQuotas(context.Background(), changes); err != nil {
		t.Fatal(err)
	}
	for i, a := range asked {
		limit, who, ok := s.Current().Quota(ProducerByteRate, a.user, a.client)
		if !ok || limit != float64(i+1) || who != shared[i] {
			t.Errorf("%v: %v of %v, %v, want %d of %v", a, limit, who, ok, i+1, shared[i])
		}
		// Without it, and what the next one asked for stands above, the next counts.
		gone := []QuotaChange{{changes[i].Entity, map[string]*float64{ProducerByteRate: nil}}}
		if err := s.AlterQuotas(context.Background(), gone); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Current().Quotas()); n != 0 {
		t.Errorf("%d are left", n)
	}
	if _, _, ok := s.Current().Quota(ProducerByteRate, "u", "c"); ok {
		t.Error("a quota of nobody")
	}
}

func TestQuotasThatCannotBe(t *testing.T) {
	one, zero, nan := 1.0, 0.0, math.NaN()
	for _, c := range []QuotaChange{
		{QuotaEntity{}, map[string]*float64{ProducerByteRate: &one}}, {QuotaEntity{User: "u"}, map[string]*float64{"nonsense": &one}},
		{QuotaEntity{User: "u"}, map[string]*float64{ProducerByteRate: &zero}}, {QuotaEntity{User: "u"}, map[string]*float64{ProducerByteRate: &nan}},
	} {
		if c.Check() == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}
