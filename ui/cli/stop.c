/* SPDX-License-Identifier: Apache-2.0 */
/* stop and restart: ask the backend, watch its end. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/sock.h"
#include "base/spawn.h"
#include "ui/cli/launch.h"
#include "ui/cli/lifecycle.h"

enum { STOP_TIMEOUT_S = 60, GONE_TICKS = 50 };

int lifecycle_ask_stop(const struct cli *cli, bool force, unsigned int timeout_s, struct fault *fault)
{
	struct api api = API_INIT;
	_cleanup_json_ json_t *body = json_pack("{s:b,s:i}", "force", (int)force, "timeout_s", (int)timeout_s);
	int r;

	if (!body)
		return fault_set(fault, -ENOMEM, "There is not enough memory.");
	r = api_open(cli, &api, fault);
	if (r == 0)
		r = api_call(&api, "POST", "/v1/stop", body, NULL, fault);
	api_close(&api);
	return r > 0 ? -EREMOTEIO : r;
}

/* Return: -1 to go on, otherwise enum cli_exit. */
static int on_signal(struct cli *cli, bool *may_force)
{
	struct fault fault = FAULT_INIT;

	output_clear(&cli->out);
	if (!*may_force) {
		output_note(&cli->out, "No longer waiting; the stop goes on in the background.");
		return CLI_CANCELLED;
	}
	*may_force = false;
	output_note(&cli->out, "Ending the desktop at once.");
	(void)lifecycle_ask_stop(cli, true, 1, &fault);
	return -1;
}

/* Return: -1 to go on, otherwise enum cli_exit. */
static int on_end_event(struct cli *cli, const json_t *event, bool *ended)
{
	const char *kind = json_text(event, "event", "");

	if (!strcmp(kind, "warning") || !strcmp(kind, "fault")) {
		output_clear(&cli->out);
		output_note(&cli->out, "%s", json_text(event, "message", ""));
	}
	*ended |= !strcmp(kind, "end");
	return -1;
}

int lifecycle_wait_end(struct cli *cli, struct follow *f, struct api *api, bool may_force)
{
	uint64_t since = cli_now_us();
	bool ended = false;
	int code = -1;

	while (code < 0) {
		_cleanup_json_ json_t *event = NULL;

		switch (follow_next(f, api, &event)) {
		case FOLLOW_EVENT:
			code = on_end_event(cli, event, &ended);
			break;
		case FOLLOW_TICK:
			output_progress(&cli->out, "stopping", cli_now_us() - since);
			break;
		case FOLLOW_SIGNAL:
			code = on_signal(cli, &may_force);
			break;
		case FOLLOW_DEADLINE:
			output_clear(&cli->out);
			output_error(&cli->out, "The desktop has not stopped yet. The stop goes on in the background; "
				     "'%s stop --force' ends it at once.", cli->program);
			code = CLI_TIMED_OUT;
			break;
		case FOLLOW_ENDED:
			code = CLI_OK;
			break;
		}
	}
	output_clear(&cli->out);
	if (code == CLI_OK && !ended)
		output_note(&cli->out, "The backend ended without a word; it was killed or crashed.");
	return code;
}

/* The stream's end comes a moment before the process's: the lock and socket go with the latter. */
static void wait_gone(const struct cli *cli, struct follow *f)
{
	for (int i = 0; i < GONE_TICKS; i++) {
		struct fault fault = FAULT_INIT;
		struct api api = API_INIT;
		int r = api_open(cli, &api, &fault);

		api_close(&api);
		if (r < 0 || follow_sleep(f) == FOLLOW_DEADLINE)
			return;
	}
}

/* A backend that does not answer any more is killed; the machine then ends the VM in order by itself. */
static int kill_backend(const struct cli *cli)
{
	_cleanup_close_ int dir_fd = cli_open_dir(cli, "run", false), fd = -EBADF, pidfd = -EBADF;
	struct sock_peer peer;
	int r;

	fd = dir_fd < 0 ? dir_fd : sock_connect_at(dir_fd, "backend.sock", SOCK_STREAM | SOCK_NONBLOCK);
	if (fd < 0)
		return fd;
	r = sock_peer(fd, &peer);
	if (r < 0 || peer.uid != geteuid() || peer.pid <= 1)
		return r < 0 ? r : -EPERM;
	pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	return pidfd < 0 ? error_errno() : spawn_kill(pidfd, SIGKILL);
}

int lifecycle_stop(struct cli *cli, struct follow *f, bool force, bool detach)
{
	struct fault fault = FAULT_INIT;
	struct api events = API_INIT;
	int code, r = detach ? 0 : follow_open(cli, &events, &fault);

	if (r == 0)
		r = lifecycle_ask_stop(cli, force, STOP_TIMEOUT_S, &fault);
	if (r == -ENOENT || r == -ECONNRESET) {
		code = CLI_NOT_RUNNING;
	} else if (r == -ETIMEDOUT && force && kill_backend(cli) == 0) {
		output_note(&cli->out, "The backend did not answer and was killed; the machine ends the VM by itself.");
		wait_gone(cli, f);
		code = CLI_OK;
	} else if (r < 0) {
		code = cli_failed(cli, &fault, r);
	} else if (detach) {
		printf("The desktop is stopping in the background.\n");
		code = CLI_OK;
	} else {
		code = lifecycle_wait_end(cli, f, &events, false);
		api_close(&events);
		events = (struct api)API_INIT;
		if (code == CLI_OK)
			wait_gone(cli, f);
	}
	api_close(&events);
	return code;
}

/* Nothing runs: the one-shot API gives back what a killed backend could not (docker context, sockets). */
static void tidy(const struct cli *cli)
{
	struct fault ignored = FAULT_INIT;
	struct api api = API_INIT;

	if (api_open_oneshot(cli, &api, &ignored) == 0)
		(void)api_call(&api, "GET", "/v1/status", NULL, NULL, &ignored);
	api_close(&api);
}

int run_stop(struct cli *cli, const struct invocation *inv)
{
	struct follow follow;
	int code, r = follow_init(&follow, option_value(inv, "timeout")->number);

	if (r < 0)
		return cli_failed(cli, NULL, r);
	code = lifecycle_stop(cli, &follow, option_is(inv, "force"), option_is(inv, "detach"));
	if (code == CLI_NOT_RUNNING) {
		tidy(cli);
		printf("The desktop is not running.\n");
		code = CLI_OK;
	} else if (code == CLI_OK && !option_is(inv, "detach")) {
		printf("The desktop has stopped (%.1f s).\n", (double)(cli_now_us() - follow.started_us) / 1e6);
	}
	follow_done(&follow);
	return code;
}

int run_restart(struct cli *cli, const struct invocation *inv)
{
	const struct option_value *timeout = option_value(inv, "timeout");
	struct follow follow;
	int code, r = follow_init(&follow, timeout->set ? timeout->number : START_TIMEOUT_S);

	if (r < 0)
		return cli_failed(cli, NULL, r);
	cli_install_plugin(cli);
	code = lifecycle_stop(cli, &follow, false, false);
	if (code == CLI_OK)
		printf("The desktop has stopped (%.1f s).\n", (double)(cli_now_us() - follow.started_us) / 1e6);
	if (code == CLI_OK || code == CLI_NOT_RUNNING)
		code = lifecycle_start(cli, &follow, option_is(inv, "detach"));
	follow_done(&follow);
	return code;
}
