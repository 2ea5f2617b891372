/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine: codec between backend and machine, see machine.h and docs/protocol/machine.md.
 *
 * One record is one JSON object. Decoding is strict in both directions: json_unpack with JSON_STRICT refuses
 * a key too many and a key too few; every number has a range and every string a maximum.
 */
#include "proto/machine.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "base/text.h"

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
	[MACHINE_NET_LINK] = "net-link", [MACHINE_PORT_OPEN] = "port-open",  [MACHINE_PORT_CLOSE] = "port-close",
	[MACHINE_PORT_RESET] = "port-reset", [MACHINE_GUEST_NETS] = "guest-nets",
	[MACHINE_PORT_RESULT] = "port-result",
};
static const char *const status_names[AGENT_PORT_STATUS_MAX] = {
	[AGENT_PORT_OK] = "ok",		  [AGENT_PORT_IN_USE] = "in-use",
	[AGENT_PORT_DENIED] = "denied",	  [AGENT_PORT_NO_PRIVILEGE] = "no-privilege",
	[AGENT_PORT_ADDRESS] = "address", [AGENT_PORT_LIMIT] = "limit",
	[AGENT_PORT_UNSUPPORTED] = "unsupported", [AGENT_PORT_UNAVAILABLE] = "unavailable",
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

size_t machine_n_fds(enum machine_type type)
{
	return type == MACHINE_NET_LINK ? 1 : 0;
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
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "type",
			 type_names[MACHINE_LAUNCH], "mtu", (json_int_t)(p->mtu ? p->mtu : DATA_MTU_DEFAULT),
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
	    !fits(m->stats.net_tx_bytes) || !fits(m->stats.data_net_flows) || !fits(m->stats.data_net_rx_bytes) ||
	    !fits(m->stats.data_net_tx_bytes))
		return NULL;
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "type",
			 type_names[MACHINE_STATS],
			 "mem_total", (json_int_t)m->stats.mem_total, "mem_available",
			 (json_int_t)m->stats.mem_available, "data_total", (json_int_t)m->stats.data_total,
			 "data_available", (json_int_t)m->stats.data_available, "net_flows",
			 (json_int_t)m->stats.net_flows, "net_rx_bytes", (json_int_t)m->stats.net_rx_bytes,
			 "net_tx_bytes", (json_int_t)m->stats.net_tx_bytes, "qemu_pid",
			 (json_int_t)m->stats.qemu_pid, "net_pid", (json_int_t)m->stats.net_pid,
			 "data_net_flows", (json_int_t)m->stats.data_net_flows, "data_net_rx_bytes",
			 (json_int_t)m->stats.data_net_rx_bytes, "data_net_tx_bytes",
			 (json_int_t)m->stats.data_net_tx_bytes, "data_net_pid",
			 (json_int_t)m->stats.data_net_pid);
}

/* TEXT is at least INET6_ADDRSTRLEN. */
static const char *addr_text(const struct net_addr *addr, char *text)
{
	if (net_addr_is_v4(addr))
		return inet_ntop(AF_INET, addr->byte + 12, text, INET6_ADDRSTRLEN);
	return inet_ntop(AF_INET6, addr->byte, text, INET6_ADDRSTRLEN);
}

static json_t *encode_port_open(const struct machine_message *m)
{
	char host[INET6_ADDRSTRLEN], target[INET6_ADDRSTRLEN];

	return json_pack("{s:s, s:I, s:s, s:s, s:I, s:s, s:I}", "type", type_names[MACHINE_PORT_OPEN], "id",
			 (json_int_t)m->port_open.id, "protocol", m->port_open.udp ? "udp" : "tcp", "host_ip",
			 addr_text(&m->port_open.host, host), "host_port", (json_int_t)m->port_open.host_port,
			 "target_ip", addr_text(&m->port_open.target, target), "target_port",
			 (json_int_t)m->port_open.target_port);
}

static json_t *encode_guest_nets(const struct machine_message *m)
{
	json_t *nets = json_array();
	char addr[INET6_ADDRSTRLEN];

	if (m->guest_nets.n > NETCTL_NETS_MAX)
		nets = (json_decref(nets), NULL);
	for (size_t i = 0; nets && i < m->guest_nets.n; i++) {
		const struct netctl_net *net = &m->guest_nets.net[i];
		bool ok = agent_net_ok(&net->addr, net->prefix_len);
		unsigned int len = net->prefix_len - (ok && net_addr_is_v4(&net->addr) ? 96u : 0u);

		if (!ok || json_array_append_new(nets, json_sprintf("%s/%u", addr_text(&net->addr, addr), len)) < 0)
			nets = (json_decref(nets), NULL);
	}
	/* Takes the reference, NULL makes it fail. */
	return json_pack("{s:s, s:o}", "type", type_names[MACHINE_GUEST_NETS], "nets", nets);
}

