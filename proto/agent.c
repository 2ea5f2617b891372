/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent: codec of the messages on the agent port; see agent.h and docs/protocol/agent.md.
 *
 * One row of the table per message type: direction, body length, how the body is written and read. A type
 * without a row does not exist. Reserved words must be zero on the wire. Called by machine and guest.
 * Never does I/O, never allocates, never looks at a body before the header has been accepted.
 */
#include "proto/agent.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"

/* Reads or writes one body; a violation beyond the length clears ok of the reader. */
typedef void (*agent_get_fn)(struct agent_message *m, struct bytes_reader *r);
typedef void (*agent_put_fn)(const struct agent_message *m, struct bytes_writer *w);

struct agent_row {
	agent_get_fn get; /* NULL: no such type */
	agent_put_fn put;
	enum agent_direction direction;
	uint32_t body_len;
};

static void get_reserved(struct bytes_reader *r)
{
	if (bytes_get32(r) != 0)
		r->ok = false;
}

static uint32_t get_enum(struct bytes_reader *r, uint32_t max)
{
	uint32_t v = bytes_get32(r);

	if (v == 0 || v >= max)
		r->ok = false;
	return v;
}

static void get_hello(struct agent_message *m, struct bytes_reader *r)
{
	m->hello.version = bytes_get32(r);
	get_reserved(r);
	m->hello.uptime_us = bytes_get64(r);
}

static void put_hello(const struct agent_message *m, struct bytes_writer *w)
{
	bytes_put32(w, m->hello.version);
	bytes_put32(w, 0);
	bytes_put64(w, m->hello.uptime_us);
}

static void get_stage(struct agent_message *m, struct bytes_reader *r)
{
	m->stage.stage = get_enum(r, AGENT_STAGE_MAX);
	get_reserved(r);
	m->stage.uptime_us = bytes_get64(r);
}

static void put_stage(const struct agent_message *m, struct bytes_writer *w)
{
	bytes_put32(w, m->stage.stage);
	bytes_put32(w, 0);
	bytes_put64(w, m->stage.uptime_us);
}

static void get_failed(struct agent_message *m, struct bytes_reader *r)
{
	m->failed.cause = get_enum(r, AGENT_CAUSE_MAX);
	get_reserved(r);
	m->failed.detail = bytes_get64(r);
	m->failed.uptime_us = bytes_get64(r);
}

static void put_failed(const struct agent_message *m, struct bytes_writer *w)
{
	bytes_put32(w, m->failed.cause);
	bytes_put32(w, 0);
	bytes_put64(w, m->failed.detail);
	bytes_put64(w, m->failed.uptime_us);
}

static void get_ping(struct agent_message *m, struct bytes_reader *r)
{
	m->ping.token = bytes_get64(r);
}

static void put_ping(const struct agent_message *m, struct bytes_writer *w)
{
	bytes_put64(w, m->ping.token);
}

static void get_stats(struct agent_message *m, struct bytes_reader *r)
{
	m->stats.mem_total = bytes_get64(r);
	m->stats.mem_available = bytes_get64(r);
	m->stats.data_total = bytes_get64(r);
	m->stats.data_available = bytes_get64(r);
	m->stats.uptime_us = bytes_get64(r);
}

static void put_stats(const struct agent_message *m, struct bytes_writer *w)
{
	bytes_put64(w, m->stats.mem_total);
	bytes_put64(w, m->stats.mem_available);
	bytes_put64(w, m->stats.data_total);
	bytes_put64(w, m->stats.data_available);
	bytes_put64(w, m->stats.uptime_us);
}

static void get_shutdown(struct agent_message *m, struct bytes_reader *r)
{
	m->shutdown.deadline_ms = bytes_get32(r);
	get_reserved(r);
}

static void put_shutdown(const struct agent_message *m, struct bytes_writer *w)
{
	bytes_put32(w, m->shutdown.deadline_ms);
	bytes_put32(w, 0);
}

static void get_time(struct agent_message *m, struct bytes_reader *r)
{
	m->time.realtime_ns = bytes_get64(r);
}

static void put_time(const struct agent_message *m, struct bytes_writer *w)
{
	bytes_put64(w, m->time.realtime_ns);
}

static void get_addr(struct bytes_reader *r, struct net_addr *addr)
{
	const void *src = bytes_get(r, sizeof(addr->byte));

	if (src)
		memcpy(addr->byte, src, sizeof(addr->byte));
}

static uint32_t get_id(struct bytes_reader *r)
{
	uint32_t id = bytes_get32(r);

	if (id == 0)
		r->ok = false;
	return id;
}

