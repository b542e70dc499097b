package pgcatalog

import (
	"maps"
	"slices"

	"github.com/miracledb/miracledb/internal/row"
)

func sortedProcs() []proc {
	all := allProcs()
	out := make([]proc, 0, len(all))
	for _, oid := range slices.Sorted(maps.Keys(all)) {
		out = append(out, proc{all[oid]})
	}
	return out
}

func (c *scan) specific(p proc) fields {
	return fields{"specific_catalog": c.here(), "specific_schema": text("pg_catalog"),
		"specific_name": text(p.get("proname").Str() + "_" + decimal(p.get("oid").Int()))}
}

func isRoutines(c *scan) {
	for _, p := range sortedProcs() {
		f := c.specific(p)
		f["routine_catalog"], f["routine_schema"], f["routine_name"] = c.here(), text("pg_catalog"), p.get("proname")
		if p.get("prokind").Str() == "f" {
			f["routine_type"] = text("FUNCTION")
		}
		t := row.T(row.OID(p.get("prorettype").Int()))
		info, _ := row.Info(t.OID)
		f["data_type"], f["type_udt_catalog"], f["type_udt_schema"] = text(dataType(t)), c.here(), text("pg_catalog")
		f["type_udt_name"], f["dtd_identifier"] = text(info.Name), text("0")
		f["routine_body"], f["routine_definition"], f["external_language"] = text("EXTERNAL"), p.get("prosrc"), text("INTERNAL")
		f["external_name"], f["parameter_style"] = p.get("prosrc"), text("GENERAL")
		f["is_deterministic"], f["sql_data_access"] = yesNo(p.get("provolatile").Str() == "i"), text("MODIFIES")
		f["is_null_call"] = yesNo(p.get("proisstrict").Bool())
		f["schema_level_routine"], f["max_dynamic_result_sets"], f["is_user_defined_cast"] = yesNo(true), num(0), row.Null
		f["security_type"], f["as_locator"], f["is_udt_dependent"] = text("INVOKER"), yesNo(false), yesNo(false)
		c.add(f)
	}
}

func isParameters(c *scan) {
	for _, p := range sortedProcs() {
		types, modes, names := p.get("proallargtypes").List(), p.get("proargmodes").List(), p.get("proargnames").List()
		if types == nil {
			types = p.get("proargtypes").List()
		}
		for i, t := range types {
			f := c.specific(p)
			maps.Copy(f, fields{"ordinal_position": num(i + 1), "parameter_mode": text("IN"), "is_result": yesNo(false),
				"as_locator": yesNo(false), "dtd_identifier": text(decimal(i + 1)), "data_type": text(dataType(row.T(row.OID(t.Int())))),
				"udt_catalog": c.here(), "udt_schema": text("pg_catalog")})
			if info, ok := row.Info(row.OID(t.Int())); ok {
				f["udt_name"] = text(info.Name)
			}
			if i < len(modes) {
				f["parameter_mode"] = text(map[string]string{"i": "IN", "o": "OUT", "b": "INOUT", "v": "IN", "t": "OUT"}[modes[i].Str()])
			}
			if i < len(names) {
				f["parameter_name"] = some(names[i].Str())
			}
			c.add(f)
		}
	}
}
