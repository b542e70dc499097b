#include "engine.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SNAPSHOT_MAGIC = 0x4d444253, DELETED_MAGIC = 0x4d444244 };

static char *take_error(duckdb_error_data e) {
	char *text = NULL;
	if (e) {
		if (duckdb_error_data_has_error(e)) text = strdup(duckdb_error_data_message(e));
		duckdb_destroy_error_data(&e);
	}
	return text;
}

// ---- batches -------------------------------------------------------------------------------------------------------

struct ArrowSchema *mdb_arrow_schema_new(void) { return calloc(1, 256); }
struct ArrowArray *mdb_arrow_array_new(void) { return calloc(1, 256); }

duckdb_arrow_converted_schema mdb_schema(duckdb_connection con, struct ArrowSchema *schema, char **error) {
	duckdb_arrow_converted_schema out = NULL;
	*error = take_error(duckdb_schema_from_arrow(con, schema, &out));
	return out;
}

mdb_batch *mdb_batch_make(duckdb_connection con, struct ArrowArray *array, duckdb_arrow_converted_schema schema, char **error) {
	mdb_batch *b = calloc(1, sizeof *b);
	if (!b) {
		*error = strdup("out of memory");
		return NULL;
	}
	*error = take_error(duckdb_data_chunk_from_arrow(con, array, schema, &b->chunk));
	if (*error) {
		free(b);
		return NULL;
	}
	atomic_init(&b->refs, 1);
	b->rows = duckdb_data_chunk_get_size(b->chunk);
	b->count = (uint32_t)duckdb_data_chunk_get_column_count(b->chunk);
	b->vectors = calloc(b->count ? b->count : 1, sizeof *b->vectors);
	for (uint32_t i = 0; b->vectors && i < b->count; i++) b->vectors[i] = duckdb_data_chunk_get_vector(b->chunk, i);
	return b;
}

void mdb_batch_unref(mdb_batch *b) {
	if (atomic_fetch_sub(&b->refs, 1) != 1) return;
	duckdb_destroy_data_chunk(&b->chunk);
	free(b->vectors);
	free(b);
}

mdb_snapshot *mdb_snapshot_make(uint64_t capacity) {
	mdb_snapshot *s = calloc(1, sizeof *s);
	if (!s) return NULL;
	s->magic = SNAPSHOT_MAGIC;
	atomic_init(&s->refs, 1);
	s->parts = calloc(capacity ? capacity : 1, sizeof *s->parts);
	if (!s->parts) {
		free(s);
		return NULL;
	}
	return s;
}

bool mdb_snapshot_add(mdb_snapshot *s, mdb_batch *b, uint64_t rows, const uint32_t *selected, uint64_t selected_count) {
	mdb_part *p = &s->parts[s->count];
	p->rows = rows;
	if (selected) {
		p->rows = selected_count;
		p->selection = duckdb_create_selection_vector(selected_count);
		if (!p->selection) return false;
		memcpy(duckdb_selection_vector_get_data_ptr(p->selection), selected, selected_count * sizeof *selected);
	}
	atomic_fetch_add(&b->refs, 1);
	p->batch = b;
	s->count++;
	s->total += p->rows;
	return true;
}

void mdb_snapshot_unref(mdb_snapshot *s) {
	if (atomic_fetch_sub(&s->refs, 1) != 1) return;
	for (uint64_t i = 0; i < s->count; i++) {
		mdb_batch_unref(s->parts[i].batch);
		if (s->parts[i].selection) duckdb_destroy_selection_vector(s->parts[i].selection);
	}
	s->magic = 0;
	free(s->parts);
	free(s);
}

// ---- mdb_batches(handle): the table function -----------------------------------------------------------------------

static void snapshot_free(void *p) { mdb_snapshot_unref(p); }

