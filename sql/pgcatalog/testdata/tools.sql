-- Statements of the shapes that Npgsql, DBeaver, SQLAlchemy, Metabase, Grafana, Power BI and pgAdmin send.
SELECT t.oid, n.nspname, t.typname, CASE WHEN p.proname = 'array_recv' THEN 'a' ELSE t.typtype END AS kind,
  CASE WHEN p.proname = 'array_recv' THEN t.typelem WHEN t.typtype = 'r' THEN rngsubtype
    WHEN t.typtype = 'm' THEN (SELECT rngtypid FROM pg_range WHERE rngmultitypid = t.oid) WHEN t.typtype = 'd' THEN t.typbasetype END AS element
FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace LEFT JOIN pg_class AS c ON c.oid = t.typrelid
  LEFT JOIN pg_proc AS p ON p.oid = t.typreceive LEFT JOIN pg_range ON pg_range.rngtypid = t.oid
WHERE t.oid IN (16, 25, 1009, 3904, 4451, 2249) ORDER BY CASE WHEN t.typtype IN ('b', 'e') THEN 0 WHEN t.typtype = 'r' THEN 1 ELSE 2 END, t.oid
;
SELECT pg_type.oid, enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid ORDER BY oid, enumsortorder
;
SELECT a.oid, a.* FROM pg_catalog.pg_am a WHERE amtype = 'i' AND amname = 'btree' ORDER BY a.oid
;
SELECT n.oid, n.*, d.description FROM pg_catalog.pg_namespace n
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = n.oid AND d.objsubid = 0 AND d.classoid = 'pg_namespace'::regclass WHERE nspname = 'shop' ORDER BY nspname
;
SELECT c.oid, c.relname, c.relkind, d.description, pg_get_expr(c.relpartbound, c.oid) AS partition_expr, pg_get_partkeydef(c.oid) AS partition_key
FROM pg_catalog.pg_class c LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass
WHERE c.relnamespace = 2200 AND c.relkind NOT IN ('i', 'I', 'c') AND c.relname IN ('customers', 'orders', 'v_orders', 'totals') ORDER BY c.relname
;
SELECT c.relname, a.attname, a.attnum, a.atttypid, a.attlen, a.atttypmod, a.attnotnull, a.atthasdef, a.attisdropped, a.attidentity, a.attgenerated, a.attstorage, a.attalign, a.attcollation,
  pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) AS def_value, dsc.description, dep.objid
FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid = c.oid)
LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid = ad.adrelid AND a.attnum = ad.adnum)
LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid = dsc.objoid AND a.attnum = dsc.objsubid)
LEFT OUTER JOIN pg_depend dep ON dep.refobjid = a.attrelid AND dep.deptype = 'i' AND dep.refobjsubid = a.attnum AND dep.classid = dep.refclassid
WHERE NOT a.attisdropped AND c.relkind NOT IN ('i', 'I', 'c') AND a.attnum > 0 AND c.oid = 16384 ORDER BY a.attnum
;
SELECT i.*, c.relname, c.relnamespace, c.relam, tc.relname AS tabrelname, dsc.description, pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS pred_expr,
  pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) AS expr, pg_catalog.pg_relation_size(i.indexrelid) AS index_rel_size, pg_catalog.pg_stat_get_numscans(i.indexrelid) AS index_num_scans
FROM pg_catalog.pg_index i INNER JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid INNER JOIN pg_catalog.pg_class tc ON tc.oid = i.indrelid
LEFT OUTER JOIN pg_catalog.pg_description dsc ON i.indexrelid = dsc.objoid WHERE i.indrelid = 16384 ORDER BY tabrelname, c.relname
;
SELECT c.conname, c.contype, c.conkey, c.confkey, c.conindid, c.confrelid, t.relname AS tabrelname, rt.relnamespace AS refnamespace, pg_get_constraintdef(c.oid, true) AS consrc
FROM pg_catalog.pg_constraint c INNER JOIN pg_catalog.pg_class t ON t.oid = c.conrelid LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid = c.confrelid
WHERE c.conrelid IN (16384, 16395) AND c.contype <> 'c' ORDER BY c.conname
;
SELECT DISTINCT dep.deptype, dep.classid, dep.objid, cl.relkind, CASE WHEN cl.relkind IS NOT NULL THEN cl.relkind::text WHEN rw.oid IS NOT NULL THEN 'R' || rc.relkind::text ELSE '' END AS type,
  COALESCE(rc.relname, cl.relname) AS refname
