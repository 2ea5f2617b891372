/* SPDX-License-Identifier: Apache-2.0 */
/* check: runs `caisson-machine --check` and shows its list. The machine decides; this only prints. */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/spawn.h"
#include "ui/cli/api.h"

enum { CHECK_TEXT_MAX = 256 * 1024 };

extern char **environ;

/* Reads FD to its end. Return: length, -EMSGSIZE, -errno. */
static ssize_t read_all(int fd, char *dst, size_t size)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = len < size ? read(fd, dst + len, size - len) : -1;

		if (len == size)
			return -EMSGSIZE;
		if (n < 0 && errno != EINTR)
			return error_errno();
		if (n == 0)
			return (ssize_t)len;
		len += n > 0 ? (size_t)n : 0;
	}
}

/* What is set, for the memory and disk checks; 0 where it cannot be known. Return: 0, or not with FAULT. */
static int read_settings(const struct cli *cli, int64_t *memory_mib, int64_t *disk_mib, struct fault *fault)
{
	struct api api = API_INIT;
	_cleanup_json_ json_t *all = NULL;
	const json_t *setting;
	bool running = false;
	size_t i;
	int r = api_open_any(cli, &api, &running, fault);

	if (r == 0)
		r = api_call(&api, "GET", "/v1/settings", NULL, &all, fault);
	api_close(&api);
	json_array_foreach(json_object_get(all, "settings"), i, setting) {
		if (!strcmp(json_text(setting, "key", ""), "MemoryMiB"))
			*memory_mib = json_number(setting, "value", 0);
		if (!strcmp(json_text(setting, "key", ""), "DiskSizeMiB"))
			*disk_mib = json_number(setting, "value", 0);
	}
	return r;
}

/* Runs the machine's check. Return: its JSON array (caller releases), NULL with FAULT. */
static json_t *run_machine(const struct cli *cli, int64_t memory_mib, int64_t disk_mib, struct fault *fault)
{
	_cleanup_free_ char *program = NULL, *text = malloc(CHECK_TEXT_MAX);
	_cleanup_close_ int read_fd = -EBADF, write_fd = -EBADF, pidfd = -EBADF;
	static char name[] = "caisson-machine", option[] = "--check";
	char data[PATH_MAX + 32], memory[64], disk[64];
	char *argv[] = {name, option, data, memory, disk, NULL};
	siginfo_t info;
	json_t *json;
	ssize_t n;
	pid_t pid;
	int fds[2], r = text ? cli_program(name, &program) : -ENOMEM;

	if (r >= 0 && pipe2(fds, O_CLOEXEC) < 0)
		r = error_errno();
	if (r < 0) {
		fault_set(fault, r, "The check could not be started (%s).", strerror(-r));
		return NULL;
	}
	read_fd = fds[0];
	write_fd = fds[1];
	snprintf(data, sizeof(data), "--data-dir=%s/vms/0/data", cli->state);
	snprintf(memory, sizeof(memory), "--memory-mib=%lld", (long long)memory_mib);
	snprintf(disk, sizeof(disk), "--disk-mib=%lld", (long long)disk_mib);

	struct spawn_plan plan = {.program = program, .argv = argv, .envp = environ, .stdin_fd = -EBADF,
				  .stdout_fd = write_fd, .stderr_fd = STDERR_FILENO};
	r = spawn_start(&plan, &pid, &pidfd);
	if (r < 0) {
		fault_set(fault, r, "%s could not be started (%s); is the installation complete?", program, strerror(-r));
		return NULL;
	}
	write_fd = fd_close(write_fd);
	n = read_all(read_fd, text, CHECK_TEXT_MAX);
	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	json = n > 0 ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (json_is_array(json))
		return json;
	json_decref(json);
	fault_set(fault, -EBADMSG, "%s --check ended (%s %d) without a list.", program,
		  info.si_code == CLD_EXITED ? "code" : "signal", info.si_status);
	return NULL;
}

static enum output_mark mark_of(const char *result)
{
	if (!strcmp(result, "ok"))
		return MARK_OK;
	if (!strcmp(result, "warn"))
		return MARK_WARN;
	return strcmp(result, "skip") ? MARK_FAIL : MARK_SKIP;
}

static void print_item(const struct cli *cli, const json_t *item)
{
	const char *hint = json_text(item, "hint", "");
	char name[128], text[512];

	printf("%s %-32s %s\n", output_mark(&cli->out, mark_of(json_text(item, "result", ""))),
	       output_safe(name, sizeof(name), json_text(item, "title", "?")),
	       output_safe(text, sizeof(text), json_text(item, "detail", "")));
	if (hint[0])
		printf("    %s\n", output_safe(text, sizeof(text), hint));
}

int run_check(struct cli *cli, const struct invocation *inv)
{
	struct fault fault = FAULT_INIT, settings_fault = FAULT_INIT;
	int64_t memory_mib = 0, disk_mib = 0;
	bool failed = read_settings(cli, &memory_mib, &disk_mib, &settings_fault) != 0;
	_cleanup_json_ json_t *list = run_machine(cli, memory_mib, disk_mib, &fault);
	const json_t *item;
	size_t i;

	if (!list)
		return cli_failed(cli, &fault, fault.code);
	json_array_foreach(list, i, item) {
		failed |= mark_of(json_text(item, "result", "")) == MARK_FAIL;
		if (!option_wants_json(inv))
			print_item(cli, item);
	}
	if (settings_fault.text[0])
		output_error(&cli->out, "%s", settings_fault.text);
	if (option_wants_json(inv)) {
		json_dumpf(list, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
	} else {
		printf("\n%s\n", failed ? "Something that is needed is missing." : "This computer can run the desktop.");
	}
	return failed ? CLI_FAILED : CLI_OK;
}
