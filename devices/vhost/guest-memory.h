/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest-memory: copies between guest memory and locals. The part a device may use.
 *
 * Guest memory is written by somebody else at any moment. Whatever a device looks at it first copies, once,
 * with guest_iov_read; it never keeps a typed pointer into a segment. guest_copy_in and guest_copy_out (and
 * the index accessors at the top of vring.c) alone touch guest memory with the CPU (tests/style greps for
 * that); they use relaxed atomic accesses, so that a concurrent change gives a mixed value but never
 * undefined behaviour.
 * Who may call it: rooms under devices/.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Copies LEN bytes of guest memory SRC into DST. The one copy-in function. */
void guest_copy_in(void *dst, const void *src, size_t len);
/* Copies LEN bytes from SRC into guest memory DST. */
void guest_copy_out(void *dst, const void *src, size_t len);

/* Copies up to LEN bytes from byte OFF of the segments IOV[0..N_IOV) into DST. Return: bytes copied. */
size_t guest_iov_read(void *dst, size_t len, const struct iovec *iov, size_t n_iov, size_t off);
/* Copies up to LEN bytes of SRC to byte OFF of the segments IOV[0..N_IOV). Return: bytes copied. */
size_t guest_iov_write(const struct iovec *iov, size_t n_iov, size_t off, const void *src, size_t len);
/* Makes RET[0..N_RET) describe bytes [OFF, OFF + LEN) of IOV[0..N_IOV), for sendmsg and recvmsg.
 * Return: number of entries used; -ENOBUFS: N_RET too small; -EINVAL: the segments are shorter. */
int guest_iov_slice(struct iovec *ret, size_t n_ret, const struct iovec *iov, size_t n_iov, size_t off,
		    size_t len);