static void batches_bind(duckdb_bind_info info) {
	duckdb_value v = duckdb_bind_get_parameter(info, 0);
	mdb_snapshot *s = (mdb_snapshot *)(intptr_t)duckdb_get_int64(v);
	duckdb_destroy_value(&v);
	if (!s || s->magic != SNAPSHOT_MAGIC || s->count == 0) {
		duckdb_bind_set_error(info, "no such snapshot");
		return;
	}
	atomic_fetch_add(&s->refs, 1);
	mdb_batch *b = s->parts[0].batch;
	for (uint32_t i = 0; i < b->count; i++) {
		char name[16] = "c";
		int at = 1;
		char digits[12];
		int n = 0;
		uint32_t k = i;
		do digits[n++] = (char)('0' + k % 10);
		while (k /= 10);
		while (n) name[at++] = digits[--n];
		duckdb_logical_type t = duckdb_vector_get_column_type(b->vectors[i]);
		duckdb_bind_add_result_column(info, name, t);
		duckdb_destroy_logical_type(&t);
	}
	duckdb_bind_set_cardinality(info, s->total, true);
	duckdb_bind_set_bind_data(info, s, snapshot_free);
}

typedef struct {
	atomic_ulong next;
	uint32_t count;
	uint32_t columns[];
} batches_state;

static void batches_init(duckdb_init_info info) {
	mdb_snapshot *s = duckdb_init_get_bind_data(info);
	idx_t n = duckdb_init_get_column_count(info);
	batches_state *g = calloc(1, sizeof *g + n * sizeof g->columns[0]);
	if (!g) {
		duckdb_init_set_error(info, "out of memory");
		return;
	}
	atomic_init(&g->next, 0);
	g->count = (uint32_t)n;
	for (idx_t i = 0; i < n; i++) g->columns[i] = (uint32_t)duckdb_init_get_column_index(info, i);
	duckdb_init_set_init_data(info, g, free);
	duckdb_init_set_max_threads(info, s->count < 64 ? s->count : 64);
}

static void batches_scan(duckdb_function_info info, duckdb_data_chunk out) {
	mdb_snapshot *s = duckdb_function_get_bind_data(info);
	batches_state *g = duckdb_function_get_init_data(info);
	for (;;) {
		uint64_t i = atomic_fetch_add(&g->next, 1);
		if (i >= s->count) {
			duckdb_data_chunk_set_size(out, 0);
			return;
		}
		mdb_part *p = &s->parts[i];
		if (p->rows == 0) continue; // an empty chunk would mean the end
		for (uint32_t k = 0; k < g->count; k++) {
			uint32_t c = g->columns[k];
			if (c >= p->batch->count) continue; // the virtual row id, which nobody reads
			duckdb_vector v = duckdb_data_chunk_get_vector(out, k);
			duckdb_vector_reference_vector(v, p->batch->vectors[c]);
			if (p->selection) duckdb_slice_vector(v, p->selection, p->rows);
		}
		duckdb_data_chunk_set_size(out, p->rows);
		return;
	}
}

// ---- mdb_deleted(handle, file, row): the deletion test ---------------------------------------------------------------

mdb_deleted *mdb_deleted_make(uint64_t count) {
	mdb_deleted *d = calloc(1, sizeof *d);
	if (!d) return NULL;
	d->magic = DELETED_MAGIC;
	atomic_init(&d->refs, 1);
	d->count = count;
	d->bits = calloc(count, sizeof *d->bits);
	d->lengths = calloc(count, sizeof *d->lengths);
	if (!d->bits || !d->lengths) {
		free(d->bits);
		free(d->lengths);
		free(d);
		return NULL;
	}
	return d;
}

void mdb_deleted_set(mdb_deleted *d, uint64_t file, const uint64_t *words, uint64_t rows) {
	size_t n = (rows + 63) / 64 * 8;
	d->bits[file] = malloc(n);
	if (!d->bits[file]) return;
	memcpy(d->bits[file], words, n);
	d->lengths[file] = rows;
}

