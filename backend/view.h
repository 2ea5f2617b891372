/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view: what the backend knows about the desktop at this moment, as plain data, and its JSON forms.
 *
 * Written by backend/session, read by backend/api. No I/O but the size of the disk file. Who may call it: backend only.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend/config.h"
#include "backend/docker-context.h"
#include "backend/state-dir.h"
#include "backend/subnet.h"
#include "proto/machine.h"

enum { VIEW_STAGES_MAX = 64, VIEW_FAULT_CODE_MAX = 32, VIEW_API_VERSION = 1 };

struct view_stage {
	char name[MACHINE_STAGE_NAME_MAX];
	uint64_t elapsed_us;
};

/* Written by backend/network. */
struct view_network {
	bool known;
	uint32_t subnet, wanted;	/* as chosen at launch; as set */
	char overlaps[SUBNET_TEXT_MAX]; /* a route of this host that overlaps SUBNET now; "": none */
	bool ipv6, linked;
	const char *egress, *proxy_mode; /* static */
	char proxy[FAULT_TEXT_MAX];	 /* what the proxy does, without secrets */
	size_t n_ports;
};

struct view {
	bool oneshot; /* nothing runs; state is OFF */
	const struct state_dir *dir;
	struct config_host host;
	struct config in_force;
	enum machine_state state;
	uint64_t launched_us; /* 0: not yet */
	unsigned int n_stages;
	struct view_stage stage[VIEW_STAGES_MAX];
	enum machine_accel accel;
	char accel_reason[MACHINE_REASON_MAX];
	char fault_code[VIEW_FAULT_CODE_MAX]; /* "": no fault */
	char fault_text[FAULT_TEXT_MAX];
	pid_t machine_pid, proxy_pid; /* 0: none */
	bool has_stats;
	uint64_t mem_total, mem_available, net_flows, net_rx_bytes, net_tx_bytes;
	int32_t qemu_pid, net_pid, data_net_pid;
	const char *engine_path;
	const struct docker_context *context; /* NULL: one-shot */
	uint32_t n_engine_clients;
	struct view_network network;
};

/* All return a new reference, NULL when out of memory. */
json_t *view_status(const struct view *view);
json_t *view_event_state(const struct view *view);
json_t *view_event_stage(const struct view_stage *stage);
json_t *view_event_fault(const struct view *view);
json_t *view_fault(const struct view *view);
json_t *view_setting(const struct view *view, const struct config *stored, enum config_key key);
/* Keys whose STORED value differs from the one in force; empty in one-shot. */
json_t *view_needs_restart(const struct view *view, const struct config *stored);
/* Reads the stored settings. Return: 0; -EBADMSG or -errno with FAULT. */
int view_load_stored(const struct view *view, struct config *ret, struct fault *fault);