FROM pg_depend dep LEFT JOIN pg_class cl ON dep.objid = cl.oid LEFT JOIN pg_rewrite rw ON rw.oid = dep.objid LEFT JOIN pg_class rc ON rc.oid = rw.ev_class
WHERE dep.refobjid = 16395 AND dep.refobjsubid = 0 AND dep.classid IN (SELECT oid FROM pg_class WHERE relname IN ('pg_rewrite'))
;
SELECT typcategory FROM pg_catalog.pg_type WHERE 1<>1 LIMIT 1
;
SELECT relreplident, relispartition FROM pg_catalog.pg_class WHERE 1<>1 LIMIT 1
;
SELECT t.oid, t.*, c.relkind, format_type(nullif(t.typbasetype, 0), t.typtypmod) AS base_type_name, d.description FROM pg_catalog.pg_type t
LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid = t.typelem LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid = d.objoid
WHERE t.typname IS NOT NULL AND (c.relkind IS NULL OR c.relkind = 'c') AND (et.typcategory IS NULL OR et.typcategory <> 'C') AND t.typname IN ('int4', 'numeric', 'varchar', 'jsonb', 'timestamptz')
;
SELECT n.nspname AS schema, c.relname AS name, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'v' THEN 'VIEW' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE NULL END AS type,
  d.description, stat.n_live_tup AS estimated_row_count
FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
LEFT JOIN pg_catalog.pg_description AS d ON (c.oid = d.objoid) AND (d.objsubid = 0) AND (d.classoid = 'pg_class'::regclass)
LEFT JOIN pg_stat_user_tables AS stat ON (n.nspname = stat.schemaname) AND (c.relname = stat.relname)
WHERE (c.relnamespace = n.oid) AND (n.nspname !~ '^pg_') AND (n.nspname <> 'information_schema') AND c.relkind IN ('r', 'p', 'v', 'f', 'm') AND (n.nspname IN ('shop')) ORDER BY type ASC, schema ASC, name ASC
;
SELECT c.column_name, CASE WHEN c.udt_schema IN ('public', 'pg_catalog') THEN format('%s', c.udt_name) ELSE format('"%s"."%s"', c.udt_schema, c.udt_name) END AS database_type,
  c.ordinal_position - 1 AS position, pk.column_name IS NOT NULL AS is_pk,
  col_description(CAST(CAST(format('%I.%I', CAST(c.table_schema AS text), CAST(c.table_name AS text)) AS regclass) AS oid), c.ordinal_position) AS comment,
  ((column_default IS NULL) OR (LOWER(column_default) = 'null')) AND (is_nullable = 'NO') AND NOT (((column_default IS NOT NULL) AND (column_default LIKE '%nextval(%')) OR (is_identity <> 'NO')) AS required
FROM information_schema.columns AS c LEFT JOIN (SELECT tc.table_schema, tc.table_name, kc.column_name FROM information_schema.table_constraints AS tc
  INNER JOIN information_schema.key_column_usage AS kc ON (tc.constraint_name = kc.constraint_name) AND (tc.table_schema = kc.table_schema) AND (tc.table_name = kc.table_name)
  WHERE tc.constraint_type = 'PRIMARY KEY') AS pk ON (c.table_schema = pk.table_schema) AND (c.table_name = pk.table_name) AND (c.column_name = pk.column_name)
