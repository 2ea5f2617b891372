/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user: THE table of requests, and the decoder that enforces it.
 *
 * A request that is not in the table is refused. What the table cannot say (does a region overlap another, is
 * a ring address inside memory) is the handler's business; what it can say is decided here, so that a handler
 * never sees an index, a count or a length out of bounds.
 */
#include "proto/vhost-user.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/virtio.h"

enum {
	RING_SIZE_MAX = 32768, /* virtio 1.2, 2.7 */
	REGION_SIZE = 32,
	MEMORY_HEADER = 8,
	CONFIG_HEADER = 12,
	VRING_FD_INDEX_MASK = 0xff,
	VRING_FD_NONE = 1 << 8,
	MTU_MIN = 68, /* virtio 1.2, 5.1.4.1 */
	MTU_MAX = 65535,
};

#define BODY(kind, min, max) .body = VHOST_USER_BODY_##kind, .size_min = (min), .size_max = (max)
#define NO_BODY BODY(NONE, 0, 0)
#define U64 BODY(U64, 8, 8)
#define STATE BODY(STATE, 8, 8)
#define RING_FD BODY(VRING_FD, 8, 8), .fds = VHOST_USER_FDS_UNLESS_NO_FD, .n_fds = 1
#define OWN .reply = VHOST_USER_REPLY_OWN
#define OWNED .phase = VHOST_USER_WHEN_OWNED
#define IDLE .phase = VHOST_USER_WHEN_IDLE
#define NEEDS(f) .needs = VHOST_USER_PROTOCOL_##f

