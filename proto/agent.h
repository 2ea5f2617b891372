/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent: the closed set of messages on the virtio-serial port between the machine and the VM.
 *
 * Carrier: a byte stream. Frame: 16-byte little-endian header (magic, type, body length, sequence) and a
 * body whose length the table fixes. No path, command, URL or text in either direction. An unknown type, a
 * wrong length or a wrong magic ends the connection: there is no resynchronisation.
 * The guest is hostile; the machine acts on nothing but these integers.
 * Pure codec: no I/O, no allocation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/net-frame.h"

#define AGENT_MAGIC 0x314e5343u /* "CSN1" */
enum { AGENT_VERSION = 1, AGENT_HEADER_SIZE = 16, AGENT_BODY_MAX = 48,
       AGENT_FRAME_MAX = AGENT_HEADER_SIZE + AGENT_BODY_MAX,
       AGENT_PORTS_MAX = 4096, /* published at once */
       AGENT_NETS_MAX = 256 };
/* Name of the virtio-serial port: /dev/virtio-ports/ does not exist without udev, init finds it in sysfs. */
#define AGENT_PORT_NAME "org.caisson.agent"

enum agent_type {
	/* guest to machine */
	AGENT_HELLO = 1,    /* first frame of a boot, sent by init in the initramfs */
	AGENT_STAGE = 2,    /* a stage of the boot or of the shutdown is reached */
	AGENT_FAILED = 3,   /* the VM cannot go on; it powers off afterwards */
	AGENT_PONG = 4,
	AGENT_STATS = 5,
	AGENT_PORT_OPEN = 6,  /* a container's port wants to be published; answered by PORT_RESULT */
	AGENT_PORT_CLOSE = 7, /* it is gone */
	AGENT_PORT_RESET = 8, /* the agent is fresh: whatever was published is gone */
	AGENT_NET = 9,	      /* one subnet of a bridge in the VM; the list is sent whole when it changes */
	/* machine to guest */
	AGENT_PING = 16,
	AGENT_SHUTDOWN = 17, /* stop containers within the deadline, unmount, power off */
	AGENT_TIME = 18,     /* set the wall clock */
	AGENT_STATS_GET = 19,
	AGENT_PORT_RESULT = 20,
	AGENT_TYPE_MAX = 21,
};
enum agent_direction { AGENT_TO_MACHINE, AGENT_TO_GUEST };

enum agent_stage {
	AGENT_STAGE_KERNEL = 1,	       /* init runs in the initramfs */
	AGENT_STAGE_ROOT = 2,	       /* sealed root verified and mounted */
	AGENT_STAGE_DATA = 3,	       /* data disk mounted */
	AGENT_STAGE_LINK = 4,	       /* control link is up, engine socket exists */
	AGENT_STAGE_ENGINE = 5,	       /* engine says it is ready */
	AGENT_STAGE_SEALED = 6,	       /* remaining modules loaded, module loading switched off */
	AGENT_STAGE_STOPPING = 7,
	AGENT_STAGE_ENGINE_STOPPED = 8,
	AGENT_STAGE_UNMOUNTED = 9,     /* data disk clean; power-off follows */
	AGENT_STAGE_NETWORK = 10,      /* the data card has its lease; comes at any time */
	AGENT_STAGE_MAX = 11,
};
enum agent_cause {
	AGENT_CAUSE_INTERNAL = 1,
	AGENT_CAUSE_VERITY_SETUP = 2,  /* detail: errno */
	AGENT_CAUSE_ROOT_CORRUPT = 3,  /* detail: number of the bad block */
	AGENT_CAUSE_ROOT_MOUNT = 4,    /* detail: errno */
	AGENT_CAUSE_DATA_MISSING = 5,
	AGENT_CAUSE_DATA_FORMAT = 6,   /* mkfs failed; detail: errno */
	AGENT_CAUSE_DATA_MOUNT = 7,    /* detail: errno */
	AGENT_CAUSE_DATA_CHECK = 8,    /* e2fsck could not mend it; detail: its exit code */
	AGENT_CAUSE_CARD_MISSING = 9,
	AGENT_CAUSE_ENGINE_EXIT = 10,  /* engine ended again and again; detail: wait status */
	AGENT_CAUSE_CONTAINERD_EXIT = 11,
	AGENT_CAUSE_MODULE = 12,       /* detail: index in the module list << 16 | errno */
	AGENT_CAUSE_MAX = 13,
};

/* Why a port is not published. */
enum agent_port_status {
	AGENT_PORT_OK = 0,
	AGENT_PORT_IN_USE = 1,
	AGENT_PORT_DENIED = 2,	     /* no request on the host asked for it */
	AGENT_PORT_NO_PRIVILEGE = 3, /* below 1024 */
	AGENT_PORT_ADDRESS = 4,	     /* no such address on the host */
	AGENT_PORT_LIMIT = 5,
	AGENT_PORT_UNSUPPORTED = 6,
	AGENT_PORT_UNAVAILABLE = 7, /* nobody is there to publish it */
	AGENT_PORT_STATUS_MAX = 8,
};

struct agent_message {
	enum agent_type type;
	uint32_t seq;
	union {
		struct { uint32_t version; uint64_t uptime_us; } hello;
		struct { uint32_t stage; uint64_t uptime_us; } stage;
		struct { uint32_t cause; uint64_t detail; uint64_t uptime_us; } failed;
		struct { uint64_t token; } ping; /* and pong */
		struct { uint32_t deadline_ms; } shutdown;
		struct { uint64_t realtime_ns; } time;
		struct {
			uint64_t mem_total, mem_available;   /* bytes */
			uint64_t data_total, data_available; /* bytes on the data disk */
			uint64_t uptime_us;
		} stats;
		struct {
			uint32_t id; /* the guest's, not 0 */
			bool udp;
			uint16_t host_port, target_port; /* not 0 */
			struct net_addr host, target;	 /* on the host; in the VM */
		} port_open;
		struct { uint32_t id; } port_close;
		struct { uint32_t id, status; } port_result; /* enum agent_port_status */
		/* Entry INDEX of N; no bit of ADDR is set behind PREFIX_LEN (of 128). N 0: there is none, the rest is 0. */
		struct { uint32_t index, n; struct net_addr addr; uint8_t prefix_len; } net;
	};
};

/* Writes MESSAGE to DST (at least AGENT_FRAME_MAX bytes). Return: frame length; -EINVAL: unknown type. */
int agent_encode(const struct agent_message *message, uint8_t *dst);
/* Decodes the first frame of SRC[0..LEN) that travels in DIRECTION. Return: bytes consumed (> 0);
 * 0: more bytes are needed; -EBADMSG: wrong magic, type, direction, length or enumeration value. */
int agent_decode(struct agent_message *ret, enum agent_direction direction, const uint8_t *src, size_t len);
const char *agent_stage_name(uint32_t stage);
/* True when ADDR is a network: no bit behind PREFIX_LEN (of 128), which is 96 or more for an IPv4 one. */
bool agent_net_ok(const struct net_addr *addr, uint32_t prefix_len);
/* A sentence for the user, "the root image is damaged (block %llu)" without the number. */
const char *agent_cause_text(uint32_t cause);