WHERE c.table_schema !~ '^information_schema|catalog_history|pg_' AND c.table_name IN ('customers', 'orders') ORDER BY c.table_name, c.ordinal_position
;
SELECT fk_ns.nspname, fk_table.relname, fk_column.attname, pk_ns.nspname, pk_table.relname, pk_column.attname FROM pg_constraint AS c
JOIN pg_class AS fk_table ON c.conrelid = fk_table.oid JOIN pg_namespace AS fk_ns ON c.connamespace = fk_ns.oid JOIN pg_attribute AS fk_column ON c.conrelid = fk_column.attrelid
JOIN pg_class AS pk_table ON c.confrelid = pk_table.oid JOIN pg_namespace AS pk_ns ON pk_table.relnamespace = pk_ns.oid JOIN pg_attribute AS pk_column ON c.confrelid = pk_column.attrelid
WHERE c.contype = 'f'::char AND fk_column.attnum = ANY(c.conkey) AND pk_column.attnum = ANY(c.confkey)
;
WITH table_privileges AS (SELECT NULL AS role, t.schemaname AS schema, t.objectname AS table,
  pg_catalog.has_any_column_privilege(current_user, format('"%s"."%s"', t.schemaname, t.objectname), 'update') AS update,
  pg_catalog.has_table_privilege(current_user, '"' || t.schemaname || '"' || '.' || '"' || t.objectname || '"', 'DELETE') AS delete
  FROM (SELECT schemaname, tablename AS objectname FROM pg_catalog.pg_tables UNION SELECT schemaname, viewname AS objectname FROM pg_views UNION SELECT schemaname, matviewname AS objectname FROM pg_matviews) AS t
  WHERE t.schemaname !~ '^pg_' AND t.schemaname <> 'information_schema' AND pg_catalog.has_schema_privilege(current_user, t.schemaname, 'USAGE'))
SELECT * FROM table_privileges WHERE "table" IN ('customers', 'v_orders', 'keyless')
;
SELECT CASE WHEN quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
    FROM generate_series(array_lower(string_to_array(current_setting('search_path'), ','), 1), array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS i,
    string_to_array(current_setting('search_path'), ',') s) THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS "table"
FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', '_timescaledb_cache') AND table_name IN ('customers', 'keyless') ORDER BY 1
;
SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns WHERE quote_ident(table_name) = ANY (parse_ident('customers')) OR 'Odd Name' = column_name
;
SELECT current_setting('server_version_num')::int / 10000 AS version
;
SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p']) AND pg_catalog.pg_class.relpersistence != 't' AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid)
  AND pg_catalog.pg_namespace.nspname != 'pg_catalog' AND pg_class.relname NOT IN ('clicks', 'orders__rejected')
;
SELECT pg_catalog.pg_attribute.attname AS name, pg_catalog.format_type(pg_catalog.pg_attribute.atttypid, pg_catalog.pg_attribute.atttypmod) AS format_type,
  (SELECT pg_catalog.pg_get_expr(pg_catalog.pg_attrdef.adbin, pg_catalog.pg_attrdef.adrelid) AS pg_get_expr_1 FROM pg_catalog.pg_attrdef
   WHERE pg_catalog.pg_attrdef.adrelid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attrdef.adnum = pg_catalog.pg_attribute.attnum AND pg_catalog.pg_attribute.atthasdef) AS "default",
  pg_catalog.pg_attribute.attnotnull AS not_null, pg_catalog.pg_class.relname AS table_name, pg_catalog.pg_description.description AS comment, pg_catalog.pg_attribute.attgenerated AS generated,
  (SELECT json_build_object('always', pg_catalog.pg_attribute.attidentity = 'a', 'start', pg_catalog.pg_sequence.seqstart) AS json_build_object_1 FROM pg_catalog.pg_sequence
   WHERE pg_catalog.pg_attribute.attidentity != '' AND pg_catalog.pg_sequence.seqrelid = CAST(CAST(pg_catalog.pg_get_serial_sequence(CAST(CAST(pg_catalog.pg_attribute.attrelid AS REGCLASS) AS TEXT), pg_catalog.pg_attribute.attname) AS REGCLASS) AS OID)) AS identity_options
FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_attribute ON pg_catalog.pg_class.oid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attribute.attnum > 0 AND NOT pg_catalog.pg_attribute.attisdropped
LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_description.objsubid = pg_catalog.pg_attribute.attnum
JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace
WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p', 'f', 'v', 'm']) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_class.relname IN ('customers', 'totals')
ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_attribute.attnum
;
SELECT attr.conrelid, array_agg(CAST(attr.attname AS TEXT) ORDER BY attr.ord) AS cols, attr.conname, min(attr.description) AS description, NULL AS extra
FROM (SELECT con.conrelid AS conrelid, con.conname AS conname, con.conindid AS conindid, con.description AS description, con.ord AS ord, pg_catalog.pg_attribute.attname AS attname
  FROM pg_catalog.pg_attribute JOIN (SELECT pg_catalog.pg_constraint.conrelid AS conrelid, pg_catalog.pg_constraint.conname AS conname, pg_catalog.pg_constraint.conindid AS conindid,
     unnest(pg_catalog.pg_constraint.conkey) AS attnum, generate_subscripts(pg_catalog.pg_constraint.conkey, 1) AS ord, pg_catalog.pg_description.description AS description
     FROM pg_catalog.pg_constraint LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = pg_catalog.pg_constraint.oid
     WHERE pg_catalog.pg_constraint.contype = 'p' AND pg_catalog.pg_constraint.conrelid IN (16384, 16395)) AS con
  ON pg_catalog.pg_attribute.attnum = con.attnum AND pg_catalog.pg_attribute.attrelid = con.conrelid WHERE con.conrelid IN (16384, 16395)) AS attr
GROUP BY attr.conrelid, attr.conname ORDER BY attr.conrelid, attr.conname
;
SELECT pg_index.indrelid, cls_idx.relname AS relname_index, pg_index.indisunique, indexdef, pg_constraint.conrelid IS NOT NULL AS has_constraint, pg_index.indoption, cls_idx.reloptions, pg_am.amname,
  pg_get_expr(pg_index.indpred, pg_index.indrelid) AS filter, pg_index.indnkeyatts, idx_attr.elements
FROM pg_index JOIN pg_class AS cls_idx ON pg_index.indexrelid = cls_idx.oid JOIN pg_am ON cls_idx.relam = pg_am.oid
LEFT OUTER JOIN (SELECT idx.indexrelid, min(idx.indrelid) AS ind, array_agg(idx.element ORDER BY idx.ord) AS elements FROM
  (SELECT i.indexrelid, i.indrelid, i.ord, CASE WHEN i.attnum = 0 THEN pg_get_indexdef(i.indexrelid, i.ord + 1, true) ELSE CAST(a.attname AS text) END AS element
   FROM (SELECT indexrelid, indrelid, unnest(indkey) AS attnum, generate_subscripts(indkey, 1) AS ord FROM pg_index WHERE NOT indisprimary AND indrelid IN (16384)) AS i
   LEFT OUTER JOIN pg_attribute a ON a.attnum = i.attnum AND a.attrelid = i.indrelid) AS idx GROUP BY idx.indexrelid) AS idx_attr ON pg_index.indexrelid = idx_attr.indexrelid