const struct vhost_user_rule vhost_user_rules[VHOST_USER_REQUEST_MAX] = {
	[VHOST_USER_GET_FEATURES] = {"GET_FEATURES", NO_BODY, OWN},
	[VHOST_USER_SET_FEATURES] = {"SET_FEATURES", U64, OWNED},
	[VHOST_USER_SET_OWNER] = {"SET_OWNER", NO_BODY, IDLE},
	[VHOST_USER_RESET_OWNER] = {"RESET_OWNER", NO_BODY},
	[VHOST_USER_SET_MEM_TABLE] = {"SET_MEM_TABLE",
				      BODY(MEMORY, MEMORY_HEADER + REGION_SIZE,
					   MEMORY_HEADER + REGION_SIZE * VHOST_USER_TABLE_REGIONS_MAX),
				      .fds = VHOST_USER_FDS_REGIONS, OWNED},
	[VHOST_USER_SET_LOG_BASE] = {"SET_LOG_BASE", BODY(LOG, 16, 16), .n_fds = 1, OWN, OWNED, NEEDS(LOG_SHMFD)},
	[VHOST_USER_SET_LOG_FD] = {"SET_LOG_FD", NO_BODY, .n_fds = 1, OWNED},
	[VHOST_USER_SET_VRING_NUM] = {"SET_VRING_NUM", STATE, OWNED},
	[VHOST_USER_SET_VRING_ADDR] = {"SET_VRING_ADDR", BODY(ADDR, 40, 40), OWNED},
	[VHOST_USER_SET_VRING_BASE] = {"SET_VRING_BASE", STATE, OWNED},
	[VHOST_USER_GET_VRING_BASE] = {"GET_VRING_BASE", STATE, OWN, OWNED},
	[VHOST_USER_SET_VRING_KICK] = {"SET_VRING_KICK", RING_FD, OWNED},
	[VHOST_USER_SET_VRING_CALL] = {"SET_VRING_CALL", RING_FD, OWNED},
	[VHOST_USER_SET_VRING_ERR] = {"SET_VRING_ERR", RING_FD, OWNED},
	[VHOST_USER_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", NO_BODY, OWN},
	[VHOST_USER_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", U64, IDLE},
	[VHOST_USER_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", NO_BODY, OWN, NEEDS(MQ)},
	[VHOST_USER_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", STATE, OWNED},
	[VHOST_USER_NET_SET_MTU] = {"NET_SET_MTU", U64, NEEDS(NET_MTU)},
	[VHOST_USER_GET_CONFIG] = {"GET_CONFIG", BODY(CONFIG, CONFIG_HEADER + 1, CONFIG_HEADER + VHOST_USER_CONFIG_MAX),
				   OWN, NEEDS(CONFIG)},
	[VHOST_USER_RESET_DEVICE] = {"RESET_DEVICE", NO_BODY, OWNED, NEEDS(RESET_DEVICE)},
	[VHOST_USER_GET_MAX_MEM_SLOTS] = {"GET_MAX_MEM_SLOTS", NO_BODY, OWN, NEEDS(CONFIGURE_MEM_SLOTS)},
	[VHOST_USER_ADD_MEM_REG] = {"ADD_MEM_REG", BODY(REGION, MEMORY_HEADER + REGION_SIZE, MEMORY_HEADER + REGION_SIZE),
				    .n_fds = 1, OWNED, NEEDS(CONFIGURE_MEM_SLOTS)},
	/* The specification asks to tolerate one descriptor here and to close it. */
	[VHOST_USER_REM_MEM_REG] = {"REM_MEM_REG", BODY(REGION, MEMORY_HEADER + REGION_SIZE, MEMORY_HEADER + REGION_SIZE),
				    .fds = VHOST_USER_FDS_AT_MOST, .n_fds = 1, OWNED, NEEDS(CONFIGURE_MEM_SLOTS)},
};

/* Sets *RET_REASON. Return: -EPROTO. */
static int refuse(const char **ret_reason, const char *reason)
{
	*ret_reason = reason;
	return -EPROTO;
}

int vhost_user_check_header(const struct vhost_user_header *header, const struct vhost_user_phase *phase,
			    const char **ret_reason)
{
	const struct vhost_user_rule *rule;

	if ((header->flags & VHOST_USER_FLAG_VERSION_MASK) != VHOST_USER_VERSION)
		return refuse(ret_reason, "message of another protocol version");
	if (header->flags & VHOST_USER_FLAG_REPLY)
		return refuse(ret_reason, "reply without a request");
	if (header->request >= VHOST_USER_REQUEST_MAX || !vhost_user_rules[header->request].name)
		return refuse(ret_reason, "unknown request");
	rule = &vhost_user_rules[header->request];
	if (header->size < rule->size_min || header->size > rule->size_max)
		return refuse(ret_reason, "body of a wrong size");
	if ((phase->protocol_features & rule->needs) != rule->needs)
		return refuse(ret_reason, "request of a protocol feature that was not negotiated");
	if (rule->phase == VHOST_USER_WHEN_OWNED && !phase->owned)
		return refuse(ret_reason, "request before SET_OWNER");
	if (rule->phase == VHOST_USER_WHEN_IDLE && phase->running)
		return refuse(ret_reason, "request while rings run");
	return 0;
}

static int check_value(struct vhost_user_message *m, const char **ret_reason)
{
	switch (m->request) {
	case VHOST_USER_SET_VRING_NUM:
		if (!m->num || m->num > RING_SIZE_MAX || (m->num & (m->num - 1)))
			return refuse(ret_reason, "queue size is not a power of two up to 32768");
		break;
	case VHOST_USER_SET_VRING_BASE:
		if (m->num > UINT16_MAX)
			return refuse(ret_reason, "ring position above 65535");
		break;
	case VHOST_USER_SET_VRING_ENABLE:
		if (m->num > 1)
			return refuse(ret_reason, "enable is neither 0 nor 1");
		break;
	case VHOST_USER_NET_SET_MTU:
		if (m->u64 < MTU_MIN || m->u64 > MTU_MAX)
			return refuse(ret_reason, "MTU out of bounds");
		break;
	default:
		break;
	}
	return 0;
}

static int decode_region(struct bytes_reader *r, struct vhost_user_region *region, const char **ret_reason)
{
	region->guest_addr = bytes_get64(r);
	region->size = bytes_get64(r);
	region->user_addr = bytes_get64(r);
	region->mmap_offset = bytes_get64(r);
	if (!region->size)
		return refuse(ret_reason, "empty memory region");
	if (region->size - 1 > UINT64_MAX - region->guest_addr || region->size - 1 > UINT64_MAX - region->user_addr ||
	    region->size > UINT64_MAX - region->mmap_offset)
		return refuse(ret_reason, "memory region wraps around");
	return 0;
}

static int decode_memory(struct bytes_reader *r, struct vhost_user_message *m, const char **ret_reason)
{
	uint32_t n = bytes_get32(r);
	int e;

	bytes_get32(r); /* padding */
	if (n < 1 || n > VHOST_USER_TABLE_REGIONS_MAX)
		return refuse(ret_reason, "number of memory regions is not 1 to 8");
	if (r->len != MEMORY_HEADER + (size_t)REGION_SIZE * n)
		return refuse(ret_reason, "memory table of a wrong size");
	for (uint32_t i = 0; i < n; i++)
		if ((e = decode_region(r, &m->regions[i], ret_reason)) < 0)
			return e;
	m->n_regions = n;
	return 0;
}

static int decode_config(struct bytes_reader *r, struct vhost_user_message *m, const char **ret_reason)
{
	m->config_offset = bytes_get32(r);
	m->config_size = bytes_get32(r);
	bytes_get32(r); /* flags: only meaningful when setting */
	if (m->config_size != r->len - CONFIG_HEADER || m->config_offset > VHOST_USER_CONFIG_MAX ||
	    m->config_size > VHOST_USER_CONFIG_MAX - m->config_offset)
		return refuse(ret_reason, "configuration access out of bounds");
	return 0;
}

static int decode_body(struct bytes_reader *r, uint8_t kind, struct vhost_user_message *m, const char **ret_reason)
{
	switch (kind) {
	case VHOST_USER_BODY_U64:
		m->u64 = bytes_get64(r);
		return 0;
	case VHOST_USER_BODY_STATE:
		m->index = bytes_get32(r);
		m->num = bytes_get32(r);
		return 0;
	case VHOST_USER_BODY_VRING_FD:
		m->u64 = bytes_get64(r);
		if (m->u64 & ~(uint64_t)(VRING_FD_INDEX_MASK | VRING_FD_NONE))
			return refuse(ret_reason, "reserved bits set beside a ring number");
		m->index = (uint32_t)(m->u64 & VRING_FD_INDEX_MASK);
		m->no_fd = m->u64 & VRING_FD_NONE;
		return 0;
	case VHOST_USER_BODY_ADDR:
		m->index = bytes_get32(r);
		m->addr.flags = bytes_get32(r);
		m->addr.desc = bytes_get64(r);
		m->addr.used = bytes_get64(r);
		m->addr.avail = bytes_get64(r);
		m->addr.log = bytes_get64(r);
		return 0;
	case VHOST_USER_BODY_MEMORY:
		return decode_memory(r, m, ret_reason);
	case VHOST_USER_BODY_REGION:
		bytes_get64(r); /* padding */
		m->n_regions = 1;
		return decode_region(r, &m->regions[0], ret_reason);
	case VHOST_USER_BODY_LOG:
		m->log_size = bytes_get64(r);
		m->log_offset = bytes_get64(r);
		return 0;
	case VHOST_USER_BODY_CONFIG:
		return decode_config(r, m, ret_reason);
	default:
		return 0;
	}
}

static bool fds_fit(const struct vhost_user_rule *rule, const struct vhost_user_message *m, size_t n_fds)
{
	switch (rule->fds) {
	case VHOST_USER_FDS_REGIONS:
		return n_fds == m->n_regions;
	case VHOST_USER_FDS_UNLESS_NO_FD:
		return n_fds == (m->no_fd ? 0u : 1u);
	case VHOST_USER_FDS_AT_MOST:
		return n_fds <= rule->n_fds;
	default:
		return n_fds == rule->n_fds;
	}
}

int vhost_user_decode(const struct vhost_user_header *header, const void *body, size_t n_fds,
		      const struct vhost_user_phase *phase, struct vhost_user_message *ret, const char **ret_reason)
{
	struct bytes_reader r = bytes_reader(body, header->size);
	struct vhost_user_message m = {.request = header->request};
	const struct vhost_user_rule *rule;
	int e = vhost_user_check_header(header, phase, ret_reason);

	if (e < 0)
		return e;
	rule = &vhost_user_rules[header->request];
	m.need_reply = (header->flags & VHOST_USER_FLAG_NEED_REPLY) &&
		       (phase->protocol_features & VHOST_USER_PROTOCOL_REPLY_ACK);
	if ((e = decode_body(&r, rule->body, &m, ret_reason)) < 0)
		return e;
	if (!r.ok)
		return refuse(ret_reason, "body too short");
	if ((rule->body == VHOST_USER_BODY_STATE || rule->body == VHOST_USER_BODY_VRING_FD ||
	     rule->body == VHOST_USER_BODY_ADDR) &&
	    m.index >= phase->n_queues)
		return refuse(ret_reason, "ring number out of bounds");
	if ((e = check_value(&m, ret_reason)) < 0)
		return e;
	if (!fds_fit(rule, &m, n_fds))
		return refuse(ret_reason, "wrong number of descriptors");
	*ret = m;
	return 0;
}
