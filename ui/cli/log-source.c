/* SPDX-License-Identifier: Apache-2.0 */
/* log-source: see log-source.h. */
#include "ui/cli/log-source.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fd.h"

const char *const log_source_names[LOG_SOURCES] = {"backend", "machine", "net", "proxy", "qemu", "console", "vm"};

void log_sources_init(struct log_sources *s, int dir_fd)
{
	*s = (struct log_sources){.dir_fd = dir_fd};
	for (size_t i = 0; i < LOG_SOURCES; i++) {
		s->sources[i].fd = -EBADF;
		s->sources[i].tail.bare_units = !strcmp(log_source_names[i], "vm");
	}
}

static void free_chunks(struct log_sources *s)
{
	for (size_t i = 0; i < s->n_chunks; i++)
		free(s->chunks[i]);
	s->n_chunks = 0;
}

void log_sources_done(struct log_sources *s)
{
	free_chunks(s);
	for (size_t i = 0; i < LOG_SOURCES; i++) {
		fd_close(s->sources[i].fd);
		free(s->sources[i].carry);
	}
	s->dir_fd = fd_close(s->dir_fd);
}

/* Opens NAME.log or NAME.log.1. Return: descriptor of a regular file with *RET, or -errno. */
static int open_file(int dir_fd, const char *name, const char *suffix, struct stat *ret)
{
	_cleanup_close_ int fd = -EBADF;
	char file[64];

	snprintf(file, sizeof(file), "%s.log%s", name, suffix);
	fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, ret) < 0)
		return error_errno();
	if (!S_ISREG(ret->st_mode))
		return -EINVAL;
	return take_fd(fd);
}

/* Reads FD from *OFF to its end, behind the source's carried-over bytes. Return: 0 with *RET (owned), or -errno. */
static int read_rest(struct log_source *src, int fd, off_t *off, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *buf = NULL;
	size_t len = src->carry_len, size;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return trace(error_errno());
	if (st.st_size < *off)
		*off = 0; /* truncated in place */
	if (st.st_size - *off > LOG_FILE_READ_MAX)
		*off = st.st_size - LOG_FILE_READ_MAX;
	size = len + (size_t)(st.st_size - *off);
	buf = malloc(size + 1);
	if (!buf)
		return trace(-ENOMEM);
	if (len)
		memcpy(buf, src->carry, len);
	src->carry_len = 0;
	while (len < size) {
		ssize_t n = pread(fd, buf + len, size - len, *off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		*off += n;
	}
	*ret = take_ptr(buf);
	*ret_len = len;
	return 0;
}

/* Keeps what stands behind the last newline for later. Return: length of the whole lines, or -ENOMEM. */
static ssize_t keep_carry(struct log_source *src, const char *buf, size_t len)
{
	const char *nl = len ? memrchr(buf, '\n', len) : NULL;
	size_t whole = nl ? (size_t)(nl - buf) + 1 : 0, rest = len - whole;
	char *p;

	if (!rest)
		return (ssize_t)whole;
	p = realloc(src->carry, rest);
	if (!p)
		return -ENOMEM;
	memcpy(p, buf + whole, rest);
	src->carry = p;
	src->carry_len = rest;
	return (ssize_t)whole;
}

static int add(struct log_sources *s, size_t i, int fd, off_t *off, struct log_merge *m, bool whole)
{
	struct log_source *src = &s->sources[i];
	_cleanup_free_ char *buf = NULL;
	size_t len = 0;
	int r = read_rest(src, fd, off, &buf, &len);

	if (r >= 0 && whole) {
		ssize_t n = keep_carry(src, buf, len);

		r = n < 0 ? (int)n : 0;
		len = n < 0 ? 0 : (size_t)n;
	}
	if (r < 0 || !len)
		return r;
	r = log_merge_add(m, (uint8_t)i, buf, len, &src->tail);
	s->chunks[s->n_chunks++] = take_ptr(buf);
	return r;
}

/* The file of the time before the last rotation, once. */
static int read_old(struct log_sources *s, size_t i, struct log_merge *m)
{
	struct stat st;
	off_t off = 0;
	_cleanup_close_ int fd = open_file(s->dir_fd, log_source_names[i], ".1", &st);

	return fd < 0 ? 0 : add(s, i, fd, &off, m, false);
}

static int read_source(struct log_sources *s, size_t i, struct log_merge *m, bool whole)
{
	struct log_source *src = &s->sources[i];
	_cleanup_close_ int fd = -EBADF;
	struct stat st = {0};
	int r = src->started ? 0 : read_old(s, i, m);

	src->started = true;
	fd = r < 0 ? r : open_file(s->dir_fd, log_source_names[i], "", &st);
	/* Rotated: the rest of the old file comes first, and its last line is whole now. */
	if (r >= 0 && src->fd >= 0 && fd >= 0 && st.st_ino != src->ino) {
		r = add(s, i, src->fd, &src->off, m, false);
		src->fd = fd_close(src->fd);
	}
	if (r >= 0 && src->fd < 0 && fd >= 0) {
		src->fd = take_fd(fd);
		src->ino = st.st_ino;
		src->off = 0;
	}
	if (r >= 0 && src->fd >= 0)
		r = add(s, i, src->fd, &src->off, m, whole);
	return r;
}

int log_sources_read(struct log_sources *s, struct log_merge *m, bool whole)
{
	int r = 0;

	free_chunks(s);
	m->n = 0;
	for (size_t i = 0; i < LOG_SOURCES && r >= 0; i++)
		r = read_source(s, i, m, whole);
	log_merge_sort(m);
	return r;
}
