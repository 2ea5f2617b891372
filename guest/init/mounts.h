/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts: the kernel file systems and memory file systems of the VM, the move to the sealed root, and the
 * kernel's knobs. Everything is a table; nothing comes from outside. Used by guest/init only.
 */
#pragma once

#include <stddef.h>

/* The daemons' own control group: in the root group the engine would see no swap limit. */
#define MOUNTS_CGROUP "/sys/fs/cgroup/caisson"

/* /proc, /sys, /dev in the initramfs. Return: 0 or -errno. */
int mounts_early(void);
/* Mounts the erofs NODE read-only and makes it the root, taking /proc, /sys and /dev along. Return: 0 or
 * -errno. */
int mounts_switch_root(const char *node);
/* The rest, in the sealed root. Return: 0 or -errno. */
int mounts_root(void);
/* Kernel settings; what a kernel lacks is skipped. */
void mounts_sysctls(void);
/* Unmounts (lazily) every mount strictly below DIR, newest first. */
void mounts_detach_below(const char *dir);
/* Writes TEXT to the existing file PATH. Return: 0 or -errno. */
int mounts_write(const char *path, const char *text);
