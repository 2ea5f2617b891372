/* SPDX-License-Identifier: Apache-2.0 */
/* test-serve: the listeners on loopback, with a stand-in for the engine's socket; and the log link. */
#include "base/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "guest/agent/logs.h"
#include "guest/agent/serve.h"

enum { LINGER_US = 200000 };

static struct loop *loop;
static struct relay_set *set;
static char dir[] = "/tmp/test-serve-XXXXXX", path[64];

static int setup(void **state _unused_)
{
	signal(SIGPIPE, SIG_IGN);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/engine.sock", dir);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(relay_set_new(loop, 3, LINGER_US, &set), 0);
	return 0;
}

static int teardown(void **state _unused_)
{
	set = relay_set_free(set);
	loop = loop_free(loop);
	unlink(path);
	rmdir(dir);
	return 0;
}

static void settle(void)
{
	for (int quiet = 0; quiet < 3;) {
		int r = loop_step(loop, relay_set_pending(set) ? 0 : 2);

		assert_true(r >= 0);
		quiet = r == 0 ? quiet + 1 : 0;
		relay_set_run(set);
	}
}

static struct serve *open_serve(const char *unix_path)
{
	struct serve_plan plan = {INADDR_LOOPBACK, 0, unix_path};
	struct serve *serve = NULL;

	assert_int_equal(serve_new(loop, set, &plan, &serve), 0);
	return serve;
}

static int dial(struct serve *serve)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons((uint16_t)serve_port(serve))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	fd_set_nonblock(fd, true);
	return fd;
}

static int listen_engine(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void expect(int fd, const char *text)
{
	char buf[128];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void expect_reset(int fd)
{
	assert_int_equal(recv(fd, (char[1]){0}, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void test_engine(void **state _unused_)
{
	int engine = listen_engine(), peer, fd;
	struct serve *serve = open_serve(path);

	fd = dial(serve);
	assert_int_equal(send(fd, "GET /_ping", 10, 0), 10);
	settle();
	peer = accept(engine, NULL, NULL);
	expect(peer, "GET /_ping");
	assert_int_equal(send(peer, "OK", 2, 0), 2);
	settle();
	expect(fd, "OK");
	close(fd);
	close(peer);
	close(engine);
	serve_free(serve);
}

static void test_no_engine_resets(void **state _unused_)
{
	struct serve *serve = open_serve(path);
	struct relay_stats stats;
	int fd = dial(serve);

	settle();
	expect_reset(fd);
	relay_set_stats(set, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.now, 0);
	close(fd);
	serve_free(serve);
}

static void test_table_full_resets(void **state _unused_)
{
	struct serve *serve = open_serve(NULL);
	struct relay_stats stats;
	int fds[4];

	for (int i = 0; i < 4; i++) {
		fds[i] = dial(serve);
		assert_int_equal(send(fds[i], "echo", 4, 0), 4);
		settle();
	}
	for (int i = 0; i < 3; i++)
		expect(fds[i], "echo");
	expect_reset(fds[3]);
	relay_set_stats(set, &stats);
	assert_int_equal(stats.refused, 1);
	/* Room again once one has gone. */
	close(fds[0]);
	close(fds[3]);
	settle();
	fds[0] = dial(serve);
	assert_int_equal(send(fds[0], "again", 5, 0), 5);
	settle();
	expect(fds[0], "again");
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	serve_free(serve);
}

static void test_bad_path(void **state _unused_)
{
	char longer[200];
	struct serve_plan plan = {INADDR_LOOPBACK, 0, longer};
	struct serve *serve = NULL;

	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(serve_new(loop, set, &plan, &serve), -EINVAL);
	longer[0] = '\0';
	assert_int_equal(serve_new(loop, set, &plan, &serve), -EINVAL);
}

/* Lines written before there is a link arrive when it comes, and again after it broke. */
static void test_log_link(void **state _unused_)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), fds[2], fd = -1;
	socklen_t len = sizeof(sin);
	struct logs *logs = NULL;

	assert_int_equal(bind(listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	assert_int_equal(pipe(fds), 0);
	fd_set_nonblock(fds[0], true);
	assert_int_equal(logs_new(loop, &logs), 0);
	assert_int_equal(logs_add(logs, "dockerd", fds[0]), 0);
	assert_int_equal(write(fds[1], "early\n", 6), 6);
	settle();
	assert_int_equal(logs_connect(logs, INADDR_LOOPBACK, ntohs(sin.sin_port)), 0);
	settle();
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	expect(fd, "dockerd: early\n");
	close(fd);
	settle();
	assert_int_equal(write(fds[1], "late\n", 5), 5);
	for (int i = 0; i < 50 && (fd = accept(listener, NULL, NULL)) < 0; i++)
		loop_step(loop, 20);
	assert_true(fd >= 0);
	settle();
	expect(fd, "dockerd: late\n");
	close(fd);
	logs_free(logs);
	close(fds[0]);
	close(fds[1]);
	close(listener);
}

/* A host that is not there or takes nothing never blocks the daemon. */
static void test_log_link_never_blocks(void **state _unused_)
{
	static char text[4096];
	struct logs *logs = NULL;
	int fds[2];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\n';
	assert_int_equal(pipe(fds), 0);
	fd_set_nonblock(fds[0], true);
	fd_set_nonblock(fds[1], true);
	assert_int_equal(logs_new(loop, &logs), 0);
	assert_int_equal(logs_add(logs, "dockerd", fds[0]), 0);
	for (int i = 0; i < 500; i++) {
		assert_int_equal(write(fds[1], text, sizeof(text)), sizeof(text));
		assert_true(loop_step(loop, 0) >= 0);
	}
	logs_free(logs);
	close(fds[0]);
	close(fds[1]);
}

#define SERVE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVE_TEST(test_engine),   SERVE_TEST(test_no_engine_resets), SERVE_TEST(test_table_full_resets),
		SERVE_TEST(test_bad_path), SERVE_TEST(test_log_link),	      SERVE_TEST(test_log_link_never_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