static void get_port_open(struct agent_message *m, struct bytes_reader *r)
{
	uint32_t udp;

	m->port_open.id = get_id(r);
	udp = bytes_get32(r);
	m->port_open.udp = udp == 1;
	m->port_open.host_port = bytes_get16(r);
	m->port_open.target_port = bytes_get16(r);
	get_addr(r, &m->port_open.host);
	get_addr(r, &m->port_open.target);
	if (udp > 1 || !m->port_open.host_port || !m->port_open.target_port)
		r->ok = false;
}

static void put_port_open(const struct agent_message *m, struct bytes_writer *w)
{
	bytes_put32(w, m->port_open.id);
	bytes_put32(w, m->port_open.udp);
	bytes_put16(w, m->port_open.host_port);
	bytes_put16(w, m->port_open.target_port);
	bytes_put(w, m->port_open.host.byte, sizeof(m->port_open.host.byte));
	bytes_put(w, m->port_open.target.byte, sizeof(m->port_open.target.byte));
}

static void get_port_close(struct agent_message *m, struct bytes_reader *r)
{
	m->port_close.id = get_id(r);
}

static void put_port_close(const struct agent_message *m, struct bytes_writer *w)
{
	bytes_put32(w, m->port_close.id);
}

static void get_port_result(struct agent_message *m, struct bytes_reader *r)
{
	m->port_result.id = get_id(r);
	m->port_result.status = bytes_get32(r);
	if (m->port_result.status >= AGENT_PORT_STATUS_MAX)
		r->ok = false;
}

static void put_port_result(const struct agent_message *m, struct bytes_writer *w)
{
	bytes_put32(w, m->port_result.id);
	bytes_put32(w, m->port_result.status);
}

bool agent_net_ok(const struct net_addr *addr, uint32_t prefix_len)
{
	if (prefix_len > 8 * sizeof(addr->byte) || (net_addr_is_v4(addr) && prefix_len < 96))
		return false;
	for (uint32_t i = prefix_len; i < 8 * sizeof(addr->byte); i++)
		if (addr->byte[i / 8] & (0x80 >> i % 8))
			return false;
	return true;
}

static void get_net(struct agent_message *m, struct bytes_reader *r)
{
	static const struct net_addr none;
	uint32_t prefix_len;

	m->net.index = bytes_get32(r);
	m->net.n = bytes_get32(r);
	get_addr(r, &m->net.addr);
	prefix_len = bytes_get32(r);
	m->net.prefix_len = (uint8_t)prefix_len;
	if (m->net.n > AGENT_NETS_MAX || !agent_net_ok(&m->net.addr, prefix_len))
		r->ok = false;
	else if (m->net.n == 0 && (m->net.index || prefix_len || !net_addr_equal(&m->net.addr, &none)))
		r->ok = false;
	else if (m->net.n > 0 && m->net.index >= m->net.n)
		r->ok = false;
}

static void put_net(const struct agent_message *m, struct bytes_writer *w)
{
	bytes_put32(w, m->net.index);
	bytes_put32(w, m->net.n);
	bytes_put(w, m->net.addr.byte, sizeof(m->net.addr.byte));
	bytes_put32(w, m->net.prefix_len);
}

static void get_nothing(struct agent_message *m _unused_, struct bytes_reader *r _unused_)
{
}

static void put_nothing(const struct agent_message *m _unused_, struct bytes_writer *w _unused_)
{
}

static const struct agent_row rows[AGENT_TYPE_MAX] = {
	[AGENT_HELLO] = {get_hello, put_hello, AGENT_TO_MACHINE, 16},
	[AGENT_STAGE] = {get_stage, put_stage, AGENT_TO_MACHINE, 16},
	[AGENT_FAILED] = {get_failed, put_failed, AGENT_TO_MACHINE, 24},
	[AGENT_PONG] = {get_ping, put_ping, AGENT_TO_MACHINE, 8},
	[AGENT_STATS] = {get_stats, put_stats, AGENT_TO_MACHINE, 40},
	[AGENT_PORT_OPEN] = {get_port_open, put_port_open, AGENT_TO_MACHINE, 44},
	[AGENT_PORT_CLOSE] = {get_port_close, put_port_close, AGENT_TO_MACHINE, 4},
	[AGENT_PORT_RESET] = {get_nothing, put_nothing, AGENT_TO_MACHINE, 0},
	[AGENT_NET] = {get_net, put_net, AGENT_TO_MACHINE, 28},
	[AGENT_PING] = {get_ping, put_ping, AGENT_TO_GUEST, 8},
	[AGENT_SHUTDOWN] = {get_shutdown, put_shutdown, AGENT_TO_GUEST, 8},
	[AGENT_TIME] = {get_time, put_time, AGENT_TO_GUEST, 8},
	[AGENT_STATS_GET] = {get_nothing, put_nothing, AGENT_TO_GUEST, 0},
	[AGENT_PORT_RESULT] = {get_port_result, put_port_result, AGENT_TO_GUEST, 8},
};

