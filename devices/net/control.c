/* SPDX-License-Identifier: Apache-2.0 */
/* control: see the header. */
#include "devices/net/control.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/chan.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"

static int send_message(struct control *control, const struct device_message *message, const int *fds, size_t n_fds)
{
	uint8_t frame[DEVICE_FRAME_MAX];
	int len = device_encode(message, frame);

	if (len < 0)
		return trace(len);
	return chan_send(control->fd, frame, (size_t)len, fds, n_fds);
}

static int on_readable(void *data, int fd, uint32_t events)
{
	struct control *control = data;
	uint8_t frame[DEVICE_FRAME_MAX];
	struct device_message message;
	size_t n_fds = 0;
	ssize_t n = chan_recv(fd, frame, sizeof(frame), NULL, &n_fds);
	int r;

	if (n == -EAGAIN)
		return 0;
	if (n <= 0) {
		control->ended = true; /* the machine is gone, or talks nonsense */
		return n ? log_errno((int)n, "reading from the machine") : 0;
	}
	r = device_decode(&message, frame, (size_t)n, 0);
	if (r < 0 || message.type != DEVICE_STATS_GET)
		return log_errno(-EBADMSG, "message from the machine");
	message = (struct device_message){.type = DEVICE_STATS};
	control->stats(control->data, &message.stats);
	r = send_message(control, &message, NULL, 0);
	if (r < 0)
		log_limited(LOG_WARNING, "the machine does not read its statistics");
	return 0;
}

int control_start(struct control *control, struct loop *loop, int fd, void (*stats)(void *data, struct device_stats *ret),
		  void *data)
{
	int r = fd_set_nonblock(fd, true);

	*control = (struct control){.fd = fd, .stats = stats, .data = data};
	if (r >= 0)
		r = loop_add_fd(loop, fd, EPOLLIN, on_readable, control, NULL);
	return r < 0 ? trace(r) : 0;
}

int control_ready(struct control *control)
{
	struct device_message message = {.type = DEVICE_READY};
	int r = send_message(control, &message, NULL, 0);

	return r < 0 ? trace(r) : 0;
}

int control_deliver(void *data, uint16_t port, int fd)
{
	struct control *control = data;
	struct device_message message = {.type = DEVICE_FLOW, .flow.port = port};
	int r = send_message(control, &message, &fd, 1);

	fd_close(fd);
	if (r < 0)
		log_limited(LOG_WARNING, "the machine does not take the guest's connection to port %u", port);
	return r;
}
