/* SPDX-License-Identifier: Apache-2.0 */
/* test-resolver: what resolv.conf, the hosts file and the settings say, and that every way to change a file is seen. */
#include "backend/resolver.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/loop.h"
#include "base/test.h"

static struct netctl_hosts pieces[RESOLVER_PIECES_MAX];
static struct resolver_skipped skipped;

static struct net_addr v4(unsigned int a, unsigned int b, unsigned int c, unsigned int d)
{
	return net_addr4(a << 24 | b << 16 | c << 8 | d);
}

static struct netctl_resolvers conf(const char *text)
{
	struct netctl_resolvers ret;
	size_t len = strlen(text);
	char *exact = malloc(len ? len : 1);

	memcpy(exact, text, len);
	resolver_parse_conf(&ret, &skipped, exact, len);
	free(exact);
	return ret;
}

static void test_bad_conf(void **state)
{
	static const char *const bad[] = {
		"",
		"nameserver\n",
		" nameserver 10.0.0.1\n",
		"#nameserver 10.0.0.1\n;nameserver 10.0.0.1\n",
		"nameservers 10.0.0.1\nNAMESERVER 10.0.0.1\n",
		"nameserver 10.0.0\nnameserver 010.0.0.1x\nnameserver 1.2.3.4.5\n",
		"nameserver fe80::1%eth0\nnameserver fe80::1\nnameserver fd00::1%1\n",
		"nameserver 0.0.0.0\nnameserver ::\nnameserver 224.0.0.251\nnameserver ff02::fb\nnameserver 169.254.169.254\n",
		"nameserver 10.0.0.1:53\nnameserver [::1]\n",
		"search a..b -/x \xff\xfe\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct netctl_resolvers r = conf(bad[i]);

		assert_int_equal(r.n_servers, 0);
		assert_int_equal(r.n_search, 0);
	}
	(void)conf(bad[7]);
	assert_int_equal(skipped.bad, 5);
}

static void test_conf(void **state)
{
	struct netctl_resolvers r = conf("# made by something\n"
					 "nameserver 127.0.0.53\n"
					 "nameserver\t2001:db8::53  trailing words\r\n"
					 "nameserver 127.0.0.53\n"
					 "search old.example\n"
					 "domain one.example two.example\n"
					 "options edns0 trust-ad\n"
					 "search Corp.Example. lab.example . wlan");

	assert_int_equal(r.n_servers, 2);
	assert_true(net_addr_equal(&r.servers[0].addr, &(struct net_addr){{[10] = 0xff, 0xff, 127, 0, 0, 53}}));
	assert_int_equal(r.servers[1].port, 53);
	assert_int_equal(r.servers[1].addr.byte[0], 0x20);
	assert_int_equal(r.n_search, 3);
	assert_string_equal(r.search[0], "corp.example");
	assert_string_equal(r.search[2], "wlan");
	r = conf("search a b\ndomain c d\n");
	assert_int_equal(r.n_search, 1);
	assert_string_equal(r.search[0], "c");
	assert_string_equal(r.search[1], "");
	r = conf("nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\nnameserver 10.0.0.5\n"
		 "nameserver 10.0.0.6\nnameserver 10.0.0.7\nnameserver 10.0.0.8\nnameserver 10.0.0.9\n"
		 "search a b c d e f g h i j\n");
	assert_int_equal(r.n_servers, NETCTL_RESOLVERS_MAX);
	assert_int_equal(r.n_search, NETCTL_SEARCH_MAX);
	assert_int_equal(skipped.too_many, 3);
}

static size_t hosts(const char *text)
{
	return resolver_parse_hosts(pieces, &skipped, text, strlen(text));
}

static void test_hosts(void **state)
{
	assert_int_equal(hosts("127.0.0.1 localhost localhost.localdomain a.localhost\n::1 ip6-localhost ip6-loopback localhost\n"
			       "ff02::1 ip6-allnodes\nfe80::1%lo0 scoped\nnot-an-address name\n10.0.0.1\n\n#10.0.0.1 x\n"), 1);
	assert_int_equal(pieces[0].n, 0);
	assert_true(pieces[0].first && pieces[0].last);
	assert_int_equal(skipped.bad, 3);
	assert_int_equal(hosts("127.0.1.1\tMyHost.Example. my_host # mine\n  10.0.0.7 nas bad..name x/y\n0.0.0.0 ads.example\n"
			       "::1 dev.example"), 1);
	assert_int_equal(pieces[0].n, 5);
	assert_string_equal(pieces[0].entry[0].name, "myhost.example");
	assert_string_equal(pieces[0].entry[1].name, "my_host");
	assert_string_equal(pieces[0].entry[2].name, "nas");
	assert_true(net_addr_equal(&pieces[0].entry[2].addr, &(struct net_addr){{[10] = 0xff, 0xff, 10, 0, 0, 7}}));
	assert_string_equal(pieces[0].entry[4].name, "dev.example");
	assert_int_equal(skipped.bad, 2);
}

