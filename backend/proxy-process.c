/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy-process: see the header. What the proxy must know is kept as encoded frames in slots; a slot that changed, or every slot
 * after a start, is due to be sent. Sending goes in slot order and waits for room in the socket, so a table that changes
 * faster than the proxy reads is sent in its last form only.
 *
 * Called by backend. Never parses what the proxy says beyond the codec, never logs a URL.
 */
#include "backend/proxy-process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "backend/proxy-system.h"
#include "base/chan.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/spawn.h"

enum {
	HOSTS_PIECES = NETCTL_HOSTS_MAX / NETCTL_HOSTS_PIECE_MAX + 1,
	BACKOFF_FIRST_US = 100000,
	BACKOFF_MAX_US = 10000000,
	SETTLED_US = 10000000, /* ran that long: the next failure is a new story */
	TEXT_MAX = 1280,
};
/* Order of sending. Settings come last: with them the proxy begins to serve. */
enum slot { SLOT_CONFIG, SLOT_RULES, SLOT_HOST_ADDRS, SLOT_RESOLVERS, SLOT_HOSTS, SLOT_SETTINGS = SLOT_HOSTS + HOSTS_PIECES,
		SLOT_MAX };

struct frame {
	uint8_t *data; /* malloc'ed, NULL: never told */
	size_t len;
	bool due;
};

struct proxy_process {
	struct loop *loop;
	struct proxy_process_config config;
	struct proxy_system *system;
	pid_t pid;
	int pidfd, ctl_fd;
	struct loop_source *child, *ctl, *timer;
	uint32_t ctl_events;
	uint64_t started_us, backoff_us;
	bool stats_due;
	size_t n_hosts;
	struct frame frame[SLOT_MAX];
	char described[TEXT_MAX];
};

static void drop_process(struct proxy_process *p, bool kill)
{
	siginfo_t info;

	p->ctl = loop_source_free(p->ctl);
	p->ctl_fd = fd_close(p->ctl_fd);
	p->child = loop_source_free(p->child);
	if (kill && p->pidfd >= 0) {
		(void)spawn_kill(p->pidfd, SIGKILL);
		(void)waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED);
	}
	p->pidfd = fd_close(p->pidfd);
	p->pid = 0;
}

static void start_later(struct proxy_process *p)
{
	if (loop_now_us() - p->started_us > SETTLED_US)
		p->backoff_us = 0;
	p->backoff_us = p->backoff_us ? p->backoff_us * 2 : BACKOFF_FIRST_US;
	if (p->backoff_us > BACKOFF_MAX_US)
		p->backoff_us = BACKOFF_MAX_US;
	(void)loop_timer_set(p->timer, p->backoff_us);
}

/* Sends what is due until the socket is full. Return: 0: all sent, or later; -errno: the process is not worth talking to. */
static int send_due(struct proxy_process *p)
{
	static const struct proxyctl_message ask = {.type = PROXYCTL_STATS_GET};
	uint8_t frame[PROXYCTL_FRAME_MAX];
	uint32_t events = EPOLLIN;
	int r = 0;

	for (size_t i = 0; i < SLOT_MAX && r >= 0; i++) {
		struct frame *f = &p->frame[i];

		if (!f->due || !f->len)
			continue;
		r = chan_send(p->ctl_fd, f->data, f->len, NULL, 0);
		if (r >= 0)
			f->due = false;
	}
	if (r >= 0 && p->stats_due) {
		r = proxyctl_encode(&ask, frame);
		if (r >= 0)
			r = chan_send(p->ctl_fd, frame, (size_t)r, NULL, 0);
		p->stats_due = r < 0;
	}
	if (r == -EAGAIN) {
		events |= EPOLLOUT;
		r = 0;
	}
	if (r >= 0 && events != p->ctl_events) {
		r = loop_source_set_events(p->ctl, events);
		p->ctl_events = events;
	}
	return r;
}

static int send_or_end(struct proxy_process *p)
{
	int r;

	if (p->ctl_fd < 0)
		return 0;
	r = send_due(p);
	/* Its end is noticed by the child source; a live process that does not take frames is ended. */
	if (r < 0 && p->pidfd >= 0)
		(void)spawn_kill(p->pidfd, SIGKILL);
	return 0;
}

