#include "engine.h"
#include <stdlib.h>
#include <string.h>

uint8_t *mdb_buffer_grow(mdb_buffer *b, size_t n) {
	if (b->failed) return NULL;
	if (b->cap - b->len < n) {
		size_t cap = b->cap ? b->cap : 1 << 16;
		while (cap - b->len < n) cap *= 2;
		uint8_t *p = realloc(b->data, cap);
		if (!p) {
			b->failed = true;
			return NULL;
		}
		b->data = p;
		b->cap = cap;
	}
	uint8_t *at = b->data + b->len;
	b->len += n;
	return at;
}

static void put(mdb_buffer *b, const void *p, size_t n) {
	// The pad is zeroed, so that no heap bytes leave the process.
	size_t padded = (n + 7) & ~(size_t)7;
	uint8_t *at = mdb_buffer_grow(b, padded);
	if (!at) return;
	if (n) memcpy(at, p, n);
	if (padded > n) memset(at + n, 0, padded - n);
}

static void put64(mdb_buffer *b, uint64_t v) { put(b, &v, 8); }

static uint32_t fixed_bytes(duckdb_type id) {
	switch (id) {
	case DUCKDB_TYPE_BOOLEAN: case DUCKDB_TYPE_TINYINT: case DUCKDB_TYPE_UTINYINT: case DUCKDB_TYPE_SQLNULL: return 1;
	case DUCKDB_TYPE_SMALLINT: case DUCKDB_TYPE_USMALLINT: return 2;
	case DUCKDB_TYPE_INTEGER: case DUCKDB_TYPE_UINTEGER: case DUCKDB_TYPE_FLOAT: case DUCKDB_TYPE_DATE: return 4;
	case DUCKDB_TYPE_BIGINT: case DUCKDB_TYPE_UBIGINT: case DUCKDB_TYPE_DOUBLE: case DUCKDB_TYPE_TIME:
	case DUCKDB_TYPE_TIMESTAMP: case DUCKDB_TYPE_TIMESTAMP_TZ: case DUCKDB_TYPE_TIME_TZ: return 8;
	case DUCKDB_TYPE_HUGEINT: case DUCKDB_TYPE_UUID: case DUCKDB_TYPE_INTERVAL: return 16;
	default: return 0;
	}
}

bool mdb_type_make(mdb_type *t, duckdb_logical_type type) {
	memset(t, 0, sizeof *t);
	t->id = duckdb_get_type_id(type);
	switch (t->id) {
	case DUCKDB_TYPE_VARCHAR: case DUCKDB_TYPE_BLOB:
		return true;
	case DUCKDB_TYPE_DECIMAL:
		t->width = duckdb_decimal_width(type);
		t->scale = duckdb_decimal_scale(type);
		t->bytes = fixed_bytes(duckdb_decimal_internal_type(type));
		return t->bytes != 0;
	case DUCKDB_TYPE_LIST: case DUCKDB_TYPE_STRUCT: {
		t->count = t->id == DUCKDB_TYPE_LIST ? 1 : (uint32_t)duckdb_struct_type_child_count(type);
		t->children = calloc(t->count ? t->count : 1, sizeof *t->children);
		if (!t->children) return false;
		for (uint32_t i = 0; i < t->count; i++) {
			duckdb_logical_type child =
			    t->id == DUCKDB_TYPE_LIST ? duckdb_list_type_child_type(type) : duckdb_struct_type_child_type(type, i);
			bool ok = mdb_type_make(&t->children[i], child);
			duckdb_destroy_logical_type(&child);
			if (!ok) return false;
		}
		return true;
	}
	default:
		t->bytes = fixed_bytes(t->id);
		return t->bytes != 0;
	}
}

void mdb_type_free(mdb_type *t) {
	for (uint32_t i = 0; t->children && i < t->count; i++) mdb_type_free(&t->children[i]);
	free(t->children);
	t->children = NULL;
}

void mdb_type_write(mdb_buffer *b, const mdb_type *t) {
	uint8_t *p = mdb_buffer_grow(b, 8);
	if (!p) return;
	p[0] = (uint8_t)t->id;
	p[1] = t->width;
	p[2] = t->scale;
	p[3] = (uint8_t)t->bytes;
	memcpy(p + 4, &t->count, 4);
	for (uint32_t i = 0; i < t->count; i++) mdb_type_write(b, &t->children[i]);
}

static inline bool valid(const uint64_t *v, uint64_t i) { return !v || (v[i >> 6] >> (i & 63) & 1); }

static void encode_strings(mdb_buffer *b, const duckdb_string_t *s, const uint64_t *nulls, uint64_t n) {
	uint64_t total = 0;
	for (uint64_t i = 0; i < n; i++)
		if (valid(nulls, i)) total += s[i].value.inlined.length;
	if (total >= UINT32_MAX) {
		b->failed = true;
		return;
	}
	size_t offsets = ((n + 1) * 4 + 7) & ~(size_t)7, bytes = (total + 7) & ~(size_t)7;
	put64(b, total);
	uint8_t *p = mdb_buffer_grow(b, offsets + bytes);
	if (!p) return;
	uint32_t *at = (uint32_t *)p, end = 0;
	uint8_t *out = p + offsets;
	memset(p + offsets - 8, 0, 8);
	at[0] = 0;
	for (uint64_t i = 0; i < n; i++) {
		if (valid(nulls, i)) {
			uint32_t len = s[i].value.inlined.length;
			memcpy(out + end, len <= 12 ? s[i].value.inlined.inlined : s[i].value.pointer.ptr, len);
			end += len;
		}
		at[i + 1] = end;
	}
	if (bytes > total) memset(out + total, 0, bytes - total);
}

static void encode_vector(mdb_buffer *b, const mdb_type *t, duckdb_vector v, uint64_t n) {
	const uint64_t *nulls = n ? duckdb_vector_get_validity(v) : NULL;
	put64(b, nulls != NULL);
	if (nulls) put(b, nulls, (n + 63) / 64 * 8);
	switch (t->id) {
	case DUCKDB_TYPE_VARCHAR: case DUCKDB_TYPE_BLOB:
		encode_strings(b, duckdb_vector_get_data(v), nulls, n);
		return;
	case DUCKDB_TYPE_LIST: {
		uint64_t size = duckdb_list_vector_get_size(v);
		put64(b, size);
		put(b, duckdb_vector_get_data(v), n * sizeof(duckdb_list_entry));
		encode_vector(b, &t->children[0], duckdb_list_vector_get_child(v), size);
		return;
	}
	case DUCKDB_TYPE_STRUCT:
		for (uint32_t i = 0; i < t->count; i++) encode_vector(b, &t->children[i], duckdb_struct_vector_get_child(v, i), n);
		return;
	default:
		put(b, duckdb_vector_get_data(v), n * t->bytes);
	}
}

bool mdb_encode_chunk(mdb_buffer *b, const mdb_type *types, uint32_t count, duckdb_data_chunk chunk) {
	uint64_t n = duckdb_data_chunk_get_size(chunk);
	put64(b, n);
	for (uint32_t i = 0; i < count && !b->failed; i++) encode_vector(b, &types[i], duckdb_data_chunk_get_vector(chunk, i), n);
	return !b->failed;
}
