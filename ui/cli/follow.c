/* SPDX-License-Identifier: Apache-2.0 */
/* follow: see follow.h. */
#include "ui/cli/follow.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/fd.h"

int follow_init(struct follow *f, uint64_t timeout_s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return trace(error_errno());
	f->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (f->signal_fd < 0)
		return trace(error_errno());
	f->started_us = cli_now_us();
	f->deadline_us = timeout_s ? f->started_us + timeout_s * 1000000 : UINT64_MAX;
	return 0;
}

void follow_done(struct follow *f)
{
	f->signal_fd = fd_close(f->signal_fd);
}

static enum follow_result wait_any(struct follow *f, int api_fd)
{
	struct pollfd p[] = {{.fd = f->signal_fd, .events = POLLIN}, {.fd = api_fd, .events = POLLIN}};
	struct signalfd_siginfo info;

	(void)poll(p, ARRAY_SIZE(p), FOLLOW_TICK_MS);
	if (read(f->signal_fd, &info, sizeof(info)) == sizeof(info))
		return FOLLOW_SIGNAL;
	if (cli_now_us() >= f->deadline_us)
		return FOLLOW_DEADLINE;
	return p[1].revents ? FOLLOW_EVENT : FOLLOW_TICK;
}

enum follow_result follow_sleep(struct follow *f)
{
	return wait_any(f, -1);
}

enum follow_result follow_next(struct follow *f, struct api *api, json_t **ret)
{
	int r = api_event(api, ret);

	if (r == 0) {
		enum follow_result w = wait_any(f, api->fd);

		if (w != FOLLOW_EVENT)
			return w;
		r = api_event(api, ret);
	}
	if (r < 0)
		return FOLLOW_ENDED;
	return r > 0 ? FOLLOW_EVENT : FOLLOW_TICK;
}

int follow_open(const struct cli *cli, struct api *ret, struct fault *fault)
{
	int r = api_open(cli, ret, fault);

	if (r < 0)
		return r;
	r = api_events(ret, fault);
	if (r < 0) {
		api_close(ret);
		*ret = (struct api)API_INIT;
	}
	return r;
}
