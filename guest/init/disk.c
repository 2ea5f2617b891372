/* SPDX-License-Identifier: Apache-2.0 */
/* disk: see disk.h. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "guest/init/disk.h"
#include "guest/init/format.h"
#include "guest/init/service.h"
#include "guest/init/superblock.h"
#include "proto/agent.h"

#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)
#define DATA_DIR "/run/caisson/data"
enum { E2FSCK_NONDESTRUCT = 1, E2FSCK_REBOOT = 2, RELEASE_TRIES = 50 };

static char data_node[32]; /* while it is mounted */

/* name of the directory on the data disk, and where it appears */
static const struct { const char *source, *target; mode_t mode; } places[] = {
	{DATA_DIR "/docker", "/var/lib/docker", 0710},
	{DATA_DIR "/containerd", "/var/lib/containerd", 0700},
};

static int read_text(const char *path, char *dst, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return error_errno();
	n = read(fd, dst, size - 1);
	if (n < 0)
		return error_errno();
	dst[n] = '\0';
	dst[strcspn(dst, "\n")] = '\0';
	return 0;
}

int disk_find(struct disk *ret, const char *serial, int timeout_ms)
{
	char path[64], text[64];
	int waited, r;
	char letter;

	for (waited = 0; ; waited += 2) {
		for (letter = 'a'; letter <= 'd'; letter++) {
			snprintf(path, sizeof(path), "/sys/block/vd%c/serial", letter);
			r = read_text(path, text, sizeof(text));
			if (r < 0 || strcmp(text, serial) != 0)
				continue;
			snprintf(path, sizeof(path), "/sys/block/vd%c/dev", letter);
			r = read_text(path, text, sizeof(text));
			if (r < 0 || sscanf(text, "%u:%u", &ret->major, &ret->minor) != 2)
				return trace(-EIO);
			snprintf(ret->node, sizeof(ret->node), "/dev/vd%c", letter);
			return 0;
		}
		if (waited >= timeout_ms)
			return -ENODEV;
		(void)poll(NULL, 0, 2);
	}
}

static int probe(int fd, struct superblock *ret)
{
	_cleanup_free_ uint8_t *start = malloc(SUPERBLOCK_PROBE_SIZE);
	size_t len = 4096;
	ssize_t n;

	if (!start)
		return -ENOMEM;
	/* The first block decides unless it is all zero: then the whole MiB must be. */
	for (;;) {
		n = pread(fd, start, len, 0);
		if (n < 0)
			return trace(error_errno());
		superblock_probe(ret, start, (size_t)n);
		if (ret->kind != SUPERBLOCK_EMPTY || len == SUPERBLOCK_PROBE_SIZE || (size_t)n < len)
			return 0;
		len = SUPERBLOCK_PROBE_SIZE;
	}
}

static int check(const struct disk *disk)
{
	char *const argv[] = {(char *)"/usr/sbin/e2fsck", (char *)"-p", (char *)disk->node, NULL};
	int r = service_run(argv);

	return r >= 0 ? r & ~(E2FSCK_NONDESTRUCT | E2FSCK_REBOOT) : r;
}

/* A file system that cannot grow is used as it is: no reason to keep the user from the data. */
static void grow(const struct superblock *sb, uint64_t size)
{
	uint64_t blocks = size / sb->block_size;
	_cleanup_close_ int fd = -EBADF;

	if (blocks <= sb->blocks)
		return;
	fd = open(DATA_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, EXT4_IOC_RESIZE_FS, &blocks) < 0)
		log_errno(error_errno(), "growing the data disk to %llu blocks", (unsigned long long)blocks);
	else
		log_info("data disk grown to %llu blocks", (unsigned long long)blocks);
}

static int bind_places(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		if (mkdir(places[i].source, places[i].mode) < 0 && errno != EEXIST)
			return trace(error_errno());
		if (mount(places[i].source, places[i].target, NULL, MS_BIND, NULL) < 0)
			return trace(error_errno());
	}
	/* Only the two places are to be seen; the file system stays mounted through them. */
	if (umount2(DATA_DIR, MNT_DETACH) < 0)
		return trace(error_errno());
	return 0;
}

