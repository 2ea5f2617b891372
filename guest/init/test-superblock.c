/* SPDX-License-Identifier: Apache-2.0 */
/* test-superblock: which disks may be formatted, and which never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "guest/init/superblock.h"

static uint8_t disk[SUPERBLOCK_PROBE_SIZE];

static enum superblock_kind kind(size_t len)
{
	struct superblock sb;

	superblock_probe(&sb, disk, len);
	return sb.kind;
}

static void put_ext4(void)
{
	memset(disk, 0, sizeof(disk));
	le16_store(disk + 1024 + 0x38, 0xef53);
	le16_store(disk + 1024 + 0x3a, 1);
	le32_store(disk + 1024 + 0x04, 1000);
	le32_store(disk + 1024 + 0x18, 2);
	le32_store(disk + 1024 + 0x60, 0x40);
}

static void empty(void **state)
{
	memset(disk, 0, sizeof(disk));
	assert_int_equal(kind(sizeof(disk)), SUPERBLOCK_EMPTY);
	disk[sizeof(disk) - 1] = 1;
	assert_int_equal(kind(sizeof(disk)), SUPERBLOCK_FOREIGN);
	disk[sizeof(disk) - 1] = 0;
	assert_int_equal(kind(512), SUPERBLOCK_FOREIGN);
}

static void foreign(void **state)
{
	static const char *const starts[] = {"QFI\xfb", "vhdxfile", "KDMV", "LUKS\xba\xbe", "XFSB", "hsqs"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		memset(disk, 0, sizeof(disk));
		memcpy(disk, starts[i], strlen(starts[i]));
		assert_int_equal(kind(sizeof(disk)), SUPERBLOCK_FOREIGN);
	}
}

static void unfinished(void **state)
{
	memset(disk, 0xa5, sizeof(disk));
	memcpy(disk, SUPERBLOCK_MARKER, SUPERBLOCK_MARKER_SIZE);
	assert_int_equal(kind(sizeof(disk)), SUPERBLOCK_UNFINISHED);
	disk[SUPERBLOCK_MARKER_SIZE - 1] ^= 1;
	assert_int_equal(kind(sizeof(disk)), SUPERBLOCK_FOREIGN);
}

static void ext4(void **state)
{
	struct superblock sb;

	put_ext4();
	superblock_probe(&sb, disk, sizeof(disk));
	assert_int_equal(sb.kind, SUPERBLOCK_EXT4);
	assert_int_equal(sb.block_size, 4096);
	assert_int_equal(sb.blocks, 1000);
	assert_false(sb.has_errors);

	le32_store(disk + 1024 + 0x150, 1);
	superblock_probe(&sb, disk, sizeof(disk));
	assert_int_equal(sb.blocks, 1000); /* the high half counts only with the 64bit feature */
	le32_store(disk + 1024 + 0x60, 0xc0);
	superblock_probe(&sb, disk, sizeof(disk));
	assert_true(sb.blocks == 1000 + (UINT64_C(1) << 32));

	le16_store(disk + 1024 + 0x3a, 2);
	superblock_probe(&sb, disk, sizeof(disk));
	assert_true(sb.has_errors);
	put_ext4();
	le32_store(disk + 1024 + 0x194, 1);
	superblock_probe(&sb, disk, sizeof(disk));
	assert_true(sb.has_errors);
}

static void ext4_refused(void **state)
{
	put_ext4();
	le32_store(disk + 1024 + 0x18, 7); /* 128 KiB blocks: no such thing, and no shift by a foreign number */
	assert_int_equal(kind(sizeof(disk)), SUPERBLOCK_FOREIGN);
	le32_store(disk + 1024 + 0x18, UINT32_MAX);
	assert_int_equal(kind(sizeof(disk)), SUPERBLOCK_FOREIGN);
	put_ext4();
	le32_store(disk + 1024 + 0x60, 0); /* ext2 or ext3 of somebody else */
	assert_int_equal(kind(sizeof(disk)), SUPERBLOCK_FOREIGN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty), cmocka_unit_test(foreign), cmocka_unit_test(unfinished),
		cmocka_unit_test(ext4), cmocka_unit_test(ext4_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
