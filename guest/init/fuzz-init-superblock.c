/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-init-superblock: arbitrary bytes as the start of the data disk; what may be formatted is zero or our mark. */
#include <stdlib.h>
#include <string.h>

#include "guest/init/superblock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct superblock sb;
	size_t i, marked = size >= SUPERBLOCK_MARKER_SIZE && memcmp(data, SUPERBLOCK_MARKER, SUPERBLOCK_MARKER_SIZE) == 0;

	superblock_probe(&sb, data, size);
	if (sb.kind == SUPERBLOCK_UNFINISHED && !marked)
		abort();
	for (i = 0; sb.kind == SUPERBLOCK_EMPTY && i < size; i++)
		if (data[i] != 0)
			abort();
	if (sb.kind == SUPERBLOCK_EXT4 && (sb.block_size < 1024 || sb.block_size > 65536))
		abort();
	return 0;
}