static int receive(struct proxy_process *p)
{
	static struct proxyctl_message message;
	uint8_t frame[PROXYCTL_FRAME_MAX];
	int fds[1];
	size_t n_fds = 0;
	ssize_t n = chan_recv(p->ctl_fd, frame, sizeof(frame), fds, &n_fds);

	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return n < 0 ? (int)n : -EPIPE;
	if (proxyctl_decode(&message, PROXYCTL_TO_BACKEND, frame, (size_t)n, 0) < 0)
		return -EBADMSG;
	if (message.type == PROXYCTL_READY)
		log_info("proxy: caisson-proxy serves (process %d)", (int)p->pid);
	else if (p->config.hooks.stats)
		p->config.hooks.stats(p->config.hooks.data, &message.stats);
	return 0;
}

static int on_ctl(void *data, int fd, uint32_t events)
{
	struct proxy_process *p = data;
	int r = events & EPOLLIN ? receive(p) : 0;

	if (r >= 0 && !(events & (EPOLLHUP | EPOLLERR)))
		return send_or_end(p);
	if (r == -EBADMSG)
		log_warning("proxy: caisson-proxy sent what is no frame; it is started again");
	/* The link is over, the process with it. */
	p->ctl = loop_source_free(p->ctl);
	p->ctl_fd = fd_close(p->ctl_fd);
	if (p->pidfd >= 0)
		(void)spawn_kill(p->pidfd, SIGKILL);
	return 0;
}

static int on_child(void *data, pid_t pid, int status)
{
	struct proxy_process *p = data;

	if (status < 0)
		log_warning("proxy: caisson-proxy was ended by signal %d; it is started again", -status);
	else
		log_warning("proxy: caisson-proxy ended with code %d; it is started again", status);
	drop_process(p, false);
	start_later(p);
	return 0;
}

static int start(struct proxy_process *p)
{
	_cleanup_close_ int ctl_far = -EBADF, link_near = -EBADF, link_far = -EBADF;
	char *const argv[] = {(char *)"caisson-proxy", NULL};
	char *const trace_env[] = {(char *)"CAISSON_TRACE=1", NULL};
	struct spawn_plan plan = {.program = p->config.program, .argv = argv, .stdin_fd = -1, .stdout_fd = -1,
				  .stderr_fd = p->config.log_fd, .n_fds = 2, .flags = SPAWN_NODUMP};
	int pair[2], fds[2], r;

	r = sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, pair);
	if (r < 0)
		return trace(r);
	p->ctl_fd = pair[0];
	ctl_far = pair[1];
	r = sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, pair);
	if (r >= 0) {
		link_near = pair[0];
		link_far = pair[1];
		fds[0] = ctl_far;
		fds[1] = link_far;
		plan.fds = fds;
		plan.envp = getenv("CAISSON_TRACE") ? trace_env : NULL;
		r = spawn_start(&plan, &p->pid, &p->pidfd);
	}
	if (r >= 0)
		r = loop_add_child(p->loop, p->pidfd, p->pid, on_child, p, &p->child);
	p->ctl_events = EPOLLIN;
	if (r >= 0)
		r = loop_add_fd(p->loop, p->ctl_fd, EPOLLIN, on_ctl, p, &p->ctl);
	if (r < 0) {
		drop_process(p, true);
		return trace(r);
	}
	p->started_us = loop_now_us();
	for (size_t i = 0; i < SLOT_MAX; i++)
		p->frame[i].due = true;
	send_or_end(p);
	p->config.hooks.link(p->config.hooks.data, take_fd(link_near));
	return 0;
}

static int on_timer(void *data)
{
	struct proxy_process *p = data;
	int r = start(p);

	if (r < 0) {
		log_limited(LOG_WARNING, "proxy: caisson-proxy cannot be started: %s", strerror(-r));
		start_later(p);
	}
	return 0;
}

int proxy_process_new(struct loop *loop, const struct proxy_process_config *config, struct proxy_process **ret)
{
	struct proxy_process *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return trace(-ENOMEM);
	p->loop = loop;
	p->config = *config;
	p->pidfd = p->ctl_fd = -EBADF;
	r = loop_add_timer(loop, on_timer, p, &p->timer);
	if (r >= 0)
		r = start(p);
	if (r < 0) {
		proxy_process_free(p);
		return trace(r);
	}
	*ret = p;
	return 0;
}

static void drop_frame(struct frame *f)
{
	if (f->data)
		explicit_bzero(f->data, f->len);
	free(f->data);
	*f = (struct frame){0};
}

