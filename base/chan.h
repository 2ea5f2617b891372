/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chan: one message with descriptors over a Unix seqpacket socket.
 *
 * Knows no message format; frames are proto/'s business. Descriptors arrive close-on-exec. A message
 * that is longer than the buffer or carries more descriptors than asked for is refused whole and its
 * descriptors are closed. Who may call it: every room.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

enum { CHAN_FDS_MAX = 16 };

/* Sends one record; the descriptors are borrowed. Return: 0; -EAGAIN; -EPIPE; -errno. */
int chan_send(int fd, const void *buf, size_t len, const int *fds, size_t n_fds);
/* Receives one record into BUF[0..SIZE) and up to *N_FDS descriptors into FDS (owned by the caller
 * afterwards); *N_FDS becomes their number. Return: length (0: peer closed); -EAGAIN; -EMSGSIZE: too
 * long or too many descriptors, record dropped; -errno. */
ssize_t chan_recv(int fd, void *buf, size_t size, int *fds, size_t *n_fds);
