package pgcatalog

// builder computes a relation's rows.
type builder struct {
	rows func(*scan)
	kind builderKind
}

type builderKind int

const (
	live builderKind = iota
	// byRelation: rows come from c.over, relation by relation; those of system relations are kept.
	byRelation
	// constant: the rows are always the same, and are kept.
	constant
)

// builders are those of the relations that have rows.
var builders = map[string]builder{
	"pg_catalog.pg_aggregate":            {pgAggregate, constant},
	"pg_catalog.pg_am":                   {pgAm, constant},
	"pg_catalog.pg_amop":                 {given, constant},
	"pg_catalog.pg_attrdef":              {pgAttrdef, live},
	"pg_catalog.pg_attribute":            {pgAttribute, byRelation},
	"pg_catalog.pg_authid":               {pgRoles, live},
	"pg_catalog.pg_cast":                 {given, constant},
	"pg_catalog.pg_class":                {pgClass, byRelation},
	"pg_catalog.pg_collation":            {pgCollation, constant},
	"pg_catalog.pg_constraint":           {pgConstraint, live},
	"pg_catalog.pg_database":             {pgDatabase, live},
	"pg_catalog.pg_depend":               {pgDepend, live},
	"pg_catalog.pg_description":          {pgDescription, live},
	"pg_catalog.pg_foreign_data_wrapper": {pgForeignDataWrapper, constant},
	"pg_catalog.pg_foreign_server":       {pgForeignServer, constant},
	"pg_catalog.pg_foreign_table":        {pgForeignTable, live},
	"pg_catalog.pg_index":                {pgIndex, live},
	"pg_catalog.pg_indexes":              {pgIndexes, live},
	"pg_catalog.pg_language":             {pgLanguage, constant},
	"pg_catalog.pg_matviews":             {pgMatviews, live},
	"pg_catalog.pg_namespace":            {pgNamespace, live},
	"pg_catalog.pg_opclass":              {given, constant},
	"pg_catalog.pg_operator":             {given, constant},
	"pg_catalog.pg_opfamily":             {given, constant},
	"pg_catalog.pg_proc":                 {pgProc, constant},
	"pg_catalog.pg_range":                {given, constant},
	"pg_catalog.pg_rewrite":              {pgRewrite, live},
	"pg_catalog.pg_roles":                {pgRoles, live},
	"pg_catalog.pg_settings":             {pgSettings, live},
	"pg_catalog.pg_shadow":               {pgUser, live},
	"pg_catalog.pg_stat_activity":        {pgStatActivity, live},
	"pg_catalog.pg_stat_all_tables":      {pgStatTables, byRelation},
	"pg_catalog.pg_stat_database":        {pgStatDatabase, live},
	"pg_catalog.pg_stat_user_indexes":    {pgStatIndexes, live},
	"pg_catalog.pg_stat_all_indexes":     {pgStatIndexes, live},
	"pg_catalog.pg_stat_sys_tables":      {pgStatTables, byRelation},
	"pg_catalog.pg_stat_user_tables":     {pgStatTables, byRelation},
	"pg_catalog.pg_tables":               {pgTables, byRelation},
	"pg_catalog.pg_tablespace":           {pgTablespace, constant},
	"pg_catalog.pg_timezone_names":       {pgTimezoneNames, live},
	"pg_catalog.pg_type":                 {pgType, constant},
	"pg_catalog.pg_user":                 {pgUser, live},
	"pg_catalog.pg_views":                {pgViews, byRelation},

	"information_schema.character_sets":                  {isCharacterSets, constant},
	"information_schema.check_constraints":               {isCheckConstraints, byRelation},
	"information_schema.collations":                      {isCollations, constant},
	"information_schema.column_privileges":               {isColumnPrivileges, live},
	"information_schema.columns":                         {isColumns, byRelation},
	"information_schema.constraint_column_usage":         {isConstraintColumnUsage, byRelation},
	"information_schema.constraint_table_usage":          {isConstraintTableUsage, byRelation},
	"information_schema.element_types":                   {isElementTypes, byRelation},
	"information_schema.enabled_roles":                   {isEnabledRoles, live},
	"information_schema.foreign_servers":                 {isForeignServers, constant},
	"information_schema.foreign_tables":                  {isForeignTables, live},
	"information_schema.information_schema_catalog_name": {isCatalogName, constant},
	"information_schema.key_column_usage":                {isKeyColumnUsage, byRelation},
	"information_schema.parameters":                      {isParameters, constant},
	"information_schema.referential_constraints":         {isReferentialConstraints, byRelation},
	"information_schema.role_column_grants":              {isColumnPrivileges, live},
	"information_schema.role_table_grants":               {isTablePrivileges, live},
	"information_schema.routines":                        {isRoutines, constant},
	"information_schema.schemata":                        {isSchemata, live},
	"information_schema.table_constraints":               {isTableConstraints, byRelation},
	"information_schema.table_privileges":                {isTablePrivileges, live},
	"information_schema.tables":                          {isTables, byRelation},
	"information_schema.view_table_usage":                {isViewTableUsage, live},
	"information_schema.views":                           {isViews, byRelation},
}