void mdb_deleted_unref(mdb_deleted *d) {
	if (atomic_fetch_sub(&d->refs, 1) != 1) return;
	for (uint64_t i = 0; i < d->count; i++) free(d->bits[i]);
	d->magic = 0;
	free(d->bits);
	free(d->lengths);
	free(d);
}

static void deleted_free(void *p) { mdb_deleted_unref(p); }

static void *deleted_copy(void *p) {
	atomic_fetch_add(&((mdb_deleted *)p)->refs, 1);
	return p;
}

static void deleted_bind(duckdb_bind_info info) {
	duckdb_client_context context = NULL;
	duckdb_scalar_function_get_client_context(info, &context);
	duckdb_expression e = duckdb_scalar_function_bind_get_argument(info, 0);
	duckdb_value v = NULL;
	char *error = take_error(duckdb_expression_fold(context, e, &v));
	mdb_deleted *d = error ? NULL : (mdb_deleted *)(intptr_t)duckdb_get_int64(v);
	free(error);
	if (v) duckdb_destroy_value(&v);
	duckdb_destroy_expression(&e);
	duckdb_destroy_client_context(&context);
	if (!d || d->magic != DELETED_MAGIC) {
		duckdb_scalar_function_bind_set_error(info, "no such deletion set");
		return;
	}
	atomic_fetch_add(&d->refs, 1);
	duckdb_scalar_function_set_bind_data(info, d, deleted_free);
	duckdb_scalar_function_set_bind_data_copy(info, deleted_copy);
}

static void deleted_run(duckdb_function_info info, duckdb_data_chunk in, duckdb_vector out) {
	mdb_deleted *d = duckdb_scalar_function_get_bind_data(info);
	idx_t n = duckdb_data_chunk_get_size(in);
	const int64_t *file = duckdb_vector_get_data(duckdb_data_chunk_get_vector(in, 1));
	const int64_t *rows = duckdb_vector_get_data(duckdb_data_chunk_get_vector(in, 2));
	bool *dead = duckdb_vector_get_data(out);
	for (idx_t i = 0; i < n; i++) {
		uint64_t f = (uint64_t)file[i], r = (uint64_t)rows[i];
		dead[i] = f < d->count && r < d->lengths[f] && (d->bits[f][r >> 6] >> (r & 63) & 1);
	}
}

// ---- mdb_quotient: numeric division with PostgreSQL's result scale ---------------------------------------------------

typedef unsigned __int128 u128;
typedef __int128 i128;

enum { QUOTIENT_SCALE = 24 };

// The weight of a numeric's first base-10000 digit, and that digit, as PostgreSQL keeps it (numeric.c, select_div_scale).
static void first_digit(u128 v, int scale, int *weight, int *digit) {
	*weight = 0;
	*digit = 0;
	if (v == 0) return;
	int digits = 0;
	u128 w = v;
	while (w) digits++, w /= 10;
	int top = digits - scale - 1; // power of ten of the first digit
	int wt = top >= 0 ? top / 4 : -((-top + 3) / 4);
	*weight = wt;
	int drop = digits - (top - wt * 4 + 1); // digits of v behind the first base-10000 digit
	while (drop > 0) v /= 10, drop--;
	while (drop < 0) v *= 10, drop++;
	*digit = (int)v;
}

static int quotient_scale(u128 a, int sa, u128 b, int sb) {
	int wa, fa, wb, fb;
	first_digit(a, sa, &wa, &fa);
	first_digit(b, sb, &wb, &fb);
	int weight = wa - wb;
	if (fa <= fb) weight--;
	int scale = 16 - weight * 4;
	if (scale < sa) scale = sa;
	if (scale < sb) scale = sb;
	return scale < 0 ? 0 : scale;
}

