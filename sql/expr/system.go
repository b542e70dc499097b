package expr

import (
	"crypto/rand"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// Version is what version() says: clients read PostgreSQL's number in it.
var Version = "PostgreSQL 15.0 (MiracleDB)"

func versionFunc([]row.Value) (row.Value, error) { return row.NewText(Version), nil }

// session makes a function that needs Env; without one 0A000.
func session(f func(env Env, args []row.Value) (row.Value, error)) evalFunc {
	return func(ctx *Ctx, args []row.Value) (row.Value, error) {
		if ctx.Env == nil {
			return row.Null, errs.SQL("0A000", "a function of the session is not possible here")
		}
		return f(ctx.Env, args)
	}
}

func currentDatabase(env Env, _ []row.Value) (row.Value, error) {
	return row.NewText(env.Database()), nil
}
func currentUser(env Env, _ []row.Value) (row.Value, error) { return row.NewText(env.User()), nil }
func backendPID(env Env, _ []row.Value) (row.Value, error) {
	return row.NewInt(int64(env.BackendPID())), nil
}

// searchedSchemas are the schemas of the search path that exist.
func searchedSchemas(env Env) []string {
	var out []string
	for _, s := range env.SearchPath() {
		if s == "$user" {
			continue
		}
		if _, ok, err := env.Describe("regnamespacein", []row.Value{row.NewText(s)}); err == nil && !ok && s != "public" {
			continue
		}
		out = append(out, s)
	}
	return out
}

func currentSchema(env Env, _ []row.Value) (row.Value, error) {
	for _, s := range searchedSchemas(env) {
		if s != "pg_catalog" {
			return row.NewText(s), nil
		}
	}
	return row.Null, nil
}

func currentSchemas(env Env, args []row.Value) (row.Value, error) {
	list := []row.Value{}
	path := searchedSchemas(env)
	if args[0].Bool() && !containsText(path, "pg_catalog") {
		path = append([]string{"pg_catalog"}, path...)
	}
	for _, s := range path {
		list = append(list, row.NewText(s))
	}
	return row.NewList(list), nil
}

func containsText(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func currentSetting(env Env, args []row.Value) (row.Value, error) {
	v, ok := env.Setting(args[0].Str())
	switch {
	case ok:
		return row.NewText(v), nil
	case len(args) > 1 && args[1].Bool():
		return row.Null, nil
	}
	return row.Null, errs.SQL("42704", "unrecognized configuration parameter \"%s\"", args[0].Str())
}

func setConfig(env Env, args []row.Value) (row.Value, error) {
	if args[0].IsNull() {
		return row.Null, errs.SQL("22004", "SET requires parameter name")
	}
	if err := env.SetSetting(args[0].Str(), args[1].Str(), !args[2].IsNull() && args[2].Bool()); err != nil {
		return row.Null, err
	}
	v, _ := env.Setting(args[0].Str())
	return row.NewText(v), nil
}

// FormatType is format_type: a type's SQL name with its modifier (PostgreSQL's typmod).
func FormatType(oid row.OID, typmod int32) string {
	if oid == 0 {
		return "-"
	}
	if _, ok := row.Info(oid); !ok {
		return "???"
	}
	return row.T(oid).WithTypMod(typmod).String()
}

// TypeName is a type's SQL name without a modifier: what regtype's text form and format_type(oid, NULL) give. It differs
// from a modifier of -1 in bpchar's.
func TypeName(oid row.OID) string {
	switch oid {
	case row.BPChar:
		return "character"
	case row.ArrayOf(row.BPChar):
		return "character[]"
	}
	return FormatType(oid, -1)
}

func formatType(args []row.Value) (row.Value, error) {
	switch {
	case args[0].IsNull():
		return row.Null, nil
	case args[1].IsNull():
		return row.NewText(TypeName(row.OID(args[0].Int()))), nil
	}
	return row.NewText(FormatType(row.OID(args[0].Int()), int32(args[1].Int()))), nil
}

func typeOf(types []row.Type, _ row.Type) evalFunc {
	v := row.NewInt(int64(types[0].OID))
	return func(*Ctx, []row.Value) (row.Value, error) { return v, nil }
}

func randomUUID([]row.Value) (row.Value, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return row.Null, fmt.Errorf("gen_random_uuid: %w", err)
	}
	b[6] = b[6]&0x0F | 0x40
	b[8] = b[8]&0x3F | 0x80
	return row.NewUUID(b), nil
}

func countNulls(null bool) func([]row.Value) (row.Value, error) {
	return func(args []row.Value) (row.Value, error) {
		n := int64(0)
		for _, a := range args {
			if a.IsNull() == null {
				n++
			}
		}
		return row.NewInt(n), nil
	}
}

func columnSize(types []row.Type, _ row.Type) evalFunc {
	return func(_ *Ctx, args []row.Value) (row.Value, error) {
		if info, ok := row.Info(types[0].OID); ok && info.Len > 0 {
			return row.NewInt(int64(info.Len)), nil
		}
		return row.NewInt(int64(len(args[0].Text(types[0])) + 1)), nil
	}
}

func encodingName(a row.Value) (row.Value, error) {
	if a.Int() == 6 {
		return row.NewText("UTF8"), nil
	}
	return row.NewText(""), nil
}

func encodingNumber(a row.Value) (row.Value, error) {
	if s := strings.ToUpper(strings.ReplaceAll(a.Str(), "-", "")); s == "UTF8" || s == "UNICODE" {
		return row.NewInt(6), nil
	}
	return row.NewInt(-1), nil
}

// sizePretty is pg_size_pretty: units change at ten of the next one, rounding half up.
func sizePretty(a row.Value) (row.Value, error) {
	if a.Kind() == row.KindNumeric {
		return sizePrettyNumeric(a)
	}
	n := a.Int()
	neg := n < 0
	u := magnitude(n)
	format := func(u uint64, unit string) (row.Value, error) {
		sign := ""
		if neg && u > 0 {
			sign = "-"
		}
		return row.NewText(fmt.Sprintf("%s%d %s", sign, u, unit)), nil
	}
	if u < 10*1024 {
		return format(u, "bytes")
	}
	u >>= 9
	units := []string{"kB", "MB", "GB", "TB", "PB"}
	for i, unit := range units {
		if half := (u + 1) / 2; half < 10*1024 || i == len(units)-1 {
			return format((u+1)>>1, unit)
		}
		u >>= 10
	}
	return format(u, "bytes")
}

func sizePrettyNumeric(a row.Value) (row.Value, error) {
	f := a.NumericFloat()
	if math.Abs(f) < math.MaxInt64 {
		n, _, _ := row.RoundNumeric(a, 0).Numeric()
		if math.Abs(f) < 10*1024 {
			return row.NewText(string(a.AppendNumeric(nil)) + " bytes"), nil
		}
		return sizePretty(row.NewInt(n))
	}
	return row.NewText(strconv.FormatFloat(f/math.Ldexp(1, 50), 'f', 0, 64) + " PB"), nil
}

func sizeBytes(a row.Value) (row.Value, error) {
	s := strings.TrimSpace(a.Str())
	i := 0
	for i < len(s) && strings.IndexByte("0123456789.+-eE", s[i]) >= 0 {
		i++
	}
	invalid := errs.SQL("22023", "invalid size: \"%s\"", a.Str())
	n, err := strconv.ParseFloat(s[:i], 64)
	if err != nil {
		return row.Null, invalid
	}
	shift, ok := map[string]int{"": 0, "b": 0, "bytes": 0, "kb": 10, "mb": 20, "gb": 30, "tb": 40, "pb": 50}[strings.ToLower(strings.TrimSpace(s[i:]))]
	if !ok {
		return row.Null, invalid.WithHint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".")
	}
	return floatToInt(math.Ldexp(n, shift), 64)
}

