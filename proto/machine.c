/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine: codec between backend and machine, see machine.h and docs/protocol/machine.md.
 *
 * One record is one JSON object. Decoding is strict in both directions: json_unpack with JSON_STRICT refuses
 * a key too many and a key too few; every number has a range and every string a maximum.
 */
#include "proto/machine.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"

enum { CPUS_MAX = 1024, MEMORY_MIB_MAX = 16 * 1024 * 1024, DEADLINE_MS_MAX = 24 * 3600 * 1000 };
#define DISK_MIB_MAX ((json_int_t)64 * 1024 * 1024)

static const char *const state_names[MACHINE_STATE_MAX] = {
	[MACHINE_OFF] = "off",	       [MACHINE_STARTING] = "starting", [MACHINE_RUNNING] = "running",
	[MACHINE_STOPPING] = "stopping", [MACHINE_FAILED] = "failed",
};
static const char *const accel_names[MACHINE_ACCEL_MAX] = {
	[MACHINE_ACCEL_AUTO] = "auto",
	[MACHINE_ACCEL_KVM] = "kvm",
	[MACHINE_ACCEL_TCG] = "tcg",
};
static const char *const type_names[MACHINE_TYPE_MAX] = {
	[MACHINE_LAUNCH] = "launch",   [MACHINE_SHUTDOWN] = "shutdown", [MACHINE_STATS_GET] = "stats-get",
	[MACHINE_STATE_IS] = "state", [MACHINE_STAGE] = "stage",	 [MACHINE_STATS] = "stats",
};

static void json_freep(json_t **json)
{
	json_decref(*json);
}

static int name_find(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return (int)i;
	return -EINVAL;
}

const char *machine_state_name(enum machine_state state)
{
	return (unsigned int)state < MACHINE_STATE_MAX ? state_names[state] : "unknown";
}

const char *machine_accel_name(enum machine_accel accel)
{
	return (unsigned int)accel < MACHINE_ACCEL_MAX ? accel_names[accel] : "unknown";
}

int machine_accel_parse(const char *name, enum machine_accel *ret)
{
	int r = name_find(accel_names, MACHINE_ACCEL_MAX, name);

	if (r < 0)
		return trace(r);
	*ret = (enum machine_accel)r;
	return 0;
}

/* Encoding. JSON integers are signed: a count above INT64_MAX is an error of the caller. */

static bool fits(uint64_t v)
{
	return v <= INT64_MAX;
}

static json_t *encode_launch(const struct machine_plan *p)
{
	if ((unsigned int)p->accel >= MACHINE_ACCEL_MAX || !fits(p->disk_mib))
		return NULL;
	return json_pack("{s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "type", type_names[MACHINE_LAUNCH],
			 "cpus", (json_int_t)p->cpus, "memory_mib", (json_int_t)p->memory_mib, "disk_mib",
			 (json_int_t)p->disk_mib, "accel", accel_names[p->accel], "image_dir", p->image_dir,
			 "data_dir", p->data_dir, "run_dir", p->run_dir, "log_dir", p->log_dir, "cache_dir",
			 p->cache_dir);
}

static json_t *encode_state(const struct machine_message *m)
{
	if ((unsigned int)m->state.state >= MACHINE_STATE_MAX || (unsigned int)m->state.accel >= MACHINE_ACCEL_MAX)
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:s, s:{s:i, s:s}}", "type", type_names[MACHINE_STATE_IS], "state",
			 state_names[m->state.state], "accel", accel_names[m->state.accel], "accel_reason",
			 m->state.accel_reason, "fault", "code", m->state.fault.code, "text", m->state.fault.text);
}

static json_t *encode_stats(const struct machine_message *m)
{
	if (!fits(m->stats.mem_total) || !fits(m->stats.mem_available) || !fits(m->stats.data_total) ||
	    !fits(m->stats.data_available) || !fits(m->stats.net_flows) || !fits(m->stats.net_rx_bytes) ||
	    !fits(m->stats.net_tx_bytes))
		return NULL;
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "type", type_names[MACHINE_STATS],
			 "mem_total", (json_int_t)m->stats.mem_total, "mem_available",
			 (json_int_t)m->stats.mem_available, "data_total", (json_int_t)m->stats.data_total,
			 "data_available", (json_int_t)m->stats.data_available, "net_flows",
			 (json_int_t)m->stats.net_flows, "net_rx_bytes", (json_int_t)m->stats.net_rx_bytes,
			 "net_tx_bytes", (json_int_t)m->stats.net_tx_bytes, "qemu_pid",
			 (json_int_t)m->stats.qemu_pid, "net_pid", (json_int_t)m->stats.net_pid);
}

