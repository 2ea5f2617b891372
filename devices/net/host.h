/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host: what the TCP engine knows of the host's side of a flow: one stream socket and five operations.
 *
 * The socket is non-blocking and owned by the flow. The engine itself sends (sendmsg straight from guest
 * memory) and closes; all that depends on the socket's family is here. host-unix.c implements it for the control
 * card; the data card brings a second one. Who may call it: the parts of devices/net.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct flow_key;

/* What open says. PENDING: the socket is connecting, writability decides; the guest's SYN stays unanswered. */
enum host_open { HOST_OPEN_NOW, HOST_OPEN_PENDING, HOST_OPEN_REFUSED, HOST_OPEN_IGNORED, HOST_OPEN_MAX };

struct host_ops {
	/* The guest wants a connection to KEY. *RET_FD is set (owned by the caller) with NOW and PENDING. */
	enum host_open (*open)(void *host, const struct flow_key *key, int *ret_fd);
	/* The pending socket FD is ready. Return: 0 when connected, -errno. */
	int (*opened)(void *host, int fd);
	/* A flow that open() made has ended. */
	void (*closed)(void *host, const struct flow_key *key);
	/* Prepares FD, whatever opened it (buffer size, peeking). Return: 0 or -errno. */
	int (*prepare)(void *host, int fd);
	/* Copies bytes that wait in FD into IOV without taking them, from OFFSET on: OFFSET is the number peeked since the
	 * last rewind minus the number discarded. *RET_MORE: a short count does not mean that nothing is left.
	 * Return: count; 0: end of stream; -EAGAIN; -errno: the connection is dead. */
	ssize_t (*peek)(void *host, int fd, size_t offset, const struct iovec *iov, size_t n_iov, bool *ret_more);
	/* The next peek is at OFFSET. Return: 0 or -errno. */
	int (*rewind)(void *host, int fd, size_t offset);
	/* Takes the first LEN bytes, which were peeked. Return: 0 or -errno. */
	int (*discard)(void *host, int fd, size_t len);
	/* Bytes that FD will take now for sure, and the most it ever will. */
	uint32_t (*window)(void *host, int fd, uint32_t *ret_max);
	/* No more bytes will come from the guest. */
	void (*shutdown)(void *host, int fd);
	/* The guest reset the connection; makes close() tell so where the family can. */
	void (*reset)(void *host, int fd);
};