// toReg is to_regclass and its kin: NULL where the cast would fail.
func toReg(t row.OID) evalFunc {
	return func(ctx *Ctx, args []row.Value) (row.Value, error) {
		v, ok, err := regLookup(ctx, t, args[0].Str())
		if err != nil || !ok {
			return row.Null, nil
		}
		return v, nil
	}
}

func transactionID(ctx *Ctx, args []row.Value) (row.Value, error) {
	v, err := described("txid_current")(ctx, args)
	if err != nil || !v.IsNull() {
		return v, err
	}
	return row.NewInt(1), nil
}

func constant(v row.Value) func([]row.Value) (row.Value, error) {
	return func([]row.Value) (row.Value, error) { return v, nil }
}

func hashOf(args []row.Value) (row.Value, error) {
	h := row.Hash64(args[0])
	if len(args) > 1 {
		return row.NewInt(int64(h ^ uint64(args[1].Int())*0x9E3779B97F4A7C15)), nil
	}
	return row.NewInt(int64(int32(h))), nil
}

// systemFuncs holds session and system information (PostgreSQL 9.26) and uuids. The hash functions keep PostgreSQL's
// names and types but not its values.
var systemFuncs = []def{
	{"version() text", stable, versionFunc},
	{"current_database() name", stable, session(currentDatabase)},
	{"current_user() name", stable, session(currentUser)},
	{"session_user() name", stable, session(currentUser)},
	{"current_schema() name", stable, session(currentSchema)},
	{"current_schemas(bool) _name", stable, session(currentSchemas)},
	{"current_setting(text) text", stable, session(currentSetting)},
	{"current_setting(text,bool) text", stable, session(currentSetting)},
	{"set_config(text,text,bool) text", volatile | nullable, session(setConfig)},
	{"current_query() text", volatile | nullable, described("current_query")},
	{"pg_backend_pid() int4", stable, session(backendPID)},
	{"txid_current() int8", stable, transactionID},
	{"format_type(oid,int4) text", stable | nullable, formatType},
	{"pg_typeof(any) regtype", stable | nullable, binder(typeOf)},
	{"gen_random_uuid() uuid", volatile, randomUUID},
	{"num_nulls(variadic any) int4", nullable, countNulls(true)},
	{"num_nonnulls(variadic any) int4", nullable, countNulls(false)},
	{"pg_column_size(any) int4", stable, binder(columnSize)},
	{"pg_client_encoding() name", stable, constant(row.NewText("UTF8"))},
	{"getdatabaseencoding() name", stable, constant(row.NewText("UTF8"))},
	{"pg_encoding_to_char(int4) name", stable, encodingName},
	{"pg_char_to_encoding(name) int4", stable, encodingNumber},
	{"pg_size_pretty(int8) text", 0, sizePretty},
	{"pg_size_pretty(numeric) text", 0, sizePretty},
	{"pg_size_bytes(text) int8", 0, sizeBytes},
	{"pg_sleep(float8) void", volatile, described("pg_sleep")},
	{"pg_is_in_recovery() bool", volatile, constant(row.NewBool(false))},
	{"pg_jit_available() bool", volatile, constant(row.NewBool(false))},
	{"pg_trigger_depth() int4", stable, constant(row.NewInt(0))},
	{"pg_my_temp_schema() oid", stable, constant(row.NewInt(0))},
	{"pg_is_other_temp_schema(oid) bool", stable, constant(row.NewBool(false))},
	{"row_security_active(oid) bool", stable, constant(row.NewBool(false))},
	{"row_security_active(text) bool", stable, constant(row.NewBool(false))},
	{"pg_notify(text,text) void", volatile | nullable, described("pg_notify")},
	{"pg_postmaster_start_time() timestamptz", stable, described("pg_postmaster_start_time")},
	{"pg_conf_load_time() timestamptz", stable, described("pg_conf_load_time")},
	{"to_regclass(text) regclass", stable, toReg(row.RegClass)},
	{"to_regtype(text) regtype", stable, toReg(row.RegType)},
	{"to_regproc(text) regproc", stable, toReg(row.RegProc)},
	{"to_regnamespace(text) regnamespace", stable, toReg(row.RegNamespace)},
	{"to_regrole(text) regrole", stable, toReg(row.RegRole)},
	{"hashint2(int2) int4", 0, hashOf},
	{"hashint4(int4) int4", 0, hashOf},
	{"hashint8(int8) int4", 0, hashOf},
	{"hashtext(text) int4", 0, hashOf},
	{"hashint4extended(int4,int8) int8", 0, hashOf},
	{"hashint8extended(int8,int8) int8", 0, hashOf},
	{"hashtextextended(text,int8) int8", 0, hashOf},
}