int machine_encode(const struct machine_message *message, char *dst, size_t size)
{
	_cleanup_(json_freep) json_t *json = NULL;
	size_t n;

	switch (message->type) {
	case MACHINE_LAUNCH:
		json = encode_launch(&message->launch);
		break;
	case MACHINE_SHUTDOWN:
		json = json_pack("{s:s, s:I, s:b}", "type", type_names[MACHINE_SHUTDOWN], "deadline_ms",
				 (json_int_t)message->shutdown.deadline_ms, "force", (int)message->shutdown.force);
		break;
	case MACHINE_STATS_GET:
		json = json_pack("{s:s}", "type", type_names[MACHINE_STATS_GET]);
		break;
	case MACHINE_STATE_IS:
		json = encode_state(message);
		break;
	case MACHINE_STAGE:
		if (fits(message->stage.elapsed_us))
			json = json_pack("{s:s, s:s, s:I}", "type", type_names[MACHINE_STAGE], "name",
					 message->stage.name, "elapsed_us",
					 (json_int_t)message->stage.elapsed_us);
		break;
	case MACHINE_STATS:
		json = encode_stats(message);
		break;
	case MACHINE_TYPE_MAX:
		break;
	}
	if (!json)
		return trace(-EINVAL);
	n = json_dumpb(json, dst, size, JSON_COMPACT);
	if (n == 0 || n > size || n > MACHINE_FRAME_MAX)
		return trace(-EMSGSIZE);
	return (int)n;
}

/* Decoding. */

static int refuse(struct fault *fault, const char *key, const char *why)
{
	return trace(fault_set(fault, -EBADMSG, "Message between backend and machine: \"%s\" %s.", key, why));
}

static int decode_range(struct fault *fault, const char *key, json_int_t v, json_int_t min, json_int_t max)
{
	return v < min || v > max ? refuse(fault, key, "is out of range") : 0;
}

static int decode_string(struct fault *fault, const char *key, const char *v, char *dst, size_t size)
{
	size_t n = strlen(v);

	if (n >= size)
		return refuse(fault, key, "is too long");
	memcpy(dst, v, n + 1);
	return 0;
}

static int decode_name(struct fault *fault, const char *key, const char *v, const char *const *names, size_t n)
{
	int r = name_find(names, n, v);

	return r < 0 ? refuse(fault, key, "has an unknown value") : r;
}

static int unpack_error(struct fault *fault, const json_error_t *error)
{
	return trace(fault_set(fault, -EBADMSG, "Message between backend and machine: %s.", error->text));
}

static int decode_launch(struct machine_plan *p, json_t *json, struct fault *fault)
{
	static const char *const path_keys[] = {"image_dir", "data_dir", "run_dir", "log_dir", "cache_dir"};
	char *const path_dst[] = {p->image_dir, p->data_dir, p->run_dir, p->log_dir, p->cache_dir};
	const char *type, *accel, *paths[ARRAY_SIZE(path_keys)];
	json_int_t cpus, memory, disk;
	json_error_t error;
	int r;

	if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "type",
			   &type, "cpus", &cpus, "memory_mib", &memory, "disk_mib", &disk, "accel", &accel,
			   path_keys[0], &paths[0], path_keys[1], &paths[1], path_keys[2], &paths[2],
			   path_keys[3], &paths[3], path_keys[4], &paths[4]) < 0)
		return unpack_error(fault, &error);
	r = decode_range(fault, "cpus", cpus, 1, CPUS_MAX);
	if (!r)
		r = decode_range(fault, "memory_mib", memory, 1, MEMORY_MIB_MAX);
	if (!r)
		r = decode_range(fault, "disk_mib", disk, 1, DISK_MIB_MAX);
	if (r)
		return r;
	r = decode_name(fault, "accel", accel, accel_names, MACHINE_ACCEL_MAX);
	if (r < 0)
		return r;
	p->cpus = (uint32_t)cpus;
	p->memory_mib = (uint32_t)memory;
	p->disk_mib = (uint64_t)disk;
	p->accel = (enum machine_accel)r;
	for (size_t i = 0; i < ARRAY_SIZE(path_keys); i++) {
		if (!path_is_clean_absolute(paths[i]))
			return refuse(fault, path_keys[i], "is not a clean absolute path");
		r = decode_string(fault, path_keys[i], paths[i], path_dst[i], PATH_MAX);
		if (r)
			return r;
	}
	return 0;
}

static int decode_shutdown(struct machine_message *m, json_t *json, struct fault *fault)
{
	json_error_t error;
	json_int_t deadline;
	const char *type;
	int force, r;

	if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:I, s:b}", "type", &type, "deadline_ms", &deadline,
			   "force", &force) < 0)
		return unpack_error(fault, &error);
	r = decode_range(fault, "deadline_ms", deadline, 0, DEADLINE_MS_MAX);
	if (r)
		return r;
	m->shutdown.deadline_ms = (uint32_t)deadline;
	m->shutdown.force = force;
	return 0;
}

