package pgcatalog

import (
	"net"
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/row"
)

func pgAm(c *scan) {
	procs := procNamed()
	c.add(fields{"oid": num(heapOID), "amname": text("heap"), "amhandler": num(procs["heap_tableam_handler"]), "amtype": char('t')})
	c.add(fields{"oid": num(btreeOID), "amname": text("btree"), "amhandler": num(procs["bthandler"]), "amtype": char('i')})
	c.add(fields{"oid": num(columnarOID), "amname": text("columnar"), "amtype": char('t')})
}

func pgCollation(c *scan) {
	for _, x := range []struct {
		oid            int
		name, provider string
	}{{100, "default", "d"}, {950, "C", "c"}, {951, "POSIX", "c"}} {
		f := fields{"oid": num(x.oid), "collname": text(x.name), "collnamespace": num(catalogOID), "collowner": num(ownerOID),
			"collprovider": text(x.provider), "collisdeterministic": boolean(true), "collencoding": num(-1)}
		if x.provider == "c" {
			f["collcollate"], f["collctype"] = text(x.name), text(x.name)
		}
		c.add(f)
	}
}

func pgLanguage(c *scan) {
	for i, name := range []string{"internal", "c", "sql"} {
		c.add(fields{"oid": num(12 + i), "lanname": text(name), "lanowner": num(ownerOID), "lanpltrusted": boolean(name == "sql")})
	}
}

func pgTablespace(c *scan) {
	c.add(fields{"oid": num(tablespaceOID), "spcname": text("pg_default"), "spcowner": num(ownerOID)})
	c.add(fields{"oid": num(globalOID), "spcname": text("pg_global"), "spcowner": num(ownerOID)})
}

// setting is a setting's value, or otherwise.
func (c *scan) setting(name, otherwise string) string {
	for _, s := range c.session.Settings() {
		if s.Name == name {
			return s.Value
		}
	}
	return otherwise
}

func pgDatabase(c *scan) {
	c.add(fields{"oid": num(databaseOID), "datname": text(c.session.Database()), "datdba": num(ownerOID), "encoding": num(6),
		"datlocprovider": char('c'), "datallowconn": boolean(true), "datconnlimit": num(-1), "dattablespace": num(tablespaceOID),
		"datcollate": text(c.setting("lc_collate", "C")), "datctype": text(c.setting("lc_ctype", "C.UTF-8"))})
}

func pgRoles(c *scan) {
	for _, r := range roles(c.session) {
		f := fields{"oid": num(r.oid), "rolname": text(r.name), "rolinherit": boolean(true), "rolcanlogin": boolean(true),
			"rolconnlimit": num(-1)}
		for _, right := range []string{"rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls"} {
			f[right] = boolean(true)
		}
		if c.rel.Name == "pg_roles" {
			f["rolpassword"] = text("********")
		}
		c.add(f)
	}
}

func pgUser(c *scan) {
	for _, r := range roles(c.session) {
		f := fields{"usename": text(r.name), "usesysid": num(r.oid), "usecreatedb": boolean(true), "usesuper": boolean(true),
			"userepl": boolean(true), "usebypassrls": boolean(true)}
		if c.rel.Name == "pg_user" {
			f["passwd"] = text("********")
		}
		c.add(f)
	}
}

// pgSettings describes what PostgreSQL has too by PostgreSQL's words.
func pgSettings(c *scan) {
	known := map[string]row.Row{}
	for _, r := range static()["pg_settings"] {
		known[strings.ToLower(r[0].Str())] = r
	}
	for _, s := range c.session.Settings() {
		f := fields{"name": text(s.Name), "setting": text(s.Value), "category": text("Customized Options"), "context": text("user"),
			"vartype": text("string"), "source": text("default"), "pending_restart": boolean(false)}
		if r, ok := known[strings.ToLower(s.Name)]; ok {
			for name, i := range c.rel.column {
				if !r[i].IsNull() {
					f[name] = r[i]
				}
			}
			f["setting"] = text(inUnit(s.Value, f["unit"].Str()))
		}
		if s.Category != "" {
			f["category"] = text(s.Category)
		}
		if s.Description != "" {
			f["short_desc"] = text(s.Description)
		}
		if s.Unit != "" {
			f["unit"] = text(s.Unit)
		}
		if s.Fixed {
			f["context"] = text("internal")
		}
		f["boot_val"], f["reset_val"] = text(s.Default), text(s.Default)
		if s.Default != s.Value {
			f["source"] = text("session")
		}
		c.add(f)
	}
}

// inUnit takes the unit off a value that has it: pg_settings gives the number alone.
func inUnit(value, unit string) string {
	n := strings.TrimRight(value, "kMGTBmsinhd")
	if unit == "" || n == value {
		return value
	}
	amount, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
	from, to := unitSize[value[len(n):]], unitSize[unit]
	if err != nil || from == 0 || to == 0 {
		return value
	}
	return strconv.FormatInt(amount*from/to, 10)
}

// unitSize is in bytes and in microseconds.
var unitSize = map[string]int64{"B": 1, "kB": 1 << 10, "8kB": 8 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40,
	"us": 1, "ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6, "d": 86400e6}

func pgStatActivity(c *scan) {
	for _, a := range c.session.Activities() {
		f := fields{"datid": num(databaseOID), "datname": text(c.session.Database()), "pid": num(a.PID), "usename": text(a.User),
			"application_name": text(a.Application), "client_port": num(-1), "backend_start": instant(a.Started),
			"xact_start": instant(a.TxStarted), "query_start": instant(a.QueryStarted), "state_change": instant(a.QueryStarted),
			"wait_event_type": some(a.WaitType), "wait_event": some(a.Wait), "state": some(a.State), "query": text(a.Query),
			"backend_type": text("client backend")}
		for _, r := range roles(c.session) {
			if r.name == a.User {
				f["usesysid"] = num(r.oid)
			}
		}
		if host, port, err := net.SplitHostPort(a.Remote); err == nil {
			f["client_addr"] = text(host)
			if n, err := strconv.ParseInt(port, 10, 32); err == nil {
				f["client_port"] = num(n)
			}
		}
		if a.State == "idle" && a.WaitType == "" {
			f["wait_event_type"], f["wait_event"] = text("Client"), text("ClientRead")
		}
		c.add(f)
	}
}

func pgStatDatabase(c *scan) {
	f := fields{"datid": num(databaseOID), "datname": text(c.session.Database()), "numbackends": num(len(c.session.Activities()))}
	for _, col := range c.rel.Columns[3:] {
		switch col.Type.OID {
		case row.Int8:
			f[col.Name] = num(0)
		case row.Float8:
			f[col.Name] = row.NewFloat(0)
		}
	}
	f["checksum_failures"] = row.Null
	c.add(f)
}
