/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uevent: the kernel's word that a block of the sealed root does not match its hash.
 *
 * dm-verity answers such a read with EIO and sends a uevent of the device-mapper disk with
 * DM_VERITY_ERR_BLOCK_NR=<type>,<block>. The socket is opened before the device exists, so that none is
 * missed. Used by guest/init only; the parser is pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A flood of messages (privileged processes of the VM may send, too) must not hold process 1: so many in one call. */
enum { UEVENT_SIZE_MAX = 8192, UEVENT_READ_MAX = 64 };

/* Return: descriptor of the kernel's uevent group, non-blocking and close-on-exec, or -errno. */
int uevent_open(void);
/* Reads what is there, at most UEVENT_READ_MAX messages. Return: true with the number of the first bad block
 * when one was reported. */
bool uevent_read_corrupt(int fd, uint64_t *ret_block);
/* MSG[0..LEN): NUL-separated strings. Return: true with the block number when it reports a bad block. */
bool uevent_parse_corrupt(const char *msg, size_t len, uint64_t *ret_block);
