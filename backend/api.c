/* SPDX-License-Identifier: Apache-2.0 */
/* api: one table of routes; each handler fills an answer. */
#include "backend/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

struct request {
	const struct view *view;
	const char *rest; /* path behind the route's prefix */
	const char *query; /* behind the '?', NULL: none */
	const char *body;
	size_t len;
};

typedef void (*handler_fn)(const struct request *request, struct api_answer *ret);

struct route {
	const char *method, *path;
	bool prefix;  /* PATH ends in '/', something follows */
	bool oneshot; /* served when nothing runs */
	bool query;   /* may have one */
	handler_fn fn;
};

void api_refuse(struct api_answer *ret, unsigned int status, const char *code, const char *format, ...)
{
	char text[FAULT_TEXT_MAX], raw[FAULT_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(raw, sizeof(raw), format, ap);
	va_end(ap);
	text_escape(text, sizeof(text), raw, strlen(raw));
	*ret = (struct api_answer){.status = status};
	ret->body = json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", text);
}

static void get_version(const struct request *request, struct api_answer *ret)
{
	*ret = (struct api_answer){.status = 200};
	ret->body = json_pack("{s:s, s:i, s:i}", "caisson", CAISSON_VERSION, "api", VIEW_API_VERSION, "pid", (int)getpid());
}

static void get_health(const struct request *request, struct api_answer *ret)
{
	bool ok = request->view->state == MACHINE_RUNNING;

	*ret = (struct api_answer){.status = ok ? 200 : 503};
	ret->body = json_pack("{s:b, s:s}", "ok", ok, "state", machine_state_name(request->view->state));
}

static void get_status(const struct request *request, struct api_answer *ret)
{
	*ret = (struct api_answer){.status = 200, .action = API_STATUS};
}

static void get_events(const struct request *request, struct api_answer *ret)
{
	*ret = (struct api_answer){.status = 200, .action = API_STREAM_EVENTS};
}

/* The body as an object whose members are all in KNOWN (NULL: any). Return: new reference or NULL with RET. */
static json_t *decode_object(const struct request *request, const char *const *known, size_t n_known,
			     struct api_answer *ret)
{
	json_error_t error;
	const char *key;
	json_t *o, *v;

	o = request->len ? json_loadb(request->body, request->len, JSON_REJECT_DUPLICATES, &error) : json_object();
	if (!json_is_object(o)) {
		api_refuse(ret, 400, "BAD_REQUEST", "The body must be one JSON object.");
		json_decref(o);
		return NULL;
	}
	json_object_foreach(o, key, v) {
		const char *nearest = known ? text_nearest(key, known, n_known) : key;

		if (nearest && !strcmp(nearest, key))
			continue;
		api_refuse(ret, 400, "BAD_REQUEST", "The body has an unknown key \"%.64s\"%s%s%s.", key,
			   nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
		json_decref(o);
		return NULL;
	}
	return o;
}

static void post_stop(const struct request *request, struct api_answer *ret)
{
	static const char *const known[] = {"force", "timeout_s"};
	json_t *o = decode_object(request, known, ARRAY_SIZE(known), ret), *force, *timeout;
	json_int_t seconds;

	if (!o)
		return;
	force = json_object_get(o, "force");
	timeout = json_object_get(o, "timeout_s");
	seconds = timeout ? json_integer_value(timeout) : API_TIMEOUT_STANDARD_S;
	if ((force && !json_is_boolean(force)) || (timeout && !json_is_integer(timeout)) || seconds < 1 ||
	    seconds > API_TIMEOUT_MAX_S) {
		api_refuse(ret, 400, "BAD_REQUEST", "force must be true or false, timeout_s a whole number from 1 to %d.",
			   API_TIMEOUT_MAX_S);
	} else {
		*ret = (struct api_answer){.status = 202, .action = API_STOP, .force = json_is_true(force),
					   .timeout_s = (uint32_t)seconds};
		ret->body = json_pack("{s:s}", "state", "stopping");
	}
	json_decref(o);
}

/* Loads the stored settings or answers why not. */
static bool load_stored(const struct request *request, struct config *stored, struct api_answer *ret)
{
	struct fault fault = FAULT_INIT;

	if (view_load_stored(request->view, stored, &fault) >= 0)
		return true;
	api_refuse(ret, 409, "SETTINGS_FILE", "%s", fault.text);
	return false;
}

static void get_settings(const struct request *request, struct api_answer *ret)
{
	const struct view *view = request->view;
	struct config stored;
	json_t *list;

	if (!load_stored(request, &stored, ret))
		return;
	list = json_array();
	for (unsigned int i = 0; list && i < CONFIG_KEY_MAX; i++)
		(void)json_array_append_new(list, view_setting(view, &stored, (enum config_key)i));
	*ret = (struct api_answer){.status = 200};
	ret->body = json_pack("{s:o, s:o, s:o}", "file", json_sprintf("%s/" STATE_SETTINGS_FILE, view->dir->desktop),
			      "needs_restart", view_needs_restart(view, &stored), "settings", list);
}

static void get_setting(const struct request *request, struct api_answer *ret)
{
	struct fault fault = FAULT_INIT;
	struct config stored;
	enum config_key key;

	if (config_find(request->rest, &key, &fault)) {
		api_refuse(ret, 400, "SETTING_UNKNOWN", "%s", fault.text);
		return;
	}
	if (!load_stored(request, &stored, ret))
		return;
	*ret = (struct api_answer){.status = 200};
	ret->body = view_setting(request->view, &stored, key);
}

/* Applies each member of CHANGES to STORED. Return: list of changed keys (new reference); NULL with RET. */
static json_t *apply_changes(const struct view *view, json_t *changes, struct config *stored, struct api_answer *ret)
{
	json_t *changed = json_array(), *value;
	struct config before = *stored;
	const char *word;

	json_object_foreach(changes, word, value) {
		struct fault fault = FAULT_INIT;
		enum config_key key = CONFIG_KEY_MAX;
		int r = config_find(word, &key, &fault);

		if (!r)
			r = config_change(stored, &view->host, key, value, &fault);
		if (r) {
			api_refuse(ret, 400, r == CONFIG_E_UNKNOWN ? "SETTING_UNKNOWN" : "SETTING_RANGE", "%s", fault.text);
			json_decref(changed);
			return NULL;
		}
	}
	for (unsigned int i = 0; changed && i < CONFIG_KEY_MAX; i++)
		if (!config_equal(&before, stored, (enum config_key)i))
			(void)json_array_append_new(changed, json_string(config_specs[i].key));
	return changed;
}

static void patch_settings(const struct request *request, struct api_answer *ret)
{
	const struct view *view = request->view;
	json_t *changes, *changed;
	struct config stored;
	int r;

	changes = decode_object(request, NULL, 0, ret);
	if (!changes)
		return;
	changed = load_stored(request, &stored, ret) ? apply_changes(view, changes, &stored, ret) : NULL;
	json_decref(changes);
	if (!changed)
		return;
	r = json_array_size(changed) ? config_store(&stored, &view->host, view->dir->desktop_fd, STATE_SETTINGS_FILE) : 0;
	if (r < 0) {
		json_decref(changed);
		api_refuse(ret, 500, "INTERNAL", "The settings file could not be written: %s.", strerror(-r));
		return;
	}
	*ret = (struct api_answer){.status = 200, .action = json_array_size(changed) ? API_SETTINGS : API_NOTHING};
	ret->body = json_pack("{s:o, s:o}", "changed", changed, "needs_restart", view_needs_restart(view, &stored));
}

/* One number of a query: NAME=VALUE from 0 to MAX. */
struct parameter {
	const char *name;
	uint64_t max;
	uint64_t value; /* standard at first */
};

/* Reads the query into PARAMETERS. Return: false with RET. */
static bool read_query(const struct request *request, struct parameter *parameters, size_t n, struct api_answer *ret)
{
	const char *names[8];

	for (size_t i = 0; i < n && i < ARRAY_SIZE(names); i++)
		names[i] = parameters[i].name;
	for (const char *at = request->query; at && *at;) {
		size_t len = strcspn(at, "&"), name_len = strcspn(at, "=&"), i = 0;
		char word[64], digits[24] = "";

		snprintf(word, sizeof(word), "%.*s", (int)name_len, at);
		if (name_len < len)
			snprintf(digits, sizeof(digits), "%.*s", (int)(len - name_len - 1), at + name_len + 1);
		while (i < n && strcmp(word, parameters[i].name))
			i++;
		if (i == n) {
			const char *near = text_nearest(word, names, n);

			api_refuse(ret, 400, "BAD_REQUEST", "The query has an unknown name \"%s\"%s%s%s.", word,
				   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
			return false;
		}
		if (text_parse_u64(digits, parameters[i].max, &parameters[i].value) < 0) {
			api_refuse(ret, 400, "BAD_REQUEST", "%s must be a whole number from 0 to %llu.", word,
				   (unsigned long long)parameters[i].max);
			return false;
		}
		at += len + (at[len] == '&');
	}
	return true;
}

static void get_ports(const struct request *request, struct api_answer *ret)
{
	*ret = (struct api_answer){.status = 200, .action = API_QUERY,
				   .query = {.parts = NET_PART_PORTS, .ports_only = true}};
}

static void get_net(const struct request *request, struct api_answer *ret)
{
	struct parameter p[] = {
		{"stats", 1, 1}, {"rules", 1, 1}, {"ports", 1, 1}, {"dns", 1, 1},
		{"flows", NET_QUERY_ITEMS_MAX, NET_QUERY_FLOWS_STANDARD},
	};
	unsigned int parts;

	if (!read_query(request, p, ARRAY_SIZE(p), ret))
		return;
	parts = (p[0].value ? NET_PART_STATS : 0u) | (p[1].value ? NET_PART_RULES : 0u) | (p[2].value ? NET_PART_PORTS : 0u) |
		(p[3].value ? NET_PART_DNS : 0u) | (p[4].value ? NET_PART_FLOWS : 0u);
	*ret = (struct api_answer){.status = 200, .action = API_QUERY,
				   .query = {.parts = parts, .max_flows = p[4].value ? (uint32_t)p[4].value :
							     NET_QUERY_FLOWS_STANDARD}};
}

static void get_capture(const struct request *request, struct api_answer *ret)
{
	struct parameter p[] = {
		{"max_bytes", API_CAPTURE_BYTES_MAX, API_CAPTURE_BYTES_STANDARD}, {"max_ms", API_CAPTURE_MS_MAX, API_CAPTURE_MS_STANDARD},
		{"snap_len", API_CAPTURE_SNAP_MAX, API_CAPTURE_SNAP_MAX},
	};

	if (!read_query(request, p, ARRAY_SIZE(p), ret))
		return;
	if (!request->view->network.linked) {
		api_refuse(ret, 503, "NO_NETWORK", "The network process does not run at the moment.");
		return;
	}
	if (!p[0].value || !p[1].value || p[2].value < API_CAPTURE_SNAP_MIN) {
		api_refuse(ret, 400, "BAD_REQUEST", "A capture needs max_bytes and max_ms above 0 and snap_len from %d.",
			   API_CAPTURE_SNAP_MIN);
		return;
	}
	*ret = (struct api_answer){.status = 200, .action = API_CAPTURE,
				   .capture = {.max_bytes = p[0].value, .max_ms = (uint32_t)p[1].value,
					       .snap_len = (uint32_t)p[2].value}};
}

static const struct route routes[] = {
	{"GET", "/v1/version", false, true, false, get_version},
	{"GET", "/v1/health", false, false, false, get_health},
	{"GET", "/v1/status", false, true, false, get_status},
	{"GET", "/v1/events", false, false, false, get_events},
	{"POST", "/v1/stop", false, false, false, post_stop},
	{"GET", "/v1/settings", false, true, false, get_settings},
	{"PATCH", "/v1/settings", false, true, false, patch_settings},
	{"GET", "/v1/settings/", true, true, false, get_setting},
	{"GET", "/v1/ports", false, false, false, get_ports},
	{"GET", "/v1/net", false, false, true, get_net},
	{"GET", "/v1/net/capture", false, false, true, get_capture},
};

static const struct route *find_route(const char *method, const char *path, const char **ret_rest, bool *ret_path_known,
				      const char **ret_allow)
{
	*ret_path_known = false;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		const char *rest = text_after(path, routes[i].path);

		if (!rest || (routes[i].prefix ? !*rest || strchr(rest, '/') != NULL : *rest != '\0'))
			continue;
		*ret_allow = *ret_path_known && !strcmp(*ret_allow, "GET") ? "GET, PATCH" : routes[i].method;
		*ret_path_known = true;
		*ret_rest = rest;
		if (!strcmp(method, routes[i].method))
			return &routes[i];
	}
	return NULL;
}

static void refuse_path(const char *path, struct api_answer *ret)
{
	const char *candidates[ARRAY_SIZE(routes)], *nearest;

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		candidates[i] = routes[i].path;
	nearest = text_nearest(path, candidates, ARRAY_SIZE(candidates));
	api_refuse(ret, 404, "NOT_FOUND", "There is no path \"%.64s\"%s%s%s.", path, nearest ? "; did you mean \"" : "",
		   nearest ? nearest : "", nearest ? "\"?" : "");
}

void api_handle(const struct view *view, const struct http_head *head, const char *body, size_t len,
		struct api_answer *ret)
{
	struct request request = {.view = view, .body = body, .len = len};
	char method[HTTP_METHOD_MAX + 1], path[256];
	const char *allow = NULL;
	const struct route *route;
	char *query;
	bool known;

	if (head->target_form != HTTP_TARGET_ORIGIN || head->target.len >= sizeof(path)) {
		api_refuse(ret, 404, "NOT_FOUND", "There is no such path.");
		return;
	}
	memcpy(method, head->method.p, head->method.len);
	method[head->method.len] = '\0';
	memcpy(path, head->target.p, head->target.len);
	path[head->target.len] = '\0';
	query = strchr(path, '?');
	if (query) {
		*query = '\0';
		request.query = query + 1;
	}
	route = find_route(method, path, &request.rest, &known, &allow);
	if (!route && known) {
		api_refuse(ret, 405, "METHOD", "%s does not know the method %s; it knows %s.", path, method, allow);
		ret->allow = allow;
	} else if (!route) {
		refuse_path(path, ret);
	} else if (query && !route->query) {
		api_refuse(ret, 404, "NOT_FOUND", "%s takes no query.", path);
	} else if (view->oneshot && !route->oneshot) {
		api_refuse(ret, 409, "NOT_RUNNING", "The desktop is not running; start it with: caisson start.");
	} else {
		route->fn(&request, ret);
	}
}
