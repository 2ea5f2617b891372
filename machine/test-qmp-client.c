/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-qmp-client: conversations with a QEMU that is played by the test through a socket pair.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "machine/qmp-client.h"

#define GREETING "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":2,\"minor\":0,\"major\":10}},\"capabilities\":[]}}\r\n"

static struct loop *loop;
static struct qmp_client *client;
static int far_fd;
static int n_events, n_replies, last_r;
static char last_event[QMP_NAME_MAX], last_text[QMP_TEXT_MAX], last_status[QMP_NAME_MAX];

static void on_event(void *data, const struct qmp_message *event)
{
	n_events++;
	strcpy(last_event, event->name);
	strcpy(last_text, event->text);
}

static void on_reply(void *data, int r, const struct qmp_message *message)
{
	n_replies++;
	last_r = r;
	strcpy(last_status, message ? message->name : "");
}

static int setup(void **state)
{
	int pair[2];

	n_events = n_replies = last_r = 0;
	last_event[0] = last_status[0] = '\0';
	if (loop_new(&loop) || sock_pair(SOCK_STREAM, pair))
		return -1;
	far_fd = pair[1];
	return qmp_client_new(loop, pair[0], on_event, NULL, &client);
}

static int teardown(void **state)
{
	qmp_client_free(client);
	loop_free(loop);
	close(far_fd);
	return 0;
}

static void say(const char *text)
{
	assert_int_equal(write(far_fd, text, strlen(text)), (ssize_t)strlen(text));
	while (loop_step(loop, 10) > 0)
		;
}

static void hear(const char *part)
{
	char buf[1024];
	ssize_t n = recv(far_fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);

	assert_true(n > 0);
	buf[n] = '\0';
	assert_non_null(strstr(buf, part));
}

static void negotiates_and_queues(void **state)
{
	assert_int_equal(qmp_client_call(client, QMP_QUERY_STATUS, on_reply, NULL), 0);
	say(GREETING);
	assert_int_equal(qmp_client_state(client), QMP_CLIENT_CAPABILITIES);
	hear("qmp_capabilities");
	say("{\"return\":{},\"id\":0}\n");
	assert_int_equal(qmp_client_state(client), QMP_CLIENT_READY);
	hear("query-status");
	say("{\"event\":\"STOP\"}\n{\"return\":{\"status\":\"internal-error\"},\"id\":1}\n");
	assert_string_equal(last_event, "STOP");
	assert_int_equal(n_replies, 1);
	assert_string_equal(last_status, "internal-error");
	say("{\"return\":{},\"id\":77}\n");
	assert_int_equal(n_replies, 1);
}

static void error_is_given_to_the_caller(void **state)
{
	say(GREETING);
	say("{\"return\":{},\"id\":0}\n");
	assert_int_equal(qmp_client_call(client, QMP_QUIT, on_reply, NULL), 0);
	say("{\"error\":{\"class\":\"GenericError\",\"desc\":\"no\"},\"id\":1}\n");
	assert_int_equal(last_r, -EREMOTEIO);
	assert_string_equal(last_status, "GenericError");
}

/* Every pending call fails, then exactly one SHUTDOWN is made up. */
static void disconnect_fails_everything(void **state)
{
	for (int i = 0; i < QMP_PENDING_MAX; i++)
		assert_int_equal(qmp_client_call(client, QMP_QUIT, on_reply, NULL), 0);
	assert_int_equal(qmp_client_call(client, QMP_QUIT, on_reply, NULL), -EBUSY);
	shutdown(far_fd, SHUT_RDWR);
	for (int i = 0; i < 5; i++)
		loop_step(loop, 10);
	assert_int_equal(n_replies, QMP_PENDING_MAX);
	assert_int_equal(last_r, -ECONNRESET);
	assert_int_equal(n_events, 1);
	assert_string_equal(last_event, "SHUTDOWN");
	assert_string_equal(last_text, "disconnected");
	assert_int_equal(qmp_client_call(client, QMP_QUIT, on_reply, NULL), -ENOTCONN);
}

static void nonsense_ends_it(void **state)
{
	static const char *const bad[] = {"hello\n", "[]\n", "{\"return\":{},\"id\":1}\n", "{\"return\":{},\"id\":\"x\"}\n",
					  GREETING GREETING};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(bad[i]);
		assert_int_equal(qmp_client_state(client), QMP_CLIENT_CLOSED);
		assert_int_equal(n_events, 1);
		teardown(NULL);
		setup(NULL);
	}
}

static void endless_line_ends_it(void **state)
{
	char block[4096];

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 40 && qmp_client_state(client) != QMP_CLIENT_CLOSED; i++) {
		(void)!send(far_fd, block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT);
		loop_step(loop, 10);
		loop_step(loop, 0);
	}
	assert_int_equal(qmp_client_state(client), QMP_CLIENT_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(negotiates_and_queues, setup, teardown),
		cmocka_unit_test_setup_teardown(error_is_given_to_the_caller, setup, teardown),
		cmocka_unit_test_setup_teardown(disconnect_fails_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(endless_line_ends_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
