/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine: frames between the backend and the machine process (Unix seqpacket, inherited at descriptor 3
 * of caisson-machine). Each record is one JSON object with a "type"; at most MACHINE_FRAME_MAX bytes; unknown
 * types, unknown keys, missing keys and values out of range are refused. One type brings a descriptor, see
 * machine_n_fds. Pure codec (jansson).
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/agent.h"
#include "proto/data-card.h"
#include "proto/netctl-types.h"

enum { MACHINE_FRAME_MAX = 16384 };

enum machine_accel { MACHINE_ACCEL_AUTO, MACHINE_ACCEL_KVM, MACHINE_ACCEL_TCG, MACHINE_ACCEL_MAX };

/* States of the one machine. Only these transitions exist:
 * OFF -> STARTING (launch) -> RUNNING (engine ready) -> STOPPING (shutdown) -> OFF
 * STARTING -> STARTING (accelerator known; relaunch under TCG), STARTING -> STOPPING (stopped before it was ready),
 * any -> FAILED (fault set) -> OFF. */
enum machine_state {
	MACHINE_OFF,
	MACHINE_STARTING,
	MACHINE_RUNNING,
	MACHINE_STOPPING,
	MACHINE_FAILED,
	MACHINE_STATE_MAX,
};

/* What can be set about the one VM, and where its files are. Paths are absolute and the user's. */
struct machine_plan {
	uint32_t cpus;
	uint32_t memory_mib;
	uint64_t disk_mib;
	enum machine_accel accel;
	uint16_t mtu;		  /* of the data card; 0: DATA_MTU_DEFAULT */
	char image_dir[PATH_MAX]; /* vmlinux initrd.cpio root.img image.json */
	char data_dir[PATH_MAX];  /* Docker.raw */
	char run_dir[PATH_MAX];	  /* engine.sock echo.sock; 0700 */
	char log_dir[PATH_MAX];	  /* console.log vm.log qemu.log net.log */
	char cache_dir[PATH_MAX]; /* accel.json: the remembered verdict */
};

enum machine_type {
	MACHINE_LAUNCH,	  /* backend to machine: plan */
	MACHINE_SHUTDOWN, /* backend to machine: deadline_ms, force */
	MACHINE_STATS_GET, /* backend to machine */
	MACHINE_STATE_IS,  /* machine to backend: state, accel (KVM or TCG once known), accel_reason, fault */
	MACHINE_STAGE,	   /* machine to backend: a stage with its time since launch */
	MACHINE_STATS,	   /* machine to backend */
	MACHINE_NET_LINK,  /* machine to backend, 1 descriptor: netctl of a data net that has just been started */
	MACHINE_PORT_OPEN, /* machine to backend: a container's port wants to be published */
	MACHINE_PORT_CLOSE,
	MACHINE_PORT_RESET, /* machine to backend: all of them are gone */
	MACHINE_GUEST_NETS, /* machine to backend: the subnets of the VM's bridges, all of them */
	MACHINE_PORT_RESULT, /* backend to machine: the answer to each PORT_OPEN; OK, or why not */
	MACHINE_TYPE_MAX,
};

enum { MACHINE_STAGE_NAME_MAX = 32, MACHINE_REASON_MAX = 256 };

struct machine_message {
	enum machine_type type;
	union {
		struct machine_plan launch;
		struct { uint32_t deadline_ms; bool force; } shutdown;
		struct {
			enum machine_state state;
			enum machine_accel accel; /* AUTO while unknown */
			char accel_reason[MACHINE_REASON_MAX];
			struct fault fault; /* code 0 unless FAILED */
		} state;
		/* name: accelerator, kernel, root, data, link, engine, sealed, stopping, ... */
		struct { char name[MACHINE_STAGE_NAME_MAX]; uint64_t elapsed_us; } stage;
		struct {
			uint64_t mem_total, mem_available, data_total, data_available;
			uint64_t net_flows, net_rx_bytes, net_tx_bytes;
			int32_t qemu_pid, net_pid; /* 0: not running */
			uint64_t data_net_flows, data_net_rx_bytes, data_net_tx_bytes;
			int32_t data_net_pid;
		} stats;
		struct {
			uint32_t id; /* not 0; unique among those that are open */
			bool udp;
			struct net_addr host, target;
			uint16_t host_port, target_port; /* not 0 */
		} port_open;
		struct { uint32_t id; } port_close;
		struct { uint16_t n; struct netctl_net net[NETCTL_NETS_MAX]; } guest_nets;
		struct { uint32_t id, status; } port_result; /* enum agent_port_status */
	};
};

/* Return: record length (no NUL), -EMSGSIZE, -EINVAL, -ENOMEM. */
int machine_encode(const struct machine_message *message, char *dst, size_t size);
/* Return: 0; -EBADMSG with FAULT (may be NULL) naming the key. */
int machine_decode(struct machine_message *ret, const char *src, size_t len, struct fault *fault);
/* How many descriptors travel beside a message of TYPE. */
size_t machine_n_fds(enum machine_type type);
const char *machine_state_name(enum machine_state state);
const char *machine_accel_name(enum machine_accel accel);
/* Return: 0 or -EINVAL. */
int machine_accel_parse(const char *name, enum machine_accel *ret);
