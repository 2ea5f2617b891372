/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent-channel: see agent-channel.h.
 */
#include "machine/agent-channel.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/quota.h"

/* The guest may be slow to read the answers to as many ports as there can be. */
enum { IN_SIZE = 4096, OUT_SIZE = (AGENT_PORTS_MAX + 64) * AGENT_FRAME_MAX };

struct agent_channel {
	int fd;
	struct loop_source *source;
	const struct agent_channel_ops *ops;
	void *data;
	bool greeted;
	uint32_t seq;
	struct quota_bucket bucket, port_bucket;
	size_t in_len, out_len;
	uint8_t in[IN_SIZE];
	uint8_t out[OUT_SIZE];
};

struct agent_channel *agent_channel_free(struct agent_channel *channel)
{
	if (!channel)
		return NULL;
	loop_source_free(channel->source);
	fd_close(channel->fd);
	free(channel);
	return NULL;
}

static void shut(struct agent_channel *channel)
{
	channel->source = loop_source_free(channel->source);
	channel->fd = fd_close(channel->fd);
}

static void broken(struct agent_channel *channel, int r, const char *text)
{
	struct fault fault = FAULT_INIT;

	shut(channel);
	fault_set(&fault, r, "%s The machine was stopped, because a VM that does this cannot be trusted.", text);
	channel->ops->broken(channel->data, &fault);
}

static int flush(struct agent_channel *channel)
{
	ssize_t n;

	if (channel->out_len) {
		n = send(channel->fd, channel->out, channel->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return trace(error_errno());
		if (n > 0) {
			channel->out_len -= (size_t)n;
			memmove(channel->out, channel->out + n, channel->out_len);
		}
	}
	return loop_source_set_events(channel->source, EPOLLIN | (channel->out_len ? EPOLLOUT : 0));
}

int agent_channel_send(struct agent_channel *channel, struct agent_message *message)
{
	int r;

	if (channel->fd < 0)
		return trace(-ENOTCONN);
	if (OUT_SIZE - channel->out_len < AGENT_FRAME_MAX)
		return trace(-ENOBUFS);
	message->seq = ++channel->seq;
	r = agent_encode(message, channel->out + channel->out_len);
	if (r < 0)
		return r;
	channel->out_len += (size_t)r;
	return flush(channel);
}

/* Return: true when the message may be handed over. */
static bool admit(struct agent_channel *channel, const struct agent_message *message)
{
	bool port = message->type >= AGENT_PORT_OPEN && message->type <= AGENT_NET;

	if (!quota_bucket_take(port ? &channel->port_bucket : &channel->bucket, loop_now_us())) {
		broken(channel, -EDQUOT, "The VM sent too many messages on the agent channel.");
		return false;
	}
	if (message->type == AGENT_HELLO) {
		if (channel->greeted || message->hello.version != AGENT_VERSION) {
			broken(channel, -EPROTO, channel->greeted ? "The VM greeted twice on the agent channel."
								  : "The VM speaks another version of the agent protocol.");
			return false;
		}
		channel->greeted = true;
	} else if (!channel->greeted) {
		broken(channel, -EPROTO, "The VM did not greet on the agent channel.");
		return false;
	}
	return true;
}

static void parse(struct agent_channel *channel)
{
	size_t off = 0;
	int r;

	for (;;) {
		struct agent_message m;
		int n = agent_decode(&m, AGENT_TO_MACHINE, channel->in + off, channel->in_len - off);

		if (n < 0) {
			broken(channel, -EBADMSG, "The VM sent bytes that are no message on the agent channel.");
			return;
		}
		if (n == 0)
			break;
		off += (size_t)n;
		if (!admit(channel, &m))
			return;
		r = channel->ops->message(channel->data, &m);
		if (r < 0) {
			broken(channel, r, "The VM broke a rule of the agent channel.");
			return;
		}
	}
	channel->in_len -= off;
	memmove(channel->in, channel->in + off, channel->in_len);
}

static int on_ready(void *data, int fd, uint32_t events)
{
	struct agent_channel *channel = data;
	ssize_t n;

	if (events & EPOLLOUT && flush(channel)) {
		shut(channel);
		return 0;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return 0;
	n = recv(fd, channel->in + channel->in_len, IN_SIZE - channel->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		shut(channel); /* QEMU ended: its exit is an event of its own */
		return 0;
	}
	channel->in_len += (size_t)n;
	parse(channel);
	return 0;
}

int agent_channel_new(struct loop *loop, int consume_fd, const struct agent_channel_ops *ops, void *data,
		      struct agent_channel **ret)
{
	struct agent_channel *channel = calloc(1, sizeof(*channel));
	int r;

	if (!channel) {
		fd_close(consume_fd);
		return trace(-ENOMEM);
	}
	channel->fd = consume_fd;
	channel->ops = ops;
	channel->data = data;
	channel->bucket = (struct quota_bucket){
		.rate_per_s = AGENT_CHANNEL_RATE,
		.burst = AGENT_CHANNEL_BURST,
		.tokens = AGENT_CHANNEL_BURST,
		.last_us = loop_now_us(),
	};
	channel->port_bucket = (struct quota_bucket){
		.rate_per_s = AGENT_CHANNEL_PORT_RATE,
		.burst = AGENT_CHANNEL_PORT_BURST,
		.tokens = AGENT_CHANNEL_PORT_BURST,
		.last_us = loop_now_us(),
	};
	r = loop_add_fd(loop, channel->fd, EPOLLIN, on_ready, channel, &channel->source);
	if (r) {
		agent_channel_free(channel);
		return trace(r);
	}
	*ret = channel;
	return 0;
}
