/* SPDX-License-Identifier: Apache-2.0 */
/* guest-memory: see the header. The only copies between guest memory and ours. */
#include "devices/vhost/guest-memory.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/*
 * Both copies use relaxed atomic loads or stores on the guest's side, eight bytes at a time where it is
 * aligned. On x86 that is what a plain copy of this size costs, and the compiler may neither read a word twice
 * nor assume that two reads agree. Bulk payload does not pass here: the kernel copies it (sendmsg, recvmsg, preadv).
 */
void guest_copy_in(void *dst, const void *src, size_t len)
{
	const uint8_t *s = src;
	uint8_t *d = dst;

	while (len && (uintptr_t)s % 8) {
		*d++ = __atomic_load_n(s++, __ATOMIC_RELAXED);
		len--;
	}
	while (len >= 8) {
		uint64_t v = __atomic_load_n((const uint64_t *)(const void *)s, __ATOMIC_RELAXED);

		memcpy(d, &v, sizeof(v));
		s += 8;
		d += 8;
		len -= 8;
	}
	while (len) {
		*d++ = __atomic_load_n(s++, __ATOMIC_RELAXED);
		len--;
	}
}

void guest_copy_out(void *dst, const void *src, size_t len)
{
	const uint8_t *s = src;
	uint8_t *d = dst;

	while (len && (uintptr_t)d % 8) {
		__atomic_store_n(d++, *s++, __ATOMIC_RELAXED);
		len--;
	}
	while (len >= 8) {
		uint64_t v;

		memcpy(&v, s, sizeof(v));
		__atomic_store_n((uint64_t *)(void *)d, v, __ATOMIC_RELAXED);
		s += 8;
		d += 8;
		len -= 8;
	}
	while (len) {
		__atomic_store_n(d++, *s++, __ATOMIC_RELAXED);
		len--;
	}
}

/* Next piece of IOV at byte *OFF from entry *I on, at most LEN bytes. Return: false at the end. */
static bool next_piece(const struct iovec *iov, size_t n_iov, size_t *i, size_t *off, size_t len,
		       struct iovec *ret)
{
	while (*i < n_iov && *off >= iov[*i].iov_len) {
		*off -= iov[*i].iov_len;
		(*i)++;
	}
	if (*i >= n_iov || !len)
		return false;
	ret->iov_base = (uint8_t *)iov[*i].iov_base + *off;
	ret->iov_len = iov[*i].iov_len - *off < len ? iov[*i].iov_len - *off : len;
	*off += ret->iov_len;
	return true;
}

size_t guest_iov_read(void *dst, size_t len, const struct iovec *iov, size_t n_iov, size_t off)
{
	struct iovec piece;
	size_t i = 0, done = 0;

	while (next_piece(iov, n_iov, &i, &off, len - done, &piece)) {
		guest_copy_in((uint8_t *)dst + done, piece.iov_base, piece.iov_len);
		done += piece.iov_len;
	}
	return done;
}

size_t guest_iov_write(const struct iovec *iov, size_t n_iov, size_t off, const void *src, size_t len)
{
	struct iovec piece;
	size_t i = 0, done = 0;

	while (next_piece(iov, n_iov, &i, &off, len - done, &piece)) {
		guest_copy_out(piece.iov_base, (const uint8_t *)src + done, piece.iov_len);
		done += piece.iov_len;
	}
	return done;
}

int guest_iov_slice(struct iovec *ret, size_t n_ret, const struct iovec *iov, size_t n_iov, size_t off,
		    size_t len)
{
	struct iovec piece;
	size_t i = 0, n = 0;

	while (next_piece(iov, n_iov, &i, &off, len, &piece)) {
		if (n == n_ret || n == (size_t)INT32_MAX)
			return -ENOBUFS;
		ret[n++] = piece;
		len -= piece.iov_len;
	}
	return len ? -EINVAL : (int)n;
}