LEFT OUTER JOIN pg_constraint ON pg_index.indrelid = pg_constraint.conrelid AND pg_index.indexrelid = pg_constraint.conindid AND pg_constraint.contype = ANY (ARRAY['p', 'u', 'x'])
LEFT OUTER JOIN pg_indexes ON pg_indexes.indexname = cls_idx.relname
WHERE pg_index.indrelid IN (16384) AND NOT pg_index.indisprimary ORDER BY pg_index.indrelid, cls_idx.relname
;
SELECT r.conrelid, r.conname, pg_get_constraintdef(r.oid, true) AS anon_1, n.nspname, d.description FROM pg_class c
LEFT OUTER JOIN pg_constraint r ON c.oid = r.conrelid AND r.contype = 'f' LEFT OUTER JOIN pg_class ref ON ref.oid = r.confrelid
LEFT OUTER JOIN pg_namespace n ON ref.relnamespace = n.oid LEFT OUTER JOIN pg_description d ON d.objoid = r.oid
WHERE c.relkind = ANY (ARRAY['r', 'p', 'f']) AND c.relname = 'orders'
;
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA NOT IN ('information_schema', 'pg_catalog') AND TABLE_TYPE = 'VIEW' ORDER BY TABLE_SCHEMA, TABLE_NAME
;
SELECT COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, CASE WHEN (data_type LIKE '%unsigned%') THEN DATA_TYPE || ' unsigned' ELSE DATA_TYPE END AS DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, CHARACTER_OCTET_LENGTH,
  NUMERIC_PRECISION, NUMERIC_PRECISION_RADIX, NUMERIC_SCALE, DATETIME_PRECISION, UDT_NAME, COLUMN_DEFAULT
FROM INFORMATION_SCHEMA.columns WHERE TABLE_SCHEMA = 'public' AND TABLE_NAME IN ('customers', 'totals', 'orders') ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION
;
SELECT pkcol.COLUMN_NAME AS PK_COLUMN_NAME, fkcol.TABLE_SCHEMA AS FK_TABLE_SCHEMA, fkcol.TABLE_NAME AS FK_TABLE_NAME, fkcol.COLUMN_NAME AS FK_COLUMN_NAME, fkcol.ORDINAL_POSITION AS ORDINAL, fkcon.CONSTRAINT_NAME
FROM (SELECT DISTINCT constraint_catalog, constraint_schema, unique_constraint_schema, constraint_name, unique_constraint_name FROM INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS) fkcon
INNER JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE fkcol ON fkcon.CONSTRAINT_SCHEMA = fkcol.CONSTRAINT_SCHEMA AND fkcon.CONSTRAINT_NAME = fkcol.CONSTRAINT_NAME
INNER JOIN INFORMATION_SCHEMA.KEY_COLUMN_USAGE pkcol ON fkcon.UNIQUE_CONSTRAINT_SCHEMA = pkcol.CONSTRAINT_SCHEMA AND fkcon.UNIQUE_CONSTRAINT_NAME = pkcol.CONSTRAINT_NAME
WHERE pkcol.TABLE_SCHEMA = 'public' AND pkcol.TABLE_NAME = 'customers' AND pkcol.ORDINAL_POSITION = fkcol.ORDINAL_POSITION
;
SELECT rel.oid, rel.relname AS name, (SELECT count(*) FROM pg_trigger WHERE tgrelid = rel.oid AND tgisinternal = FALSE) AS triggercount,
  (SELECT count(*) FROM pg_inherits WHERE inhrelid = rel.oid LIMIT 1) AS is_inherits, (SELECT nspname FROM pg_namespace WHERE oid = rel.relnamespace) AS nsp,
  pg_catalog.obj_description(rel.oid, 'pg_class') AS description, pg_get_userbyid(rel.relowner) AS relowner
FROM pg_class rel WHERE rel.relkind IN ('r', 's', 't', 'p') AND rel.relnamespace = 2200::oid AND NOT rel.relispartition AND rel.relname IN ('customers', 'orders') ORDER BY rel.relname
;
SELECT db.oid AS did, db.datname, db.datallowconn, pg_encoding_to_char(db.encoding) AS serverencoding, has_database_privilege(db.oid, 'CREATE') AS cancreate, datistemplate
FROM pg_database db WHERE db.datname = current_database()
;
SELECT rolname AS rolname, rolcanlogin AS rolcanlogin, rolsuper AS is_superuser, CASE WHEN rolsuper THEN true ELSE rolcreaterole END AS can_create_role,
  CASE WHEN rolsuper THEN true ELSE rolcreatedb END AS can_create_db, ARRAY(WITH RECURSIVE cte AS (SELECT pg_roles.oid, pg_roles.rolname FROM pg_roles WHERE pg_roles.oid = roles.oid
   UNION ALL SELECT m.roleid, pgr.rolname FROM cte cte_1 JOIN pg_auth_members m ON m.member = cte_1.oid JOIN pg_roles pgr ON pgr.oid = m.roleid) SELECT rolname FROM cte) AS parents
