/* SPDX-License-Identifier: Apache-2.0 */
/* view: the JSON of docs/protocol/backend-api.md. */
#include "backend/view.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/loop.h"
#include "base/path.h"
#include "proto/data-card.h"

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *integer_if(bool known, uint64_t n)
{
	return known ? json_integer((json_int_t)n) : json_null();
}

int view_load_stored(const struct view *view, struct config *ret, struct fault *fault)
{
	_cleanup_free_ char *path = NULL;
	int r = path_join(view->dir->desktop, STATE_SETTINGS_FILE, &path);

	if (r < 0)
		return r;
	return config_load(ret, &view->host, view->dir->desktop_fd, STATE_SETTINGS_FILE, path, fault);
}

json_t *view_needs_restart(const struct view *view, const struct config *stored)
{
	json_t *list = json_array();

	for (unsigned int i = 0; list && !view->oneshot && i < CONFIG_KEY_MAX; i++)
		if (!config_specs[i].live && !config_equal(stored, &view->in_force, (enum config_key)i))
			(void)json_array_append_new(list, json_string(config_specs[i].key));
	return list;
}

static json_t *choices_json(const struct config_spec *spec)
{
	json_t *list;

	if (spec->type != CONFIG_CHOICE)
		return json_null();
	list = json_array();
	for (unsigned int i = 0; list && spec->choices[i]; i++)
		(void)json_array_append_new(list, json_string(spec->choices[i]));
	return list;
}

json_t *view_setting(const struct view *view, const struct config *stored, enum config_key key)
{
	static const char *const types[] = {"integer", "choice", "string", "list"};
	const struct config_spec *spec = &config_specs[key];
	_cleanup_free_ struct config *standard = calloc(1, sizeof(*standard));
	struct config_range range = config_range(key, &view->host);
	bool number = spec->type == CONFIG_INTEGER;

	if (!standard)
		return NULL;
	config_set_defaults(standard, &view->host);
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:b, s:s}", "key", spec->key, "name", spec->name,
			 "type", types[spec->type], "unit", text_or_null(spec->unit), "value",
			 config_value(stored, key, CONFIG_SHOW), "default", config_value(standard, key, CONFIG_SHOW), "is_default",
			 config_equal(stored, standard, key), "in_force",
			 view->oneshot ? json_null() : config_value(&view->in_force, key, CONFIG_SHOW), "min",
			 integer_if(number, range.min), "max", integer_if(number, range.max), "choices", choices_json(spec), "live",
			 spec->live, "description", spec->description);
}

json_t *view_fault(const struct view *view)
{
	if (!view->fault_code[0])
		return json_null();
	return json_pack("{s:s, s:s}", "code", view->fault_code, "message", view->fault_text);
}

static const char *accel_used(const struct view *view)
{
	return view->accel == MACHINE_ACCEL_AUTO ? NULL : machine_accel_name(view->accel);
}

static const char *isolation_text(const struct view *view)
{
	switch (view->accel) {
	case MACHINE_ACCEL_KVM:
		return "VM boundary by KVM";
	case MACHINE_ACCEL_TCG:
		return "no isolation guarantee (software emulation)";
	default:
		return "unknown yet";
	}
}

json_t *view_event_state(const struct view *view)
{
	return json_pack("{s:s, s:s, s:o, s:s}", "event", "state", "state", machine_state_name(view->state), "accelerator",
			 text_or_null(accel_used(view)), "reason", view->accel_reason);
}

json_t *view_event_stage(const struct view_stage *stage)
{
	return json_pack("{s:s, s:s, s:I}", "event", "stage", "name", stage->name, "elapsed_ms",
			 (json_int_t)(stage->elapsed_us / 1000));
}

json_t *view_event_fault(const struct view *view)
{
	return json_pack("{s:s, s:s, s:s}", "event", "fault", "code", view->fault_code, "message", view->fault_text);
}

static json_t *stages_json(const struct view *view)
{
	json_t *list = json_array();

	for (unsigned int i = 0; list && i < view->n_stages; i++)
		(void)json_array_append_new(list, json_pack("{s:s, s:I}", "name", view->stage[i].name, "elapsed_ms",
							    (json_int_t)(view->stage[i].elapsed_us / 1000)));
	return list;
}

