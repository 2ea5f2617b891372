/* SPDX-License-Identifier: Apache-2.0 */
/* test-proxy-settings: URLs, exclusions, environment and desktops; above all what is refused, and that no password is ever told. */
#include "backend/proxy-settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/proxy-desktop.h"
#include "base/cleanup.h"
#include "base/test.h"

static struct proxyctl_settings s;
static struct proxyctl_upstream u;
static struct fault fault;
static char text[1280];

static void test_urls(void **state)
{
	static const struct {
		const char *url;
		enum proxyctl_kind kind;
		const char *host;
		uint16_t port;
		const char *user, *password;
	} all[] = {
		{"http://proxy.corp:3128", PROXYCTL_HTTP, "proxy.corp", 3128, "", ""},
		{"HTTP://Proxy.Corp/", PROXYCTL_HTTP, "proxy.corp", 80, "", ""},
		{"proxy:8080", PROXYCTL_HTTP, "proxy", 8080, "", ""},
		{"http://me:p%40s%3As%2F@10.0.0.1:81/", PROXYCTL_HTTP, "10.0.0.1", 81, "me", "p@s:s/"},
		{"http://me@h", PROXYCTL_HTTP, "h", 80, "me", ""},
		{"http://a:b@c@h:1", PROXYCTL_HTTP, "h", 1, "a", "b@c"},
		{"socks5://[::1]:1080", PROXYCTL_SOCKS5, "::1", 1080, "", ""},
		{"socks5h://u%3A:p@h", PROXYCTL_SOCKS5H, "h", 1080, "u:", "p"},
		{"socks://h", PROXYCTL_SOCKS5H, "h", 1080, "", ""},
		{"http://localhost:3128", PROXYCTL_HTTP, "localhost", 3128, "", ""},
		{"http://127.0.0.1:3128", PROXYCTL_HTTP, "127.0.0.1", 3128, "", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (proxy_url_parse(&u, all[i].url, "manual", &fault) < 0)
			fail_msg("%s: %s", all[i].url, fault.text);
		assert_int_equal(u.kind, all[i].kind);
		assert_string_equal(u.host, all[i].host);
		assert_int_equal(u.port, all[i].port);
		assert_string_equal(u.user, all[i].user);
		assert_string_equal(u.password, all[i].password);
	}
}

static void test_bad_urls(void **state)
{
	static const char *const all[] = {
		"http://", "http://:80", "http://h:0", "http://h:65536", "http://h:", "http://h:80x", "http://h/path", "http://h?x",
		"http://h#x", "http://h h", "http://[::1", "http://[::1]x", "http://[h]:1", "http://::1:80",
				"https://h:443", "ftp://h",
		"pac+http://h", "http://:SECRET@h", "http://a:SECRET%@h", "http://a:SECRET%4@h",
				"http://a:SECRET%zz@h", "http://a%00:SECRET@h",
		"http://a:SECRET%0a@h", "http://a:SECRET/x@h:port", "http://u%3A:SECRET@h", "http://a:SECRET",
				"a:SECRET@", "http://127.1:80", "http://h\xc3\xa4:80",
		"http://a:SECRET@h:99999", "http://a:SEC/RET@h/x",
	};
	char longest[2000];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		fault = (struct fault)FAULT_INIT;
		if (proxy_url_parse(&u, all[i], "manual", &fault) != -EINVAL)
			fail_msg("%s is taken", all[i]);
		assert_true(fault.text[0]);
		assert_null(strstr(fault.text, "SEC"));
	}
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "http://", 7);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(proxy_url_parse(&u, longest, "manual", &fault), -EINVAL);
	memset(longest + 7, 'a', 400);
	memcpy(longest + 7 + 400, "@h", 3);
	assert_int_equal(proxy_url_parse(&u, longest, "manual", &fault), -EINVAL);
}

