/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-qmp: framing and decoding of QEMU's lines, good and bad.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/qmp.h"

static struct qmp_message m;

static int decode(const char *line)
{
	return qmp_decode(&m, line, strlen(line));
}

static void encodes(void **state)
{
	char line[128];
	int n = qmp_encode(QMP_QUIT, 7, line, sizeof(line));

	assert_string_equal(line, "{\"execute\":\"quit\",\"id\":7}\n");
	assert_int_equal(n, (int)strlen(line));
	assert_int_equal(qmp_encode(QMP_QUIT, 7, line, 10), -EMSGSIZE);
	assert_int_equal(qmp_encode(QMP_COMMAND_MAX, 7, line, sizeof(line)), -EINVAL);
}

static void frames(void **state)
{
	char *big = malloc(QMP_LINE_MAX);

	memset(big, 'x', QMP_LINE_MAX);
	assert_int_equal(qmp_line("{}\n{}", 5), 3);
	assert_int_equal(qmp_line("{}", 2), 0);
	assert_int_equal(qmp_line("", 0), 0);
	assert_int_equal(qmp_line(big, QMP_LINE_MAX - 1), 0);
	assert_int_equal(qmp_line(big, QMP_LINE_MAX), -EMSGSIZE);
	big[QMP_LINE_MAX - 1] = '\n';
	assert_int_equal(qmp_line(big, QMP_LINE_MAX), QMP_LINE_MAX);
	free(big);
}

static void kinds(void **state)
{
	assert_int_equal(decode("{\"QMP\":{\"version\":{\"qemu\":{\"micro\":2,\"minor\":1,\"major\":10}}}}\r\n"), 0);
	assert_int_equal(m.kind, QMP_GREETING);
	assert_int_equal(m.major, 10);
	assert_int_equal(decode("{\"return\":{\"status\":\"running\",\"running\":true},\"id\":3}"), 0);
	assert_int_equal(m.kind, QMP_RETURN);
	assert_int_equal(m.id, 3);
	assert_string_equal(m.name, "running");
	assert_int_equal(decode("{\"error\":{\"class\":\"C\",\"desc\":\"no\\u001b[31m\"},\"id\":4}"), 0);
	assert_string_equal(m.text, "no\\x1b[31m");
	assert_int_equal(decode("{\"event\":\"SHUTDOWN\",\"data\":{\"reason\":\"guest-reset\"}}"), 0);
	assert_string_equal(m.name, "SHUTDOWN");
	assert_string_equal(m.text, "guest-reset");
	assert_int_equal(decode("{\"return\":{}}"), 0);
	assert_int_equal(m.id, 0);
}

static void bad(void **state)
{
	static const char *const lines[] = {"", "x", "[]", "{}", "{\"QMP\":1}", "{\"event\":1}", "{\"return\":{},\"id\":-1}",
					    "{\"return\":{},\"id\":\"a\"}", "{\"return\":{},\"id\":4294967296}",
					    "{\"return\":{}} x", "{\"event\":\"a\",\"event\":\"b\"}"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(decode(lines[i]), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(encodes), cmocka_unit_test(frames), cmocka_unit_test(kinds),
					   cmocka_unit_test(bad)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
