/* SPDX-License-Identifier: Apache-2.0 */
/* main of caisson-backend: options, the refusal of root, signals, exit codes (docs/protocol/backend-api.md). */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "backend/oneshot.h"
#include "backend/session.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"

enum { EXIT_USAGE = 2, EXIT_ROOT = 5, STOP_TIMEOUT_S = 60, ONESHOT_FD = 3 };

enum option { OPTION_FOREGROUND, OPTION_ONESHOT, OPTION_VERSION, OPTION_HELP, OPTION_MAX };
static const char *const option_names[] = {
	[OPTION_FOREGROUND] = "--foreground",
	[OPTION_ONESHOT] = "--oneshot-api",
	[OPTION_VERSION] = "--version",
	[OPTION_HELP] = "--help",
};
_Static_assert(ARRAY_SIZE(option_names) == OPTION_MAX, "every option has a name");

static const char help_text[] =
	"usage: caisson-backend [--foreground | --oneshot-api | --version | --help]\n"
	"The user's desktop process; normally started by: caisson start\n"
	"  --foreground   keep standard error (the log goes there)\n"
	"  --oneshot-api  serve one API connection on descriptor 3 without starting anything\n";

/* Return: 0; EXIT_USAGE after a sentence. */
static int parse_options(int argc, char **argv, bool given[static OPTION_MAX])
{
	for (int i = 1; i < argc; i++) {
		unsigned int o = 0;
		char safe[128];
		const char *nearest;

		while (o < OPTION_MAX && strcmp(argv[i], option_names[o]))
			o++;
		if (o < OPTION_MAX) {
			given[o] = true;
			continue;
		}
		nearest = text_nearest(argv[i], option_names, OPTION_MAX);
		text_escape(safe, sizeof(safe), argv[i], strlen(argv[i]));
		fprintf(stderr, "caisson-backend: unknown option %s%s%s\n", safe, nearest ? "; did you mean " : "",
			nearest ? nearest : "");
		return EXIT_USAGE;
	}
	return 0;
}

static int on_signal(void *data, int signo)
{
	struct session *session = data;

	session_stop(session, session_is_stopping(session), STOP_TIMEOUT_S);
	return 0;
}

static int report(const struct fault *fault, int code)
{
	fprintf(stderr, "caisson-backend: %s\n", fault->text);
	return code;
}

static int run_oneshot(struct loop *loop)
{
	struct fault fault = FAULT_INIT;

	log_open("com.docker.backend", STDERR_FILENO, LOG_WARNING);
	if (oneshot_serve_consume(loop, ONESHOT_FD, &fault) < 0)
		return report(&fault, SESSION_EXIT_FAULT);
	return 0;
}

static int run_session(struct loop *loop, bool foreground)
{
	struct session *session = NULL;
	struct fault fault = FAULT_INIT;
	int r;

	log_open("com.docker.backend", STDERR_FILENO, getenv("CAISSON_TRACE") ? LOG_DEBUG : LOG_INFO);
	r = session_open(loop, &session, &fault);
	if (r != 0)
		return report(&fault, r > 0 ? r : SESSION_EXIT_FAULT);
	r = loop_add_signal(loop, SIGTERM, on_signal, session, NULL);
	if (r >= 0)
		r = loop_add_signal(loop, SIGINT, on_signal, session, NULL);
	if (r >= 0)
		r = session_launch(session, foreground);
	if (r >= 0)
		r = loop_run(loop);
	if (r < 0)
		(void)log_errno(r, "the backend cannot go on");
	session_free(session);
	return r < 0 ? SESSION_EXIT_FAULT : r;
}

int main(int argc, char **argv)
{
	bool given[OPTION_MAX] = {false};
	struct loop *loop = NULL;
	int keep = ONESHOT_FD, r;

	r = parse_options(argc, argv, given);
	if (r)
		return r;
	if (given[OPTION_HELP] || given[OPTION_VERSION]) {
		fputs(given[OPTION_HELP] ? help_text : "caisson-backend " CAISSON_VERSION "\n", stdout);
		return 0;
	}
	if (fd_populate_std() < 0)
		return SESSION_EXIT_FAULT;
	if (geteuid() == 0 || getuid() == 0) {
		fputs("caisson-backend: it refuses to run as root: start it as the user whose containers these are.\n", stderr);
		return EXIT_ROOT;
	}
	/* Nothing this process starts may gain rights by exec; the whole desktop inherits it. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		perror("caisson-backend: giving up new privileges");
		return SESSION_EXIT_FAULT;
	}
	/* Everything made here is the user's alone. A peer that goes away is an error code, not a signal. */
	umask(077);
	(void)signal(SIGPIPE, SIG_IGN);
	r = fd_close_others(&keep, given[OPTION_ONESHOT]);
	if (r >= 0)
		r = loop_new(&loop);
	if (r < 0) {
		(void)log_errno(r, "starting");
		return SESSION_EXIT_FAULT;
	}
	r = given[OPTION_ONESHOT] ? run_oneshot(loop) : run_session(loop, given[OPTION_FOREGROUND]);
	loop_free(loop);
	return r;
}
