package worker

/*
#cgo CFLAGS: -O2 -DDUCKDB_STATIC_BUILD
#include <stdlib.h>
#include "engine.h"
*/
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	_ "github.com/duckdb/duckdb-go-bindings" // links DuckDB's static libraries

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/sql/duck/internal/wire"
)

// database is the one DuckDB instance of the process.
type database struct{ handle C.duckdb_database }

// openDatabase opens an in-memory database that can reach nothing but config.Directories.
func openDatabase(config wire.Config) (*database, error) {
	var options C.duckdb_config
	if C.duckdb_create_config(&options) != C.DuckDBSuccess {
		return nil, errs.New(errs.Internal, "duckdb: cannot make a configuration")
	}
	defer C.duckdb_destroy_config(&options)
	for _, o := range [][2]string{
		{"threads", strconv.Itoa(max(config.Threads, 1))},
		{"memory_limit", fmt.Sprintf("%dB", config.MemoryLimit)},
		{"temp_directory", config.TempDir},
		{"autoinstall_known_extensions", "false"},
		{"autoload_known_extensions", "false"},
		{"allow_community_extensions", "false"},
		{"allow_persistent_secrets", "false"},
	} {
		name, value := C.CString(o[0]), C.CString(o[1])
		state := C.duckdb_set_config(options, name, value)
		C.free(unsafe.Pointer(name))
		C.free(unsafe.Pointer(value))
		if state != C.DuckDBSuccess {
			return nil, errs.New(errs.Internal, "duckdb: option %s is refused", o[0])
		}
	}
	path := C.CString(":memory:")
	defer C.free(unsafe.Pointer(path))
	d := &database{}
	var problem *C.char
	if C.duckdb_open_ext(path, &d.handle, options, &problem) != C.DuckDBSuccess {
		defer C.duckdb_free(unsafe.Pointer(problem))
		return nil, errs.New(errs.Internal, "duckdb: %s", C.GoString(problem))
	}
	return d, d.lock(config)
}

// lock registers our functions and closes the database to everything outside. The order matters: external access can
// only be taken away, and allowed_directories must be set before.
func (d *database) lock(config wire.Config) error {
	con, err := d.connect()
	if err != nil {
		return err
	}
	defer con.close()
	if !C.mdb_register(con.handle) {
		return errs.New(errs.Internal, "duckdb: cannot register functions")
	}
	var dirs []string
	for _, dir := range config.Directories {
		dirs = append(dirs, literal(strings.TrimSuffix(dir, "/")+"/"))
	}
	for _, s := range []string{
		"SET GLOBAL TimeZone = 'UTC'",
		"SET GLOBAL integer_division = true",
		"SET GLOBAL default_null_order = 'nulls_last'",
		"SET GLOBAL parquet_metadata_cache = true",
		"SET GLOBAL allowed_directories = [" + strings.Join(dirs, ", ") + "]",
		"SET GLOBAL enable_external_access = false",
		"SET GLOBAL lock_configuration = true",
	} {
		if err := con.execute(s); err != nil {
			return err
		}
	}
	return nil
}

func (d *database) connect() (*connection, error) {
	c := &connection{}
	if C.duckdb_connect(d.handle, &c.handle) != C.DuckDBSuccess {
		return nil, errs.New(errs.Internal, "duckdb: cannot connect")
	}
	return c, nil
}

// connection runs one statement at a time.
type connection struct{ handle C.duckdb_connection }

func (c *connection) close()     { C.duckdb_disconnect(&c.handle) }
func (c *connection) interrupt() { C.duckdb_interrupt(c.handle) }

// execute runs a statement for its effect.
func (c *connection) execute(sql string) error {
	text := C.CString(sql)
	defer C.free(unsafe.Pointer(text))
	var problem *C.char
	var kind C.uint32_t
	if C.mdb_execute(c.handle, text, &problem, &kind) != 0 {
		defer C.free(unsafe.Pointer(problem))
		return &failure{uint32(kind), C.GoString(problem)}
	}
	return nil
}

// failure is an error of DuckDB.
type failure wire.Failure

func (f *failure) Error() string { return f.Message }

// query is a running SELECT whose rows stream.
type query struct{ c C.mdb_query }

// start prepares and starts sql; the types are in the answer (wire.DecodeTypes reads them).
func (c *connection) start(sql string) (*query, []byte, error) {
	q := &query{}
	text := C.CString(sql)
	defer C.free(unsafe.Pointer(text))
	if C.mdb_query_start(&q.c, c.handle, text) != 0 || C.mdb_query_types(&q.c) != 0 {
		return nil, nil, q.fail()
	}
	types := C.GoBytes(unsafe.Pointer(q.c.out.data), C.int(q.c.out.len))
	return q, types, nil
}

func (q *query) fail() error {
	f := &failure{uint32(q.c.error_type), C.GoString(q.c.error)}
	q.close()
	return f
}

// next gives room for a frame's header and the next chunks, valid until the next call; nil at the end. After an error
// the query is closed.
func (q *query) next(target int) ([]byte, error) {
	switch C.mdb_query_next(&q.c, wire.HeaderSize, C.size_t(target)) {
	case 0:
		return nil, nil
	case 1:
		return unsafe.Slice((*byte)(q.c.out.data), int(q.c.out.len)), nil
	}
	return nil, q.fail()
}

func (q *query) close() { C.mdb_query_end(&q.c) }

// literal writes s as an SQL string.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// identifier writes s as a quoted name.
func identifier(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func tempDir(config wire.Config) error { return os.MkdirAll(config.TempDir, 0o700) }
