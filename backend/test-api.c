/* SPDX-License-Identifier: Apache-2.0 */
/* test-api: routing and answers, as requests and replies on a view without processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/api.h"
#include "base/fd.h"

static char home[64];
static struct state_dir dir;
static struct view view;
static struct api_answer last;

static int setup(void **state)
{
	struct fault fault = FAULT_INIT;

	snprintf(home, sizeof(home), "/tmp/test-api-XXXXXX");
	if (!mkdtemp(home) || setenv("HOME", home, 1) < 0)
		return -1;
	dir = (struct state_dir)STATE_DIR_INIT;
	if (state_dir_open(&dir, &fault) < 0)
		return -1;
	view = (struct view){.dir = &dir, .state = MACHINE_RUNNING, .host = {.cpus = 4, .memory_mib = 8192},
			     .engine_path = "/x/docker.sock"};
	config_set_defaults(&view.in_force, &view.host);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	json_decref(last.body);
	last.body = NULL;
	state_dir_done(&dir);
	snprintf(command, sizeof(command), "rm -rf '%s'", home);
	return system(command);
}

static unsigned int ask(const char *method, const char *path, const char *body)
{
	char text[512];
	struct http_head head;
	ssize_t n;

	json_decref(last.body);
	last.body = NULL;
	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, path);
	n = http_request_decode(&head, text, strlen(text), NULL);
	assert_int_equal(n, strlen(text));
	api_handle(&view, &head, body, strlen(body), &last);
	return last.status;
}

static const char *error_of(const char *member)
{
	const char *s = json_string_value(json_object_get(json_object_get(last.body, "error"), member));

	return s ? s : "";
}

static void routing(void **state)
{
	assert_int_equal(ask("GET", "/v1/version", ""), 200);
	assert_int_equal(ask("GET", "/v1/versoin", ""), 404);
	assert_string_equal(error_of("code"), "NOT_FOUND");
	assert_non_null(strstr(error_of("message"), "/v1/version"));
	assert_int_equal(ask("GET", "/v1/settings/", ""), 404);
	assert_int_equal(ask("GET", "/v1/settings/a/b", ""), 404);
	assert_int_equal(ask("GET", "/v1/status?x=1", ""), 404);
	assert_int_equal(ask("POST", "/v1/status", ""), 405);
	assert_string_equal(last.allow, "GET");
	assert_int_equal(ask("DELETE", "/v1/settings", ""), 405);
	assert_string_equal(last.allow, "GET, PATCH");
	assert_int_equal(ask("GET", "/v1/events", ""), 200);
	assert_int_equal(last.action, API_STREAM_EVENTS);
	assert_int_equal(ask("GET", "/v1/health", ""), 200);
	view.state = MACHINE_STARTING;
	assert_int_equal(ask("GET", "/v1/health", ""), 503);
}

static void stop_bodies(void **state)
{
	assert_int_equal(ask("POST", "/v1/stop", ""), 202);
	assert_int_equal(last.action, API_STOP);
	assert_int_equal(last.timeout_s, 60);
	assert_int_equal(ask("POST", "/v1/stop", "{\"force\":true,\"timeout_s\":5}"), 202);
	assert_true(last.force);
	assert_int_equal(last.timeout_s, 5);
	assert_int_equal(ask("POST", "/v1/stop", "{\"timeout_s\":0}"), 400);
	assert_int_equal(last.action, API_NOTHING);
	assert_int_equal(ask("POST", "/v1/stop", "{\"timeout_s\":3601}"), 400);
	assert_int_equal(ask("POST", "/v1/stop", "{\"force\":1}"), 400);
	assert_int_equal(ask("POST", "/v1/stop", "{\"forced\":true}"), 400);
	assert_non_null(strstr(error_of("message"), "\"force\""));
	assert_int_equal(ask("POST", "/v1/stop", "[]"), 400);
	assert_int_equal(ask("POST", "/v1/stop", "{"), 400);
}

static void settings(void **state)
{
	assert_int_equal(ask("GET", "/v1/settings", ""), 200);
	assert_int_equal(json_array_size(json_object_get(last.body, "settings")), CONFIG_KEY_MAX);
	assert_int_equal(ask("PATCH", "/v1/settings", "{\"cpus\":2,\"MemoryMiB\":2048}"), 200);
	assert_int_equal(json_array_size(json_object_get(last.body, "changed")), 2);
	assert_int_equal(json_array_size(json_object_get(last.body, "needs_restart")), 2);
	assert_int_equal(ask("GET", "/v1/settings/cpus", ""), 200);
	assert_int_equal(json_integer_value(json_object_get(last.body, "value")), 2);
	assert_int_equal(json_integer_value(json_object_get(last.body, "in_force")), 4);
	/* all or nothing */
	assert_int_equal(ask("PATCH", "/v1/settings", "{\"cpus\":3,\"memory\":1}"), 400);
	assert_string_equal(error_of("code"), "SETTING_RANGE");
	assert_non_null(strstr(error_of("message"), "1024 to 7168"));
	assert_int_equal(ask("GET", "/v1/settings/Cpus", ""), 200);
	assert_int_equal(json_integer_value(json_object_get(last.body, "value")), 2);
	assert_int_equal(ask("PATCH", "/v1/settings", "{\"cpuss\":3}"), 400);
	assert_string_equal(error_of("code"), "SETTING_UNKNOWN");
	assert_non_null(strstr(error_of("message"), "\"cpus\""));
	assert_int_equal(ask("GET", "/v1/settings/dsk-size", ""), 400);
	assert_int_equal(ask("PATCH", "/v1/settings", "{\"cpus\":null,\"memory\":null}"), 200);
	assert_int_equal(json_array_size(json_object_get(last.body, "needs_restart")), 0);
}

