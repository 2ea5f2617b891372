/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: see disk.h.
 */
#include "machine/disk.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/text.h"

int disk_free_space(int dir_fd, uint64_t *ret)
{
	struct statvfs st;

	if (fstatvfs(dir_fd, &st) < 0)
		return trace(error_errno());
	*ret = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

static int fail(struct fault *fault, int r, const char *what)
{
	return trace(fault_set(fault, r, "The data disk " DISK_NAME " cannot be %s: %s.", what, strerror(-r)));
}

/* Opens what is there, or makes an empty file. */
static int open_or_make(int dir_fd, struct fault *fault)
{
	int fd, flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

	fd = openat(dir_fd, DISK_NAME, flags);
	if (fd < 0 && errno == ENOENT)
		fd = openat(dir_fd, DISK_NAME, flags | O_CREAT | O_EXCL, 0600);
	if (fd < 0 && errno == EEXIST)
		fd = openat(dir_fd, DISK_NAME, flags);
	if (fd < 0)
		return fail(fault, error_errno(), "opened");
	return fd;
}

static int check(int dir_fd, const struct stat *st, struct fault *fault)
{
	uint64_t avail = 0;
	int r;

	if (!S_ISREG(st->st_mode) || st->st_uid != geteuid() || st->st_nlink != 1)
		return trace(fault_set(fault, -EPERM, "The data disk " DISK_NAME " is not a plain file of your own "
						       "with a single name; move it away to start with an empty one."));
	r = disk_free_space(dir_fd, &avail);
	if (r)
		return fail(fault, r, "measured");
	if (avail < (uint64_t)DISK_FREE_MIN_MIB << 20) {
		char have[32];

		return trace(fault_set(fault, -ENOSPC,
				       "The file system of the data disk has only %s left; at least %d MiB are needed. "
				       "Free some space and start again.",
				       text_format_size(have, sizeof(have), avail), DISK_FREE_MIN_MIB));
	}
	return 0;
}

static int resize(int fd, const struct stat *st, uint64_t size, struct fault *fault)
{
	if (size < (uint64_t)st->st_size) {
		char have[32], want[32];

		return trace(fault_set(fault, -EINVAL,
				       "The data disk has %s and cannot be made smaller (%s were asked for). Set the disk "
				       "size to at least its present size, or delete the disk and all that is in it.",
				       text_format_size(have, sizeof(have), (uint64_t)st->st_size),
				       text_format_size(want, sizeof(want), size)));
	}
	if (size > (uint64_t)st->st_size && ftruncate(fd, (off_t)size) < 0)
		return fail(fault, error_errno(), "given its size");
	return 0;
}

int disk_open(int dir_fd, uint64_t size_mib, struct fault *fault)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	int r;

	if (size_mib < DISK_MIB_MIN || size_mib > (uint64_t)INT64_MAX >> 20)
		return trace(fault_set(fault, -ERANGE, "The size of the data disk must be at least %d MiB.", DISK_MIB_MIN));
	fd = open_or_make(dir_fd, fault);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EWOULDBLOCK : fail(fault, error_errno(), "locked");
	if (fstat(fd, &st) < 0)
		return fail(fault, error_errno(), "examined");
	r = check(dir_fd, &st, fault);
	if (!r)
		r = resize(fd, &st, size_mib << 20, fault);
	if (r)
		return r;
	return take_fd(fd);
}
