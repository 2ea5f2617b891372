/* SPDX-License-Identifier: Apache-2.0 */
/* test-socks: conversations with servers that agree, refuse, lie and stutter. */
#include "devices/proxy/socks.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/test.h"

static struct socks socks;
static uint8_t out[SOCKS_OUT_MAX];
static size_t taken, n_out;
static const char *why;

static void start(const char *user, const char *password)
{
	socks = (struct socks){.user = user, .password = password, .host = "example.test", .port = 443};
	n_out = socks_start(&socks, out);
	why = "";
}

static int feed(const void *src, size_t len)
{
	uint8_t copy[300];

	memcpy(copy, src, len);
	return socks_feed(&socks, copy, len, &taken, out, &n_out, &why);
}

static void test_without_password(void **state)
{
	start("", "");
	assert_int_equal(n_out, 3);
	assert_memory_equal(out, "\5\1\0", 3);
	assert_int_equal(feed("\5", 1), 0);
	assert_int_equal(taken + n_out, 0);
	assert_int_equal(feed("\5\0", 2), 0);
	assert_int_equal(n_out, 5 + 12 + 2);
	assert_memory_equal(out, "\5\1\0\3\14example.test\1\273", n_out);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(feed("\5\0\0\1\177\0\0\1\0\120", i), 0);
	assert_int_equal(feed("\5\0\0\1\177\0\0\1\0\120more", 14), SOCKS_E_DONE);
	assert_int_equal(taken, 10);
}

static void test_with_password(void **state)
{
	static const struct net_addr v6 = {{0x20, 1, 0xd, 0xb8, [15] = 1}};

	start("us:er", "word");
	assert_memory_equal(out, "\5\2\0\2", n_out);
	socks.addr = &v6;
	assert_int_equal(feed("\5\2", 2), 0);
	assert_memory_equal(out, "\1\5us:er\4word", n_out);
	assert_int_equal(feed("\1\0", 2), 0);
	assert_int_equal(n_out, 4 + 16 + 2);
	assert_int_equal(out[3], 4);
	assert_int_equal(feed("\5\0\0\3\2ab\0\1", 9), SOCKS_E_DONE);
	assert_int_equal(taken, 9);
}

static void test_longest(void **state)
{
	char user[256], password[256];

	memset(user, 'u', 255);
	memset(password, 'p', 255);
	user[255] = password[255] = '\0';
	start(user, password);
	socks.host = user;
	assert_int_equal(feed("\5\2", 2), 0);
	assert_int_equal(n_out, 3 + 2 * 255);
	assert_int_equal(feed("\1\0", 2), 0);
	assert_int_equal(n_out, 7 + 255);
}

static void test_refusals(void **state)
{
	start("", "");
	assert_int_equal(feed("HTTP", 4), -EBADMSG);
	start("", "");
	assert_int_equal(feed("\5\2", 2), -EBADMSG);
	start("", "");
	assert_int_equal(feed("\5\377", 2), -EACCES);
	start("a", "b");
	assert_int_equal(feed("\5\1", 2), -EBADMSG);
	start("a", "b");
	assert_int_equal(feed("\5\2", 2), 0);
	assert_int_equal(feed("\1\1", 2), -EACCES);
	assert_non_null(strstr(why, "refused"));
	for (unsigned int code = 1; code < 256; code++) {
		uint8_t reply[10] = {5, (uint8_t)code, 0, 1};

		start("", "");
		assert_int_equal(feed("\5\0", 2), 0);
		why = "";
		assert_true(feed(reply, sizeof(reply)) < 0);
		assert_true(*why);
	}
	start("", "");
	assert_int_equal(feed("\5\0", 2), 0);
	assert_int_equal(feed("\5\0\0\2\0\0", 6), -EBADMSG);
	assert_int_equal(feed("\4\0", 2), -EBADMSG);
	assert_int_equal(feed("\5\0\1\1", 4), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_password), cmocka_unit_test(test_with_password), cmocka_unit_test(test_longest),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