static json_t *encode_port_result(const struct machine_message *m)
{
	if (m->port_result.status >= AGENT_PORT_STATUS_MAX)
		return NULL;
	return json_pack("{s:s, s:I, s:s}", "type", type_names[MACHINE_PORT_RESULT], "id",
			 (json_int_t)m->port_result.id, "status", status_names[m->port_result.status]);
}

static json_t *encode_network(const struct machine_message *m)
{
	switch (m->type) {
	case MACHINE_NET_LINK:
	case MACHINE_PORT_RESET:
		return json_pack("{s:s}", "type", type_names[m->type]);
	case MACHINE_PORT_OPEN:
		return encode_port_open(m);
	case MACHINE_PORT_CLOSE:
		return json_pack("{s:s, s:I}", "type", type_names[MACHINE_PORT_CLOSE], "id",
				 (json_int_t)m->port_close.id);
	case MACHINE_GUEST_NETS:
		return encode_guest_nets(m);
	case MACHINE_PORT_RESULT:
		return encode_port_result(m);
	default:
		return NULL;
	}
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
	default:
		json = encode_network(message);
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
	json_int_t cpus, memory, disk, mtu;
	json_error_t error;
	int r;

	if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s}",
			   "type", &type, "mtu", &mtu, "cpus", &cpus, "memory_mib", &memory, "disk_mib", &disk, "accel", &accel,
			   path_keys[0], &paths[0], path_keys[1], &paths[1], path_keys[2], &paths[2],
			   path_keys[3], &paths[3], path_keys[4], &paths[4]) < 0)
		return unpack_error(fault, &error);
	r = decode_range(fault, "cpus", cpus, 1, CPUS_MAX);
	if (!r)
		r = decode_range(fault, "memory_mib", memory, 1, MEMORY_MIB_MAX);
	if (!r)
		r = decode_range(fault, "disk_mib", disk, 1, DISK_MIB_MAX);
	if (!r)
		r = decode_range(fault, "mtu", mtu, DATA_MTU_MIN, DATA_MTU_MAX);
	if (r)
		return r;
	r = decode_name(fault, "accel", accel, accel_names, MACHINE_ACCEL_MAX);
	if (r < 0)
		return r;
	p->cpus = (uint32_t)cpus;
	p->memory_mib = (uint32_t)memory;
	p->disk_mib = (uint64_t)disk;
	p->mtu = (uint16_t)mtu;
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
	json_int_t v[10], pid[3];
	json_error_t error;
	const char *type;
	int r = 0;

	if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			   "type", &type, "mem_total", &v[0], "mem_available", &v[1], "data_total", &v[2],
			   "data_available", &v[3], "net_flows", &v[4], "net_rx_bytes", &v[5], "net_tx_bytes",
			   &v[6], "qemu_pid", &pid[0], "net_pid", &pid[1], "data_net_flows", &v[7],
			   "data_net_rx_bytes", &v[8], "data_net_tx_bytes", &v[9], "data_net_pid", &pid[2]) < 0)
		return unpack_error(fault, &error);
	for (size_t i = 0; i < ARRAY_SIZE(v) && !r; i++)
		r = decode_range(fault, "stats", v[i], 0, INT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(pid) && !r; i++)
		r = decode_range(fault, "pid", pid[i], 0, INT32_MAX);
	if (r)
		return r;
	m->stats.mem_total = (uint64_t)v[0];
	m->stats.mem_available = (uint64_t)v[1];
	m->stats.data_total = (uint64_t)v[2];
	m->stats.data_available = (uint64_t)v[3];
	m->stats.net_flows = (uint64_t)v[4];
	m->stats.net_rx_bytes = (uint64_t)v[5];
	m->stats.net_tx_bytes = (uint64_t)v[6];
	m->stats.data_net_flows = (uint64_t)v[7];
	m->stats.data_net_rx_bytes = (uint64_t)v[8];
	m->stats.data_net_tx_bytes = (uint64_t)v[9];
	m->stats.qemu_pid = (int32_t)pid[0];
	m->stats.net_pid = (int32_t)pid[1];
	m->stats.data_net_pid = (int32_t)pid[2];
	return 0;
}

