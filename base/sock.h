/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock: Unix sockets addressed by directory descriptor and name, so that no path is too long for a
 * socket address and no parent can be swapped in between.
 *
 * Names are single components. All sockets are close-on-exec. Never makes an abstract socket, never
 * touches TCP. Who may call it: every room.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct sock_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

/* Listens on NAME beneath DIR_FD. TYPE is SOCK_STREAM or SOCK_SEQPACKET (may be or-ed with
 * SOCK_NONBLOCK). An existing socket of that name is removed first (a stale one of an earlier boot is
 * never trusted); anything else there is refused with -EEXIST. Mode 0600. Return: descriptor or -errno. */
int sock_listen_at(int dir_fd, const char *name, int type, int backlog);
/* Connects to NAME beneath DIR_FD. Return: descriptor (blocking unless TYPE has SOCK_NONBLOCK) or -errno. */
int sock_connect_at(int dir_fd, const char *name, int type);
/* Return: 0 or -errno; both ends owned by the caller. */
int sock_pair(int type, int ret_fds[static 2]);
/* Identity of the process at the other end, from the kernel (SO_PEERCRED). Return: 0 or -errno. */
int sock_peer(int fd, struct sock_peer *ret);
