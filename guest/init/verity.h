/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verity: the sealed root: a dm-verity device over the root disk, set up by hand through device-mapper
 * ioctls.
 *
 * The parameters come from the kernel command line, which the host alone writes:
 * caisson.verity=<data_blocks>:<hash_start_block>:<salt hex or ->:<root hash hex>. Blocks are 4096 bytes;
 * the length of the root hash names the algorithm (32 bytes sha256, 64 bytes sha512). The tree has no
 * superblock of its own. Used by guest/init only; parser and table are pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { VERITY_BLOCK_SIZE = 4096, VERITY_HASH_HEX_MAX = 128, VERITY_SALT_HEX_MAX = 512,
       VERITY_TABLE_MAX = 1024 };

struct verity_params {
	uint64_t data_blocks;
	uint64_t hash_start_block;
	char salt[VERITY_SALT_HEX_MAX + 1]; /* lower-case hex, or "-" */
	char root_hash[VERITY_HASH_HEX_MAX + 1];
};

/* Finds and parses the parameter in CMDLINE. Return: 0; -ENOENT: not there; -EINVAL: malformed or given
 * twice. */
int verity_parse_cmdline(struct verity_params *ret, const char *cmdline);
/* Writes the device-mapper table line over device MAJOR:MINOR into DST[0..SIZE). Return: its length;
 * -E2BIG. */
int verity_table(char *dst, size_t size, const struct verity_params *params, unsigned int major,
		 unsigned int minor);
/* Makes and activates the read-only device NAME over MAJOR:MINOR. Return: 0 with its device number;
 * -errno. */
int verity_activate(const char *name, const struct verity_params *params, unsigned int major,
		    unsigned int minor, uint64_t *ret_dev);
