/* SPDX-License-Identifier: Apache-2.0 */
/* status and version: what the backend says, for people and for programs. */
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/path.h"
#include "base/text.h"
#include "ui/cli/api.h"

enum { IMAGE_JSON_MAX = 65536 };

static void row(const struct cli *cli, const char *name, const char *text)
{
	char safe[OUTPUT_TEXT_MAX];

	printf("%s%-13s%s %s\n", output_style(&cli->out, STYLE_BOLD), name, output_style(&cli->out, STYLE_NONE),
	       output_safe(safe, sizeof(safe), text));
}

static void format_duration(char *dst, size_t size, int64_t ms)
{
	long long s = ms / 1000;

	if (s < 60)
		snprintf(dst, size, "%lld s", s);
	else if (s < 3600)
		snprintf(dst, size, "%lld min %lld s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(dst, size, "%lld h %lld min", s / 3600, s / 60 % 60);
	else
		snprintf(dst, size, "%lld d %lld h", s / 86400, s / 3600 % 24);
}

static void print_state(const struct cli *cli, const json_t *status)
{
	const char *state = json_text(status, "state", "unknown");
	const json_t *fault = json_object_get(status, "fault");
	int64_t ms = json_number(status, "uptime_ms", -1);
	char line[512], duration[64];

	if (ms >= 0 && strcmp(state, "off") != 0) {
		format_duration(duration, sizeof(duration), ms);
		snprintf(line, sizeof(line), "%s (for %s)", state, duration);
	} else {
		snprintf(line, sizeof(line), "%s", state);
	}
	row(cli, "Desktop", strcmp(state, "off") ? line : "stopped");
	if (json_is_object(fault))
		row(cli, strcmp(state, "off") ? "Fault" : "Last run", json_text(fault, "message", "failed"));
}

static void print_vm(const struct cli *cli, const json_t *status)
{
	const json_t *settings = json_object_get(status, "settings"), *disk = json_object_get(status, "disk");
	const json_t *memory = json_object_get(status, "memory"), *accel = json_object_get(status, "accelerator");
	int64_t mib = json_number(settings, "MemoryMiB", 0), available = json_number(memory, "available_bytes", -1);
	int64_t used = json_number(disk, "used_bytes", -1), size = json_number(disk, "size_bytes", -1);
	const char *accel_used = json_text(accel, "used", NULL), *reason = json_text(accel, "reason", "");
	char line[1024], a[32], b[32];
	int n;

	n = snprintf(line, sizeof(line), "%lld CPUs, %s memory", (long long)json_number(settings, "Cpus", 0),
		     text_format_size(a, sizeof(a), mib > 0 ? (uint64_t)mib << 20 : 0));
	if (available >= 0 && n > 0)
		snprintf(line + n, sizeof(line) - (size_t)n, " (%s available)",
			 text_format_size(a, sizeof(a), (uint64_t)available));
	row(cli, "VM", line);
	if (used >= 0 && size >= 0) {
		snprintf(line, sizeof(line), "%s used of %s: %s", text_format_size(a, sizeof(a), (uint64_t)used),
			 text_format_size(b, sizeof(b), (uint64_t)size), json_text(disk, "path", ""));
		row(cli, "Disk", line);
	}
	if (accel_used) {
		snprintf(line, sizeof(line), "%s (setting: %s)%s%s", accel_used, json_text(accel, "setting", "auto"),
			 reason[0] ? ": " : "", reason);
		row(cli, "Accelerator", line);
		row(cli, "Isolation", json_text(status, "isolation", "unknown"));
	}
}

static void print_network(const struct cli *cli, const json_t *status)
{
	const json_t *net = json_object_get(status, "network");
	const char *moved = json_text(net, "moved_from", NULL), *overlaps = json_text(net, "overlaps", NULL);
	const char *proxy = json_text(net, "proxy", "");
	char line[1024];

	if (!json_is_object(net))
		return;
	snprintf(line, sizeof(line), "%s%s%s%s, IPv6 %s, egress %s, %lld published ports%s", json_text(net, "subnet", "?"),
		 moved ? " (moved from " : "", moved ? moved : "", moved ? ", which a route of this computer overlaps)" : "",
		 json_flag(net, "ipv6") ? "on" : "off", json_text(net, "egress", "?"), (long long)json_number(net, "ports", 0),
		 json_flag(net, "linked") ? "" : "; the network process does not run");
	row(cli, "Network", line);
	if (overlaps) {
		snprintf(line, sizeof(line), "overlaps this computer's route to %s; a restart moves it", overlaps);
		row(cli, "", line);
	}
	snprintf(line, sizeof(line), "%s%s%s", json_text(net, "proxy_mode", "?"), *proxy ? ": " : "", proxy);
	row(cli, "Proxy", line);
}

static void print_engine(const struct cli *cli, const json_t *status)
{
	const json_t *engine = json_object_get(status, "engine"), *context = json_object_get(status, "context");
	const json_t *mode = json_object_get(status, "mode");
	char line[1024];

	snprintf(line, sizeof(line), "%s, unix://%s", json_flag(engine, "ready") ? "ready" : "not ready",
		 json_text(engine, "socket", ""));
	row(cli, "Engine", line);
	snprintf(line, sizeof(line), "%s, %s", json_text(context, "name", "desktop-linux"),
		 json_flag(context, "current") ? "current" : "not current");
	row(cli, "Context", line);
	if (json_text(context, "warning", NULL))
		row(cli, "", json_text(context, "warning", ""));
	if (json_text(mode, "name", NULL)) {
		snprintf(line, sizeof(line), "%s (%s)", json_text(mode, "name", ""), json_text(mode, "reason", ""));
		row(cli, "Mode", line);
	}
}

static void print_restart(const struct cli *cli, const json_t *status)
{
	const json_t *list = json_object_get(status, "needs_restart");
	char line[512] = "";
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list) && n < sizeof(line); i++) {
		const char *key = json_string_value(json_array_get(list, i));

		n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s", i ? ", " : "", key ? key : "?");
	}
	if (!line[0])
		return;
	row(cli, "Changed", line);
	printf("%-13s in force after '%s restart'\n", "", cli->program);
}

