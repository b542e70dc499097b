package pgcatalog

// builders compute the rows of the relations that have some.
var builders = map[string]func(*scan){
	"pg_catalog.pg_class":      pgClass,
	"pg_catalog.pg_attribute":  pgAttribute,
	"pg_catalog.pg_attrdef":    pgAttrdef,
	"pg_catalog.pg_namespace":  pgNamespace,
	"pg_catalog.pg_index":      pgIndex,
	"pg_catalog.pg_constraint": pgConstraint,
	"pg_catalog.pg_type":       pgType,
	"pg_catalog.pg_proc":       pgProc,
	"pg_catalog.pg_aggregate":  pgAggregate,
	"pg_catalog.pg_operator":   given,
	"pg_catalog.pg_cast":       given,
	"pg_catalog.pg_opfamily":   given,
	"pg_catalog.pg_opclass":    given,
	"pg_catalog.pg_amop":       given,
	"pg_catalog.pg_range":      given,
}