static void test_exclusions(void **state)
{
	static const char *const bad[] = {"a b c/d", "10.0.0.0/33", "x/8", ":80", "a:0", "a:99999", "[::1",
			"[::1]x", "a_b$", "10.0.0.0/8/9",
					  "-*-\xff", ".."};
	memset(&s, 0, sizeof(s));
	assert_int_equal(proxy_exclude_add(&s, "localhost, .Corp:80;*.lan\t10.1.2.3/8,fe80::/10 "
			"::1,[::1]:443,<local>,192.168.*,1.2.3.4:5,,", &fault), 0);
	assert_int_equal(s.n_excludes, 10);
	assert_string_equal(s.exclude[1].text, ".corp");
	assert_int_equal(s.exclude[1].kind, PROXYCTL_EXCLUDE_SUFFIX);
	assert_int_equal(s.exclude[1].port, 80);
	assert_int_equal(s.exclude[2].kind, PROXYCTL_EXCLUDE_GLOB);
	assert_int_equal(s.exclude[3].prefix_len, 104);
	assert_int_equal(s.exclude[3].addr.byte[13], 0);
	assert_int_equal(s.exclude[4].prefix_len, 10);
	assert_int_equal(s.exclude[5].prefix_len, 128);
	assert_int_equal(s.exclude[6].port, 443);
	assert_int_equal(s.exclude[6].kind, PROXYCTL_EXCLUDE_NET);
	assert_int_equal(s.exclude[7].kind, PROXYCTL_EXCLUDE_LOCAL);
	assert_int_equal(s.exclude[9].port, 5);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fault = (struct fault)FAULT_INIT;
		if (proxy_settings_check_exclude(bad[i], &fault) != -EINVAL)
			fail_msg("%s is taken", bad[i]);
		assert_true(fault.text[0]);
	}
	for (size_t i = 0; i < PROXYCTL_EXCLUDES_MAX; i++) {
		memcpy(text + 2 * i, "a,", 3);
	}
	assert_int_equal(proxy_settings_check_exclude(text, &fault), 0);
	memcpy(text + 2 * PROXYCTL_EXCLUDES_MAX, "a", 2);
	assert_int_equal(proxy_settings_check_exclude(text, &fault), -EINVAL);
}

static void test_manual_and_none(void **state)
{
	struct proxy_settings wish = {PROXY_MANUAL, "http://me:SECRET@proxy.corp:3128", "", "localhost,.corp"};

	assert_int_equal(proxy_settings_check(&wish, &fault), 0);
	assert_int_equal(proxy_settings_manual(&s, &wish, &fault), 0);
	assert_string_equal(s.https.host, "proxy.corp");
	proxy_settings_describe(&s, text, sizeof(text));
	assert_string_equal(text, "http through proxy.corp:3128 with a password (manual), https through "
			"proxy.corp:3128 with a password (manual), "
				  "2 exclusions");
	wish.mode = PROXY_NONE;
	assert_int_equal(proxy_settings_manual(&s, &wish, &fault), 0);
	proxy_settings_describe(&s, text, sizeof(text));
	assert_string_equal(text, "http direct (none), https direct (none), 0 exclusions");
	wish.mode = PROXY_MANUAL;
	wish.https = "https://x:1";
	assert_int_equal(proxy_settings_check(&wish, &fault), -EINVAL);
	assert_non_null(strstr(fault.text, "not supported"));
}

