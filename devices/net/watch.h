/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: one epoll set for all host sockets of all flows, edge-triggered, tagged with flow handles.
 *
 * The set itself is one source of the process's loop. Handles carry a generation, so an event for a flow that has
 * ended in the same round finds nothing. The highest three bits of a handle tell whose it is (UDP_HANDLE, DNS_HANDLE,
 * ECHO_HANDLE, PUBLISH_HANDLE; none: a TCP flow's). Never allocates. Who may call it: the parts of devices/net.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* EVENTS is the epoll set. */
typedef void (*watch_fn)(void *data, uint64_t handle, uint32_t events);

/* Return: descriptor of the set (caller owns) or -errno. */
int watch_new(void);
/* Watches FD (borrowed, ends with its close) for input and end of stream, and for room when OUT. */
int watch_add(int watch_fd, int fd, uint64_t handle, bool out);
/* Changes what FD is watched for; what is ready already is reported again. */
int watch_set(int watch_fd, int fd, uint64_t handle, bool out);
/* Forgets FD, which is still open. Needed before a close when another process holds the same socket. */
void watch_remove(int watch_fd, int fd);
/* Reports what is ready, a bounded number. Never waits. Return: 0 or -errno. */
int watch_dispatch(int watch_fd, watch_fn fn, void *data);
