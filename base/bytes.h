/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes: unaligned little- and big-endian loads and stores, and a bounded reader and writer.
 *
 * The reader and writer are sticky: after the first violation every call yields 0 and ok stays false,
 * so that a codec checks once at its end. Never allocates. Who may call it: every room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BYTES_DEFINE(bits, order, conv)                                                           \
	static inline uint##bits##_t order##bits##_load(const void *p)                            \
	{                                                                                         \
		uint##bits##_t v;                                                                 \
		memcpy(&v, p, sizeof(v));                                                         \
		return conv(v);                                                                   \
	}                                                                                         \
	static inline void order##bits##_store(void *p, uint##bits##_t v)                         \
	{                                                                                         \
		v = conv(v);                                                                      \
		memcpy(p, &v, sizeof(v));                                                         \
	}
#define BYTES_SAME(v) (v)
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a big-endian port needs the other half");
BYTES_DEFINE(16, le, BYTES_SAME)
BYTES_DEFINE(32, le, BYTES_SAME)
BYTES_DEFINE(64, le, BYTES_SAME)
BYTES_DEFINE(16, be, __builtin_bswap16)
BYTES_DEFINE(32, be, __builtin_bswap32)
BYTES_DEFINE(64, be, __builtin_bswap64)

struct bytes_reader {
	const uint8_t *data;
	size_t len;
	size_t off;
	bool ok;
};
struct bytes_writer {
	uint8_t *data;
	size_t size;
	size_t off;
	bool ok;
};

struct bytes_reader bytes_reader(const void *data, size_t len);
struct bytes_writer bytes_writer(void *data, size_t size);
uint8_t bytes_get8(struct bytes_reader *r);
uint16_t bytes_get16(struct bytes_reader *r); /* little-endian, as in all our own corridors */
uint32_t bytes_get32(struct bytes_reader *r);
uint64_t bytes_get64(struct bytes_reader *r);
/* Pointer to the next LEN bytes inside the input, or NULL (and ok = false). */
const void *bytes_get(struct bytes_reader *r, size_t len);
void bytes_put8(struct bytes_writer *w, uint8_t v);
void bytes_put16(struct bytes_writer *w, uint16_t v);
void bytes_put32(struct bytes_writer *w, uint32_t v);
void bytes_put64(struct bytes_writer *w, uint64_t v);
void bytes_put(struct bytes_writer *w, const void *data, size_t len);
