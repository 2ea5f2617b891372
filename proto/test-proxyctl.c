/* SPDX-License-Identifier: Apache-2.0 */
/* test-proxyctl: round trips, and what a proxy must never be told. */
#include "proto/proxyctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/test.h"

static struct proxyctl_message m, back;
static uint8_t frame[PROXYCTL_FRAME_MAX];

static void make_settings(void)
{
	memset(&m, 0, sizeof(m));
	m.type = PROXYCTL_SETTINGS;
	m.settings.http = (struct proxyctl_upstream){PROXYCTL_HTTP, 3128, "proxy.corp", "manual", "user", "pass:word"};
	m.settings.https = (struct proxyctl_upstream){PROXYCTL_SOCKS5H, 1080, "::1", "system: environment ALL_PROXY", "", ""};
	m.settings.n_excludes = 5;
	m.settings.exclude[0] = (struct proxyctl_exclude){.kind = PROXYCTL_EXCLUDE_NAME, .text = "localhost"};
	m.settings.exclude[1] = (struct proxyctl_exclude){.kind = PROXYCTL_EXCLUDE_SUFFIX, .port = 8080, .text = ".corp"};
	m.settings.exclude[2] = (struct proxyctl_exclude){.kind = PROXYCTL_EXCLUDE_GLOB, .text = "*.la?"};
	m.settings.exclude[3] = (struct proxyctl_exclude){.kind = PROXYCTL_EXCLUDE_NET, .prefix_len = 104,
			.addr = net_addr4(10u << 24)};
	m.settings.exclude[4] = (struct proxyctl_exclude){.kind = PROXYCTL_EXCLUDE_LOCAL};
}

static void test_settings(void **state)
{
	int len;

	make_settings();
	len = proxyctl_encode(&m, frame);
	assert_true(len > 0);
	assert_int_equal(proxyctl_decode(&back, PROXYCTL_TO_PROXY, frame, (size_t)len, 0), 0);
	assert_int_equal(back.settings.n_excludes, 5);
	assert_string_equal(back.settings.http.password, "pass:word");
	assert_string_equal(back.settings.https.host, "::1");
	assert_int_equal(back.settings.exclude[1].port, 8080);
	assert_int_equal(back.settings.exclude[3].prefix_len, 104);
	assert_int_equal(proxyctl_decode(&back, PROXYCTL_TO_PROXY, frame, (size_t)len, 1), -EBADMSG);
	assert_int_equal(proxyctl_decode(&back, PROXYCTL_TO_BACKEND, frame, (size_t)len, 0), -EBADMSG);
	for (int i = 0; i < len; i++)
		assert_int_equal(proxyctl_decode(&back, PROXYCTL_TO_PROXY, frame, (size_t)i, 0), -EBADMSG);
}

static void refuse(void (*spoil)(void))
{
	make_settings();
	spoil();
	assert_int_equal(proxyctl_encode(&m, frame), -EINVAL);
}

static void bad_kind(void) { m.settings.http.kind = PROXYCTL_KIND_MAX; }
static void bad_port(void) { m.settings.http.port = 0; }
static void bad_host(void) { m.settings.http.host[0] = '/'; }
static void bad_source(void) { m.settings.http.source[0] = '\n'; }
static void bad_user(void) { m.settings.http.user[0] = ':'; }
static void no_user(void) { m.settings.http.user[0] = '\0'; }
static void bad_count(void) { m.settings.n_excludes = PROXYCTL_EXCLUDES_MAX + 1; }
static void bad_net(void) { m.settings.exclude[3].prefix_len = 99; }
static void bad_name(void) { m.settings.exclude[0].text[0] = ' '; }
static void bad_direct(void) { m.settings.http.kind = PROXYCTL_DIRECT; }

static void test_refusals(void **state)
{
	void (*const all[])(void) = {bad_kind, bad_port, bad_host, bad_source, bad_user, no_user, bad_count,
			bad_net, bad_name, bad_direct};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		refuse(all[i]);
}

/* The network's frames pass as they are, and only those that the proxy has a use for. */
static void test_network_frames(void **state)
{
	int len;

	memset(&m, 0, sizeof(m));
	m.type = PROXYCTL_NET;
	m.net.type = NETCTL_RULES;
	m.net.rules.egress = true;
	len = proxyctl_encode(&m, frame);
	assert_true(len > 0);
	assert_int_equal(proxyctl_decode(&back, PROXYCTL_TO_PROXY, frame, (size_t)len, 0), 0);
	assert_int_equal(back.type, PROXYCTL_NET);
	assert_int_equal(back.net.type, NETCTL_RULES);
	assert_int_equal(proxyctl_decode(&back, PROXYCTL_TO_BACKEND, frame, (size_t)len, 0), -EBADMSG);
	m.net.type = NETCTL_PORT_REMOVE;
	m.net.port_remove.id = 1;
	assert_int_equal(proxyctl_encode(&m, frame), -EINVAL);
	len = netctl_encode(&m.net, frame);
	assert_true(len > 0);
	assert_int_equal(proxyctl_decode(&back, PROXYCTL_TO_PROXY, frame, (size_t)len, 0), -EBADMSG);
}

static void test_small(void **state)
{
	const struct proxyctl_message all[] = {
		{.type = PROXYCTL_STATS_GET},
		{.type = PROXYCTL_READY, .ready.version = PROXYCTL_VERSION},
		{.type = PROXYCTL_STATS, .stats = {.now = 1, .upstream = UINT64_MAX}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		int len = proxyctl_encode(&all[i], frame);

		assert_true(len > 0);
		assert_int_equal(proxyctl_decode(&back, i ? PROXYCTL_TO_BACKEND : PROXYCTL_TO_PROXY, frame, (size_t)len, 0), 0);
		assert_int_equal(back.type, all[i].type);
		assert_int_equal(proxyctl_decode(&back, i ? PROXYCTL_TO_PROXY : PROXYCTL_TO_BACKEND, frame,
				(size_t)len, 0), -EBADMSG);
	}
	assert_int_equal(back.stats.upstream, UINT64_MAX);
}

static void test_names(void **state)
{
	static const char *const good[] = {"a", "example.com", "example.com.", "_srv.x-y", "1.2.3.4.in-addr.arpa", "3com"};
	static const char *const bad[] = {"", ".", "a..b", ".a", "127.1", "127.0.0.1", "0x7f.0.0.1",
			"2130706433", "0x7f000001", "1.", "a b",
					  "a/b", "a@b", "a:1", "[::1]", "a%00", "x.0x7F"};
	struct net_addr addr;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (!proxyctl_name_ok(good[i]))
			fail_msg("%s is refused", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (proxyctl_name_ok(bad[i]))
			fail_msg("%s is taken", bad[i]);
	assert_true(proxyctl_address_parse("127.0.0.1", &addr) && net_addr_is_v4(&addr));
	assert_true(proxyctl_address_parse("::ffff:127.0.0.1", &addr) && net_addr_is_v4(&addr));
	assert_false(proxyctl_address_parse("127.1", &addr));
	assert_false(proxyctl_address_parse("fe80::1%eth0", &addr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings), cmocka_unit_test(test_refusals), cmocka_unit_test(test_network_frames),
		cmocka_unit_test(test_small),	 cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