// a/10^sa divided by b/10^sb, rounded half away from zero at scale digits and then held at QUOTIENT_SCALE; false when it
// does not fit.
static bool quotient(i128 a, int sa, i128 b, int sb, int scale, i128 *out) {
	bool neg = (a < 0) != (b < 0);
	u128 ua = a < 0 ? -(u128)a : (u128)a, ub = b < 0 ? -(u128)b : (u128)b;
	const u128 max = ((u128)1 << 127) - 1;
	if (scale > QUOTIENT_SCALE || ub >= (u128)1 << 123) return false;
	int shift = scale + sb - sa; // digits to bring down
	u128 q, r;
	if (shift < 0) {
		for (; shift < 0; shift++) {
			if (ub > max / 10) return false;
			ub *= 10;
		}
		if (ub >= (u128)1 << 123) return false;
	}
	q = ua / ub;
	r = ua % ub;
	for (; shift > 0; shift--) {
		if (q > max / 10) return false;
		r *= 10;
		q = q * 10 + r / ub;
		r %= ub;
	}
	if (r * 2 >= ub) q++;
	for (; scale < QUOTIENT_SCALE; scale++) {
		if (q > max / 10) return false;
		q *= 10;
	}
	u128 limit = 1;
	for (int i = 0; i < 38; i++) limit *= 10;
	if (q >= limit) return false;
	*out = neg ? -(i128)q : (i128)q;
	return true;
}

static i128 wide(duckdb_hugeint h) { return (i128)((u128)(uint64_t)h.upper << 64 | h.lower); }

typedef struct {
	const duckdb_hugeint *a, *b;
	const int32_t *sa, *sb;
	idx_t n;
} quotient_args;

static quotient_args quotient_in(duckdb_data_chunk in) {
	return (quotient_args){duckdb_vector_get_data(duckdb_data_chunk_get_vector(in, 0)),
	                       duckdb_vector_get_data(duckdb_data_chunk_get_vector(in, 2)),
	                       duckdb_vector_get_data(duckdb_data_chunk_get_vector(in, 1)),
	                       duckdb_vector_get_data(duckdb_data_chunk_get_vector(in, 3)), duckdb_data_chunk_get_size(in)};
}

// The display scale may be less than the scale at which the argument is held: the value then ends in zeros.
static void strip(u128 *v, int held, int shown) {
	for (; held > shown; held--) *v /= 10;
	for (; held < shown; held++) *v *= 10;
}

static bool any_null(duckdb_data_chunk in, idx_t row) {
	for (idx_t k = 0; k < duckdb_data_chunk_get_column_count(in); k++) {
		uint64_t *v = duckdb_vector_get_validity(duckdb_data_chunk_get_vector(in, k));
		if (v && !duckdb_validity_row_is_valid(v, row)) return true;
	}
	return false;
}

// The C API leaves NULL arguments to the function: skip_null makes such a row NULL.
static bool skip_null(duckdb_data_chunk in, duckdb_vector out, idx_t row) {
	if (!any_null(in, row)) return false;
	duckdb_vector_ensure_validity_writable(out);
	duckdb_validity_set_row_invalid(duckdb_vector_get_validity(out), row);
	return true;
}

// Arguments: a, its scale (display scale << 8 | held scale), b, its scale.
static void quotient_run(duckdb_function_info info, duckdb_data_chunk in, duckdb_vector out) {
	quotient_args q = quotient_in(in);
	duckdb_hugeint *result = duckdb_vector_get_data(out);
	for (idx_t i = 0; i < q.n; i++) {
		if (skip_null(in, out, i)) continue;
		i128 a = wide(q.a[i]), b = wide(q.b[i]), r;
		if (b == 0) {
			duckdb_scalar_function_set_error(info, "mdb:22012:division by zero");
			return;
		}
		int ha = q.sa[i] & 255, hb = q.sb[i] & 255, da = q.sa[i] >> 8, db = q.sb[i] >> 8;
		u128 ua = a < 0 ? -(u128)a : (u128)a, ub = b < 0 ? -(u128)b : (u128)b;
		strip(&ua, ha, da);
		strip(&ub, hb, db);
		if (!quotient(a < 0 ? -(i128)ua : (i128)ua, da, b < 0 ? -(i128)ub : (i128)ub, db, quotient_scale(ua, da, ub, db), &r)) {
			duckdb_scalar_function_set_error(info, "mdb:range:quotient");
			return;
		}
		result[i] = (duckdb_hugeint){(uint64_t)(u128)r, (int64_t)(r >> 64)};
	}
}

