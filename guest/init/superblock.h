/* SPDX-License-Identifier: Apache-2.0 */
/*
 * superblock: what the data disk holds, judged by its first MiB. Pure; the disk is hostile input only in so
 * far as a root of an earlier VM wrote it, and the kernel's ext4 is what finally reads it. Source:
 * Documentation/filesystems/ext4/super.rst of the kernel. Used by guest/init only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SUPERBLOCK_PROBE_SIZE = 1 << 20, SUPERBLOCK_MARKER_SIZE = 32 };
/* Stands at byte 0 while a disk is being formatted (ext4 leaves the boot sector alone), so that a format
 * that a power cut interrupted is begun again rather than refused. */
#define SUPERBLOCK_MARKER "caisson: formatting not finished" /* exactly SUPERBLOCK_MARKER_SIZE bytes */

enum superblock_kind {
	SUPERBLOCK_EMPTY,      /* all zero: may be formatted */
	SUPERBLOCK_UNFINISHED, /* our marker: may be formatted */
	SUPERBLOCK_EXT4,
	SUPERBLOCK_FOREIGN,    /* anything else: never touched */
};
struct superblock {
	enum superblock_kind kind;
	bool has_errors;       /* the kernel recorded an error: e2fsck is due */
	uint32_t block_size;   /* bytes */
	uint64_t blocks;
};

/* DATA[0..LEN) is the start of the disk. Fewer than 4096 bytes count as foreign. */
void superblock_probe(struct superblock *ret, const uint8_t *data, size_t len);