struct proxy_process *proxy_process_free(struct proxy_process *p)
{
	if (!p)
		return NULL;
	p->system = proxy_system_free(p->system);
	drop_process(p, true);
	p->timer = loop_source_free(p->timer);
	for (size_t i = 0; i < SLOT_MAX; i++)
		drop_frame(&p->frame[i]);
	free(p);
	return NULL;
}

static int keep(struct proxy_process *p, size_t slot, const struct proxyctl_message *message)
{
	uint8_t frame[PROXYCTL_FRAME_MAX];
	struct frame *f = &p->frame[slot];
	int len = proxyctl_encode(message, frame);
	uint8_t *copy;

	if (len < 0)
		return trace(len);
	copy = malloc((size_t)len);
	if (!copy)
		return trace(-ENOMEM);
	memcpy(copy, frame, (size_t)len);
	explicit_bzero(frame, sizeof(frame));
	drop_frame(f);
	*f = (struct frame){copy, (size_t)len, true};
	return send_or_end(p);
}

static int use(struct proxy_process *p, const struct proxyctl_settings *settings)
{
	struct proxyctl_message *message = calloc(1, sizeof(*message));
	char text[TEXT_MAX];
	int r;

	if (!message)
		return trace(-ENOMEM);
	message->type = PROXYCTL_SETTINGS;
	message->settings = *settings;
	r = keep(p, SLOT_SETTINGS, message);
	explicit_bzero(message, sizeof(*message));
	free(message);
	if (r < 0)
		return r;
	proxy_settings_describe(settings, text, sizeof(text));
	if (!strcmp(text, p->described))
		return 0;
	memcpy(p->described, text, sizeof(text));
	if (p->config.hooks.described)
		p->config.hooks.described(p->config.hooks.data, text);
	else
		log_info("proxy: the VM's requests go: %s", text);
	return 0;
}

static void on_system(void *data, const struct proxyctl_settings *settings, const struct fault *fault)
{
	int r;

	if (fault->text[0])
		log_warning("proxy: %s", fault->text);
	r = use(data, settings);
	if (r < 0)
		log_errno(r, "proxy: using the system's settings");
}

int proxy_process_set(struct proxy_process *p, const struct proxy_settings *settings, struct fault *fault)
{
	const char *gsettings = p->config.gsettings ? p->config.gsettings : "/usr/bin/gsettings";
	struct proxyctl_settings *made;
	int r = proxy_settings_check(settings, fault);

	if (r < 0)
		return r;
	if (settings->mode == PROXY_SYSTEM) {
		if (p->system)
			return 0;
		r = proxy_system_new(p->loop, gsettings, on_system, p, &p->system);
		return r < 0 ? fault_set(fault, r, "the system's proxy settings cannot be followed") : 0;
	}
	made = calloc(1, sizeof(*made));
	if (!made)
		return trace(-ENOMEM);
	r = proxy_settings_manual(made, settings, fault);
	if (r >= 0) {
		p->system = proxy_system_free(p->system);
		r = use(p, made);
	}
	explicit_bzero(made, sizeof(*made));
	free(made);
	return r;
}

int proxy_process_tell(struct proxy_process *p, const struct netctl_message *message)
{
	static struct proxyctl_message wrapped;
	size_t slot;

	switch (message->type) {
	case NETCTL_CONFIG:
		slot = SLOT_CONFIG;
		break;
	case NETCTL_RULES:
		slot = SLOT_RULES;
		break;
	case NETCTL_HOST_ADDRS:
		slot = SLOT_HOST_ADDRS;
		break;
	case NETCTL_RESOLVERS:
		slot = SLOT_RESOLVERS;
		break;
	case NETCTL_HOSTS:
		for (size_t i = SLOT_HOSTS; message->hosts.first && i < SLOT_HOSTS + HOSTS_PIECES; i++)
			drop_frame(&p->frame[i]);
		p->n_hosts = message->hosts.first ? 0 : p->n_hosts;
		if (p->n_hosts == HOSTS_PIECES)
			return trace(-EMSGSIZE);
		slot = SLOT_HOSTS + p->n_hosts++;
		break;
	default:
		return 0;
	}
	wrapped.type = PROXYCTL_NET;
	wrapped.net = *message;
	return keep(p, slot, &wrapped);
}

pid_t proxy_process_pid(const struct proxy_process *p)
{
	return p->pid;
}

int proxy_process_ask_stats(struct proxy_process *p)
{
	if (p->ctl_fd < 0)
		return -ENOTCONN;
	p->stats_due = true;
	return send_or_end(p);
}