static void test_redact(void **state)
{
	static const char *const all[][2] = {
		{"http://me:SECRET@h:1", "http://***@h:1"}, {"me:SECRET@h", "***@h"}, {"http://a@SECRET@h", "http://***@h"},
		{"socks5://h:1", "socks5://h:1"}, {"", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		proxy_settings_redact(all[i][0], text, sizeof(text));
		assert_string_equal(text, all[i][1]);
	}
}

static const char *const *environment; /* pairs, NULL at the end */

static const char *get(void *data, const char *name)
{
	for (size_t i = 0; environment[i]; i += 2)
		if (!strcmp(environment[i], name))
			return environment[i + 1];
	return NULL;
}

static int from(const char *const *pairs)
{
	environment = pairs;
	fault = (struct fault)FAULT_INIT;
	return proxy_settings_environment(&s, get, NULL, &fault);
}

static void test_environment(void **state)
{
	assert_int_equal(from((const char *const[]){"PATH", "/bin", NULL}), 0);
	assert_string_equal(s.http.source, "system: no proxy set");
	assert_int_equal(from((const char *const[]){"HTTPS_PROXY", "http://u:p@a:1", "no_proxy", "x,10.0.0.0/8", NULL}), 1);
	assert_int_equal(s.http.kind, PROXYCTL_DIRECT);
	assert_string_equal(s.https.source, "system: environment HTTPS_PROXY");
	assert_string_equal(s.https.password, "p");
	assert_int_equal(s.n_excludes, 2);
	assert_int_equal(from((const char *const[]){"http_proxy", "http://low", "HTTP_PROXY", "http://high",
			"ALL_PROXY", "socks5://all", NULL}), 1);
	assert_string_equal(s.http.host, "low");
	assert_int_equal(s.https.kind, PROXYCTL_SOCKS5);
	/* Wrong ones are told, not guessed at; without the value. */
	assert_int_equal(from((const char *const[]){"http_proxy", "https://u:SECRET@x:1", "no_proxy", "good,bad$", NULL}), 1);
	assert_int_equal(s.http.kind, PROXYCTL_DIRECT);
	assert_string_equal(s.http.source, "system: environment http_proxy is wrong");
	assert_non_null(strstr(fault.text, "no_proxy"));
	assert_null(strstr(fault.text, "SECRET"));
}

static void test_gnome(void **state)
{
	static const char manual[] =
		"org.gnome.system.proxy autoconfig-url ''\norg.gnome.system.proxy ignore-hosts ['localhost', "
				"'127.0.0.0/8', '::1']\n"
		"org.gnome.system.proxy mode 'manual'\norg.gnome.system.proxy.http host 'proxy.corp'\n"
				"org.gnome.system.proxy.http port 3128\n"
		"org.gnome.system.proxy.http use-authentication true\norg.gnome.system.proxy.http authentication-user 'm@e'\n"
		"org.gnome.system.proxy.http authentication-password 'p\\'w:/'\norg.gnome.system.proxy.https host ''\n"
		"org.gnome.system.proxy.https port 0\norg.gnome.system.proxy.socks host \"::1\"\n"
				"org.gnome.system.proxy.socks port 1080\n";

	assert_int_equal(proxy_desktop_gnome(&s, manual, &fault), 1);
	assert_string_equal(s.http.host, "proxy.corp");
	assert_string_equal(s.http.user, "m@e");
	assert_string_equal(s.http.password, "p'w:/");
	assert_int_equal(s.https.kind, PROXYCTL_SOCKS5H);
	assert_string_equal(s.https.host, "::1");
	assert_int_equal(s.n_excludes, 3);
	assert_string_equal(s.http.source, "system: GNOME settings");
	assert_int_equal(proxy_desktop_gnome(&s, "org.gnome.system.proxy mode 'none'\n"
			"org.gnome.system.proxy.http host 'x'\n", &fault), 0);
	assert_int_equal(s.http.kind, PROXYCTL_DIRECT);
	assert_int_equal(proxy_desktop_gnome(&s, "org.gnome.system.proxy mode 'auto'\n", &fault), 0);
	assert_non_null(strstr(fault.text, "not supported"));
	assert_int_equal(proxy_desktop_gnome(&s, "No such schema", &fault), 0);
}

static void test_kde(void **state)
{
	assert_int_equal(proxy_desktop_kde(&s, "[A]\nProxyType=9\n[Proxy Settings]\nProxyType=1\nhttpProxy=http://proxy.corp 3128\n"
					       "httpsProxy=http://u:p@other:81\nNoProxyFor=.a,b\n[B]\nsocksProxy=x\n", &fault), 1);
	assert_int_equal(s.http.port, 3128);
	assert_string_equal(s.https.host, "other");
	assert_string_equal(s.https.source, "system: KDE settings");
	assert_int_equal(s.n_excludes, 2);
	assert_int_equal(proxy_desktop_kde(&s, "[Proxy Settings]\nProxyType=0\nhttpProxy=http://x 1\n", &fault), 0);
	fault = (struct fault)FAULT_INIT;
	assert_int_equal(proxy_desktop_kde(&s, "[Proxy Settings]\nProxyType=2\n", &fault), 0);
	assert_true(fault.text[0]);
	assert_int_equal(proxy_desktop_kde(&s, "", &fault), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),   cmocka_unit_test(test_bad_urls),	   cmocka_unit_test(test_exclusions),
		cmocka_unit_test(test_manual_and_none), cmocka_unit_test(test_redact), cmocka_unit_test(test_environment),
		cmocka_unit_test(test_gnome),  cmocka_unit_test(test_kde),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