static void test_many_hosts(void **state)
{
	size_t len = 0, n;
	char *text = malloc(RESOLVER_FILE_MAX);

	for (unsigned int i = 0; i < NETCTL_HOSTS_MAX + 10; i++)
		len += (size_t)snprintf(text + len, RESOLVER_FILE_MAX - len, "10.0.%u.%u h%u\n", i >> 8 & 255, i & 255, i);
	n = resolver_parse_hosts(pieces, &skipped, text, len);
	assert_int_equal(n, RESOLVER_PIECES_MAX);
	assert_int_equal(skipped.too_many, 10);
	assert_true(pieces[0].first && !pieces[0].last && pieces[n - 1].last && !pieces[n - 1].first);
	assert_int_equal(pieces[0].n, NETCTL_HOSTS_PIECE_MAX);
	assert_int_equal(pieces[n - 1].n, NETCTL_HOSTS_MAX - (n - 1) * NETCTL_HOSTS_PIECE_MAX);
	/* one line without an end, and bytes of all kinds */
	memset(text, 'a', RESOLVER_FILE_MAX);
	memcpy(text, "10.0.0.1 ", 9);
	assert_int_equal(resolver_parse_hosts(pieces, &skipped, text, RESOLVER_FILE_MAX), 1);
	assert_int_equal(pieces[0].n, 0);
	free(text);
}

static void test_server_settings(void **state)
{
	static const char *const bad[] = {
		"", "dns.example", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:53x", ":53", "10.0.0.1:+5",
		"[10.0.0.1]:53", "[fd00::1", "[fd00::1]x", "[fd00::1]:", "fd00::1%eth0", "[fe80::1%2]:53", "0.0.0.0", "::",
		"224.0.0.1", "ff02::1", "169.254.169.254", "fe80::1", "127.0.0.1:5353", "[::1]:5353", "10.0.0.1 ", " 10.0.0.1",
		"10.0.0.1,10.0.0.2", "10.0.0.1\n", "10.0.0.01", "255.255.255.255",
	};
	struct netctl_server server = {.port = 7};
	struct net_addr want = v4(10, 0, 0, 1);
	const char *reason;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		reason = NULL;
		assert_int_equal(resolver_parse_server(bad[i], &server, &reason), -EINVAL);
		assert_non_null(reason);
		assert_int_equal(server.port, 7);
	}
	assert_int_equal(resolver_parse_server("10.0.0.1", &server, &reason), 0);
	assert_true(net_addr_equal(&server.addr, &want) && server.port == 53);
	assert_int_equal(resolver_parse_server("10.0.0.1:5353", &server, &reason), 0);
	assert_true(net_addr_equal(&server.addr, &want) && server.port == 5353);
	assert_int_equal(resolver_parse_server("fd00::1", &server, &reason), 0);
	assert_int_equal(server.port, 53);
	assert_int_equal(resolver_parse_server("[fd00::1]", &server, &reason), 0);
	assert_int_equal(resolver_parse_server("[fd00::1]:5353", &server, &reason), 0);
	assert_int_equal(server.port, 5353);
	assert_int_equal(server.addr.byte[15], 1);
	assert_int_equal(resolver_parse_server("127.0.0.53", &server, &reason), 0);
	assert_int_equal(resolver_parse_server("[::1]:53", &server, &reason), 0);
}

