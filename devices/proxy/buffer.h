/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffer: bytes on their way between two sockets; memory is held only while there are any.
 *
 * Bounded: BUFFER_SIZE, which is also the longest head this proxy takes. Who may call it: devices/proxy.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { BUFFER_SIZE = 32768 };

struct buffer {
	char *data; /* NULL: empty */
	size_t start, end;
};

static inline size_t buffer_len(const struct buffer *b)
{
	return b->end - b->start;
}
/* Makes room at the end, and memory when there is none. Return: bytes of room; 0: full or no memory. */
size_t buffer_room(struct buffer *b);
void buffer_take(struct buffer *b, size_t n);
/* Frees it; contents are wiped: heads carry credentials. */
void buffer_done(struct buffer *b);
/* All or nothing. Return: 0; -ENOBUFS. */
int buffer_put(struct buffer *b, const void *data, size_t len);
/* Once from FD. Return: bytes; 0: end of file; -EAGAIN; -ENOBUFS: no room; -errno. */
ssize_t buffer_read(struct buffer *b, int fd);
/* To FD until empty or full; frees the memory when empty. Return: 0: empty; -EAGAIN; -errno. */
int buffer_write(struct buffer *b, int fd);