static const struct agent_row *row_of(uint32_t type)
{
	if (type >= ARRAY_SIZE(rows) || !rows[type].get)
		return NULL;
	return &rows[type];
}

int agent_encode(const struct agent_message *message, uint8_t *dst)
{
	const struct agent_row *row = row_of((uint32_t)message->type);
	struct bytes_writer w = bytes_writer(dst, AGENT_FRAME_MAX);

	if (!row)
		return trace(-EINVAL);
	bytes_put32(&w, AGENT_MAGIC);
	bytes_put32(&w, (uint32_t)message->type);
	bytes_put32(&w, row->body_len);
	bytes_put32(&w, message->seq);
	row->put(message, &w);
	if (!w.ok || w.off != AGENT_HEADER_SIZE + row->body_len)
		return trace(-EINVAL);
	return (int)w.off;
}

int agent_decode(struct agent_message *ret, enum agent_direction direction, const uint8_t *src, size_t len)
{
	struct agent_message m = {0};
	const struct agent_row *row;
	struct bytes_reader r;
	uint32_t type;

	if (len < AGENT_HEADER_SIZE)
		return 0;
	r = bytes_reader(src, AGENT_HEADER_SIZE);
	if (bytes_get32(&r) != AGENT_MAGIC)
		return trace(-EBADMSG);
	type = bytes_get32(&r);
	row = row_of(type);
	if (!row || row->direction != direction || bytes_get32(&r) != row->body_len)
		return trace(-EBADMSG);
	m.type = (enum agent_type)type;
	m.seq = bytes_get32(&r);
	if (len - AGENT_HEADER_SIZE < row->body_len)
		return 0;

	r = bytes_reader(src + AGENT_HEADER_SIZE, row->body_len);
	row->get(&m, &r);
	if (!r.ok || r.off != row->body_len)
		return trace(-EBADMSG);
	*ret = m;
	return (int)(AGENT_HEADER_SIZE + row->body_len);
}

const char *agent_stage_name(uint32_t stage)
{
	static const char *const names[] = {
		[AGENT_STAGE_KERNEL] = "kernel",
		[AGENT_STAGE_ROOT] = "root",
		[AGENT_STAGE_DATA] = "data",
		[AGENT_STAGE_LINK] = "link",
		[AGENT_STAGE_ENGINE] = "engine",
		[AGENT_STAGE_SEALED] = "sealed",
		[AGENT_STAGE_STOPPING] = "stopping",
		[AGENT_STAGE_ENGINE_STOPPED] = "engine-stopped",
		[AGENT_STAGE_UNMOUNTED] = "unmounted",
		[AGENT_STAGE_NETWORK] = "network",
	};
	_Static_assert(ARRAY_SIZE(names) == AGENT_STAGE_MAX, "a stage without a name");

	return stage < ARRAY_SIZE(names) && names[stage] ? names[stage] : "unknown";
}

const char *agent_cause_text(uint32_t cause)
{
	static const char *const texts[] = {
		[AGENT_CAUSE_INTERNAL] = "the VM failed inside its init program",
		[AGENT_CAUSE_VERITY_SETUP] = "the verification of the root image could not be set up",
		[AGENT_CAUSE_ROOT_CORRUPT] = "the root image is damaged: a block does not match its digest",
		[AGENT_CAUSE_ROOT_MOUNT] = "the root image could not be mounted",
		[AGENT_CAUSE_DATA_MISSING] = "the data disk is missing",
		[AGENT_CAUSE_DATA_FORMAT] = "the new data disk could not be formatted",
		[AGENT_CAUSE_DATA_MOUNT] = "the data disk could not be mounted",
		[AGENT_CAUSE_DATA_CHECK] = "the file system on the data disk is damaged beyond automatic repair",
		[AGENT_CAUSE_CARD_MISSING] = "the network card of the control link is missing",
		[AGENT_CAUSE_ENGINE_EXIT] = "the container engine (dockerd) ended again and again",
		[AGENT_CAUSE_CONTAINERD_EXIT] = "containerd ended again and again",
		[AGENT_CAUSE_MODULE] = "a kernel module could not be loaded",
	};
	_Static_assert(ARRAY_SIZE(texts) == AGENT_CAUSE_MAX, "a cause without a text");

	return cause < ARRAY_SIZE(texts) && texts[cause] ? texts[cause] : "the VM failed for an unknown reason";
}
