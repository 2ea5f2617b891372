/* SPDX-License-Identifier: Apache-2.0 */
/* buffer: see the header. Called by devices/proxy; never grows beyond BUFFER_SIZE, never blocks. */
#include "devices/proxy/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"

size_t buffer_room(struct buffer *b)
{
	if (!b->data) {
		b->data = malloc(BUFFER_SIZE);
		b->start = b->end = 0;
		return b->data ? BUFFER_SIZE : 0;
	}
	if (b->start && b->end == BUFFER_SIZE) {
		memmove(b->data, b->data + b->start, buffer_len(b));
		b->end -= b->start;
		b->start = 0;
	}
	return BUFFER_SIZE - b->end;
}

void buffer_done(struct buffer *b)
{
	if (b->data)
		explicit_bzero(b->data, b->end);
	free(b->data);
	*b = (struct buffer){0};
}

void buffer_take(struct buffer *b, size_t n)
{
	b->start += n;
	if (b->start == b->end)
		buffer_done(b);
}

int buffer_put(struct buffer *b, const void *data, size_t len)
{
	if (!len)
		return 0;
	if (buffer_room(b) < len && b->start) {
		memmove(b->data, b->data + b->start, buffer_len(b));
		b->end -= b->start;
		b->start = 0;
	}
	if (buffer_room(b) < len)
		return -ENOBUFS;
	memcpy(b->data + b->end, data, len);
	b->end += len;
	return 0;
}

ssize_t buffer_read(struct buffer *b, int fd)
{
	size_t room = buffer_room(b);
	ssize_t n;

	if (!room)
		return -ENOBUFS;
	do {
		/* Whoever holds the other reference to FD could make it block. */
		n = recv(fd, b->data + b->end, room, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		b->end += (size_t)n;
		return n;
	}
	n = n < 0 ? error_errno() : 0;
	if (!buffer_len(b))
		buffer_done(b);
	return n;
}

int buffer_write(struct buffer *b, int fd)
{
	while (buffer_len(b)) {
		ssize_t n = send(fd, b->data + b->start, buffer_len(b), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno();
		buffer_take(b, (size_t)n);
	}
	return 0;
}