static int fail(uint32_t *ret_cause, uint64_t *ret_detail, uint32_t cause, int r)
{
	*ret_cause = cause;
	*ret_detail = (uint64_t)(r < 0 ? -r : r);
	return r < 0 ? r : -EIO;
}

/* Makes the disk ready to mount. Return: 0, or as fail() says. */
static int prepare(int fd, const struct disk *disk, struct superblock *sb, uint64_t size, uint32_t *ret_cause,
		   uint64_t *ret_detail)
{
	int r;

	r = probe(fd, sb);
	if (r < 0)
		return fail(ret_cause, ret_detail, AGENT_CAUSE_DATA_MOUNT, r);
	if (sb->kind == SUPERBLOCK_FOREIGN)
		return fail(ret_cause, ret_detail, AGENT_CAUSE_DATA_MOUNT, -EMEDIUMTYPE);
	if (sb->kind == SUPERBLOCK_EXT4 && sb->has_errors) {
		log_warning("data disk records errors: checking");
		r = check(disk);
		if (r != 0)
			return fail(ret_cause, ret_detail, AGENT_CAUSE_DATA_CHECK, r);
		return 0;
	}
	if (sb->kind == SUPERBLOCK_EXT4)
		return 0;
	log_info("data disk is empty: formatting");
	r = format_disk(fd, size);
	if (r == 0)
		r = probe(fd, sb);
	return r < 0 ? fail(ret_cause, ret_detail, AGENT_CAUSE_DATA_FORMAT, r) : 0;
}

int disk_mount_data(const struct disk *disk, uint32_t *ret_cause, uint64_t *ret_detail)
{
	_cleanup_close_ int fd = -EBADF;
	struct superblock sb;
	uint64_t size = 0;
	int r;

	fd = open(disk->node, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0)
		return fail(ret_cause, ret_detail, AGENT_CAUSE_DATA_MOUNT, error_errno());
	r = prepare(fd, disk, &sb, size, ret_cause, ret_detail);
	if (r < 0)
		return trace(r);
	fd = fd_close(fd);
	/* "discard": since Linux 5.15 ext4 gives freed blocks back after the commit, in the background, so the
	 * sparse file on the host shrinks at once and no timer has to wake an idle VM for fstrim. */
	if (mount(disk->node, DATA_DIR, "ext4", MS_NOATIME, "discard,errors=remount-ro") < 0)
		return fail(ret_cause, ret_detail, AGENT_CAUSE_DATA_MOUNT, error_errno());
	snprintf(data_node, sizeof(data_node), "%s", disk->node);
	grow(&sb, size);
	r = bind_places();
	return r < 0 ? fail(ret_cause, ret_detail, AGENT_CAUSE_DATA_MOUNT, r) : 0;
}

/* The kernel opens a block device exclusively for the file system on it; the last reference may go a moment after
 * the unmount, in the background. */
static int wait_released(void)
{
	int tries;

	for (tries = 0; tries < RELEASE_TRIES; tries++) {
		int fd = open(data_node, O_RDONLY | O_EXCL | O_CLOEXEC);

		if (fd >= 0) {
			fd_close(fd);
			return 0;
		}
		if (errno != EBUSY)
			return trace(error_errno());
		(void)poll(NULL, 0, 10);
	}
	return -EBUSY;
}

int disk_unmount_data(void)
{
	int result = 0;
	size_t i;

	sync();
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		/* What a killed container or the engine left mounted below goes first, then the place itself. */
		if (umount2(places[i].target, 0) == 0 || errno == EINVAL)
			continue;
		result = error_errno();
		if (mount(NULL, places[i].target, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
			log_errno(result, "%s is still in use", places[i].target);
		(void)umount2(places[i].target, MNT_DETACH);
	}
	/* What counts is whether the file system is gone, not which of its mounts were. */
	if (data_node[0] == '\0')
		return result;
	return wait_released();
}
