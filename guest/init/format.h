/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format: puts an ext4 file system on an empty data disk so that an interruption at any moment leaves a
 * disk that the next start can begin again. Used by guest/init/disk.c only.
 */
#pragma once

#include <stdint.h>

/* DISK_FD is open for reading and writing and SIZE bytes long. Return: 0; -errno. */
int format_disk(int disk_fd, uint64_t size);
