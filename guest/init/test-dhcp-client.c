/* SPDX-License-Identifier: Apache-2.0 */
/* test-dhcp-client: a lease from our own server's codec, and answers that are none. */
#include "base/test.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "guest/init/dhcp-client.h"
#include "proto/data-card.h"
#include "proto/dhcp.h"

static const uint8_t mac[] = DATA_GUEST_MAC;
static struct dhcp_client_question question;
static struct dhcp_client_lease lease;
static uint8_t frame[DHCP_CLIENT_FRAME_MAX];

static struct dhcp_reply offer(void)
{
	struct dhcp_reply reply = {
		.type = DHCP_OFFER, .xid = 0x12345678, .broadcast = true, .yours = 0xc0a84103, .server = 0xc0a84101,
		.lease = true, .netmask = 0xffffff00, .router = 0xc0a84101, .dns = 0xc0a84101, .net_broadcast = 0xc0a841ff,
		.mtu = 1500};

	memcpy(reply.mac, mac, sizeof(mac));
	return reply;
}

static int setup(void **state _unused_)
{
	question = (struct dhcp_client_question){.type = DHCP_CLIENT_DISCOVER, .xid = 0x12345678};
	memcpy(question.mac, mac, sizeof(mac));
	return 0;
}

static int take(const struct dhcp_reply *reply)
{
	int n = dhcp_encode(reply, frame, sizeof(frame));

	assert_true(n > 0);
	return dhcp_client_decode(&lease, &question, frame, (size_t)n);
}

/* Our own server understands both questions. */
static void questions(void **state _unused_)
{
	struct dhcp_request request;
	size_t n = dhcp_client_encode(&question, frame);

	assert_int_equal(dhcp_decode(&request, frame, n), 0);
	assert_int_equal(request.type, DHCP_DISCOVER);
	assert_true(request.broadcast);
	assert_int_equal(request.xid, question.xid);
	assert_memory_equal(request.mac, mac, sizeof(mac));
	question.type = DHCP_CLIENT_REQUEST;
	question.requested = 0xc0a84103;
	question.server = 0xc0a84101;
	n = dhcp_client_encode(&question, frame);
	assert_int_equal(dhcp_decode(&request, frame, n), 0);
	assert_int_equal(request.type, DHCP_REQUEST);
	assert_int_equal(request.requested, 0xc0a84103);
	assert_int_equal(request.server, 0xc0a84101);
	assert_int_equal(request.max_size, 1500);
}

static void a_lease(void **state _unused_)
{
	struct dhcp_reply reply = offer();

	reply.n_search = 2;
	reply.search[0] = "corp.example";
	reply.search[1] = "a.b";
	assert_int_equal(take(&reply), 0);
	assert_int_equal(lease.type, DHCP_CLIENT_OFFER);
	assert_int_equal(lease.address, 0xc0a84103);
	assert_int_equal(lease.prefix_len, 24);
	assert_int_equal(lease.router, 0xc0a84101);
	assert_int_equal(lease.dns, 0xc0a84101);
	assert_int_equal(lease.mtu, 1500);
	assert_string_equal(lease.search, "corp.example a.b");
	question.type = DHCP_CLIENT_REQUEST;
	question.requested = lease.address;
	question.server = lease.server;
	reply.type = DHCP_ACK;
	assert_int_equal(take(&reply), 0);
	assert_int_equal(lease.type, DHCP_CLIENT_ACK);
	reply.yours++;
	assert_int_equal(take(&reply), -EBADMSG); /* not what was asked for */
	reply.type = DHCP_NAK;
	assert_int_equal(take(&reply), 0);
	assert_int_equal(lease.type, DHCP_CLIENT_NAK);
}

static void answers_that_are_none(void **state _unused_)
{
	struct dhcp_reply reply;

#define BAD(change)                                                                                                  \
	do {                                                                                                         \
		reply = offer();                                                                                     \
		change;                                                                                              \
		assert_int_equal(take(&reply), -EBADMSG);                                                            \
	} while (0)
	BAD(reply.xid++);
	BAD(reply.mac[5]++);
	BAD(reply.type = DHCP_ACK);
	BAD(reply.type = DHCP_NAK);
	BAD(reply.yours = 0);
	BAD(reply.yours = 0x7f000001);
	BAD(reply.yours = 0xe0000001);
	BAD(reply.yours = 0xc0a84100);
	BAD(reply.yours = 0xc0a841ff);
	BAD(reply.yours = reply.router);
	BAD(reply.router = 0);
	BAD(reply.router = 0x0a000001);
	BAD(reply.netmask = 0xff00ff00);
	BAD(reply.netmask = 0xffffffff);
	BAD(reply.netmask = 0);
	reply = offer();
	assert_int_equal(take(&reply), 0);
}

/* Every cut and every changed byte: no overflow (sanitizers watch), and a lease is a usable one. */
static void broken_bytes(void **state _unused_)
{
	struct dhcp_reply reply = offer();
	int n = dhcp_encode(&reply, frame, sizeof(frame));

	for (int i = 0; i < n; i++) {
		uint8_t *copy = malloc((size_t)i);

		memcpy(copy, frame, (size_t)i);
		(void)dhcp_client_decode(&lease, &question, copy, (size_t)i);
		free(copy);
	}
	for (int i = 0; i < n; i++)
		for (unsigned int v = 0; v < 256; v++) {
			uint8_t old = frame[i];

			frame[i] = (uint8_t)v;
			if (dhcp_client_decode(&lease, &question, frame, (size_t)n) == 0) {
				assert_true(lease.address && lease.router && lease.prefix_len >= 8);
				assert_int_equal(strspn(lease.search, "abcdefghijklmnopqrstuvwxyz0123456789-_. "),
						 strlen(lease.search));
			}
			frame[i] = old;
		}
}

static void search_names(void **state _unused_)
{
	static const char *const texts[] = {"\3foo\0", "\3f o\0", "\3foo", "\xc0\x0c", "\1\n\0", "\0", "\4Corp\2ex\0"};
	static const size_t lens[] = {5, 5, 4, 2, 3, 1, 9};
	static const char *const wants[] = {"foo", "", "", "", "", "", "corp.ex"};
	struct dhcp_reply reply = offer();

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int n = dhcp_encode(&reply, frame, sizeof(frame));
		uint8_t *end = memrchr(frame, 255, (size_t)n);

		assert_non_null(end);
		*end++ = 119;
		*end++ = (uint8_t)lens[i];
		memcpy(end, texts[i], lens[i]);
		end += lens[i];
		*end++ = 255;
		assert_int_equal(dhcp_client_decode(&lease, &question, frame, (size_t)(end - frame)), 0);
		assert_string_equal(lease.search, wants[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(questions, setup),    cmocka_unit_test_setup(a_lease, setup),
		cmocka_unit_test_setup(answers_that_are_none, setup), cmocka_unit_test_setup(broken_bytes, setup),
		cmocka_unit_test_setup(search_names, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
