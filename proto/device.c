/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device: codec of the frames on a device process's control socket; see device.h and docs/protocol/device.md.
 *
 * One row of the table per message type: body length, number of descriptors, how the body is written and
 * read. A type without a row does not exist; a record must be exactly one frame. Which side may send which
 * type is in the document; both sides know it from the type alone. Called by machine, backend and devices.
 * Never does I/O, never allocates, never touches a descriptor.
 */
#include "proto/device.h"

#include <errno.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"

typedef void (*device_get_fn)(struct device_message *m, struct bytes_reader *r);
typedef void (*device_put_fn)(const struct device_message *m, struct bytes_writer *w);

struct device_row {
	device_get_fn get; /* NULL: no such type */
	device_put_fn put;
	uint32_t body_len;
	size_t n_fds;
};

static void get_nothing(struct device_message *m _unused_, struct bytes_reader *r _unused_)
{
}

static void put_nothing(const struct device_message *m _unused_, struct bytes_writer *w _unused_)
{
}

static void get_flow(struct device_message *m, struct bytes_reader *r)
{
	m->flow.port = bytes_get16(r);
	if (m->flow.port == 0 || bytes_get16(r) != 0)
		r->ok = false;
}

static void put_flow(const struct device_message *m, struct bytes_writer *w)
{
	bytes_put16(w, m->flow.port);
	bytes_put16(w, 0);
}

static void get_stats(struct device_message *m, struct bytes_reader *r)
{
	struct device_stats *s = &m->stats;

	s->flows_now = bytes_get64(r);
	s->flows_total = bytes_get64(r);
	s->flows_refused = bytes_get64(r);
	s->rx_bytes = bytes_get64(r);
	s->tx_bytes = bytes_get64(r);
	s->rx_packets = bytes_get64(r);
	s->tx_packets = bytes_get64(r);
	s->drops = bytes_get64(r);
	s->retransmits = bytes_get64(r);
	s->bad_frames = bytes_get64(r);
}

static void put_stats(const struct device_message *m, struct bytes_writer *w)
{
	const struct device_stats *s = &m->stats;

	bytes_put64(w, s->flows_now);
	bytes_put64(w, s->flows_total);
	bytes_put64(w, s->flows_refused);
	bytes_put64(w, s->rx_bytes);
	bytes_put64(w, s->tx_bytes);
	bytes_put64(w, s->rx_packets);
	bytes_put64(w, s->tx_packets);
	bytes_put64(w, s->drops);
	bytes_put64(w, s->retransmits);
	bytes_put64(w, s->bad_frames);
}

enum { STATS_BODY = 10 * 8 };
_Static_assert(sizeof(struct device_stats) == STATS_BODY, "a counter that is not on the wire");
_Static_assert(DEVICE_HEADER_SIZE + STATS_BODY <= DEVICE_FRAME_MAX, "the largest frame fits");

static const struct device_row rows[DEVICE_TYPE_MAX] = {
	[DEVICE_READY] = {get_nothing, put_nothing, 0, 0},
	[DEVICE_FLOW] = {get_flow, put_flow, 4, 1},
	[DEVICE_STATS_GET] = {get_nothing, put_nothing, 0, 0},
	[DEVICE_STATS] = {get_stats, put_stats, STATS_BODY, 0},
};

static const struct device_row *row_of(uint32_t type)
{
	if (type >= ARRAY_SIZE(rows) || !rows[type].get)
		return NULL;
	return &rows[type];
}

int device_encode(const struct device_message *message, uint8_t dst[static DEVICE_FRAME_MAX])
{
	const struct device_row *row = row_of((uint32_t)message->type);
	struct bytes_writer w = bytes_writer(dst, DEVICE_FRAME_MAX);

	if (!row)
		return trace(-EINVAL);
	bytes_put16(&w, (uint16_t)message->type);
	bytes_put16(&w, DEVICE_VERSION);
	bytes_put32(&w, row->body_len);
	row->put(message, &w);
	if (!w.ok || w.off != DEVICE_HEADER_SIZE + row->body_len)
		return trace(-EINVAL);
	return (int)w.off;
}

int device_decode(struct device_message *ret, const uint8_t *src, size_t len, size_t n_fds)
{
	struct bytes_reader r = bytes_reader(src, len);
	struct device_message m = {0};
	uint16_t type = bytes_get16(&r), version = bytes_get16(&r);
	uint32_t body_len = bytes_get32(&r);
	const struct device_row *row;

	if (!r.ok || version != DEVICE_VERSION)
		return trace(-EBADMSG);
	row = row_of(type);
	if (!row || body_len != row->body_len || len - DEVICE_HEADER_SIZE != body_len || n_fds != row->n_fds)
		return trace(-EBADMSG);
	m.type = (enum device_type)type;
	row->get(&m, &r);
	if (!r.ok || r.off != len)
		return trace(-EBADMSG);
	*ret = m;
	return 0;
}
