/* SPDX-License-Identifier: Apache-2.0 */
/* test-uevent: reports of bad blocks are found, everything else is ignored; port names match whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "guest/init/port.h"
#include "guest/init/uevent.h"

#define PARSE(text, ret) uevent_parse_corrupt(text, sizeof(text) - 1, ret)

static void finds(void **state)
{
	uint64_t block = 0;

	assert_true(PARSE("change@/devices/virtual/block/dm-0\0ACTION=change\0"
			  "DM_VERITY_ERR_BLOCK_NR=0,1234\0SEQNUM=9", &block));
	assert_int_equal(block, 1234);
	assert_true(PARSE("DM_VERITY_ERR_BLOCK_NR=1,0\0", &block));
	assert_int_equal(block, 0);
}

static void ignores(void **state)
{
	uint64_t block = 77;

	assert_false(PARSE("add@/devices/x\0ACTION=add\0SUBSYSTEM=block", &block));
	assert_false(PARSE("X_DM_VERITY_ERR_BLOCK_NR=0,5", &block));
	assert_false(PARSE("DM_VERITY_ERR_BLOCK_NR=", &block));
	assert_false(PARSE("DM_VERITY_ERR_BLOCK_NR=0", &block));
	assert_false(PARSE("DM_VERITY_ERR_BLOCK_NR=0,", &block));
	assert_false(PARSE("DM_VERITY_ERR_BLOCK_NR=0,-1", &block));
	assert_false(PARSE("DM_VERITY_ERR_BLOCK_NR=0,12x", &block));
	assert_false(PARSE("DM_VERITY_ERR_BLOCK_NR=0,99999999999999999999999999999", &block));
	assert_false(uevent_parse_corrupt("", 0, &block));
	assert_int_equal(block, 77);
}

/* A sender that never stops must not hold the reader: what is left waits for the next call. */
static void flood(void **state)
{
	uint64_t block = 0;
	int fds[2], i, left = 0;
	char c = 'x';

	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), errno);
	for (i = 0; i < UEVENT_READ_MAX + 5; i++)
		assert_int_equal(send(fds[1], &c, 1, 0), 1);
	assert_false(uevent_read_corrupt(fds[0], &block));
	while (recv(fds[0], &c, 1, 0) == 1)
		left++;
	assert_int_equal(left, 5);
	close(fds[0]);
	close(fds[1]);
}

/* The message ends where its length says, not at the next NUL. */
static void bounded(void **state)
{
	static const char text[] = "DM_VERITY_ERR_BLOCK_NR=0,1234";
	uint64_t block = 0;

	assert_true(uevent_parse_corrupt(text, sizeof(text) - 3, &block));
	assert_int_equal(block, 12);
}

static void port_names(void **state)
{
	assert_true(port_name_matches("org.caisson.agent\n", "org.caisson.agent"));
	assert_true(port_name_matches("org.caisson.agent", "org.caisson.agent"));
	assert_false(port_name_matches("org.caisson.agent2\n", "org.caisson.agent"));
	assert_false(port_name_matches("org.caisson\n", "org.caisson.agent"));
	assert_false(port_name_matches("\n", "org.caisson.agent"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds), cmocka_unit_test(ignores), cmocka_unit_test(bounded), cmocka_unit_test(flood),
		cmocka_unit_test(port_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