static void test_domain_settings(void **state)
{
	static const char *const bad[] = {
		"", "corp.example", "corp.example=", "=10.0.0.1", "corp.example=10.0.0.1,", "corp.example=,10.0.0.1", "a b=10.0.0.1",
		"a..b=10.0.0.1", ".=10.0.0.1", "docker.internal=10.0.0.1", "x.Docker.Internal=10.0.0.1", "localhost=10.0.0.1",
		"c=1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5", "c=127.0.0.1:54",
	};
	struct netctl_domain domain = {.n_servers = 9};
	const char *reason;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		reason = NULL;
		assert_int_equal(resolver_parse_domain(bad[i], &domain, &reason), -EINVAL);
		assert_non_null(reason);
		assert_int_equal(domain.n_servers, 9);
	}
	assert_int_equal(resolver_parse_domain("Corp.Example.=10.0.0.1,[fd00::1]:5353,10.0.0.2:54", &domain, &reason), 0);
	assert_string_equal(domain.name, "corp.example");
	assert_int_equal(domain.n_servers, 3);
	assert_int_equal(domain.servers[1].port, 5353);
	assert_int_equal(domain.servers[2].port, 54);
}

/* A folder with an etc and a run beside it, and a loop that follows the files in it. */
static struct {
	char dir[64];
	struct loop *loop;
	struct resolver *resolver;
	unsigned int n_conf, n_hosts;
	struct netctl_resolvers conf;
	struct netctl_hosts hosts;
	bool timed_out;
	struct loop_source *timer;
} s;

static void on_resolvers(void *data, const struct netctl_resolvers *resolvers)
{
	s.n_conf++;
	s.conf = *resolvers;
}

static void on_hosts(void *data, const struct netctl_hosts *got, size_t n)
{
	s.n_hosts++;
	s.hosts = got[0];
	assert_true(n >= 1 && got[0].first && got[n - 1].last);
}

static const char *path(const char *name)
{
	static char paths[2][256];
	static unsigned int turn;

	turn = !turn;
	snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", s.dir, name);
	return paths[turn];
}

static void write_file(const char *name, const char *text)
{
	int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	fd_close(fd);
}

static int on_timer(void *data)
{
	s.timed_out = true;
	return 0;
}

/* Runs the loop for MS, or until *COUNT has left BEFORE. */
static bool wait_change(const unsigned int *count, unsigned int before, unsigned int ms)
{
	s.timed_out = false;
	loop_timer_set(s.timer, ms * 1000);
	while (!s.timed_out && *count == before)
		assert_true(loop_step(s.loop, -1) >= 0);
	return *count != before;
}

static void expect_server(unsigned int before, unsigned int last_octet)
{
	assert_true(wait_change(&s.n_conf, before, 3000));
	assert_int_equal(s.conf.n_servers, 1);
	assert_int_equal(s.conf.servers[0].addr.byte[15], last_octet);
}

static int set_up(void **state)
{
	const struct resolver_hooks hooks = {.resolvers = on_resolvers, .hosts = on_hosts};
	char conf_path[256];

	memset(&s, 0, sizeof(s));
	snprintf(s.dir, sizeof(s.dir), "/tmp/test-resolver-XXXXXX");
	assert_non_null(mkdtemp(s.dir));
	assert_int_equal(mkdir(path("etc"), 0755), 0);
	assert_int_equal(mkdir(path("run"), 0755), 0);
	write_file("etc/resolv.conf", "nameserver 10.0.0.1\n");
	write_file("etc/hosts", "10.0.0.1 one\n");
	assert_int_equal(loop_new(&s.loop), 0);
	assert_int_equal(loop_add_timer(s.loop, on_timer, NULL, &s.timer), 0);
	memcpy(conf_path, path("etc/resolv.conf"), 200);
	assert_int_equal(resolver_new_at(s.loop, conf_path, path("etc/hosts"), &hooks, NULL, &s.resolver), 0);
	assert_int_equal(s.n_conf, 1);
	assert_int_equal(s.n_hosts, 1);
	assert_int_equal(s.conf.servers[0].addr.byte[15], 1);
	assert_string_equal(s.hosts.entry[0].name, "one");
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	s.resolver = resolver_free(s.resolver);
	loop_source_free(s.timer);
	s.loop = loop_free(s.loop);
	snprintf(command, sizeof(command), "rm -r %s", s.dir);
	return system(command);
}

static void test_rewritten(void **state)
{
	write_file("etc/resolv.conf", "nameserver 10.0.0.2\n");
	expect_server(1, 2);
	write_file("etc/hosts", "10.0.0.1 two\n");
	assert_true(wait_change(&s.n_hosts, 1, 3000));
	assert_string_equal(s.hosts.entry[0].name, "two");
	assert_int_equal(s.n_conf, 2);
	/* nothing of weight changed: nobody is told */
	write_file("etc/resolv.conf", "# again\nnameserver 10.0.0.2\n");
	write_file("etc/other", "nameserver 10.0.0.9\n");
	assert_false(wait_change(&s.n_conf, 2, 300));
}