static void print_pretty(const struct cli *cli, const json_t *status)
{
	bool off = !strcmp(json_text(status, "state", "off"), "off");

	print_state(cli, status);
	if (!off) {
		print_engine(cli, status);
		print_vm(cli, status);
		print_network(cli, status);
		print_restart(cli, status);
	}
	if (json_text(json_object_get(status, "paths"), "log", NULL))
		row(cli, "Logs", json_text(json_object_get(status, "paths"), "log", ""));
}

/* JSON for programs is ASCII: nothing in it can drive a terminal. */
static void print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER);
	putchar('\n');
}

int run_status(struct cli *cli, const struct invocation *inv)
{
	struct fault fault = FAULT_INIT;
	struct api api = API_INIT;
	_cleanup_json_ json_t *status = NULL;
	bool running = false;
	int r = api_open_any(cli, &api, &running, &fault);

	if (r == 0)
		r = api_call(&api, "GET", "/v1/status", NULL, &status, &fault);
	api_close(&api);
	if (r != 0)
		return cli_failed(cli, &fault, r);
	if (option_wants_json(inv))
		print_json(status);
	else
		print_pretty(cli, status);
	return strcmp(json_text(status, "state", ""), "running") ? CLI_NOT_RUNNING : CLI_OK;
}

/* What the image beside this installation says about itself. Return: object (caller releases) or NULL. */
static json_t *read_image(void)
{
	_cleanup_free_ char *dir = NULL, *text = NULL;
	_cleanup_close_ int dir_fd = -EBADF;
	size_t len;

	if (path_beside_self("../share/caisson/image", &dir) < 0)
		return NULL;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || fd_read_file(dir_fd, "image.json", IMAGE_JSON_MAX, &text, &len) < 0)
		return NULL;
	return json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
}

static json_t *read_backend(struct cli *cli)
{
	struct fault fault = FAULT_INIT;
	struct api api = API_INIT;
	json_t *version = NULL;

	if (!cli->state || geteuid() == 0)
		return NULL;
	if (api_open(cli, &api, &fault) == 0 && api_call(&api, "GET", "/v1/version", NULL, &version, &fault) != 0) {
		json_decref(version);
		version = NULL;
	}
	api_close(&api);
	return version;
}

static void print_version(const struct cli *cli, const json_t *backend, const json_t *image)
{
	const char *running = json_text(backend, "caisson", NULL);
	char line[256];

	printf("caisson %s\n", CAISSON_VERSION);
	if (running) {
		snprintf(line, sizeof(line), "%s, API %lld, process %lld", running,
			 (long long)json_number(backend, "api", 0), (long long)json_number(backend, "pid", 0));
		row(cli, "Backend", line);
	} else {
		row(cli, "Backend", "not running");
	}
	if (running && strcmp(running, CAISSON_VERSION) != 0)
		output_note(&cli->out, "The running backend is of another version; '%s restart' changes to this one.",
			    cli->program);
	if (image) {
		row(cli, "Engine", json_text(image, "engine", "unknown"));
		row(cli, "Kernel", json_text(image, "kernel_release", "unknown"));
		row(cli, "Image", json_text(image, "recipe", "unknown"));
	} else {
		row(cli, "Image", "not installed");
	}
}

int run_version(struct cli *cli, const struct invocation *inv)
{
	_cleanup_json_ json_t *backend = read_backend(cli), *image = read_image();
	_cleanup_json_ json_t *all = NULL;

	if (!option_wants_json(inv)) {
		print_version(cli, backend, image);
		return CLI_OK;
	}
	all = json_pack("{s:s,s:O?,s:{s:s?,s:s?,s:s?}}", "caisson", CAISSON_VERSION, "backend", backend, "image",
			"recipe", json_text(image, "recipe", NULL), "engine", json_text(image, "engine", NULL),
			"kernel_release", json_text(image, "kernel_release", NULL));
	if (!all)
		return cli_failed(cli, NULL, -ENOMEM);
	print_json(all);
	return CLI_OK;
}
