/* SPDX-License-Identifier: Apache-2.0 */
/* test-dhcp: refusals of requests first, then replies of every size. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/test.h"
#include "proto/dhcp.h"

static uint8_t message[600];

/* A DISCOVER with OPTIONS behind the type. Return: its length. */
static size_t request(const void *options, size_t n)
{
	static const uint8_t start[] = {1, 1, 6, 0, 1, 2, 3, 4}, cookie[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1};

	memset(message, 0, sizeof(message));
	memcpy(message, start, sizeof(start));
	memcpy(message + 28, "\2\0\0\0\0\2", 6);
	memcpy(message + 236, cookie, sizeof(cookie));
	memcpy(message + 243, options, n);
	return 243 + n;
}

static int decode(struct dhcp_request *ret, size_t n)
{
	static uint8_t copy[sizeof(message)];
	uint8_t *end = copy + sizeof(copy) - n;

	memcpy(end, message, n);
	return dhcp_decode(ret, end, n);
}

static int refused(const void *options, size_t n)
{
	struct dhcp_request r;

	return decode(&r, request(options, n)) == -EBADMSG;
}

static void test_refusals(void **state)
{
	struct dhcp_request r;
	size_t n = request("\xff", 1);

	assert_int_equal(decode(&r, n), 0); /* the twin */
	for (size_t i = 0; i < n; i++)
		assert_int_equal(decode(&r, i), -EBADMSG);
	assert_true(refused("", 0));			  /* no end */
	assert_true(refused("\x32\4\1\2\3", 5));	  /* cut in the value */
	assert_true(refused("\x32", 1));		  /* cut before the length */
	assert_true(refused("\x32\3\1\2\3\xff", 6));	  /* a wrong length */
	assert_true(refused("\x36\5\1\2\3\4\5\xff", 8));
	assert_true(refused("\x39\1\1\xff", 4));
	assert_true(refused("\x39\2\0\0\xff", 5));
	assert_true(refused("\x35\1\1\xff", 4));	  /* the type twice */
	assert_true(refused("\x32\4\1\2\3\4\x32\4\1\2\3\4\xff", 13));
	assert_true(refused("\x0c\xff""abc\xff", 6));	  /* a host name longer than the message */
	for (size_t at = 0; at < 3; at++) {
		n = request("\xff", 1);
		message[at]++;
		assert_int_equal(decode(&r, n), -EBADMSG);
	}
	n = request("\xff", 1);
	message[236]++;
	assert_int_equal(decode(&r, n), -EBADMSG);
	n = request("\xff", 1);
	message[27] = 1; /* through a relay */
	assert_int_equal(decode(&r, n), -EBADMSG);
	for (unsigned int type = 0; type < 256; type++) {
		bool good = type == DHCP_DISCOVER || type == DHCP_REQUEST || type == DHCP_DECLINE || type == DHCP_RELEASE ||
			    type == DHCP_INFORM;

		n = request("\xff", 1);
		message[242] = (uint8_t)type;
		assert_int_equal(decode(&r, n), good ? 0 : -EBADMSG);
	}
}

static void test_request(void **state)
{
	static const char options[] = "\0\0\x0c\4host\x32\4\xc0\xa8\x41\3\x36\4\xc0\xa8\x41\1\x39\2\5\xdc\xff garbage behind";
	struct dhcp_request r;

	assert_int_equal(decode(&r, request(options, sizeof(options) - 1)), 0);
	assert_int_equal(r.type, DHCP_DISCOVER);
	assert_int_equal(r.xid, 0x01020304);
	assert_int_equal(r.requested, 0xc0a84103);
	assert_int_equal(r.server, 0xc0a84101);
	assert_int_equal(r.max_size, 1500);
	assert_false(r.broadcast);
	assert_memory_equal(r.mac, "\2\0\0\0\0\2", 6);
	assert_int_equal(decode(&r, request("\x39\2\0\x44\xff", 5)), 0);
	assert_int_equal(r.max_size, DHCP_PACKET_MIN); /* nobody may ask for less */
}

/* Collects option CODE of the LEN bytes in DATA. Return: bytes, -1: not there. */
static int option(const uint8_t *data, size_t len, uint8_t code, uint8_t *ret, size_t size)
{
	int n = -1;

	for (size_t i = DHCP_FIXED_LEN; i < len && data[i] != 255;) {
		if (!data[i]) {
			i++;
			continue;
		}
		assert_true(i + 2 + data[i + 1] <= len);
		if (data[i] == code) {
			n = n < 0 ? 0 : n;
			assert_true((size_t)n + data[i + 1] <= size);
			memcpy(ret + n, data + i + 2, data[i + 1]);
			n += data[i + 1];
		}
		i += 2 + (size_t)data[i + 1];
	}
	return n;
}

