/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format: see format.h.
 *
 * mke2fs on the disk itself would leave, when interrupted, a first MiB that is neither zero nor a file
 * system, and such a disk is never touched again. So the file system is made in a sparse file in memory (a
 * few hundred KiB of metadata; inode tables and journal are left to the kernel's lazy initialisation) and
 * copied:
 *   1. our mark into the first block, flushed;
 *   2. every extent of the file behind the first block, flushed;
 *   3. the first block, which holds the superblock and replaces the mark, flushed.
 * Before 1 the disk is all zero, between 1 and 3 it carries the mark, after 3 it is whole.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "guest/init/format.h"
#include "guest/init/service.h"
#include "guest/init/superblock.h"

#define FORMAT_FILE "/run/caisson/format.img"
enum { FORMAT_BLOCK = 4096, FORMAT_CHUNK = 65536 };

static int write_at(int fd, const uint8_t *buf, size_t len, off_t off)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, buf, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return trace(n < 0 ? error_errno() : -EIO);
		buf += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy_range(int from_fd, int to_fd, off_t off, off_t end)
{
	static uint8_t chunk[FORMAT_CHUNK];

	while (off < end) {
		size_t want = end - off < FORMAT_CHUNK ? (size_t)(end - off) : FORMAT_CHUNK;
		ssize_t n = pread(from_fd, chunk, want, off);
		int r;

		if (n <= 0)
			return trace(n < 0 ? error_errno() : -EIO);
		r = write_at(to_fd, chunk, (size_t)n, off);
		if (r < 0)
			return r;
		off += n;
	}
	return 0;
}

static int copy_extents(int from_fd, int to_fd)
{
	off_t off = FORMAT_BLOCK, end;
	int r;

	for (;;) {
		off = lseek(from_fd, off, SEEK_DATA);
		if (off < 0)
			return errno == ENXIO ? 0 : trace(error_errno());
		end = lseek(from_fd, off, SEEK_HOLE);
		if (end < 0)
			return trace(error_errno());
		r = copy_range(from_fd, to_fd, off, end);
		if (r < 0)
			return r;
		off = end;
	}
}

static int run_mke2fs(void)
{
	static char *const argv[] = {
		(char *)"/usr/sbin/mke2fs", (char *)"-t", (char *)"ext4", (char *)"-F", (char *)"-q",
		(char *)"-b", (char *)"4096", (char *)"-m", (char *)"0", (char *)"-L", (char *)"caisson-data",
		(char *)"-E", (char *)"lazy_itable_init=1,lazy_journal_init=1,nodiscard", (char *)FORMAT_FILE, NULL,
	};
	int r = service_run(argv);

	return r > 0 ? -EIO : r;
}

int format_disk(int disk_fd, uint64_t size)
{
	uint8_t block[FORMAT_BLOCK] = SUPERBLOCK_MARKER;
	_cleanup_close_ int fd = -EBADF;
	int r;

	fd = open(FORMAT_FILE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return trace(error_errno());
	r = run_mke2fs();
	if (r == 0)
		r = write_at(disk_fd, block, sizeof(block), 0);
	if (r == 0 && fsync(disk_fd) < 0)
		r = error_errno();
	if (r == 0)
		r = copy_extents(fd, disk_fd);
	if (r == 0 && fsync(disk_fd) < 0)
		r = error_errno();
	if (r == 0)
		r = copy_range(fd, disk_fd, 0, FORMAT_BLOCK);
	if (r == 0 && fsync(disk_fd) < 0)
		r = error_errno();
	(void)unlink(FORMAT_FILE);
	return trace(r);
}