static void broken_file(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	assert_int_equal(fd_replace_file(dir.desktop_fd, STATE_SETTINGS_FILE, "{\"Cpus\":", 8, 0600), 0);
	assert_int_equal(ask("PATCH", "/v1/settings", "{\"cpus\":2}"), 409);
	assert_string_equal(error_of("code"), "SETTINGS_FILE");
	assert_non_null(strstr(error_of("message"), "settings-store.json:1:"));
	assert_int_equal(fd_read_file(dir.desktop_fd, STATE_SETTINGS_FILE, 100, &text, &len), 0);
	assert_string_equal(text, "{\"Cpus\":");
}

static void status_members(void **state)
{
	static const char *const keys[] = {"state", "fault", "uptime_ms", "stages", "accelerator", "isolation", "mode", "pids",
					   "engine", "context", "settings", "needs_restart", "disk", "memory", "net", "network",
					   "versions", "paths"};
	json_t *status;

	view.accel = MACHINE_ACCEL_TCG;
	view.n_stages = 1;
	snprintf(view.stage[0].name, sizeof(view.stage[0].name), "kernel");
	view.stage[0].elapsed_us = 1234567;
	status = view_status(&view);
	assert_non_null(status);
	assert_int_equal(json_object_size(status), ARRAY_SIZE(keys));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!json_object_get(status, keys[i]))
			fail_msg("%s", keys[i]);
	assert_string_equal(json_string_value(json_object_get(status, "isolation")),
			    "no isolation guarantee (software emulation)");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(status, "stages"), 0),
							    "elapsed_ms")), 1234);
	json_decref(status);
}

static void network_routes(void **state)
{
	assert_int_equal(ask("GET", "/v1/ports", ""), 200);
	assert_int_equal(last.action, API_QUERY);
	assert_true(last.query.ports_only);
	assert_int_equal(last.query.parts, NET_PART_PORTS);
	assert_int_equal(ask("GET", "/v1/ports?x=1", ""), 404);
	assert_int_equal(ask("GET", "/v1/net", ""), 200);
	assert_int_equal(last.query.parts, NET_PART_ALL);
	assert_int_equal(last.query.max_flows, NET_QUERY_FLOWS_STANDARD);
	assert_int_equal(ask("GET", "/v1/net?flows=0&dns=0&stats=1", ""), 200);
	assert_int_equal(last.query.parts, NET_PART_STATS | NET_PART_RULES | NET_PART_PORTS);
	assert_int_equal(ask("GET", "/v1/net?flows=7", ""), 200);
	assert_int_equal(last.query.max_flows, 7);
	assert_int_equal(ask("GET", "/v1/net?flow=7", ""), 400);
	assert_non_null(strstr(error_of("message"), "\"flows\""));
	assert_int_equal(ask("GET", "/v1/net?flows=", ""), 400);
	assert_int_equal(ask("GET", "/v1/net?flows", ""), 400);
	assert_int_equal(ask("GET", "/v1/net?flows=65537", ""), 400);
	assert_int_equal(ask("GET", "/v1/net?stats=2", ""), 400);
	assert_int_equal(ask("GET", "/v1/net/capture", ""), 503);
	assert_string_equal(error_of("code"), "NO_NETWORK");
	view.network.linked = true;
	assert_int_equal(ask("GET", "/v1/net/capture?max_bytes=1000&max_ms=5&snap_len=64", ""), 200);
	assert_int_equal(last.action, API_CAPTURE);
	assert_int_equal(last.capture.max_bytes, 1000);
	assert_int_equal(last.capture.max_ms, 5);
	assert_int_equal(last.capture.snap_len, 64);
	assert_int_equal(ask("GET", "/v1/net/capture?max_bytes=0", ""), 400);
	assert_int_equal(ask("GET", "/v1/net/capture?snap_len=63", ""), 400);
	assert_int_equal(ask("GET", "/v1/net/capture?max_bytes=1073741825", ""), 400);
	view.network.linked = false;
}

static void live_settings(void **state)
{
	assert_int_equal(ask("PATCH", "/v1/settings", "{\"egress\":\"deny\",\"network-rules\":[\"allow 10.0.0.1\"]}"), 200);
	assert_int_equal(last.action, API_SETTINGS);
	assert_int_equal(json_array_size(json_object_get(last.body, "changed")), 2);
	assert_int_equal(json_array_size(json_object_get(last.body, "needs_restart")), 0);
	assert_int_equal(ask("PATCH", "/v1/settings", "{\"network-subnet\":\"10.9.8.0/24\"}"), 200);
	assert_int_equal(json_array_size(json_object_get(last.body, "needs_restart")), 1);
	assert_int_equal(ask("PATCH", "/v1/settings", "{\"egress\":\"deny\"}"), 200);
	assert_int_equal(last.action, API_NOTHING);
	assert_int_equal(ask("PATCH", "/v1/settings", "{\"network-rules\":[\"allow 10.0.0.300\"]}"), 400);
	assert_string_equal(error_of("code"), "SETTING_RANGE");
}

static void oneshot(void **state)
{
	view.oneshot = true;
	view.state = MACHINE_OFF;
	assert_int_equal(ask("POST", "/v1/stop", ""), 409);
	assert_string_equal(error_of("code"), "NOT_RUNNING");
	assert_int_equal(ask("PATCH", "/v1/settings", "{\"cpus\":2}"), 200);
	assert_int_equal(json_array_size(json_object_get(last.body, "needs_restart")), 0);
	assert_int_equal(ask("GET", "/v1/settings/cpus", ""), 200);
	assert_true(json_is_null(json_object_get(last.body, "in_force")));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(routing), T(stop_bodies), T(settings), T(broken_file), T(status_members),
		T(network_routes), T(live_settings), T(oneshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
