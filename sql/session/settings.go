package session

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql"
	"github.com/miracledb/miracledb/sql/expr"
)

// ServerVersion is the PostgreSQL version that clients are told: they choose their catalog queries by it.
const ServerVersion = "15.8 (MiracleDB)"

// setting describes one run-time setting.
type setting struct {
	name, value string
	// reported ones go to the client as ParameterStatus.
	reported bool
	fixed    bool // cannot be changed
	check    func(value string) (string, error)
}

// settingList are the settings that clients of PostgreSQL read or set, with its names and defaults. Ours begin with
// "miracledb.".
var settingList = []setting{
	{name: "application_name", reported: true},
	{name: "client_encoding", value: "UTF8", reported: true, check: checkEncoding},
	{name: "DateStyle", value: "ISO, MDY", reported: true, check: checkDateStyle},
	{name: "default_transaction_isolation", value: "read committed", check: checkIsolation},
	{name: "default_transaction_read_only", value: "off", reported: true, check: checkBool},
	{name: "in_hot_standby", value: "off", reported: true, fixed: true},
	{name: "integer_datetimes", value: "on", reported: true, fixed: true},
	{name: "IntervalStyle", value: "postgres", reported: true, check: oneOf("postgres")},
	{name: "is_superuser", value: "on", reported: true, fixed: true},
	{name: "server_encoding", value: "UTF8", reported: true, fixed: true},
	{name: "server_version", value: ServerVersion, reported: true, fixed: true},
	{name: "server_version_num", value: "150008", fixed: true},
	{name: "session_authorization", reported: true, fixed: true},
	{name: "standard_conforming_strings", value: "on", reported: true, check: oneOf("on")},
	{name: "TimeZone", value: "UTC", reported: true, check: checkZone},
	{name: "search_path", value: `"$user", public`},
	{name: "transaction_isolation", value: "read committed", check: checkIsolation},
	{name: "transaction_read_only", value: "off", check: checkBool},
	{name: "statement_timeout", value: "0", check: checkDuration},
	{name: "lock_timeout", value: "0", check: checkDuration},
	{name: "idle_in_transaction_session_timeout", value: "0", check: checkDuration},
	{name: "extra_float_digits", value: "1"},
	{name: "bytea_output", value: "hex", check: oneOf("hex")},
	{name: "client_min_messages", value: "notice"},
	{name: "max_identifier_length", value: "63", fixed: true},
	{name: "max_index_keys", value: "32", fixed: true},
	{name: "block_size", value: "8192", fixed: true},
	{name: "lc_collate", value: "C", fixed: true},
	{name: "lc_ctype", value: "C.UTF-8", fixed: true},
	{name: "lc_messages", value: "C"},
	{name: "lc_monetary", value: "C"},
	{name: "lc_numeric", value: "C"},
	{name: "lc_time", value: "C"},
	{name: "default_text_search_config", value: "pg_catalog.simple"},
	{name: "default_tablespace"},
	{name: "default_table_access_method", value: "heap"},
	{name: "default_with_oids", value: "off"},
	{name: "row_security", value: "on"},
	{name: "check_function_bodies", value: "on"},
	{name: "synchronous_commit", value: "on", check: oneOf("on")},
	{name: "jit", value: "off"},
	{name: "xmloption", value: "content"},
	{name: "work_mem", value: "4MB"},
	{name: "maintenance_work_mem", value: "64MB"},
	{name: "enable_seqscan", value: "on"},
	{name: "plan_cache_mode", value: "auto"},
	{name: "escape_string_warning", value: "on"},
	{name: "backslash_quote", value: "safe_encoding"},
	{name: "port", value: "5432", fixed: true},
	{name: "max_connections", value: "1000", fixed: true},
	{name: "ssl", value: "off", fixed: true},
	{name: "wal_level", value: "logical", fixed: true},
	// miracledb.read: session (own writes are seen, nobody waits for strangers) or latest (what anyone was told is
	// durable is seen, in tables and views).
	{name: "miracledb.read", value: "session", check: oneOf("session", "latest")},
	// miracledb.route: auto, or the executor that must answer: row, analytic.
	{name: "miracledb.route", value: "auto", check: oneOf("auto", "row", "analytic")},
}

var settingByName = func() map[string]*setting {
	m := map[string]*setting{}
	for i := range settingList {
		m[strings.ToLower(settingList[i].name)] = &settingList[i]
	}
	return m
}()

func oneOf(values ...string) func(string) (string, error) {
	return func(v string) (string, error) {
		if low := strings.ToLower(v); slices.Contains(values, low) {
			return low, nil
		}
		return "", errs.SQL("22023", "only %s is possible here", strings.Join(values, " or "))
	}
}

func checkBool(v string) (string, error) {
	switch strings.ToLower(v) {
	case "on", "true", "yes", "1":
		return "on", nil
	case "off", "false", "no", "0":
		return "off", nil
	}
	return "", errs.SQL("22023", "%q is not a Boolean value", v)
}