static void quotient_scale_run(duckdb_function_info info, duckdb_data_chunk in, duckdb_vector out) {
	(void)info;
	quotient_args q = quotient_in(in);
	int32_t *result = duckdb_vector_get_data(out);
	for (idx_t i = 0; i < q.n; i++) {
		if (skip_null(in, out, i)) continue;
		i128 a = wide(q.a[i]), b = wide(q.b[i]);
		int ha = q.sa[i] & 255, hb = q.sb[i] & 255, da = q.sa[i] >> 8, db = q.sb[i] >> 8;
		u128 ua = a < 0 ? -(u128)a : (u128)a, ub = b < 0 ? -(u128)b : (u128)b;
		strip(&ua, ha, da);
		strip(&ub, hb, db);
		result[i] = quotient_scale(ua, da, ub, db);
	}
}

// ---- float arithmetic with PostgreSQL's errors -------------------------------------------------------------------------

#define FLOAT_OP(NAME, T, EXPR, ZERO, LOST)                                                                              \
	static void NAME(duckdb_function_info info, duckdb_data_chunk in, duckdb_vector out) {                               \
		idx_t n = duckdb_data_chunk_get_size(in);                                                                        \
		const T *x = duckdb_vector_get_data(duckdb_data_chunk_get_vector(in, 0));                                        \
		const T *y = duckdb_vector_get_data(duckdb_data_chunk_get_vector(in, 1));                                        \
		T *r = duckdb_vector_get_data(out);                                                                              \
		bool nulls = duckdb_vector_get_validity(duckdb_data_chunk_get_vector(in, 0)) ||                                  \
		             duckdb_vector_get_validity(duckdb_data_chunk_get_vector(in, 1));                                    \
		for (idx_t i = 0; i < n; i++) {                                                                                  \
			T a = x[i], b = y[i];                                                                                        \
			const char *bad = NULL;                                                                                      \
			r[i] = 0;                                                                                                    \
			if (ZERO) bad = "mdb:22012:division by zero";                                                                \
			else {                                                                                                       \
				T v = (EXPR);                                                                                            \
				if (isinf(v) && !isinf(a) && !isinf(b)) bad = "mdb:22003:value out of range: overflow";                  \
				else if (v == 0 && (LOST)) bad = "mdb:22003:value out of range: underflow";                              \
				r[i] = v;                                                                                                \
			}                                                                                                            \
			if (nulls && skip_null(in, out, i)) continue;                                                                \
			if (bad) {                                                                                                   \
				duckdb_scalar_function_set_error(info, bad);                                                             \
				return;                                                                                                  \
			}                                                                                                            \
		}                                                                                                                \
	}

FLOAT_OP(add64, double, a + b, false, false)
FLOAT_OP(sub64, double, a - b, false, false)
FLOAT_OP(mul64, double, a * b, false, a != 0 && b != 0)
FLOAT_OP(div64, double, a / b, b == 0 && !isnan(a), a != 0 && !isinf(b))
FLOAT_OP(add32, float, a + b, false, false)
FLOAT_OP(sub32, float, a - b, false, false)
FLOAT_OP(mul32, float, a * b, false, a != 0 && b != 0)
FLOAT_OP(div32, float, a / b, b == 0 && !isnan(a), a != 0 && !isinf(b))

// ---- registration --------------------------------------------------------------------------------------------------

