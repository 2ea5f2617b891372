/* SPDX-License-Identifier: Apache-2.0 */
/* test-error: unit tests of base/error. Run by meson; needs no network and no root. */
#include "base/error.h"

#include <string.h>

#include "base/log.h"
#include "base/test.h"

static void test_trace_returns_its_argument(void **state)
{
	errno = ENOENT;
	assert_int_equal(trace(-EIO), -EIO);
	assert_int_equal(trace(0), 0);
	assert_int_equal(trace(3), 3);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(error_errno(), -ENOENT);
	errno = 0;
	assert_int_equal(error_errno(), -EIO);
}

static void test_fault(void **state)
{
	struct fault f = FAULT_INIT;
	char big[2000];

	assert_int_equal(fault_set(&f, -ENOSPC, "disk %s: \x1b[0m", "full"), -ENOSPC);
	assert_int_equal(f.code, -ENOSPC);
	assert_string_equal(f.text, "disk full: \\x1b[0m");
	assert_int_equal(fault_set(NULL, -EIO, "nobody listens"), -EIO);
	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	fault_set(&f, -EIO, "%s", big);
	assert_int_equal(strlen(f.text), FAULT_TEXT_MAX - 1);
}

/* BCK-02: nobody's text forges a line or drives a terminal. */
static void test_log_line(void **state)
{
	char line[LOG_LINE_MAX + 1];
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	log_open("unit", fds[1], LOG_INFO);
	log_info("guest says %s", "a\n2026-01-01 ERROR forged \x1b[2J");
	log_debug("not shown");
	n = read(fds[0], line, sizeof(line) - 1);
	assert_true(n > 0);
	line[n] = '\0';
	assert_non_null(strstr(line, "Z INFO unit: guest says a\\x0a2026"));
	assert_non_null(strstr(line, "\\x1b[2J\n"));
	assert_ptr_equal(strchr(line, '\n'), line + n - 1);
	assert_int_equal(log_errno(-ENOENT, "opening %s", "x"), -ENOENT);
	n = read(fds[0], line, sizeof(line) - 1);
	line[n > 0 ? n : 0] = '\0';
	assert_non_null(strstr(line, "ERROR unit: opening x: No such file or directory\n"));
	for (int i = 0; i < 100; i++)
		log_limited(LOG_INFO, "flood");
	n = read(fds[0], line, sizeof(line) - 1);
	assert_true(n > 0 && n <= LOG_LINE_MAX);
	log_open("unit", 2, LOG_INFO);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trace_returns_its_argument),
		cmocka_unit_test(test_fault),
		cmocka_unit_test(test_log_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
