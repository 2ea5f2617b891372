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

#define AGENT_MAGIC 0x314e5343u /* "CSN1" */
enum { AGENT_VERSION = 1, AGENT_HEADER_SIZE = 16, AGENT_BODY_MAX = 48,
       AGENT_FRAME_MAX = AGENT_HEADER_SIZE + AGENT_BODY_MAX };
/* Name of the virtio-serial port: /dev/virtio-ports/ does not exist without udev, init finds it in sysfs. */
#define AGENT_PORT_NAME "org.caisson.agent"

enum agent_type {
	/* guest to machine */
	AGENT_HELLO = 1,    /* first frame of a boot, sent by init in the initramfs */
	AGENT_STAGE = 2,    /* a stage of the boot or of the shutdown is reached */
	AGENT_FAILED = 3,   /* the VM cannot go on; it powers off afterwards */
	AGENT_PONG = 4,
	AGENT_STATS = 5,
	/* machine to guest */
	AGENT_PING = 16,
	AGENT_SHUTDOWN = 17, /* stop containers within the deadline, unmount, power off */
	AGENT_TIME = 18,     /* set the wall clock */
	AGENT_STATS_GET = 19,
	AGENT_TYPE_MAX = 20,
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
	AGENT_STAGE_MAX = 10,
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
	};
};

/* Writes MESSAGE to DST (at least AGENT_FRAME_MAX bytes). Return: frame length; -EINVAL: unknown type. */
int agent_encode(const struct agent_message *message, uint8_t *dst);
/* Decodes the first frame of SRC[0..LEN) that travels in DIRECTION. Return: bytes consumed (> 0);
 * 0: more bytes are needed; -EBADMSG: wrong magic, type, direction, length or enumeration value. */
int agent_decode(struct agent_message *ret, enum agent_direction direction, const uint8_t *src, size_t len);
const char *agent_stage_name(uint32_t stage);
/* A sentence for the user, "the root image is damaged (block %llu)" without the number. */
const char *agent_cause_text(uint32_t cause);