FROM pg_catalog.pg_roles AS roles WHERE rolname = current_user
;
SELECT s.schemaname, s.relname, pg_size_pretty(pg_total_relation_size(s.relid)) <> '' AS sized, coalesce(s.n_dead_tup, 0) AS dead, s.last_vacuum FROM pg_stat_user_tables s WHERE s.relname = 'keyless'
;
SELECT count(*) > 0 AS active FROM pg_stat_activity WHERE state = 'active' AND query NOT LIKE 'never%'
;
SELECT name, setting IS NOT NULL AS is_set, unit, vartype, context, enumvals FROM pg_catalog.pg_settings WHERE name IN ('TimeZone', 'work_mem') ORDER BY name
;
SELECT a.attname, t.typname, a.attndims FROM pg_attribute a JOIN pg_type t ON a.atttypid = t.oid WHERE a.attrelid = 'public.customers'::regclass AND a.attnum > 0
;
SELECT 'customers'::regclass::oid, 'shop.keyless'::regclass::text, 16384::regclass, to_regclass('nothing'), 'pg_class'::regclass::oid, 'public'::regnamespace::oid, 'int4'::regtype::oid, 23::regtype, 'now'::regproc
;
SELECT castsource::regtype, casttarget::regtype, castcontext, castmethod FROM pg_cast WHERE castsource = 'int4'::regtype AND casttarget IN ('int8'::regtype, 'text'::regtype, 'numeric'::regtype, 'oid'::regtype) ORDER BY 2
;
SELECT oprname, oprleft::regtype, oprright::regtype, oprresult::regtype, oprcode FROM pg_operator WHERE oprname = '=' AND oprleft IN (23, 25, 1700) ORDER BY 2, 3
;
SELECT p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.prokind, p.provolatile FROM pg_proc p WHERE p.proname IN ('date_trunc', 'generate_series', 'string_agg', 'row_number', 'pg_get_viewdef') ORDER BY 1, 2
;
SELECT routine_schema, routine_name, data_type, routine_type FROM information_schema.routines WHERE routine_name IN ('lower', 'date_trunc') ORDER BY specific_name
;
SELECT conrelid::regclass, confrelid::regclass, conname FROM pg_constraint WHERE contype = 'f'
;
SELECT relname, relkind, relpersistence, relnatts, relchecks, relhasindex, relhasrules, relispopulated, relreplident, relam FROM pg_class WHERE relname IN ('v_orders', 'totals', 'keyless', 'totals_pkey', 'customers_name_created')
;
SELECT table_name, column_name, is_updatable, dtd_identifier, is_identity, is_generated, identity_cycle FROM information_schema.columns WHERE table_name = 'customers'
;
SELECT constraint_name, table_name, constraint_type, enforced, nulls_distinct FROM information_schema.table_constraints WHERE table_schema = 'public' AND table_name IN ('customers', 'orders') AND constraint_name !~ 'not_null'
;
SELECT table_name, column_name, constraint_name FROM information_schema.constraint_column_usage WHERE table_schema = 'public'
;
SELECT constraint_name, constraint_schema, unique_constraint_name, match_option, update_rule, delete_rule FROM information_schema.referential_constraints
;
SELECT view_name, table_name FROM information_schema.view_table_usage WHERE view_schema = 'public'
;
SELECT object_name, data_type, udt_name, dtd_identifier FROM information_schema.element_types WHERE object_schema = 'public' AND object_name = 'customers'
;
SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2
;
SELECT schemaname, viewname, viewowner FROM pg_views WHERE schemaname = 'public'
;
SELECT schemaname, tablename, tableowner, hasindexes, hasrules, rowsecurity FROM pg_tables WHERE tablename IN ('customers', 'keyless', 'pg_am')
