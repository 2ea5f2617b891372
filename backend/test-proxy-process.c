/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-proxy-process: start, what is told, kill and restart, the system's settings. This program is its own fake caisson-proxy: started
 * under that name it says READY and passes every frame on to the link, where the test sees it.
 */
#include "backend/proxy-process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/chan.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/test.h"

static struct loop *loop;
static struct proxy_process *process;
static int link_fd = -EBADF;
static unsigned int n_links;
static char described[1280], self[PATH_MAX];
static struct fault fault;
static struct proxyctl_stats stats;

static int fake_proxy(void)
{
	const struct proxyctl_message ready = {.type = PROXYCTL_READY, .ready.version = PROXYCTL_VERSION};
	const struct proxyctl_message answer = {.type = PROXYCTL_STATS, .stats.total = 7};
	uint8_t frame[PROXYCTL_FRAME_MAX];
	int len = proxyctl_encode(&ready, frame);
	ssize_t n;

	(void)fd_set_nonblock(3, false);
	(void)fd_set_nonblock(4, false);
	(void)!chan_send(3, frame, (size_t)len, NULL, 0);
	for (;;) {
		size_t n_fds = 0;

		n = chan_recv(3, frame, sizeof(frame), NULL, &n_fds);
		if (n <= 0)
			return 0;
		if (frame[0] != PROXYCTL_STATS_GET) {
			(void)!chan_send(4, frame, (size_t)n, NULL, 0);
			continue;
		}
		len = proxyctl_encode(&answer, frame);
		(void)!chan_send(3, frame, (size_t)len, NULL, 0);
	}
}

static void on_link(void *data, int consume_fd)
{
	fd_close(link_fd);
	link_fd = consume_fd;
	n_links++;
}

static void on_described(void *data, const char *words)
{
	snprintf(described, sizeof(described), "%s", words);
}

static void on_stats(void *data, const struct proxyctl_stats *got)
{
	stats = *got;
}

static void steps(unsigned int ms)
{
	uint64_t end = loop_now_us() + ms * UINT64_C(1000);

	while (loop_now_us() < end)
		assert_true(loop_step(loop, 10) >= 0);
}

/* The next frame that the process got, -1: none within two seconds. */
static int next_type(struct proxyctl_message *ret)
{
	uint8_t frame[PROXYCTL_FRAME_MAX];
	static struct proxyctl_message own;

	for (int i = 0; i < 200; i++) {
		size_t n_fds = 0;
		ssize_t n = chan_recv(link_fd, frame, sizeof(frame), NULL, &n_fds);

		if (n > 0) {
			ret = ret ? ret : &own;
			assert_int_equal(proxyctl_decode(ret, PROXYCTL_TO_PROXY, frame, (size_t)n, 0), 0);
			return ret->type == PROXYCTL_NET ? (int)ret->net.type : (int)ret->type;
		}
		steps(10);
	}
	return -1;
}

static int set_up(void **state)
{
	struct proxy_process_config config = {.program = self, .log_fd = 2, .gsettings = *state ? *state : "/nonexistent",
					      .hooks = {.link = on_link, .described = on_described, .stats = on_stats}};

	described[0] = '\0';
	n_links = 0;
	if (loop_new(&loop) < 0)
		return -1;
	return proxy_process_new(loop, &config, &process);
}

static int tear_down(void **state)
{
	process = proxy_process_free(process);
	loop = loop_free(loop);
	link_fd = fd_close(link_fd);
	return 0;
}

static const struct proxy_settings manual = {PROXY_MANUAL, "http://me:SECRET@proxy.corp:3128", "", "localhost"};

static void test_tells_and_restarts(void **state)
{
	static struct netctl_message net;
	static struct proxyctl_message got;
	uint64_t killed;
	pid_t first;

	assert_int_equal(n_links, 1);
	assert_int_equal(proxy_process_set(process, &manual, &fault), 0);
	assert_string_equal(described, "http through proxy.corp:3128 with a password (manual), https through "
			"proxy.corp:3128 with a password "
				       "(manual), 1 exclusion");
	net.type = NETCTL_RULES;
	net.rules.egress = true;
	assert_int_equal(proxy_process_tell(process, &net), 0);
	net = (struct netctl_message){.type = NETCTL_PORT_REMOVE, .port_remove.id = 1};
	assert_int_equal(proxy_process_tell(process, &net), 0); /* none of its business */
	for (int i = 0; i < 3; i++) {
		net = (struct netctl_message){.type = NETCTL_HOSTS, .hosts = {.first = i == 0, .last = i == 2, .n = 1}};
		memcpy(net.hosts.entry[0].name, "a.test", 7);
		assert_int_equal(proxy_process_tell(process, &net), 0);
	}
	assert_int_equal(next_type(&got), PROXYCTL_SETTINGS);
	assert_string_equal(got.settings.http.password, "SECRET");
	assert_int_equal(next_type(NULL), NETCTL_RULES);
	for (int i = 0; i < 3; i++)
		assert_int_equal(next_type(NULL), NETCTL_HOSTS);
	/* A shorter table replaces the longer. */
	net = (struct netctl_message){.type = NETCTL_HOSTS, .hosts = {.first = true, .last = true}};
	assert_int_equal(proxy_process_tell(process, &net), 0);
	assert_int_equal(next_type(NULL), NETCTL_HOSTS);
	assert_int_equal(proxy_process_ask_stats(process), 0);
	steps(200);
	assert_int_equal(stats.total, 7);
	/* Killed: whole again within two seconds. */
	first = proxy_process_pid(process);
	assert_true(first > 0);
	assert_int_equal(kill(first, SIGKILL), 0);
	killed = loop_now_us();
	while (n_links < 2)
		steps(10);
	assert_true(loop_now_us() - killed < 2000000);
	assert_int_not_equal(proxy_process_pid(process), first);
	assert_int_equal(next_type(NULL), NETCTL_RULES);
	assert_int_equal(next_type(NULL), NETCTL_HOSTS);
	assert_int_equal(next_type(&got), PROXYCTL_SETTINGS);
	assert_string_equal(got.settings.https.user, "me");
}

