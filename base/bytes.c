/* SPDX-License-Identifier: Apache-2.0 */
/* bytes: the sticky bounded reader and writer. Lengths are compared by subtraction, never by sum. */
#include "base/bytes.h"

struct bytes_reader bytes_reader(const void *data, size_t len)
{
	return (struct bytes_reader){.data = data, .len = len, .off = 0, .ok = true};
}

struct bytes_writer bytes_writer(void *data, size_t size)
{
	return (struct bytes_writer){.data = data, .size = size, .off = 0, .ok = true};
}

const void *bytes_get(struct bytes_reader *r, size_t len)
{
	const uint8_t *p;

	if (!r->ok || len > r->len - r->off) {
		r->ok = false;
		return NULL;
	}
	p = r->data + r->off;
	r->off += len;
	return p;
}

uint8_t bytes_get8(struct bytes_reader *r)
{
	const uint8_t *p = bytes_get(r, 1);

	return p ? *p : 0;
}

uint16_t bytes_get16(struct bytes_reader *r)
{
	const void *p = bytes_get(r, 2);

	return p ? le16_load(p) : 0;
}

uint32_t bytes_get32(struct bytes_reader *r)
{
	const void *p = bytes_get(r, 4);

	return p ? le32_load(p) : 0;
}

uint64_t bytes_get64(struct bytes_reader *r)
{
	const void *p = bytes_get(r, 8);

	return p ? le64_load(p) : 0;
}

/* Room for LEN bytes, or NULL and the writer is broken. */
static uint8_t *writer_room(struct bytes_writer *w, size_t len)
{
	uint8_t *p;

	if (!w->ok || len > w->size - w->off) {
		w->ok = false;
		return NULL;
	}
	p = w->data + w->off;
	w->off += len;
	return p;
}

void bytes_put(struct bytes_writer *w, const void *data, size_t len)
{
	uint8_t *p = writer_room(w, len);

	if (p && len)
		memcpy(p, data, len);
}

void bytes_put8(struct bytes_writer *w, uint8_t v)
{
	bytes_put(w, &v, 1);
}

void bytes_put16(struct bytes_writer *w, uint16_t v)
{
	uint8_t *p = writer_room(w, 2);

	if (p)
		le16_store(p, v);
}

void bytes_put32(struct bytes_writer *w, uint32_t v)
{
	uint8_t *p = writer_room(w, 4);

	if (p)
		le32_store(p, v);
}

void bytes_put64(struct bytes_writer *w, uint64_t v)
{
	uint8_t *p = writer_room(w, 8);

	if (p)
		le64_store(p, v);
}
