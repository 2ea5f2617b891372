/* SPDX-License-Identifier: Apache-2.0 */
/* publish: see publish.h. */
#include "guest/port-proxy/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "proto/agent.h"

enum { PAUSE_ABSENT_US = 100000, PAUSE_REFUSED_US = 1000000, PAUSE_REFUSED_MAX_US = 32000000 };

struct publish {
	struct loop *loop;
	struct publish_config config;
	struct loop_source *source, *retry;
	int fd;
	uint64_t refused_us; /* pause after the next refusal */
};

static void again(struct publish *p, uint64_t pause_us)
{
	p->source = loop_source_free(p->source);
	p->fd = fd_close(p->fd);
	loop_timer_set(p->retry, pause_us);
}

static int on_agent(void *data, int fd, uint32_t events _unused_)
{
	struct publish *p = data;
	struct port_link_answer a;
	ssize_t n = recv(fd, &a, sizeof(a), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != (ssize_t)sizeof(a) || a.magic != PORT_LINK_MAGIC) {
		again(p, PAUSE_ABSENT_US);
		return 0;
	}
	if (a.status == AGENT_PORT_OK) {
		p->refused_us = PAUSE_REFUSED_US;
	} else {
		again(p, p->refused_us);
		p->refused_us = p->refused_us * 2 < PAUSE_REFUSED_MAX_US ? p->refused_us * 2 : PAUSE_REFUSED_MAX_US;
	}
	p->config.answer(p->config.data, a.status);
	return 0;
}

static int connect_agent(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return trace(error_errno());
	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >= sizeof(address.sun_path))
		return trace(-ENAMETOOLONG);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno();
	return take_fd(fd);
}

static int on_retry(void *data)
{
	struct publish *p = data;

	p->fd = connect_agent(p->config.path);
	if (p->fd < 0 || loop_add_fd(p->loop, p->fd, EPOLLIN, on_agent, p, &p->source) < 0) {
		again(p, PAUSE_ABSENT_US);
		return 0;
	}
	/* An agent that has no room answers and closes before it reads: its answer is there all the same. */
	(void)send(p->fd, &p->config.request, sizeof(p->config.request), MSG_NOSIGNAL);
	return 0;
}

int publish_new(struct loop *loop, const struct publish_config *config, struct publish **ret)
{
	struct publish *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return trace(-ENOMEM);
	p->loop = loop;
	p->config = *config;
	p->fd = -EBADF;
	p->refused_us = PAUSE_REFUSED_US;
	r = loop_add_timer(loop, on_retry, p, &p->retry);
	if (!r)
		r = loop_timer_set(p->retry, 0);
	if (r) {
		publish_free(p);
		return trace(r);
	}
	*ret = p;
	return 0;
}

struct publish *publish_free(struct publish *p)
{
	if (!p)
		return NULL;
	loop_source_free(p->source);
	loop_source_free(p->retry);
	fd_close(p->fd);
	free(p);
	return NULL;
}
