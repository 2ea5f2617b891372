/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: virtio disks by their serial, and the data disk from probe to mount and back.
 *
 * The data disk is formatted only when its first MiB is all zero (or carries our own unfinished mark),
 * checked only when its superblock records an error, and grown online when the disk is larger than its file
 * system. It appears at /var/lib/docker and /var/lib/containerd alone. Used by guest/init only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct disk {
	char node[32]; /* /dev/vdX */
	unsigned int major, minor;
};

/* The virtio disk whose serial is SERIAL; waits up to TIMEOUT_MS. Return: 0; -ENODEV; -errno. */
int disk_find(struct disk *ret, const char *serial, int timeout_ms);
/* Mounts the data disk as described. Return: 0; -errno with an enum agent_cause in *RET_CAUSE and its
 * detail in *RET_DETAIL. */
int disk_mount_data(const struct disk *disk, uint32_t *ret_cause, uint64_t *ret_detail);
/* Unmounts both places. Return: 0: the file system is off the disk; -EBUSY: still in use (remounted read-only where
 * possible); -errno. */
int disk_unmount_data(void);
