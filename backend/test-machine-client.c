/* SPDX-License-Identifier: Apache-2.0 */
/* test-machine-client: answers about ports to a machine that is slow to read: none is lost, and a shutdown finds room. This
 * program is the machine, too. */
#include "base/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/machine-client.h"
#include "base/chan.h"
#include "base/fd.h"
#include "base/log.h"

enum { RESULTS = 4096, SLEEP_US = 300000, BAD = 3 };

static char self[PATH_MAX];
static struct loop *loop;
static struct machine_client *client;
static int ended = -1;

/* Takes the plan, sleeps, then wants every result in order, with the shutdown somewhere among them. */
static int fake_machine(void)
{
	static struct machine_message m;
	char buf[MACHINE_FRAME_MAX];
	bool told = false;

	(void)fd_set_nonblock(3, false);
	for (uint32_t next = 0; next <= RESULTS || !told;) {
		size_t n_fds = 0;
		ssize_t n = chan_recv(3, buf, sizeof(buf), NULL, &n_fds);

		if (n <= 0 || machine_decode(&m, buf, (size_t)n, NULL) < 0)
			return BAD;
		if (m.type == MACHINE_LAUNCH)
			usleep(SLEEP_US);
		else if (m.type == MACHINE_SHUTDOWN)
			told = true;
		else if (m.type != MACHINE_PORT_RESULT || m.port_result.id != next || m.port_result.status != next % 2)
			return BAD;
		if (m.type != MACHINE_SHUTDOWN)
			next++;
	}
	return 0;
}

static void on_message(void *data, const struct machine_message *message, int consume_fd)
{
	fd_close(consume_fd);
}

static void on_end(void *data, int status)
{
	ended = status;
	loop_exit(loop, 0);
}

static void slow_machine(void **state)
{
	const struct machine_hooks hooks = {on_message, on_end, NULL};
	static struct machine_plan plan = {.cpus = 1, .memory_mib = 1024, .disk_mib = 8192, .image_dir = "/i", .data_dir = "/d",
					   .run_dir = "/r", .log_dir = "/l", .cache_dir = "/c"};
	struct fault fault = FAULT_INIT;

	assert_int_equal(loop_new(&loop), 0);
	if (machine_client_start(loop, self, "/", 2, STDIN_FILENO, &plan, &hooks, &client, &fault) < 0)
		fail_msg("%s", fault.text);
	for (uint32_t i = 1; i <= RESULTS; i++)
		assert_int_equal(machine_client_port_result(client, i, i % 2), 0);
	assert_int_equal(machine_client_shutdown(client, 1000, false), 0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(ended, 0);
	/* and one that is gone is said to be so, or takes what fits the table */
	for (uint32_t i = 1; i <= 3 * RESULTS; i++)
		assert_true(machine_client_port_result(client, i, 0) <= 0);
	client = machine_client_free(client);
	loop = loop_free(loop);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(slow_machine)};

	if (!strcmp(argv[0], "caisson-machine"))
		return fake_machine();
	log_open("test", 2, LOG_ERROR);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