static const struct dhcp_reply full = {
	.type = DHCP_ACK, .xid = 9, .mac = {2, 0, 0, 0, 0, 2}, .yours = 0xc0a84103, .server = 0xc0a84101, .lease = true,
	.netmask = 0xffffff00, .router = 0xc0a84101, .dns = 0xc0a84101, .net_broadcast = 0xc0a841ff, .mtu = 1500,
};

static void test_reply(void **state)
{
	struct dhcp_reply reply = full;
	uint8_t data[600], value[600];
	int n;

	reply.n_search = 2;
	reply.search[0] = "corp.example";
	reply.search[1] = "example";
	n = dhcp_encode(&reply, data, sizeof(data));
	assert_true(n > DHCP_REPLY_MIN);
	assert_int_equal(data[0], 2);
	assert_int_equal(be32_load(data + 16), 0xc0a84103);
	assert_int_equal(option(data, (size_t)n, 53, value, sizeof(value)), 1);
	assert_int_equal(value[0], DHCP_ACK);
	assert_int_equal(option(data, (size_t)n, 1, value, sizeof(value)), 4);
	assert_int_equal(be32_load(value), 0xffffff00);
	assert_int_equal(option(data, (size_t)n, 51, value, sizeof(value)), 4);
	assert_int_equal(be32_load(value), 0xffffffff);
	assert_int_equal(option(data, (size_t)n, 26, value, sizeof(value)), 2);
	assert_int_equal(be16_load(value), 1500);
	assert_int_equal(option(data, (size_t)n, 119, value, sizeof(value)), 23);
	assert_memory_equal(value, "\4corp\7example\0\7example", 23);
	reply.type = DHCP_NAK;
	n = dhcp_encode(&reply, data, sizeof(data));
	assert_int_equal(n, DHCP_REPLY_MIN);
	assert_int_equal(option(data, (size_t)n, 54, value, sizeof(value)), 4);
	assert_int_equal(option(data, (size_t)n, 51, value, sizeof(value)), -1);
	assert_int_equal(option(data, (size_t)n, 3, value, sizeof(value)), -1);
	assert_int_equal(option(data, (size_t)n, 12, value, sizeof(value)), -1); /* never a host name */
}

/* Every size: nothing beyond it is written, names are whole (NET-07). */
static void test_sizes(void **state)
{
	static char names[DHCP_SEARCH_MAX][256];
	struct dhcp_reply reply = full;
	uint8_t *data = test_malloc(4096), value[DHCP_SEARCH_MAX * 256];

	reply.n_search = DHCP_SEARCH_MAX;
	for (size_t i = 0; i < DHCP_SEARCH_MAX; i++) {
		memset(names[i], 'a', 253);
		names[i][63] = names[i][127] = names[i][191] = '.';
		reply.search[i] = names[i];
	}
	for (size_t size = 0; size < 4096; size++) {
		int n, got;

		memset(data, 0xa5, 4096);
		n = dhcp_encode(&reply, data, size);
		if (n == -EMSGSIZE) {
			assert_true(size < DHCP_REPLY_MIN);
			continue;
		}
		assert_true(n > 0 && (size_t)n <= size);
		assert_int_equal(data[n], 0xa5);
		got = option(data, (size_t)n, 119, value, sizeof(value));
		assert_true(got <= 0 || got % 255 == 0);
		if (size > 3000)
			assert_int_equal(got, DHCP_SEARCH_MAX * 255);
	}
	test_free(data);
}

static void test_names(void **state)
{
	uint8_t data[300];
	char name[300];

	assert_int_equal(dhcp_encode_name(data, sizeof(data), "a.bc"), 6);
	assert_memory_equal(data, "\1a\2bc", 6);
	assert_int_equal(dhcp_encode_name(data, 6, "a.bc"), 6);
	assert_int_equal(dhcp_encode_name(data, 5, "a.bc"), 0);
	assert_int_equal(dhcp_encode_name(data, sizeof(data), ""), 0);
	assert_int_equal(dhcp_encode_name(data, sizeof(data), "a..b"), 0);
	assert_int_equal(dhcp_encode_name(data, sizeof(data), ".a"), 0);
	memset(name, 'x', sizeof(name));
	name[64] = 0;
	assert_int_equal(dhcp_encode_name(data, sizeof(data), name), 0);
	name[63] = 0;
	assert_int_equal(dhcp_encode_name(data, sizeof(data), name), 65);
	for (size_t i = 1; i < sizeof(name); i += 2)
		name[i] = '.';
	name[64] = 'x';
	name[255] = 0;
	assert_int_equal(dhcp_encode_name(data, sizeof(data), name), 0);
	name[253] = 0;
	assert_int_equal(dhcp_encode_name(data, sizeof(data), name), 255);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_request), cmocka_unit_test(test_reply),
		cmocka_unit_test(test_sizes),	 cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
