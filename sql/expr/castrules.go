package expr

import (
	_ "embed"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// pgCasts is pg_cast of PostgreSQL 15 between the types we have: source, target, castcontext, castmethod.
//
//go:embed pg_cast.txt
var pgCasts string

// CastRule is one row of pg_cast.
type CastRule struct {
	Source, Target row.OID
	Context        CastContext
	// Binary is castmethod 'b': the value is taken as it is.
	Binary bool
}

type castPair struct{ from, to row.OID }

// CastRules is pg_cast.
var CastRules, castByPair = parseCasts(pgCasts)

func parseCasts(text string) ([]CastRule, map[castPair]CastContext) {
	var rules []CastRule
	pairs := map[castPair]CastContext{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		r := CastRule{signatureType(f[0]), signatureType(f[1]), Implicit, f[3] == "b"}
		switch f[2] {
		case "a":
			r.Context = Assignment
		case "e":
			r.Context = Explicit
		}
		rules = append(rules, r)
		pairs[castPair{r.Source, r.Target}] = r.Context
	}
	return rules, pairs
}

// CanCast reports whether a value of type from may become one of type to in a context (PostgreSQL's
// find_coercion_pathway): by pg_cast, element by element for arrays, by text form to any string type on assignment and
// from any string type explicitly. An unknown literal becomes anything.
func CanCast(from, to row.OID, context CastContext) bool {
	switch {
	case from == to || from == row.Unknown || to == AnyOID:
		return true
	case generic(to):
		return true // the polymorphic rules decide
	}
	if c, ok := castByPair[castPair{from, to}]; ok {
		return c <= context
	}
	if fe, te := row.ElementOf(from), row.ElementOf(to); fe != 0 && te != 0 {
		if from == row.Int2Vector || from == row.OidVector { // binary coercible to their arrays
			return fe == te || CanCast(fe, te, context)
		}
		if to != row.Int2Vector && to != row.OidVector {
			return CanCast(fe, te, context)
		}
	}
	if from == row.Record || to == row.Record {
		return from == row.Record && category(to) == 'S' && context >= Assignment
	}
	if !row.Supported(from) && !row.Supported(to) {
		return false
	}
	if category(to) == 'S' {
		return context >= Assignment
	}
	return category(from) == 'S' && context >= Explicit
}

// CommonType is the type that CASE, UNION, VALUES, ARRAY, GREATEST and IN give to values of several types (PostgreSQL
// 10.5). An unmatched pair is 42804; what names the construct in its message ("CASE", "UNION").
func CommonType(types []row.Type, what string) (row.Type, error) {
	if len(types) == 0 {
		return row.T(row.Text), nil
	}
	common, known, sameMod := types[0], types[0].OID != row.Unknown, true
	for _, t := range types[1:] {
		switch {
		case t.OID == row.Unknown:
			sameMod = false
			continue
		case !known:
			common, known, sameMod = t, true, false
			continue
		case t.OID == common.OID:
			sameMod = sameMod && t.Mod == common.Mod
			continue
		case category(t.OID) != category(common.OID):
			return row.Type{}, errs.SQL("42804", "%s types %s and %s cannot be matched", what, typeName(common), typeName(t))
		}
		sameMod = false
		if !preferred(common.OID) && CanCast(common.OID, t.OID, Implicit) && !CanCast(t.OID, common.OID, Implicit) {
			common = t
		}
	}
	if !known {
		return row.T(row.Text), nil
	}
	for _, t := range types {
		if !CanCast(t.OID, common.OID, Implicit) {
			return row.Type{}, errs.SQL("42846", "%s could not convert type %s to %s", what, typeName(t), typeName(common))
		}
	}
	if !sameMod {
		common.Mod = 0
	}
	return common, nil
}
