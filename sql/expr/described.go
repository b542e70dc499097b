package expr

import "github.com/miracledb/miracledb/internal/row"

// described makes a function that the session answers by its name (Env.Describe); without a session, or when it knows no
// such object, NULL.
func described(name string) evalFunc {
	return func(ctx *Ctx, args []row.Value) (row.Value, error) {
		if ctx.Env == nil {
			return row.Null, nil
		}
		v, ok, err := ctx.Env.Describe(name, args)
		if !ok || err != nil {
			return row.Null, err
		}
		return v, nil
	}
}

// allowed is a has_..._privilege function: what the session does not judge is allowed.
func allowed(name string) evalFunc {
	ask := described(name)
	return func(ctx *Ctx, args []row.Value) (row.Value, error) {
		if v, err := ask(ctx, args); err != nil || !v.IsNull() {
			return v, err
		}
		return row.NewBool(true), nil
	}
}

// advisory is an advisory lock function: the session's, which answers with whether it holds the lock; void results are "".
func advisory(name string) evalFunc {
	ask := described(name)
	return func(ctx *Ctx, args []row.Value) (row.Value, error) {
		if v, err := ask(ctx, args); err != nil || !v.IsNull() {
			return v, err
		}
		return row.NewText(""), nil
	}
}

func visible([]row.Value) (row.Value, error) { return row.NewBool(true), nil }

