/* SPDX-License-Identifier: Apache-2.0 */
/* test-dns-name: loops, pointers past the end, lengths (NET-10), and the text of names. Run by meson. */
#include "proto/dns-name.h"

#include <errno.h>
#include <string.h>

#include "base/test.h"

static void refuses_name(const void *src, size_t len, size_t at)
{
	struct dns_name name = {.len = 77};
	size_t off = at;

	assert_int_equal(dns_name_read(&name, src, len, &off), -EBADMSG);
	assert_int_equal(name.len, 77);
	assert_int_equal(off, at);
}

static void test_bad_names(void **state)
{
	uint8_t buffer[1024] = {0};

	memset(buffer, 0, sizeof(buffer));
	refuses_name(buffer, 12, 12); /* nothing there */
	buffer[12] = 5;
	refuses_name(buffer, 16, 12); /* label beyond the end */
	buffer[12] = 0xc0;
	refuses_name(buffer, 13, 12); /* half a pointer */
	buffer[13] = 12;
	refuses_name(buffer, 64, 12); /* to itself */
	buffer[13] = 20;
	refuses_name(buffer, 64, 12); /* forwards */
	buffer[13] = 0;
	refuses_name(buffer, 64, 12); /* into the header */
	buffer[12] = 0xff;
	buffer[13] = 0xff;
	refuses_name(buffer, 64, 12); /* past the end */
	buffer[12] = 0x40;
	refuses_name(buffer, 64, 12); /* types of labels that are none */
	buffer[12] = 0x80;
	refuses_name(buffer, 64, 12);
	/* two pointers that point at each other, through a label */
	memcpy(buffer + 12, "\1a\xc0\x10\1b\xc0\x0c", 8);
	refuses_name(buffer, 64, 12);
	memcpy(buffer + 12, "\1a\xc0\x0c", 4);
	refuses_name(buffer, 64, 12);
	refuses_name(buffer, 64, 14);
}

static void test_long_names(void **state)
{
	uint8_t buffer[1024] = {0};
	struct dns_name name;
	char text[DNS_TEXT_MAX];
	size_t off = 12, at = 12;

	for (int i = 0; i < 3; i++, at += 64)
		buffer[at] = 63;
	buffer[at] = 61; /* 3 * 64 + 62 + 1 = 255 */
	assert_int_equal(dns_name_read(&name, buffer, sizeof(buffer), &off), 0);
	assert_int_equal(name.len, 255);
	assert_int_equal(off, 12 + 255);
	dns_name_text(&name, text);
	assert_int_equal(strlen(text), 253);
	buffer[at] = 62;
	refuses_name(buffer, sizeof(buffer), 12);
	/* growing by pointers: each of these is 64 bytes longer than the one before */
	memset(buffer, 0, sizeof(buffer));
	at = 13;
	for (int i = 0; i < 6; i++) {
		buffer[at] = 63;
		buffer[at + 64] = 0xc0 | (uint8_t)((i ? at - 66 : 12) >> 8);
		buffer[at + 65] = (uint8_t)(i ? at - 66 : 12);
		off = at;
		assert_int_equal(dns_name_read(&name, buffer, sizeof(buffer), &off), i < 3 ? 0 : -EBADMSG);
		at += 66;
	}
}

static void test_name_text(void **state)
{
	static const char *const bad[] = {"", "a..b", ".a", "a b", "a/b", "ä",
					  "0123456789012345678901234567890123456789012345678901234567890123.x"};
	struct dns_name a, b;
	char text[DNS_TEXT_MAX];
	size_t off = 0;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(dns_name_parse(&a, bad[i]), -EINVAL);
	assert_int_equal(dns_name_parse(&a, "WWW.Example.Com."), 0);
	assert_int_equal(dns_name_parse(&b, "www.example.com"), 0);
	assert_true(dns_name_equal(&a, &b));
	assert_memory_not_equal(a.wire, b.wire, a.len);
	dns_name_text(&a, text);
	assert_string_equal(text, "www.example.com");
	assert_int_equal(dns_name_labels(&a), 3);
	assert_int_equal(dns_name_parse(&b, "example.COM"), 0);
	assert_true(dns_name_below(&a, &b));
	assert_true(dns_name_below(&b, &b));
	assert_false(dns_name_below(&b, &a));
	assert_int_equal(dns_name_parse(&b, "xample.com"), 0);
	assert_false(dns_name_below(&a, &b));
	assert_int_equal(dns_name_parse(&b, "."), 0);
	assert_true(dns_name_below(&a, &b));
	assert_int_equal(dns_name_labels(&b), 0);
	dns_name_text(&b, text);
	assert_string_equal(text, ".");
	/* a dot and a control character inside a label are no separators */
	assert_int_equal(dns_name_read(&a, (const uint8_t *)"\5a.b\0d", 8, &off), 0);
	dns_name_text(&a, text);
	assert_string_equal(text, "a?b?d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_name_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