static int decode_state(struct machine_message *m, json_t *json, struct fault *fault)
{
	const char *type, *state, *accel, *reason, *text;
	json_error_t error;
	json_int_t code;
	int r;

	if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:s, s:s, s:s, s:{s:I, s:s}}", "type", &type, "state",
			   &state, "accel", &accel, "accel_reason", &reason, "fault", "code", &code, "text",
			   &text) < 0)
		return unpack_error(fault, &error);
	r = decode_name(fault, "state", state, state_names, MACHINE_STATE_MAX);
	if (r < 0)
		return r;
	m->state.state = (enum machine_state)r;
	r = decode_name(fault, "accel", accel, accel_names, MACHINE_ACCEL_MAX);
	if (r < 0)
		return r;
	m->state.accel = (enum machine_accel)r;
	r = decode_range(fault, "code", code, -4095, 0);
	if (!r)
		r = decode_string(fault, "accel_reason", reason, m->state.accel_reason, MACHINE_REASON_MAX);
	if (!r)
		r = decode_string(fault, "text", text, m->state.fault.text, FAULT_TEXT_MAX);
	if (r)
		return r;
	m->state.fault.code = (int)code;
	return 0;
}

static int decode_stage(struct machine_message *m, json_t *json, struct fault *fault)
{
	const char *type, *name;
	json_error_t error;
	json_int_t elapsed;
	int r;

	if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:s, s:I}", "type", &type, "name", &name, "elapsed_us",
			   &elapsed) < 0)
		return unpack_error(fault, &error);
	r = decode_range(fault, "elapsed_us", elapsed, 0, INT64_MAX);
	if (!r)
		r = decode_string(fault, "name", name, m->stage.name, MACHINE_STAGE_NAME_MAX);
	if (!r)
		m->stage.elapsed_us = (uint64_t)elapsed;
	return r;
}

static int decode_stats(struct machine_message *m, json_t *json, struct fault *fault)
{
	json_int_t v[7], qemu_pid, net_pid;
	json_error_t error;
	const char *type;
	int r = 0;

	if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "type",
			   &type, "mem_total", &v[0], "mem_available", &v[1], "data_total", &v[2],
			   "data_available", &v[3], "net_flows", &v[4], "net_rx_bytes", &v[5], "net_tx_bytes",
			   &v[6], "qemu_pid", &qemu_pid, "net_pid", &net_pid) < 0)
		return unpack_error(fault, &error);
	for (size_t i = 0; i < ARRAY_SIZE(v) && !r; i++)
		r = decode_range(fault, "stats", v[i], 0, INT64_MAX);
	if (!r)
		r = decode_range(fault, "qemu_pid", qemu_pid, 0, INT32_MAX);
	if (!r)
		r = decode_range(fault, "net_pid", net_pid, 0, INT32_MAX);
	if (r)
		return r;
	m->stats.mem_total = (uint64_t)v[0];
	m->stats.mem_available = (uint64_t)v[1];
	m->stats.data_total = (uint64_t)v[2];
	m->stats.data_available = (uint64_t)v[3];
	m->stats.net_flows = (uint64_t)v[4];
	m->stats.net_rx_bytes = (uint64_t)v[5];
	m->stats.net_tx_bytes = (uint64_t)v[6];
	m->stats.qemu_pid = (int32_t)qemu_pid;
	m->stats.net_pid = (int32_t)net_pid;
	return 0;
}

static int decode_body(struct machine_message *m, json_t *json, struct fault *fault)
{
	switch (m->type) {
	case MACHINE_LAUNCH:
		return decode_launch(&m->launch, json, fault);
	case MACHINE_SHUTDOWN:
		return decode_shutdown(m, json, fault);
	case MACHINE_STATS_GET:
		return json_object_size(json) == 1 ? 0 : refuse(fault, "stats-get", "has a body");
	case MACHINE_STATE_IS:
		return decode_state(m, json, fault);
	case MACHINE_STAGE:
		return decode_stage(m, json, fault);
	case MACHINE_STATS:
		return decode_stats(m, json, fault);
	default:
		return refuse(fault, "type", "has an unknown value");
	}
}

int machine_decode(struct machine_message *ret, const char *src, size_t len, struct fault *fault)
{
	_cleanup_(json_freep) json_t *json = NULL;
	_cleanup_free_ struct machine_message *m = NULL;
	json_error_t error;
	const char *type;
	int r;

	if (len > MACHINE_FRAME_MAX)
		return refuse(fault, "message", "is too long");
	json = json_loadb(src, len, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		return unpack_error(fault, &error);
	type = json_string_value(json_object_get(json, "type"));
	if (!type)
		return refuse(fault, "type", "is missing");
	r = decode_name(fault, "type", type, type_names, MACHINE_TYPE_MAX);
	if (r < 0)
		return r;
	m = calloc(1, sizeof(*m));
	if (!m)
		return trace(-ENOMEM);
	m->type = (enum machine_type)r;
	r = decode_body(m, json, fault);
	if (r)
		return r;
	*ret = *m;
	return 0;
}