static json_t *disk_json(const struct view *view)
{
	_cleanup_free_ char *path = NULL;
	struct stat st = {0};
	bool known;

	if (path_join(view->dir->data, STATE_DISK_FILE, &path) < 0)
		return NULL;
	known = fstatat(view->dir->data_fd, STATE_DISK_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0;
	return json_pack("{s:s, s:o, s:o}", "path", path, "size_bytes", integer_if(known, (uint64_t)st.st_size),
			 "used_bytes", integer_if(known, (uint64_t)st.st_blocks * 512));
}

static json_t *context_json(const struct view *view)
{
	const struct docker_context *c = view->context;

	if (!c)
		return json_pack("{s:s, s:n, s:b, s:n, s:n}", "name", DOCKER_CONTEXT_NAME, "endpoint", "current", 0, "previous",
				 "warning");
	return json_pack("{s:s, s:o, s:b, s:o, s:o}", "name", DOCKER_CONTEXT_NAME, "endpoint", text_or_null(c->host),
			 "current", c->current, "previous", text_or_null(c->previous), "warning",
			 text_or_null(c->warning[0] ? c->warning : NULL));
}

static json_t *settings_json(const struct config *config)
{
	json_t *o = json_object();

	for (unsigned int i = 0; o && i < CONFIG_KEY_MAX; i++)
		(void)json_object_set_new(o, config_specs[i].key, config_value(config, (enum config_key)i, CONFIG_SHOW));
	return o;
}

static json_t *pids_json(const struct view *view)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "backend", integer_if(!view->oneshot, (uint64_t)getpid()), "machine",
			 integer_if(view->machine_pid > 0, (uint64_t)view->machine_pid), "qemu",
			 integer_if(view->has_stats && view->qemu_pid > 0, (uint64_t)view->qemu_pid), "net",
			 integer_if(view->has_stats && view->net_pid > 0, (uint64_t)view->net_pid), "data_net",
			 integer_if(view->has_stats && view->data_net_pid > 0, (uint64_t)view->data_net_pid), "proxy",
			 integer_if(view->proxy_pid > 0, (uint64_t)view->proxy_pid));
}

/* Sets each member; a NULL among them is json_object_set_new's failure. */
static int set_machine_part(json_t *o, const struct view *view)
{
	bool stats = view->has_stats;
	int r = 0;

	r |= json_object_set_new(o, "state", json_string(machine_state_name(view->state)));
	r |= json_object_set_new(o, "fault", view_fault(view));
	r |= json_object_set_new(o, "uptime_ms", integer_if(view->launched_us > 0,
							    (loop_now_us() - view->launched_us) / 1000));
	r |= json_object_set_new(o, "stages", stages_json(view));
	r |= json_object_set_new(o, "accelerator",
				 json_pack("{s:o, s:o, s:s}", "setting",
					   config_value(&view->in_force, CONFIG_ACCELERATOR, CONFIG_SHOW),
					   "used", text_or_null(accel_used(view)), "reason", view->accel_reason));
	r |= json_object_set_new(o, "isolation", json_string(isolation_text(view)));
	r |= json_object_set_new(o, "mode", json_pack("{s:s, s:s}", "name", "user", "reason",
						      "the helper is not installed"));
	r |= json_object_set_new(o, "pids", pids_json(view));
	r |= json_object_set_new(o, "memory", !stats ? json_null() :
				 json_pack("{s:I, s:I}", "total_bytes", (json_int_t)view->mem_total, "available_bytes",
					   (json_int_t)view->mem_available));
	r |= json_object_set_new(o, "net", !stats ? json_null() :
				 json_pack("{s:I, s:I, s:I}", "flows", (json_int_t)view->net_flows, "rx_bytes",
					   (json_int_t)view->net_rx_bytes, "tx_bytes", (json_int_t)view->net_tx_bytes));
	return r;
}

/* null until the network's parts stand. */
static json_t *network_json(const struct view_network *n)
{
	char subnet[SUBNET_TEXT_MAX], wanted[SUBNET_TEXT_MAX];

	if (!n->known)
		return json_null();
	subnet_text(subnet, n->subnet, DATA_PREFIX_LEN);
	subnet_text(wanted, n->wanted, DATA_PREFIX_LEN);
	return json_pack("{s:s, s:o, s:o, s:b, s:s, s:s, s:s, s:I, s:b}", "subnet", subnet, "moved_from",
			 n->subnet == n->wanted ? json_null() : json_string(wanted), "overlaps",
			 text_or_null(n->overlaps[0] ? n->overlaps : NULL), "ipv6", n->ipv6, "egress", n->egress, "proxy_mode",
			 n->proxy_mode, "proxy", n->proxy, "ports", (json_int_t)n->n_ports, "linked", n->linked);
}

static int set_host_part(json_t *o, const struct view *view)
{
	struct fault fault = FAULT_INIT;
	struct config stored;
	int r = 0;

	r |= json_object_set_new(o, "network", network_json(&view->network));
	r |= json_object_set_new(o, "engine", json_pack("{s:s, s:b, s:I}", "socket", view->engine_path, "ready",
							view->state == MACHINE_RUNNING, "clients",
							(json_int_t)view->n_engine_clients));
	r |= json_object_set_new(o, "context", context_json(view));
	r |= json_object_set_new(o, "settings", settings_json(&view->in_force));
	if (view_load_stored(view, &stored, &fault) < 0)
		stored = view->in_force;
	r |= json_object_set_new(o, "needs_restart", view_needs_restart(view, &stored));
	r |= json_object_set_new(o, "disk", disk_json(view));
	r |= json_object_set_new(o, "versions", json_pack("{s:s, s:i}", "caisson", CAISSON_VERSION, "api",
							  VIEW_API_VERSION));
	r |= json_object_set_new(o, "paths", json_pack("{s:s, s:s}", "state", view->dir->desktop, "log", view->dir->log));
	return r;
}

json_t *view_status(const struct view *view)
{
	json_t *o = json_object();

	if (!o || set_machine_part(o, view) || set_host_part(o, view)) {
		json_decref(o);
		return NULL;
	}
	return o;
}
