/* SPDX-License-Identifier: Apache-2.0 */
/* test-publish: a port-proxy against an agent that comes late, refuses, and ends. */
#include "base/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/port-proxy/publish.h"
#include "proto/agent.h"

static struct loop *loop;
static struct publish *publish;
static struct sockaddr_un address;
static uint32_t answers, last;

static void on_answer(void *data _unused_, uint32_t status)
{
	answers++;
	last = status;
}

static int setup(void **state _unused_)
{
	struct publish_config config = {.path = address.sun_path, .answer = on_answer,
					.request = {.magic = PORT_LINK_MAGIC, .host_port = 8080, .target_port = 80}};

	address.sun_family = AF_UNIX;
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/caisson-test-publish.%d", (int)getpid());
	unlink(address.sun_path);
	answers = 0;
	assert_int_equal(loop_new(&loop), 0);
	return publish_new(loop, &config, &publish);
}

static int teardown(void **state _unused_)
{
	publish = publish_free(publish);
	loop = loop_free(loop);
	unlink(address.sun_path);
	return 0;
}

static int listen_here(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* Waits for the proxy and its request. */
static int take(int listen_fd)
{
	struct port_link_request q;
	int fd;

	for (int i = 0; i < 300; i++) {
		loop_step(loop, 10);
		fd = accept(listen_fd, NULL, NULL);
		if (fd < 0)
			continue;
		assert_int_equal(recv(fd, &q, sizeof(q), 0), sizeof(q));
		assert_int_equal(q.magic, PORT_LINK_MAGIC);
		assert_int_equal(q.host_port, 8080);
		return fd;
	}
	fail();
	return -1;
}

static void say(int fd, uint32_t status)
{
	const struct port_link_answer a = {PORT_LINK_MAGIC, status};

	assert_int_equal(send(fd, &a, sizeof(a), 0), sizeof(a));
	loop_step(loop, 100);
}

static void an_agent_that_comes_late_and_again(void **state _unused_)
{
	int listen_fd, fd;

	for (int i = 0; i < 5; i++)
		loop_step(loop, 30);
	listen_fd = listen_here();
	fd = take(listen_fd);
	assert_int_equal(answers, 0);
	say(fd, AGENT_PORT_OK);
	assert_int_equal(answers, 1);
	/* The agent ends and another one takes its listener over. */
	close(fd);
	fd = take(listen_fd);
	say(fd, AGENT_PORT_IN_USE);
	assert_int_equal(answers, 2);
	assert_int_equal(last, AGENT_PORT_IN_USE);
	close(fd);
	/* What was published once is asked for until it is there again. */
	fd = take(listen_fd);
	say(fd, AGENT_PORT_OK);
	assert_int_equal(last, AGENT_PORT_OK);
	close(fd);
	close(listen_fd);
}

static void an_answer_that_is_none_is_an_end(void **state _unused_)
{
	int listen_fd = listen_here(), fd = take(listen_fd);

	assert_int_equal(send(fd, "0\n", 2, 0), 2);
	close(fd);
	fd = take(listen_fd);
	assert_int_equal(answers, 0);
	close(fd);
	close(listen_fd);
}

static void its_end_is_the_ports_end(void **state _unused_)
{
	int listen_fd = listen_here(), fd = take(listen_fd);
	char c;

	say(fd, AGENT_PORT_OK);
	publish = publish_free(publish);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
	close(listen_fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {TEST(an_agent_that_comes_late_and_again), TEST(an_answer_that_is_none_is_an_end),
					   TEST(its_end_is_the_ports_end)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