static void test_renamed_over(void **state)
{
	write_file("etc/new", "nameserver 10.0.0.3\n");
	assert_int_equal(rename(path("etc/new"), path("etc/resolv.conf")), 0);
	expect_server(1, 3);
	assert_int_equal(unlink(path("etc/resolv.conf")), 0);
	assert_true(wait_change(&s.n_conf, 2, 3000));
	assert_int_equal(s.conf.n_servers, 0);
	write_file("etc/resolv.conf", "nameserver 10.0.0.4\n");
	expect_server(3, 4);
}

/* As systemd-resolved and NetworkManager have it: a link, whose target changes, appears late, or is another one. */
static void test_link(void **state)
{
	assert_int_equal(unlink(path("etc/resolv.conf")), 0);
	assert_int_equal(symlink("../run/resolve/stub.conf", path("etc/resolv.conf")), 0);
	assert_true(wait_change(&s.n_conf, 1, 3000));
	assert_int_equal(s.conf.n_servers, 0);
	assert_int_equal(mkdir(path("run/resolve"), 0755), 0); /* the folder comes later than the link */
	assert_false(wait_change(&s.n_conf, 2, 300));
	write_file("run/resolve/stub.conf", "nameserver 127.0.0.53\n");
	expect_server(2, 53);
	write_file("run/resolve/new", "nameserver 10.0.0.5\n");
	assert_int_equal(rename(path("run/resolve/new"), path("run/resolve/stub.conf")), 0);
	expect_server(3, 5);
	write_file("run/resolve/other.conf", "nameserver 10.0.0.6\n");
	assert_int_equal(symlink(path("run/resolve/other.conf"), path("etc/new")), 0);
	assert_int_equal(rename(path("etc/new"), path("etc/resolv.conf")), 0);
	expect_server(4, 6);
	/* the folder is taken away and comes back */
	assert_int_equal(rename(path("run/resolve"), path("run/away")), 0);
	assert_true(wait_change(&s.n_conf, 5, 3000));
	assert_int_equal(s.conf.n_servers, 0);
	assert_int_equal(rename(path("run/away"), path("run/resolve")), 0);
	expect_server(6, 6);
	/* a link to itself is no answer and no trap */
	assert_int_equal(unlink(path("etc/resolv.conf")), 0);
	assert_int_equal(symlink("resolv.conf", path("etc/resolv.conf")), 0);
	assert_true(wait_change(&s.n_conf, 7, 3000));
	assert_int_equal(s.conf.n_servers, 0);
}

static void test_not_a_file(void **state)
{
	assert_int_equal(unlink(path("etc/resolv.conf")), 0);
	assert_int_equal(mkfifo(path("etc/resolv.conf"), 0644), 0); /* opening must not wait for a writer */
	assert_true(wait_change(&s.n_conf, 1, 3000));
	assert_int_equal(s.conf.n_servers, 0);
}

static void test_override(void **state)
{
	struct resolver_override override = {.n_servers = 1, .n_domains = 1};
	const char *reason;

	assert_int_equal(resolver_parse_server("9.9.9.9", &override.servers[0], &reason), 0);
	assert_int_equal(resolver_parse_domain("corp.example=10.1.1.1", &override.domains[0], &reason), 0);
	resolver_set_override(s.resolver, &override);
	assert_int_equal(s.n_conf, 2);
	assert_int_equal(s.conf.servers[0].addr.byte[15], 9);
	assert_int_equal(s.conf.n_domains, 1);
	resolver_set_override(s.resolver, &override);
	assert_int_equal(s.n_conf, 2);
	write_file("etc/resolv.conf", "nameserver 10.0.0.8\n"); /* hidden by the setting */
	assert_false(wait_change(&s.n_conf, 2, 300));
	override.n_servers = 0;
	resolver_set_override(s.resolver, &override);
	assert_int_equal(s.n_conf, 3);
	assert_int_equal(s.conf.servers[0].addr.byte[15], 8);
	assert_int_equal(s.conf.n_domains, 1);
}

/* Nothing runs while nothing changes. */
static void test_quiet(void **state)
{
	assert_int_equal(loop_step(s.loop, 300), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_conf),
		cmocka_unit_test(test_conf),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_many_hosts),
		cmocka_unit_test(test_server_settings),
		cmocka_unit_test(test_domain_settings),
		cmocka_unit_test_setup_teardown(test_rewritten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_renamed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_override, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_quiet, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
