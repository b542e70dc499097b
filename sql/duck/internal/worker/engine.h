// The C side of the DuckDB child. Everything that runs inside DuckDB's own threads is here and not in Go: a C++ exception
// must never cross a Go frame, and one call per value is too slow.
#ifndef MIRACLEDB_ENGINE_H
#define MIRACLEDB_ENGINE_H

#include "duckdb.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A growing buffer; failed is set when memory could not be had, and everything after it is ignored.
typedef struct {
	uint8_t *data;
	size_t len, cap;
	bool failed;
} mdb_buffer;

uint8_t *mdb_buffer_grow(mdb_buffer *b, size_t n);

// A column type as it is sent: see wire.DecodeTypes.
typedef struct mdb_type {
	duckdb_type id;
	uint8_t width, scale;
	uint32_t bytes; // of one fixed-width value, 0 for the others
	uint32_t count; // children
	struct mdb_type *children;
} mdb_type;

// One running query.
typedef struct {
	duckdb_prepared_statement statement;
	duckdb_pending_result pending;
	duckdb_result result;
	bool has_result, ended;
	uint32_t count;
	mdb_type *types;
	mdb_buffer out;
	char *error;
	uint32_t error_type;
} mdb_query;

int mdb_query_start(mdb_query *q, duckdb_connection con, const char *sql);
int mdb_query_types(mdb_query *q);
int mdb_query_next(mdb_query *q, size_t header, size_t target);
void mdb_query_end(mdb_query *q);
int mdb_execute(duckdb_connection con, const char *sql, char **error, uint32_t *error_type);

bool mdb_type_make(mdb_type *t, duckdb_logical_type type);
void mdb_type_free(mdb_type *t);
void mdb_type_write(mdb_buffer *b, const mdb_type *t);
bool mdb_encode_chunk(mdb_buffer *b, const mdb_type *types, uint32_t count, duckdb_data_chunk chunk);

// A converted batch of at most 2048 rows, shared by snapshots.
typedef struct {
	atomic_long refs;
	duckdb_data_chunk chunk;
	uint32_t count;
	uint64_t rows;
	duckdb_vector *vectors;
} mdb_batch;

mdb_batch *mdb_batch_make(duckdb_connection con, struct ArrowArray *array, duckdb_arrow_converted_schema schema, char **error);
void mdb_batch_unref(mdb_batch *b);
duckdb_arrow_converted_schema mdb_schema(duckdb_connection con, struct ArrowSchema *schema, char **error);
struct ArrowSchema *mdb_arrow_schema_new(void);
struct ArrowArray *mdb_arrow_array_new(void);

// What one query sees of a list of batches.
typedef struct {
	mdb_batch *batch;
	uint64_t rows; // visible, after deletion when selection is set
	duckdb_selection_vector selection;
} mdb_part;

typedef struct {
	uint64_t magic;
	atomic_long refs;
	uint64_t count, total;
	mdb_part *parts;
} mdb_snapshot;

mdb_snapshot *mdb_snapshot_make(uint64_t capacity);
bool mdb_snapshot_add(mdb_snapshot *s, mdb_batch *b, uint64_t rows, const uint32_t *selected, uint64_t selected_count);
void mdb_snapshot_unref(mdb_snapshot *s);

// The deleted rows of a list of files as dense bitsets; a file without deletions has bits NULL. The bitsets belong to Go's
// cache, which outlives the query.
typedef struct {
	uint64_t magic;
	atomic_long refs;
	uint64_t count;
	uint64_t **bits;
	uint64_t *lengths; // in rows
} mdb_deleted;

mdb_deleted *mdb_deleted_make(uint64_t count);
void mdb_deleted_set(mdb_deleted *d, uint64_t file, const uint64_t *words, uint64_t rows);
void mdb_deleted_unref(mdb_deleted *d);

bool mdb_register(duckdb_connection con);

#endif
