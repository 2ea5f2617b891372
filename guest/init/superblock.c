/* SPDX-License-Identifier: Apache-2.0 */
/* superblock: see superblock.h. */
#include <string.h>

#include "base/bytes.h"
#include "guest/init/superblock.h"

_Static_assert(sizeof(SUPERBLOCK_MARKER) == SUPERBLOCK_MARKER_SIZE + 1, "marker length");

enum {
	SB_OFFSET = 1024,
	SB_BLOCKS_LO = 0x04,
	SB_LOG_BLOCK_SIZE = 0x18,
	SB_MAGIC = 0x38,
	SB_STATE = 0x3a,
	SB_INCOMPAT = 0x60,
	SB_BLOCKS_HI = 0x150,
	SB_ERROR_COUNT = 0x194,
	EXT_MAGIC = 0xef53,
	STATE_ERRORS = 2,
	INCOMPAT_EXTENTS = 0x40,
	INCOMPAT_64BIT = 0x80,
	LOG_BLOCK_SIZE_MAX = 6,
};

static bool all_zero(const uint8_t *data, size_t len)
{
	return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

void superblock_probe(struct superblock *ret, const uint8_t *data, size_t len)
{
	const uint8_t *sb = data + SB_OFFSET;
	uint32_t log_size, incompat;

	memset(ret, 0, sizeof(*ret));
	ret->kind = SUPERBLOCK_FOREIGN;
	if (len < 4096)
		return;
	if (all_zero(data, len)) {
		ret->kind = SUPERBLOCK_EMPTY;
		return;
	}
	if (memcmp(data, SUPERBLOCK_MARKER, SUPERBLOCK_MARKER_SIZE) == 0) {
		ret->kind = SUPERBLOCK_UNFINISHED;
		return;
	}
	log_size = le32_load(sb + SB_LOG_BLOCK_SIZE);
	incompat = le32_load(sb + SB_INCOMPAT);
	if (le16_load(sb + SB_MAGIC) != EXT_MAGIC || log_size > LOG_BLOCK_SIZE_MAX || !(incompat & INCOMPAT_EXTENTS))
		return;
	ret->kind = SUPERBLOCK_EXT4;
	ret->block_size = 1024u << log_size;
	ret->blocks = le32_load(sb + SB_BLOCKS_LO);
	if (incompat & INCOMPAT_64BIT)
		ret->blocks |= (uint64_t)le32_load(sb + SB_BLOCKS_HI) << 32;
	ret->has_errors = (le16_load(sb + SB_STATE) & STATE_ERRORS) != 0 || le32_load(sb + SB_ERROR_COUNT) != 0;
}
