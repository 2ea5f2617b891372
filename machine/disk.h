/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: the one data disk, Docker.raw: raw and sparse, grown but never shrunk, never shared.
 *
 * Its size is what fstat says, never what its content says. The lock is a flock on the open file description that
 * QEMU inherits: it lasts until the last process that can write has ended, also when the machine was killed.
 * Who may call it: machine.c, check.c (free space). It never reads the disk.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

#define DISK_NAME "Docker.raw"
enum { DISK_FREE_MIN_MIB = 256, DISK_MIB_MIN = 1024 };

/* Opens or makes the disk beneath DIR_FD with SIZE_MIB. Return: descriptor (caller owns, holds the lock);
 * -EWOULDBLOCK without a fault: another machine still has it; -errno with FAULT. */
int disk_open(int dir_fd, uint64_t size_mib, struct fault *fault);
/* Free bytes for this user on the file system of DIR_FD. Return: 0 or -errno. */
int disk_free_space(int dir_fd, uint64_t *ret);
