/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-user: codec and table of the messages a front-end (QEMU) sends to a device process.
 *
 * Specification: "Vhost-user Protocol" of QEMU (docs/interop/vhost-user.rst). Host byte order, 12-byte header
 * (request, flags, size) and a body. THE table (vhost_user_rules) says for each request which body sizes and
 * descriptor counts are legal, which protocol feature must have been negotiated, and how it is answered;
 * vhost_user_check applies it. The file does no I/O and owns no descriptor.
 * Who may call it: devices/vhost, tests and their fake front-end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vhost_user_request {
	VHOST_USER_NONE = 0,
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_NET_SET_MTU = 20,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_REQUEST_MAX = 39,
};

enum {
	VHOST_USER_VERSION = 1,
	VHOST_USER_FLAG_VERSION_MASK = 3,
	VHOST_USER_FLAG_REPLY = 1 << 2,
	VHOST_USER_FLAG_NEED_REPLY = 1 << 3,
	VHOST_USER_HEADER_SIZE = 12,
	VHOST_USER_TABLE_REGIONS_MAX = 8, /* regions of one SET_MEM_TABLE */
	VHOST_USER_CONFIG_MAX = 256,
	VHOST_USER_BODY_MAX = 8 + 32 * VHOST_USER_TABLE_REGIONS_MAX + 12, /* 276 */
	VHOST_USER_FDS_MAX = 8,
};
_Static_assert(VHOST_USER_BODY_MAX >= 12 + VHOST_USER_CONFIG_MAX, "GET_CONFIG fits");

#define VHOST_USER_BIT(n) (UINT64_C(1) << (n))
/* Feature bits that belong to the vhost transport, not to virtio. */
#define VHOST_USER_F_LOG_ALL VHOST_USER_BIT(26)
#define VHOST_USER_F_PROTOCOL_FEATURES VHOST_USER_BIT(30)
/* Protocol features. */
#define VHOST_USER_PROTOCOL_MQ VHOST_USER_BIT(0)
#define VHOST_USER_PROTOCOL_LOG_SHMFD VHOST_USER_BIT(1)
#define VHOST_USER_PROTOCOL_REPLY_ACK VHOST_USER_BIT(3)
#define VHOST_USER_PROTOCOL_NET_MTU VHOST_USER_BIT(4)
#define VHOST_USER_PROTOCOL_CONFIG VHOST_USER_BIT(9)
#define VHOST_USER_PROTOCOL_RESET_DEVICE VHOST_USER_BIT(13)
#define VHOST_USER_PROTOCOL_CONFIGURE_MEM_SLOTS VHOST_USER_BIT(15)

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};

struct vhost_user_region {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr; /* address in the front-end, the form ring addresses take */
	uint64_t mmap_offset;
};

/* Decoded body: which member counts follows from the request's rule. */
enum vhost_user_body {
	VHOST_USER_BODY_NONE,
	VHOST_USER_BODY_U64,
	VHOST_USER_BODY_STATE,	 /* vring index, number */
	VHOST_USER_BODY_VRING_FD, /* u64: index in bits 0-7, bit 8: no descriptor */
	VHOST_USER_BODY_ADDR,
	VHOST_USER_BODY_MEMORY,
	VHOST_USER_BODY_REGION,
	VHOST_USER_BODY_LOG,
	VHOST_USER_BODY_CONFIG,
	VHOST_USER_BODY_KINDS,
};

struct vhost_user_message {
	uint32_t request;
	bool need_reply;
	uint64_t u64;
	uint32_t index; /* STATE, VRING_FD, ADDR: ring, < n_queues */
	uint32_t num;	/* STATE */
	bool no_fd;	/* VRING_FD */
	struct {
		uint32_t flags;
		uint64_t desc, used, avail, log;
	} addr;
	uint32_t n_regions; /* MEMORY: 1 to 8; REGION: 1 */
	struct vhost_user_region regions[VHOST_USER_TABLE_REGIONS_MAX];
	uint64_t log_size, log_offset;
	uint32_t config_offset, config_size;
};

/* How a request is answered. ACK: only when need_reply is set and REPLY_ACK was negotiated. */
enum vhost_user_reply { VHOST_USER_REPLY_ACK, VHOST_USER_REPLY_OWN };
/* FDS_EXACT: n_fds of the rule; FDS_REGIONS: one per region; FDS_UNLESS_NO_FD: 1, or 0 with no_fd set. */
enum vhost_user_fds { VHOST_USER_FDS_EXACT, VHOST_USER_FDS_REGIONS, VHOST_USER_FDS_UNLESS_NO_FD, VHOST_USER_FDS_AT_MOST };

struct vhost_user_rule {
	const char *name; /* NULL: request is refused */
	uint64_t needs;	  /* protocol features that must have been negotiated */
	uint16_t size_min;
	uint16_t size_max;
	uint8_t body;  /* enum vhost_user_body */
	uint8_t fds;   /* enum vhost_user_fds */
	uint8_t n_fds;
	uint8_t reply; /* enum vhost_user_reply */
	uint8_t phase; /* enum vhost_user_when */
};
/* WHEN_OWNED: after SET_OWNER. WHEN_IDLE: while no ring runs. */
enum vhost_user_when { VHOST_USER_WHEN_ANY, VHOST_USER_WHEN_OWNED, VHOST_USER_WHEN_IDLE };
extern const struct vhost_user_rule vhost_user_rules[VHOST_USER_REQUEST_MAX];

/* What the connection has agreed on so far. */
struct vhost_user_phase {
	uint64_t protocol_features; /* negotiated */
	unsigned int n_queues;
	bool owned;   /* SET_OWNER came */
	bool running; /* some ring is running */
};

/* Checks a header by the table, before any body is read. Return: 0; -EPROTO with *RET_REASON (static string). */
int vhost_user_check_header(const struct vhost_user_header *header, const struct vhost_user_phase *phase,
			    const char **ret_reason);
/* Decodes and checks the BODY of a checked header and the number of descriptors that came with it.
 * Return: 0 with *RET; -EPROTO with *RET_REASON, *RET untouched. */
int vhost_user_decode(const struct vhost_user_header *header, const void *body, size_t n_fds,
		      const struct vhost_user_phase *phase, struct vhost_user_message *ret, const char **ret_reason);