/* One way to write an address: what inet_ntop would have written. */
static int decode_addr(struct fault *fault, const char *key, const char *text, struct net_addr *ret)
{
	char again[INET6_ADDRSTRLEN];
	struct net_addr addr;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		addr = net_addr4(ntohl(v4.s_addr));
	else if (inet_pton(AF_INET6, text, addr.byte) != 1)
		return refuse(fault, key, "is not an address");
	if (strcmp(addr_text(&addr, again), text) != 0)
		return refuse(fault, key, "is not written the usual way");
	*ret = addr;
	return 0;
}

static int decode_port_open(struct machine_message *m, json_t *json, struct fault *fault)
{
	json_int_t id, host_port, target_port;
	const char *type, *proto, *host, *target;
	json_error_t error;
	int r;

	if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:I, s:s, s:s, s:I, s:s, s:I}", "type", &type, "id", &id,
			   "protocol", &proto, "host_ip", &host, "host_port", &host_port, "target_ip", &target,
			   "target_port", &target_port) < 0)
		return unpack_error(fault, &error);
	r = decode_range(fault, "id", id, 1, UINT32_MAX);
	if (!r)
		r = decode_range(fault, "host_port", host_port, 1, UINT16_MAX);
	if (!r)
		r = decode_range(fault, "target_port", target_port, 1, UINT16_MAX);
	if (!r)
		r = decode_addr(fault, "host_ip", host, &m->port_open.host);
	if (!r)
		r = decode_addr(fault, "target_ip", target, &m->port_open.target);
	if (r)
		return r;
	m->port_open.udp = !strcmp(proto, "udp");
	if (!m->port_open.udp && strcmp(proto, "tcp") != 0)
		return refuse(fault, "protocol", "has an unknown value");
	m->port_open.id = (uint32_t)id;
	m->port_open.host_port = (uint16_t)host_port;
	m->port_open.target_port = (uint16_t)target_port;
	return 0;
}

static int decode_net(struct fault *fault, const char *text, struct netctl_net *ret)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	char addr[INET6_ADDRSTRLEN];
	uint64_t len;
	int r;

	if (!slash || (size_t)(slash - text) >= sizeof(addr) || text_parse_u64(slash + 1, 128, &len))
		return refuse(fault, "nets", "has something that is no subnet");
	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = '\0';
	r = decode_addr(fault, "nets", addr, &ret->addr);
	if (r)
		return r;
	if (net_addr_is_v4(&ret->addr))
		len += 96;
	ret->prefix_len = (uint8_t)len;
	return agent_net_ok(&ret->addr, (uint32_t)len) ? 0 : refuse(fault, "nets", "has something that is no subnet");
}

static int decode_guest_nets(struct machine_message *m, json_t *json, struct fault *fault)
{
	json_t *nets, *value;
	json_error_t error;
	const char *type;
	size_t i;
	int r;

	if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:o}", "type", &type, "nets", &nets) < 0)
		return unpack_error(fault, &error);
	if (!json_is_array(nets) || json_array_size(nets) > NETCTL_NETS_MAX)
		return refuse(fault, "nets", "is not a list, or too long");
	json_array_foreach(nets, i, value) {
		r = decode_net(fault, json_string_value(value), &m->guest_nets.net[i]);
		if (r)
			return r;
	}
	m->guest_nets.n = (uint16_t)json_array_size(nets);
	return 0;
}

static int decode_port_id(struct machine_message *m, json_t *json, struct fault *fault)
{
	const char *type, *status = status_names[0];
	json_error_t error;
	json_int_t id;
	int r;

	if (json_unpack_ex(json, &error, JSON_STRICT,
			   m->type == MACHINE_PORT_RESULT ? "{s:s, s:I, s:s}" : "{s:s, s:I}", "type", &type, "id",
			   &id, "status", &status) < 0)
		return unpack_error(fault, &error);
	r = decode_range(fault, "id", id, 1, UINT32_MAX);
	if (!r)
		r = decode_name(fault, "status", status, status_names, AGENT_PORT_STATUS_MAX);
	if (r < 0)
		return r;
	if (m->type == MACHINE_PORT_RESULT) {
		m->port_result.id = (uint32_t)id;
		m->port_result.status = (uint32_t)r;
	} else {
		m->port_close.id = (uint32_t)id;
	}
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
	case MACHINE_NET_LINK:
	case MACHINE_PORT_RESET:
		return json_object_size(json) == 1 ? 0 : refuse(fault, type_names[m->type], "has a body");
	case MACHINE_PORT_OPEN:
		return decode_port_open(m, json, fault);
	case MACHINE_GUEST_NETS:
		return decode_guest_nets(m, json, fault);
	case MACHINE_PORT_CLOSE:
	case MACHINE_PORT_RESULT:
		return decode_port_id(m, json, fault);
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
