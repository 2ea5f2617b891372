/* SPDX-License-Identifier: Apache-2.0 */
/* fd: see the header. Every open here has O_CLOEXEC and O_NOFOLLOW. */
#include "base/fd.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <limits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"

int fd_close(int fd)
{
	cleanup_closep(&fd);
	return -EBADF;
}

int fd_populate_std(void)
{
	for (;;) {
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (fd < 0)
			return trace(error_errno());
		if (fd > 2) {
			close(fd);
			return 0;
		}
		/* A standard descriptor must survive exec. */
		if (fcntl(fd, F_SETFD, 0) < 0)
			return trace(error_errno());
	}
}

static int compare_fds(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

int fd_close_others(const int *keep, size_t n_keep)
{
	int sorted[64];
	unsigned int first = 3;

	if (n_keep > ARRAY_SIZE(sorted))
		return trace(-EINVAL);
	if (n_keep)
		memcpy(sorted, keep, n_keep * sizeof(*keep));
	qsort(sorted, n_keep, sizeof(*sorted), compare_fds);
	for (size_t i = 0; i < n_keep; i++) {
		if (sorted[i] < 3)
			continue;
		if ((unsigned int)sorted[i] > first &&
		    close_range(first, (unsigned int)sorted[i] - 1, 0) < 0)
			return trace(error_errno());
		first = (unsigned int)sorted[i] + 1;
	}
	if (close_range(first, ~0U, 0) < 0)
		return trace(error_errno());
	return 0;
}

/* Sets or clears BIT in the flags that GET and SET name. */
static int change_flag(int fd, int get, int set, int bit, bool on)
{
	int flags = fcntl(fd, get);

	if (flags < 0)
		return trace(error_errno());
	if (fcntl(fd, set, on ? flags | bit : flags & ~bit) < 0)
		return trace(error_errno());
	return 0;
}

int fd_set_nonblock(int fd, bool on)
{
	return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int fd_set_cloexec(int fd, bool on)
{
	return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int fd_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? trace(error_errno()) : copy;
}

int fd_write_all(int fd, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return trace(error_errno());
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_read_file(int dir_fd, const char *name, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *data = NULL;
	size_t len = 0, size;
	struct stat st;

	if (fd < 0)
		return error_errno();
	if (fstat(fd, &st) < 0)
		return trace(error_errno());
	if (!S_ISREG(st.st_mode))
		return trace(-EINVAL);
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return trace(-EFBIG);
	/* /proc files have no size: read up to MAX whatever fstat says, one byte more to see the excess. */
	size = st.st_size > 0 ? (size_t)st.st_size : max;
	data = malloc(size + 1);
	if (!data)
		return trace(-ENOMEM);
	while (len <= size) {
		ssize_t n = read(fd, data + len, size + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return trace(error_errno());
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len > size)
		return trace(-EFBIG);
	data[len] = '\0';
	*ret = take_ptr(data);
	*ret_len = len;
	return 0;
}

int fd_replace_file(int dir_fd, const char *name, const void *buf, size_t len, mode_t mode)
{
	_cleanup_close_ int fd = -EBADF;
	char temp[NAME_MAX + 1];
	int r;

	/* One name for all times: what a killed writer left is removed by the next one. */
	r = snprintf(temp, sizeof(temp), ".%s.tmp", name);
	if (r < 0 || (size_t)r >= sizeof(temp))
		return trace(-ENAMETOOLONG);
	if (unlinkat(dir_fd, temp, 0) < 0 && errno != ENOENT)
		return trace(error_errno());
	fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return trace(error_errno());
	r = fd_write_all(fd, buf, len);
	if (r >= 0 && fsync(fd) < 0)
		r = error_errno();
	if (r >= 0 && renameat(dir_fd, temp, dir_fd, name) < 0)
		r = error_errno();
	if (r < 0)
		(void)unlinkat(dir_fd, temp, 0);
	return trace(r);
}

/* Ours means: the caller's directory that nobody else can write. */
static int check_dir(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return trace(error_errno());
	if (!S_ISDIR(st.st_mode))
		return trace(-ENOTDIR);
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return trace(-EPERM);
	return 0;
}

int fd_open_dir(int dir_fd, const char *name, bool create)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (create && mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
		return trace(error_errno());
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_errno();
	r = check_dir(fd);
	if (r < 0)
		return r;
	return take_fd(fd);
}

int fd_open_dir_path(const char *path, bool create)
{
	_cleanup_close_ int fd = -EBADF;
	const char *p = path;
	int r;

	if (!path_is_clean_absolute(path))
		return trace(-EINVAL);
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return trace(error_errno());
	while (*p) {
		size_t len = strcspn(++p, "/");
		char name[NAME_MAX + 1];
		int next;

		if (len == 0)
			break;
		if (len > NAME_MAX)
			return trace(-ENAMETOOLONG);
		memcpy(name, p, len);
		name[len] = '\0';
		p += len;
		/* Parents may be links (/home often is) and may belong to root; the last component may not. */
		if (*p == '/')
			next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		else
			return fd_open_dir(fd, name, create);
		if (next < 0 && errno == ENOENT && create) {
			r = mkdirat(fd, name, 0700);
			if (r < 0 && errno != EEXIST)
				return trace(error_errno());
			next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		}
		if (next < 0)
			return error_errno();
		close(fd);
		fd = next;
	}
	r = check_dir(fd);
	if (r < 0)
		return r;
	return take_fd(fd);
}

int fd_lock_file(int dir_fd, const char *name)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return trace(error_errno());
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_errno();
	return take_fd(fd);
}