// catalogFuncs holds the catalog functions (PostgreSQL 9.26) that the session answers.
var catalogFuncs = []def{
	{"col_description(oid,int4) text", stable, described("col_description")},
	{"currval(regclass) int8", volatile, described("currval")},
	{"has_any_column_privilege(name,oid,text) bool", stable, allowed("has_any_column_privilege")},
	{"has_any_column_privilege(name,text,text) bool", stable, allowed("has_any_column_privilege")},
	{"has_any_column_privilege(oid,oid,text) bool", stable, allowed("has_any_column_privilege")},
	{"has_any_column_privilege(oid,text) bool", stable, allowed("has_any_column_privilege")},
	{"has_any_column_privilege(oid,text,text) bool", stable, allowed("has_any_column_privilege")},
	{"has_any_column_privilege(text,text) bool", stable, allowed("has_any_column_privilege")},
	{"has_column_privilege(name,oid,int2,text) bool", stable, allowed("has_column_privilege")},
	{"has_column_privilege(name,oid,text,text) bool", stable, allowed("has_column_privilege")},
	{"has_column_privilege(name,text,int2,text) bool", stable, allowed("has_column_privilege")},
	{"has_column_privilege(name,text,text,text) bool", stable, allowed("has_column_privilege")},
	{"has_column_privilege(oid,int2,text) bool", stable, allowed("has_column_privilege")},
	{"has_column_privilege(oid,oid,int2,text) bool", stable, allowed("has_column_privilege")},
	{"has_column_privilege(oid,oid,text,text) bool", stable, allowed("has_column_privilege")},
	{"has_column_privilege(oid,text,int2,text) bool", stable, allowed("has_column_privilege")},
	{"has_column_privilege(oid,text,text) bool", stable, allowed("has_column_privilege")},
	{"has_column_privilege(oid,text,text,text) bool", stable, allowed("has_column_privilege")},
	{"has_column_privilege(text,int2,text) bool", stable, allowed("has_column_privilege")},
	{"has_column_privilege(text,text,text) bool", stable, allowed("has_column_privilege")},
	{"has_database_privilege(name,oid,text) bool", stable, allowed("has_database_privilege")},
	{"has_database_privilege(name,text,text) bool", stable, allowed("has_database_privilege")},
	{"has_database_privilege(oid,oid,text) bool", stable, allowed("has_database_privilege")},
	{"has_database_privilege(oid,text) bool", stable, allowed("has_database_privilege")},
	{"has_database_privilege(oid,text,text) bool", stable, allowed("has_database_privilege")},
	{"has_database_privilege(text,text) bool", stable, allowed("has_database_privilege")},
	{"has_foreign_data_wrapper_privilege(name,oid,text) bool", stable, allowed("has_foreign_data_wrapper_privilege")},
	{"has_foreign_data_wrapper_privilege(name,text,text) bool", stable, allowed("has_foreign_data_wrapper_privilege")},
	{"has_foreign_data_wrapper_privilege(oid,oid,text) bool", stable, allowed("has_foreign_data_wrapper_privilege")},
	{"has_foreign_data_wrapper_privilege(oid,text) bool", stable, allowed("has_foreign_data_wrapper_privilege")},
	{"has_foreign_data_wrapper_privilege(oid,text,text) bool", stable, allowed("has_foreign_data_wrapper_privilege")},
	{"has_foreign_data_wrapper_privilege(text,text) bool", stable, allowed("has_foreign_data_wrapper_privilege")},
	{"has_function_privilege(name,oid,text) bool", stable, allowed("has_function_privilege")},
	{"has_function_privilege(name,text,text) bool", stable, allowed("has_function_privilege")},
	{"has_function_privilege(oid,oid,text) bool", stable, allowed("has_function_privilege")},
	{"has_function_privilege(oid,text) bool", stable, allowed("has_function_privilege")},
	{"has_function_privilege(oid,text,text) bool", stable, allowed("has_function_privilege")},
	{"has_function_privilege(text,text) bool", stable, allowed("has_function_privilege")},
	{"has_language_privilege(name,oid,text) bool", stable, allowed("has_language_privilege")},
	{"has_language_privilege(name,text,text) bool", stable, allowed("has_language_privilege")},
	{"has_language_privilege(oid,oid,text) bool", stable, allowed("has_language_privilege")},
	{"has_language_privilege(oid,text) bool", stable, allowed("has_language_privilege")},
	{"has_language_privilege(oid,text,text) bool", stable, allowed("has_language_privilege")},
	{"has_language_privilege(text,text) bool", stable, allowed("has_language_privilege")},
	{"has_parameter_privilege(name,text,text) bool", stable, allowed("has_parameter_privilege")},
	{"has_parameter_privilege(oid,text,text) bool", stable, allowed("has_parameter_privilege")},
	{"has_parameter_privilege(text,text) bool", stable, allowed("has_parameter_privilege")},
	{"has_schema_privilege(name,oid,text) bool", stable, allowed("has_schema_privilege")},
	{"has_schema_privilege(name,text,text) bool", stable, allowed("has_schema_privilege")},
	{"has_schema_privilege(oid,oid,text) bool", stable, allowed("has_schema_privilege")},
	{"has_schema_privilege(oid,text) bool", stable, allowed("has_schema_privilege")},
	{"has_schema_privilege(oid,text,text) bool", stable, allowed("has_schema_privilege")},
	{"has_schema_privilege(text,text) bool", stable, allowed("has_schema_privilege")},
	{"has_sequence_privilege(name,oid,text) bool", stable, allowed("has_sequence_privilege")},
	{"has_sequence_privilege(name,text,text) bool", stable, allowed("has_sequence_privilege")},
	{"has_sequence_privilege(oid,oid,text) bool", stable, allowed("has_sequence_privilege")},
	{"has_sequence_privilege(oid,text) bool", stable, allowed("has_sequence_privilege")},
	{"has_sequence_privilege(oid,text,text) bool", stable, allowed("has_sequence_privilege")},
	{"has_sequence_privilege(text,text) bool", stable, allowed("has_sequence_privilege")},
	{"has_server_privilege(name,oid,text) bool", stable, allowed("has_server_privilege")},
	{"has_server_privilege(name,text,text) bool", stable, allowed("has_server_privilege")},
	{"has_server_privilege(oid,oid,text) bool", stable, allowed("has_server_privilege")},
	{"has_server_privilege(oid,text) bool", stable, allowed("has_server_privilege")},
	{"has_server_privilege(oid,text,text) bool", stable, allowed("has_server_privilege")},
	{"has_server_privilege(text,text) bool", stable, allowed("has_server_privilege")},
	{"has_table_privilege(name,oid,text) bool", stable, allowed("has_table_privilege")},
	{"has_table_privilege(name,text,text) bool", stable, allowed("has_table_privilege")},
	{"has_table_privilege(oid,oid,text) bool", stable, allowed("has_table_privilege")},
	{"has_table_privilege(oid,text) bool", stable, allowed("has_table_privilege")},
	{"has_table_privilege(oid,text,text) bool", stable, allowed("has_table_privilege")},
	{"has_table_privilege(text,text) bool", stable, allowed("has_table_privilege")},
	{"has_tablespace_privilege(name,oid,text) bool", stable, allowed("has_tablespace_privilege")},
	{"has_tablespace_privilege(name,text,text) bool", stable, allowed("has_tablespace_privilege")},
	{"has_tablespace_privilege(oid,oid,text) bool", stable, allowed("has_tablespace_privilege")},
	{"has_tablespace_privilege(oid,text) bool", stable, allowed("has_tablespace_privilege")},
	{"has_tablespace_privilege(oid,text,text) bool", stable, allowed("has_tablespace_privilege")},
	{"has_tablespace_privilege(text,text) bool", stable, allowed("has_tablespace_privilege")},
	{"has_type_privilege(name,oid,text) bool", stable, allowed("has_type_privilege")},
	{"has_type_privilege(name,text,text) bool", stable, allowed("has_type_privilege")},
	{"has_type_privilege(oid,oid,text) bool", stable, allowed("has_type_privilege")},
	{"has_type_privilege(oid,text) bool", stable, allowed("has_type_privilege")},
	{"has_type_privilege(oid,text,text) bool", stable, allowed("has_type_privilege")},
	{"has_type_privilege(text,text) bool", stable, allowed("has_type_privilege")},
	{"lastval() int8", volatile, described("lastval")},
	{"nextval(regclass) int8", volatile, described("nextval")},
	{"obj_description(oid) text", stable, described("obj_description")},
	{"obj_description(oid,name) text", stable, described("obj_description")},
	{"pg_advisory_lock(int4,int4) void", volatile, advisory("pg_advisory_lock")},
	{"pg_advisory_lock(int8) void", volatile, advisory("pg_advisory_lock")},
	{"pg_advisory_lock_shared(int4,int4) void", volatile, advisory("pg_advisory_lock_shared")},
	{"pg_advisory_lock_shared(int8) void", volatile, advisory("pg_advisory_lock_shared")},
	{"pg_advisory_unlock(int4,int4) bool", volatile, advisory("pg_advisory_unlock")},
	{"pg_advisory_unlock(int8) bool", volatile, advisory("pg_advisory_unlock")},
	{"pg_advisory_unlock_all() void", volatile, advisory("pg_advisory_unlock_all")},
	{"pg_advisory_unlock_shared(int4,int4) bool", volatile, advisory("pg_advisory_unlock_shared")},
	{"pg_advisory_unlock_shared(int8) bool", volatile, advisory("pg_advisory_unlock_shared")},
	{"pg_advisory_xact_lock(int4,int4) void", volatile, advisory("pg_advisory_xact_lock")},
	{"pg_advisory_xact_lock(int8) void", volatile, advisory("pg_advisory_xact_lock")},
	{"pg_advisory_xact_lock_shared(int4,int4) void", volatile, advisory("pg_advisory_xact_lock_shared")},
	{"pg_advisory_xact_lock_shared(int8) void", volatile, advisory("pg_advisory_xact_lock_shared")},
	{"pg_blocking_pids(int4) _int4", volatile, described("pg_blocking_pids")},
	{"pg_cancel_backend(int4) bool", volatile, described("pg_cancel_backend")},
	{"pg_collation_is_visible(oid) bool", stable, visible},
	{"pg_column_is_updatable(regclass,int2,bool) bool", stable, described("pg_column_is_updatable")},
	{"pg_conversion_is_visible(oid) bool", stable, visible},
	{"pg_database_size(name) int8", volatile, described("pg_database_size")},
	{"pg_database_size(oid) int8", volatile, described("pg_database_size")},
	{"pg_export_snapshot() text", volatile, described("pg_export_snapshot")},
	{"pg_function_is_visible(oid) bool", stable, visible},
	{"pg_get_constraintdef(oid) text", stable, described("pg_get_constraintdef")},
	{"pg_get_constraintdef(oid,bool) text", stable, described("pg_get_constraintdef")},
	{"pg_get_expr(pg_node_tree,oid) text", stable, described("pg_get_expr")},
	{"pg_get_expr(pg_node_tree,oid,bool) text", stable, described("pg_get_expr")},
	{"pg_get_function_arg_default(oid,int4) text", stable, described("pg_get_function_arg_default")},
	{"pg_get_function_arguments(oid) text", stable, described("pg_get_function_arguments")},
	{"pg_get_function_identity_arguments(oid) text", stable, described("pg_get_function_identity_arguments")},
	{"pg_get_function_result(oid) text", stable, described("pg_get_function_result")},
	{"pg_get_function_sqlbody(oid) text", stable, described("pg_get_function_sqlbody")},
	{"pg_get_functiondef(oid) text", stable, described("pg_get_functiondef")},
	{"pg_get_indexdef(oid) text", stable, described("pg_get_indexdef")},
	{"pg_get_indexdef(oid,int4,bool) text", stable, described("pg_get_indexdef")},
	{"pg_get_partition_constraintdef(oid) text", stable, described("pg_get_partition_constraintdef")},
	{"pg_get_partkeydef(oid) text", stable, described("pg_get_partkeydef")},
	{"pg_get_replica_identity_index(regclass) regclass", stable, described("pg_get_replica_identity_index")},
	{"pg_get_ruledef(oid) text", stable, described("pg_get_ruledef")},
	{"pg_get_ruledef(oid,bool) text", stable, described("pg_get_ruledef")},
	{"pg_get_serial_sequence(text,text) text", stable, described("pg_get_serial_sequence")},
	{"pg_get_statisticsobjdef(oid) text", stable, described("pg_get_statisticsobjdef")},
	{"pg_get_statisticsobjdef_columns(oid) text", stable, described("pg_get_statisticsobjdef_columns")},
	{"pg_get_statisticsobjdef_expressions(oid) _text", stable, described("pg_get_statisticsobjdef_expressions")},
	{"pg_get_triggerdef(oid) text", stable, described("pg_get_triggerdef")},
	{"pg_get_triggerdef(oid,bool) text", stable, described("pg_get_triggerdef")},
	{"pg_get_userbyid(oid) name", stable, described("pg_get_userbyid")},
	{"pg_get_viewdef(oid) text", stable, described("pg_get_viewdef")},
	{"pg_get_viewdef(oid,bool) text", stable, described("pg_get_viewdef")},
	{"pg_get_viewdef(oid,int4) text", stable, described("pg_get_viewdef")},
	{"pg_get_viewdef(text) text", stable, described("pg_get_viewdef")},
	{"pg_get_viewdef(text,bool) text", stable, described("pg_get_viewdef")},
	{"pg_has_role(name,name,text) bool", stable, allowed("pg_has_role")},
	{"pg_has_role(name,oid,text) bool", stable, allowed("pg_has_role")},
	{"pg_has_role(name,text) bool", stable, allowed("pg_has_role")},
	{"pg_has_role(oid,name,text) bool", stable, allowed("pg_has_role")},
	{"pg_has_role(oid,oid,text) bool", stable, allowed("pg_has_role")},
	{"pg_has_role(oid,text) bool", stable, allowed("pg_has_role")},
	{"pg_index_column_has_property(regclass,int4,text) bool", stable, described("pg_index_column_has_property")},
	{"pg_index_has_property(regclass,text) bool", stable, described("pg_index_has_property")},
	{"pg_indexam_has_property(oid,text) bool", stable, described("pg_indexam_has_property")},
	{"pg_indexes_size(regclass) int8", volatile, described("pg_indexes_size")},
	{"pg_opclass_is_visible(oid) bool", stable, visible},
	{"pg_operator_is_visible(oid) bool", stable, visible},
	{"pg_opfamily_is_visible(oid) bool", stable, visible},
	{"pg_relation_filenode(regclass) oid", stable, described("pg_relation_filenode")},
	{"pg_relation_is_publishable(regclass) bool", stable, described("pg_relation_is_publishable")},
	{"pg_relation_is_updatable(regclass,bool) int4", stable, described("pg_relation_is_updatable")},
	{"pg_relation_size(regclass) int8", volatile, described("pg_relation_size")},
	{"pg_relation_size(regclass,text) int8", volatile, described("pg_relation_size")},
	{"pg_stat_get_dead_tuples(oid) int8", stable, described("pg_stat_get_dead_tuples")},
	{"pg_stat_get_live_tuples(oid) int8", stable, described("pg_stat_get_live_tuples")},
	{"pg_stat_get_numscans(oid) int8", stable, described("pg_stat_get_numscans")},
	{"pg_statistics_obj_is_visible(oid) bool", stable, visible},
	{"pg_table_is_visible(oid) bool", stable, visible},
	{"pg_table_size(regclass) int8", volatile, described("pg_table_size")},
	{"pg_tablespace_location(oid) text", stable, described("pg_tablespace_location")},
	{"pg_tablespace_size(name) int8", volatile, described("pg_tablespace_size")},
	{"pg_tablespace_size(oid) int8", volatile, described("pg_tablespace_size")},
	{"pg_terminate_backend(int4,int8) bool", volatile, described("pg_terminate_backend")},
	{"pg_total_relation_size(regclass) int8", volatile, described("pg_total_relation_size")},
	{"pg_try_advisory_lock(int4,int4) bool", volatile, advisory("pg_try_advisory_lock")},
	{"pg_try_advisory_lock(int8) bool", volatile, advisory("pg_try_advisory_lock")},
	{"pg_try_advisory_lock_shared(int4,int4) bool", volatile, advisory("pg_try_advisory_lock_shared")},
	{"pg_try_advisory_lock_shared(int8) bool", volatile, advisory("pg_try_advisory_lock_shared")},
	{"pg_try_advisory_xact_lock(int4,int4) bool", volatile, advisory("pg_try_advisory_xact_lock")},
	{"pg_try_advisory_xact_lock(int8) bool", volatile, advisory("pg_try_advisory_xact_lock")},
	{"pg_try_advisory_xact_lock_shared(int4,int4) bool", volatile, advisory("pg_try_advisory_xact_lock_shared")},
	{"pg_try_advisory_xact_lock_shared(int8) bool", volatile, advisory("pg_try_advisory_xact_lock_shared")},
	{"pg_ts_config_is_visible(oid) bool", stable, visible},
	{"pg_ts_dict_is_visible(oid) bool", stable, visible},
	{"pg_ts_parser_is_visible(oid) bool", stable, visible},
	{"pg_ts_template_is_visible(oid) bool", stable, visible},
	{"pg_type_is_visible(oid) bool", stable, visible},
	{"setval(regclass,int8) int8", volatile, described("setval")},
	{"setval(regclass,int8,bool) int8", volatile, described("setval")},
	{"shobj_description(oid,name) text", stable, described("shobj_description")},
}