static bool add_scalar(duckdb_connection con, const char *name, const duckdb_type *args, int count, duckdb_logical_type ret,
                       duckdb_scalar_function_bind_t bind, duckdb_scalar_function_t run) {
	duckdb_scalar_function f = duckdb_create_scalar_function();
	duckdb_scalar_function_set_name(f, name);
	for (int i = 0; i < count; i++) {
		duckdb_logical_type t = duckdb_create_logical_type(args[i]);
		duckdb_scalar_function_add_parameter(f, t);
		duckdb_destroy_logical_type(&t);
	}
	duckdb_scalar_function_set_return_type(f, ret);
	if (bind) duckdb_scalar_function_set_bind(f, bind);
	duckdb_scalar_function_set_function(f, run);
	bool ok = duckdb_register_scalar_function(con, f) == DuckDBSuccess;
	duckdb_destroy_scalar_function(&f);
	return ok;
}

bool mdb_register(duckdb_connection con) {
	duckdb_table_function f = duckdb_create_table_function();
	duckdb_logical_type bigint = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
	duckdb_logical_type boolean = duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN);
	duckdb_logical_type integer = duckdb_create_logical_type(DUCKDB_TYPE_INTEGER);
	duckdb_logical_type decimal = duckdb_create_decimal_type(38, QUOTIENT_SCALE);
	duckdb_table_function_set_name(f, "mdb_batches");
	duckdb_table_function_add_parameter(f, bigint);
	duckdb_table_function_set_bind(f, batches_bind);
	duckdb_table_function_set_init(f, batches_init);
	duckdb_table_function_set_function(f, batches_scan);
	duckdb_table_function_supports_projection_pushdown(f, true);
	bool ok = duckdb_register_table_function(con, f) == DuckDBSuccess;
	duckdb_destroy_table_function(&f);
	const duckdb_type dead[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_BIGINT};
	ok = ok && add_scalar(con, "mdb_deleted", dead, 3, boolean, deleted_bind, deleted_run);
	// ANY: no cast is inserted, and the translator gives DECIMAL(38, s), which is held as 128 bits.
	const duckdb_type div[] = {DUCKDB_TYPE_ANY, DUCKDB_TYPE_INTEGER, DUCKDB_TYPE_ANY, DUCKDB_TYPE_INTEGER};
	ok = ok && add_scalar(con, "mdb_quotient", div, 4, decimal, NULL, quotient_run);
	ok = ok && add_scalar(con, "mdb_quotient_scale", div, 4, integer, NULL, quotient_scale_run);
	static const struct {
		const char *name;
		duckdb_scalar_function_t wide, narrow;
	} floats[] = {{"mdb_add", add64, add32}, {"mdb_sub", sub64, sub32}, {"mdb_mul", mul64, mul32}, {"mdb_div", div64, div32}};
	duckdb_logical_type wide = duckdb_create_logical_type(DUCKDB_TYPE_DOUBLE);
	duckdb_logical_type narrow = duckdb_create_logical_type(DUCKDB_TYPE_FLOAT);
	const duckdb_type two[] = {DUCKDB_TYPE_DOUBLE, DUCKDB_TYPE_DOUBLE}, two32[] = {DUCKDB_TYPE_FLOAT, DUCKDB_TYPE_FLOAT};
	for (int i = 0; i < 4; i++) {
		char name[32];
		ok = ok && add_scalar(con, floats[i].name, two, 2, wide, NULL, floats[i].wide);
		snprintf(name, sizeof name, "%s32", floats[i].name);
		ok = ok && add_scalar(con, name, two32, 2, narrow, NULL, floats[i].narrow);
	}
	duckdb_destroy_logical_type(&wide);
	duckdb_destroy_logical_type(&narrow);
	duckdb_destroy_logical_type(&bigint);
	duckdb_destroy_logical_type(&boolean);
	duckdb_destroy_logical_type(&integer);
	duckdb_destroy_logical_type(&decimal);
	return ok;
}