func checkEncoding(v string) (string, error) {
	switch strings.ToUpper(strings.NewReplacer("-", "", "_", "").Replace(v)) {
	case "UTF8", "UNICODE", "SQLASCII":
		return "UTF8", nil
	}
	return "", errs.SQL("22023", "encoding %q is not supported: texts are UTF8", v)
}

func checkDateStyle(v string) (string, error) {
	if strings.HasPrefix(strings.ToUpper(v), "ISO") || strings.EqualFold(v, "MDY") {
		return "ISO, MDY", nil
	}
	return "", errs.SQL("22023", "DateStyle %q is not supported: dates are ISO", v)
}

func checkIsolation(v string) (string, error) {
	if strings.EqualFold(v, "read uncommitted") {
		return "read uncommitted", nil
	}
	return oneOf("read committed", "repeatable read", "serializable")(v)
}

func checkZone(v string) (string, error) {
	loc, err := expr.Zone(v)
	if err != nil {
		return "", err
	}
	return loc.String(), nil
}

// parseDuration reads a time setting: milliseconds, or a number with a unit.
func parseDuration(v string) (time.Duration, error) {
	if ms, err := strconv.ParseInt(v, 10, 64); err == nil {
		return time.Duration(ms) * time.Millisecond, nil
	}
	d, err := time.ParseDuration(strings.ReplaceAll(strings.Replace(v, "min", "m", 1), " ", ""))
	if err != nil || d < 0 {
		return 0, errs.SQL("22023", "invalid value for a time: %q", v).WithHint(`Valid units are "us", "ms", "s", "min", "h".`)
	}
	return d, nil
}

func checkDuration(v string) (string, error) {
	_, err := parseDuration(v)
	return v, err
}

// settings are a session's values: what differs from the defaults, with the values to come back to when the
// transaction ends.
type settings struct {
	values  map[string]string
	local   map[string]*string // SET LOCAL: the value before; nil: the default
	undo    map[string]*string // SET in a transaction: undone by a rollback
	inTx    bool
	changed []string
}

func newSettings() *settings {
	return &settings{values: map[string]string{}, local: map[string]*string{}, undo: map[string]*string{}}
}

// get reads a setting; custom ones (with a dot) exist once set.
func (s *settings) get(name string) (string, bool) {
	low := strings.ToLower(name)
	if low == "timezone" || low == "time zone" {
		low = "timezone"
	}
	if v, ok := s.values[low]; ok {
		return v, true
	}
	if d, ok := settingByName[low]; ok {
		return d.value, true
	}
	return "", false
}

// set changes a setting; reset gives it its default again.
func (s *settings) set(name, value string, local, reset bool) error {
	low := strings.ToLower(name)
	d := settingByName[low]
	switch {
	case d == nil && !strings.Contains(low, "."):
		return errs.SQL("42704", "unrecognized configuration parameter %q", name)
	case d != nil && d.fixed && !reset:
		return errs.SQL("55P02", "parameter %q cannot be changed", d.name)
	case d != nil && d.check != nil && !reset:
		v, err := d.check(value)
		if err != nil {
			return errs.SQL("22023", "invalid value for parameter %q: %q", d.name, value).WithDetail("%s", err.Error())
		}
		value = v
	}
	var before *string
	if v, ok := s.values[low]; ok {
		before = &v
	}
	if s.inTx {
		m := s.undo
		if local {
			m = s.local
		}
		if _, ok := m[low]; !ok {
			m[low] = before
		}
	} else if local {
		return nil // SET LOCAL outside a transaction has no effect
	}
	s.put(low, &value)
	if reset {
		s.put(low, nil)
	}
	return nil
}

func (s *settings) put(low string, value *string) {
	if value == nil {
		delete(s.values, low)
	} else {
		s.values[low] = *value
	}
	s.changed = append(s.changed, low)
}

// begin and end frame a transaction: end takes SET LOCAL back, and after a rollback SET too.
func (s *settings) begin() { s.inTx = true }

func (s *settings) end(commit bool) {
	for n, v := range s.local {
		s.put(n, v)
	}
	if !commit {
		for n, v := range s.undo {
			s.put(n, v)
		}
	}
	clear(s.local)
	clear(s.undo)
	s.inTx = false
}

// reports gives the reported settings that changed since the last call.
func (s *settings) reports() []sql.Setting {
	var out []sql.Setting
	for _, low := range s.changed {
		if d := settingByName[low]; d != nil && d.reported {
			v, _ := s.get(low)
			out = append(out, sql.Setting{Name: d.name, Value: v})
		}
	}
	s.changed = s.changed[:0]
	return out
}

// resetAll gives every setting its default.
func (s *settings) resetAll() {
	for low := range s.values {
		if d := settingByName[low]; d == nil || !d.fixed {
			s.put(low, nil)
		}
	}
}

// searchPath is the setting as a list of schemas, quotes removed; "$user" is left out: there are no users' schemas.
func (s *settings) searchPath() []string {
	v, _ := s.get("search_path")
	var path []string
	for _, p := range strings.Split(v, ",") {
		p = strings.Trim(strings.TrimSpace(p), `"'`)
		if p != "" && p != "$user" {
			path = append(path, p)
		}
	}
	return path
}
