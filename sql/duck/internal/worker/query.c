#include "engine.h"
#include <stdlib.h>
#include <string.h>

static int fail(mdb_query *q, uint32_t type, const char *message) {
	free(q->error);
	q->error = strdup(message ? message : "no message");
	q->error_type = type;
	return -1;
}

// A failed prepare has only text; DuckDB begins it with the name of the error's type.
static uint32_t type_of_text(const char *m) {
	static const struct {
		const char *prefix;
		uint32_t type;
	} known[] = {{"INTERNAL Error", DUCKDB_ERROR_INTERNAL}, {"FATAL Error", DUCKDB_ERROR_FATAL},
	             {"Conversion Error", DUCKDB_ERROR_CONVERSION}, {"Out of Range Error", DUCKDB_ERROR_OUT_OF_RANGE},
	             {"Binder Error", DUCKDB_ERROR_BINDER}, {"Parser Error", DUCKDB_ERROR_PARSER},
	             {"Catalog Error", DUCKDB_ERROR_CATALOG}, {"IO Error", DUCKDB_ERROR_IO},
	             {"Invalid Input Error", DUCKDB_ERROR_INVALID_INPUT}, {"Not implemented Error", DUCKDB_ERROR_NOT_IMPLEMENTED},
	             {"Permission Error", DUCKDB_ERROR_PERMISSION}, {"INTERRUPT Error", DUCKDB_ERROR_INTERRUPT},
	             {"Out of Memory Error", DUCKDB_ERROR_OUT_OF_MEMORY}};
	for (size_t i = 0; m && i < sizeof known / sizeof known[0]; i++)
		if (strncmp(m, known[i].prefix, strlen(known[i].prefix)) == 0) return known[i].type;
	return DUCKDB_ERROR_INVALID;
}

int mdb_query_start(mdb_query *q, duckdb_connection con, const char *sql) {
	if (duckdb_prepare(con, sql, &q->statement) != DuckDBSuccess) {
		const char *m = duckdb_prepare_error(q->statement);
		return fail(q, type_of_text(m), m);
	}
	// The SQL is ours, but a second lock costs nothing.
	if (duckdb_prepared_statement_type(q->statement) != DUCKDB_STATEMENT_TYPE_SELECT)
		return fail(q, DUCKDB_ERROR_PERMISSION, "only SELECT may run here");
	if (duckdb_pending_prepared_streaming(q->statement, &q->pending) != DuckDBSuccess) {
		const char *m = duckdb_pending_error(q->pending);
		return fail(q, type_of_text(m), m);
	}
	duckdb_state s = duckdb_execute_pending(q->pending, &q->result);
	q->has_result = true;
	if (s != DuckDBSuccess) return fail(q, duckdb_result_error_type(&q->result), duckdb_result_error(&q->result));
	return 0;
}

// The types go to out: their count, then each.
int mdb_query_types(mdb_query *q) {
	q->count = (uint32_t)duckdb_column_count(&q->result);
	q->types = calloc(q->count ? q->count : 1, sizeof *q->types);
	if (!q->types) return fail(q, DUCKDB_ERROR_OUT_OF_MEMORY, "out of memory");
	for (uint32_t i = 0; i < q->count; i++) {
		duckdb_logical_type t = duckdb_column_logical_type(&q->result, i);
		bool ok = mdb_type_make(&q->types[i], t);
		duckdb_destroy_logical_type(&t);
		if (!ok) return fail(q, DUCKDB_ERROR_NOT_IMPLEMENTED, "result type that cannot be sent");
		mdb_type_write(&q->out, &q->types[i]);
	}
	return q->out.failed ? fail(q, DUCKDB_ERROR_OUT_OF_MEMORY, "out of memory") : 0;
}

// Fills out, after room for a frame's header, with chunks until about target bytes. 1: rows, 0: end.
int mdb_query_next(mdb_query *q, size_t header, size_t target) {
	q->out.len = 0;
	if (!mdb_buffer_grow(&q->out, header)) return fail(q, DUCKDB_ERROR_OUT_OF_MEMORY, "out of memory");
	int rows = 0;
	// A fetch behind the end is an error.
	while (!q->ended && q->out.len - header < target) {
		duckdb_data_chunk chunk = duckdb_fetch_chunk(q->result);
		if (!chunk) {
			const char *m = duckdb_result_error(&q->result);
			// A chunk that stands before an error is not shown: the error decides.
			if (m && *m) return fail(q, duckdb_result_error_type(&q->result), m);
			q->ended = true;
			break;
		}
		bool empty = duckdb_data_chunk_get_size(chunk) == 0;
		bool ok = empty || mdb_encode_chunk(&q->out, q->types, q->count, chunk);
		duckdb_destroy_data_chunk(&chunk);
		if (!ok) return fail(q, DUCKDB_ERROR_OUT_OF_MEMORY, "out of memory for a batch of results");
		if (empty) {
			q->ended = true;
			break;
		}
		rows = 1;
		if (target == 1) break;
	}
	return rows;
}

void mdb_query_end(mdb_query *q) {
	for (uint32_t i = 0; q->types && i < q->count; i++) mdb_type_free(&q->types[i]);
	free(q->types);
	if (q->has_result) duckdb_destroy_result(&q->result);
	if (q->pending) duckdb_destroy_pending(&q->pending);
	if (q->statement) duckdb_destroy_prepare(&q->statement);
	free(q->error);
	free(q->out.data);
	memset(q, 0, sizeof *q);
}

int mdb_execute(duckdb_connection con, const char *sql, char **error, uint32_t *error_type) {
	duckdb_result r;
	memset(&r, 0, sizeof r);
	int status = 0;
	if (duckdb_query(con, sql, &r) != DuckDBSuccess) {
		const char *m = duckdb_result_error(&r);
		*error = strdup(m ? m : "no message");
		*error_type = duckdb_result_error_type(&r);
		status = -1;
	}
	duckdb_destroy_result(&r);
	return status;
}