static void test_refuses_and_keeps(void **state)
{
	struct proxy_settings bad = manual;

	assert_int_equal(proxy_process_set(process, &manual, &fault), 0);
	assert_int_equal(next_type(NULL), PROXYCTL_SETTINGS);
	bad.http = "http://me:SECRET@proxy.corp:99999";
	fault = (struct fault)FAULT_INIT;
	assert_int_equal(proxy_process_set(process, &bad, &fault), -EINVAL);
	assert_true(fault.text[0] && !strstr(fault.text, "SECRET"));
	assert_null(strstr(described, "99999"));
	bad.mode = PROXY_NONE;
	bad.http = NULL;
	assert_int_equal(proxy_process_set(process, &bad, &fault), 0);
	assert_non_null(strstr(described, "http direct (none)"));
}

static void test_environment(void **state)
{
	static const struct proxy_settings system_mode = {PROXY_SYSTEM, NULL, NULL, NULL};

	setenv("https_proxy", "http://env.corp:81", 1);
	assert_int_equal(proxy_process_set(process, &system_mode, &fault), 0);
	unsetenv("https_proxy");
	assert_non_null(strstr(described, "https through env.corp:81 (system: environment https_proxy)"));
}

static char script[64] = "/tmp/caisson-gsettings.XXXXXX";

static void write_script(const char *body)
{
	int fd = open(script, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, body, strlen(body)), 0);
	assert_int_equal(fchmod(fd, 0755), 0);
	close(fd);
}

static void test_desktop(void **state)
{
	static const struct proxy_settings system_mode = {PROXY_SYSTEM, NULL, NULL, NULL};
	char home[] = "/tmp/caisson-home.XXXXXX", path[128];
	int fd;

	assert_non_null(mkdtemp(home));
	setenv("XDG_CONFIG_HOME", home, 1);
	setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent", 1);
	snprintf(path, sizeof(path), "%s/dconf", home);
	assert_int_equal(mkdir(path, 0700), 0);
	write_script("#!/bin/sh\necho \"org.gnome.system.proxy mode 'manual'\"\necho "
			"\"org.gnome.system.proxy.http host 'one.corp'\"\n"
		     "echo \"org.gnome.system.proxy.http port 81\"\n");
	assert_int_equal(proxy_process_set(process, &system_mode, &fault), 0);
	for (int i = 0; i < 300 && !strstr(described, "one.corp:81 (system: GNOME settings)"); i++)
		steps(10);
	assert_non_null(strstr(described, "http through one.corp:81 (system: GNOME settings), https direct"));
	/* The settings change: dconf replaces its file. */
	write_script("#!/bin/sh\necho \"org.gnome.system.proxy mode 'none'\"\n");
	snprintf(path, sizeof(path), "%s/dconf/user", home);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	for (int i = 0; i < 300 && strstr(described, "one.corp"); i++)
		steps(10);
	assert_non_null(strstr(described, "http direct (system: no proxy set)"));
	unlink(path);
	snprintf(path, sizeof(path), "%s/dconf", home);
	rmdir(path);
	rmdir(home);
}

int main(int argc, char **argv)
{
	static char *gsettings = script;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tells_and_restarts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refuses_and_keeps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_environment, set_up, tear_down),
		cmocka_unit_test_prestate_setup_teardown(test_desktop, set_up, tear_down, gsettings),
	};
	int fd, r;

	if (!strcmp(argv[0], "caisson-proxy"))
		return fake_proxy();
	log_open("test", 2, LOG_ERROR);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	fd = mkstemp(script);
	if (fd < 0)
		return 1;
	close(fd);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(script);
	return r;
}
