/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve: see serve.h. Called by main.c only. Never waits: the engine's socket is connected to without blocking.
 */
#include "guest/agent/serve.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"

/* Out of memory or descriptors: pause instead of spinning on a listener that stays ready. */
enum { ACCEPT_BATCH = 32, BACKLOG = 4096, PAUSE_US = 100000 };
/* A host side that was restarted has forgotten the connection and says so to the probe. */
enum { KEEP_IDLE_S = 60, KEEP_INTERVAL_S = 10, KEEP_COUNT = 3 };

struct serve {
	struct relay_set *set;
	struct loop_source *source, *pause;
	int fd;
	struct sockaddr_un engine; /* sun_path empty: echo */
};

static void set_keepalive(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S},
		{IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S},
		{IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT},
	};

	/* Without it a dead peer is only found later. */
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
}

static void serve_one_consume(struct serve *serve, int fd)
{
	_cleanup_close_ int engine_fd = -EBADF;
	int r;

	if (relay_set_full(serve->set)) {
		relay_refuse_consume(serve->set, fd);
		log_limited(LOG_WARNING, "connection refused: all relays are in use");
		return;
	}
	set_keepalive(fd);
	if (!serve->engine.sun_path[0]) {
		r = relay_echo_consume(serve->set, fd);
		if (r < 0)
			log_limited(LOG_WARNING, "echo connection failed: %s", strerror(-r));
		return;
	}
	engine_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (engine_fd < 0 ||
	    connect(engine_fd, (const struct sockaddr *)&serve->engine, sizeof(serve->engine)) < 0) {
		r = error_errno();
		relay_refuse_consume(serve->set, fd);
		log_limited(LOG_WARNING, "connection refused: engine socket: %s", strerror(-r));
		return;
	}
	r = relay_join_consume(serve->set, fd, take_fd(engine_fd));
	if (r < 0)
		log_limited(LOG_WARNING, "connection failed: %s", strerror(-r));
}

static int on_pause_over(void *data)
{
	struct serve *serve = data;

	return loop_source_set_events(serve->source, EPOLLIN);
}

static int on_listener(void *data, int listen_fd, uint32_t events _unused_)
{
	struct serve *serve = data;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			serve_one_consume(serve, fd);
			continue;
		}
		if (errno == EAGAIN)
			return 0;
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			log_limited(LOG_WARNING, "accepting paused: %s", strerror(errno));
			loop_timer_set(serve->pause, PAUSE_US);
			return loop_source_set_events(serve->source, 0);
		}
		/* Anything else is about the one connection that was to be accepted. */
	}
	return 0;
}

int serve_new(struct loop *loop, struct relay_set *set, const struct serve_plan *plan, struct serve **ret)
{
	_cleanup_(serve_freep) struct serve *serve = calloc(1, sizeof(*serve));
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(plan->ip),
				  .sin_port = htons(plan->port)};
	int on = 1, r;

	if (!serve)
		return trace(-ENOMEM);
	serve->fd = -EBADF;
	serve->set = set;
	serve->engine.sun_family = AF_UNIX;
	if (plan->unix_path) {
		size_t len = strlen(plan->unix_path);

		if (len == 0 || len >= sizeof(serve->engine.sun_path))
			return trace(-EINVAL);
		memcpy(serve->engine.sun_path, plan->unix_path, len + 1);
	}
	serve->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (serve->fd < 0)
		return trace(error_errno());
	if (setsockopt(serve->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(serve->fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(serve->fd, BACKLOG) < 0)
		return trace(error_errno());
	r = loop_add_fd(loop, serve->fd, EPOLLIN, on_listener, serve, &serve->source);
	if (r < 0)
		return trace(r);
	r = loop_add_timer(loop, on_pause_over, serve, &serve->pause);
	if (r < 0)
		return trace(r);
	*ret = take_ptr(serve);
	return 0;
}

struct serve *serve_free(struct serve *serve)
{
	if (!serve)
		return NULL;
	loop_source_free(serve->source);
	loop_source_free(serve->pause);
	fd_close(serve->fd);
	free(serve);
	return NULL;
}

int serve_port(const struct serve *serve)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	if (getsockname(serve->fd, (struct sockaddr *)&sin, &len) < 0)
		return trace(error_errno());
	return ntohs(sin.sin_port);
}
