/* SPDX-License-Identifier: Apache-2.0 */
/* launch: see launch.h. */
#include "ui/cli/launch.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/spawn.h"
#include "base/text.h"

enum { WORDS_MAX = 4096, EXIT_WAIT_TICKS = 50, LOG_BYTES_MAX = 5 << 20 };
enum { BACKEND_EXIT_FAULT = 1, BACKEND_EXIT_OTHER = 3 };

extern char **environ;

struct launch {
	int pipe_fd;
	int pidfd;
	char words[WORDS_MAX];
	size_t len;
};

static int spawn_backend(struct launch *l, struct fault *fault)
{
	_cleanup_free_ char *program = NULL;
	_cleanup_close_ int write_fd = -EBADF;
	static char name[] = "caisson-backend";
	char *argv[] = {name, NULL};
	int fds[2], r = cli_program(name, &program);
	pid_t pid;

	if (r < 0)
		return fault_set(fault, r, "The program caisson-backend was not found beside this one; is the installation complete?");
	if (pipe2(fds, O_CLOEXEC) < 0)
		return fault_set(fault, error_errno(), "No pipe could be made (%s).", strerror(errno));
	l->pipe_fd = fds[0];
	write_fd = fds[1];
	(void)fd_set_nonblock(l->pipe_fd, true);

	struct spawn_plan plan = {.program = program, .argv = argv, .envp = environ, .stdin_fd = -EBADF,
				  .stdout_fd = -EBADF, .stderr_fd = write_fd, .flags = SPAWN_OUTLIVE | SPAWN_SETSID};
	r = spawn_start(&plan, &pid, &l->pidfd);
	if (r < 0)
		return fault_set(fault, r, "%s could not be started (%s); is the installation complete?", program,
				 strerror(-r));
	return 0;
}

/* Takes what the pipe has. Return: 1 at its end, 0 otherwise. */
static int read_words(struct launch *l)
{
	char spill[256];

	for (;;) {
		bool full = l->len == sizeof(l->words) - 1;
		ssize_t n = read(l->pipe_fd, full ? spill : l->words + l->len,
				 full ? sizeof(spill) : sizeof(l->words) - 1 - l->len);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : 1;
		if (n == 0)
			return 1;
		l->len += full ? 0 : (size_t)n;
	}
}

/* Has the backend ended? Return: true with its exit code (128 + signal). */
static bool has_ended(const struct launch *l, int *ret_code)
{
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)l->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
		return false;
	*ret_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return true;
}

/* A backend that listened and failed at once has left its reason with the state of the last run. */
static void ask_last_fault(const struct cli *cli, struct fault *fault)
{
	struct fault ignored = FAULT_INIT;
	struct api api = API_INIT;
	_cleanup_json_ json_t *status = NULL;
	const char *message = NULL;

	if (api_open_oneshot(cli, &api, &ignored) == 0 &&
	    api_call(&api, "GET", "/v1/status", NULL, &status, &ignored) == 0)
		message = json_text(json_object_get(status, "fault"), "message", NULL);
	api_close(&api);
	if (message)
		fault_set(fault, -EIO, "%s", message);
}

/* The sentence of a backend that ended with CODE; FAULT stays empty when it left none. */
static void set_words(const struct cli *cli, const struct launch *l, int code, struct fault *fault)
{
	static const char prefix[] = "caisson-backend: ";
	size_t len = l->len, start = text_after(l->words, prefix) ? strlen(prefix) : 0;

	while (len > start && l->words[len - 1] == '\n')
		len--;
	if (len > start)
		fault_set(fault, -EIO, "%.*s", (int)(len - start), l->words + start);
	else if (code == BACKEND_EXIT_FAULT)
		ask_last_fault(cli, fault);
}

/* After the end of the pipe: it either listens, or is about to have ended. */
static enum launch_result conclude(const struct cli *cli, struct follow *f, struct launch *l, struct fault *fault)
{
	int code = 0;

	for (int i = 0; i < EXIT_WAIT_TICKS; i++) {
		struct api api = API_INIT;

		if (has_ended(l, &code)) {
			set_words(cli, l, code, fault);
			return code == BACKEND_EXIT_OTHER ? LAUNCH_OTHER : LAUNCH_FAILED;
		}
		if (!l->len && api_open(cli, &api, fault) == 0) {
			api_close(&api);
			return LAUNCH_STARTED;
		}
		if (follow_sleep(f) == FOLLOW_SIGNAL)
			break;
	}
	(void)spawn_kill(l->pidfd, SIGTERM);
	fault_set(fault, -ETIMEDOUT, "The backend started but does not listen on its socket; it was ended again.");
	return LAUNCH_FAILED;
}

enum launch_result launch_backend(const struct cli *cli, struct follow *f, struct fault *fault)
{
	struct launch l = {.pipe_fd = -EBADF, .pidfd = -EBADF};
	enum launch_result result = LAUNCH_FAILED;
	int r = spawn_backend(&l, fault);

	while (r == 0) {
		enum follow_result w;

		if (read_words(&l)) {
			result = conclude(cli, f, &l, fault);
			break;
		}
		w = follow_sleep(f);
		if (w != FOLLOW_SIGNAL && w != FOLLOW_DEADLINE)
			continue;
		(void)spawn_kill(l.pidfd, SIGTERM);
		result = w == FOLLOW_SIGNAL ? LAUNCH_SIGNAL : LAUNCH_DEADLINE;
		break;
	}
	fd_close(l.pipe_fd);
	fd_close(l.pidfd);
	return result;
}

void launch_print_log_end(const struct cli *cli, const char *name, size_t n)
{
	_cleanup_close_ int dir_fd = cli_open_dir(cli, "log", false);
	_cleanup_free_ char *text = NULL;
	char safe[OUTPUT_TEXT_MAX];
	size_t len = 0, start;

	if (dir_fd < 0 || fd_read_file(dir_fd, name, LOG_BYTES_MAX, &text, &len) < 0 || !len)
		return;
	while (len && text[len - 1] == '\n')
		text[--len] = '\0';
	for (start = len; start && n; start--)
		if (text[start - 1] == '\n' && --n == 0)
			break;
	fprintf(stderr, "The last lines of %s/log/%s:\n", cli->state, name);
	for (char *p = text + start, *end; *p; p = end + (*end == '\n')) {
		end = p + strcspn(p, "\n");
		text_escape(safe, sizeof(safe), p, (size_t)(end - p));
		fprintf(stderr, "  %s\n", safe);
	}
}
