/* SPDX-License-Identifier: Apache-2.0 */
/* test-docker-context: what happens to the user's docker configuration, including after a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "backend/docker-context.h"
#include "base/fd.h"

static char dir[64];
static int dir_fd = -EBADF, run_fd = -EBADF;
static struct docker_context context;

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/test-context-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	dir_fd = fd_open_dir_path(dir, false);
	run_fd = fd_open_dir(dir_fd, "run", true);
	unsetenv("DOCKER_CONFIG");
	context = (struct docker_context)DOCKER_CONTEXT_INIT;
	return dir_fd < 0 || run_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char command[128];

	docker_context_done(&context);
	dir_fd = fd_close(dir_fd);
	run_fd = fd_close(run_fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static void write_config(const char *text)
{
	int fd = fd_open_dir(dir_fd, ".docker", true);

	assert_true(fd >= 0);
	assert_int_equal(fd_replace_file(fd, "config.json", text, strlen(text), 0600), 0);
	fd_close(fd);
}

static char *read_config(void)
{
	char *text = NULL;
	size_t len;

	if (fd_read_file(dir_fd, ".docker/config.json", 4096, &text, &len) < 0)
		return NULL;
	return text;
}

static void expect_config(const char *text)
{
	_cleanup_free_ char *now = read_config();
	json_t *a, *b;

	assert_non_null(now);
	a = json_loads(now, 0, NULL);
	b = json_loads(text, 0, NULL);
	assert_non_null(b);
	if (!json_equal(a, b))
		fail_msg("%s", now);
	json_decref(a);
	json_decref(b);
}

static void enter(void)
{
	context = (struct docker_context)DOCKER_CONTEXT_INIT;
	docker_context_open(&context, dir, run_fd);
	docker_context_enter(&context, "/tmp/x/docker.sock");
}

static void leave(void)
{
	docker_context_leave(&context, "/rest/docker.sock");
	docker_context_done(&context);
}

static void fresh(void **state)
{
	enter();
	assert_true(context.current);
	assert_string_equal(context.warning, "");
	expect_config("{\"currentContext\":\"desktop-linux\"}");
	leave();
	expect_config("{}");
}

static void keeps_everything_else(void **state)
{
	_cleanup_free_ char *now = NULL;
	const char *z, *a;

	write_config("{\"zebra\":{\"x\":1.5,\"y\":[true,null]},\"currentContext\":\"mine\",\"auths\":{\"r\":{\"auth\":\"c2VjcmV0\"}},"
		     "\"apple\":9007199254740993}");
	enter();
	expect_config("{\"zebra\":{\"x\":1.5,\"y\":[true,null]},\"currentContext\":\"desktop-linux\",\"auths\":{\"r\":{\"auth\":"
		      "\"c2VjcmV0\"}},\"apple\":9007199254740993}");
	now = read_config();
	z = strstr(now, "zebra");
	a = strstr(now, "apple");
	assert_true(z && a && z < a);
	assert_string_equal(context.previous, "mine");
	leave();
	expect_config("{\"zebra\":{\"x\":1.5,\"y\":[true,null]},\"currentContext\":\"mine\",\"auths\":{\"r\":{\"auth\":"
		      "\"c2VjcmV0\"}},\"apple\":9007199254740993}");
}

static void user_changed_meanwhile(void **state)
{
	write_config("{\"currentContext\":\"mine\"}");
	enter();
	write_config("{\"currentContext\":\"other\"}");
	leave();
	expect_config("{\"currentContext\":\"other\"}");
}

static void crash_is_repaired(void **state)
{
	write_config("{\"currentContext\":\"mine\"}");
	enter();
	docker_context_done(&context); /* killed: no leave */
	enter();
	assert_string_equal(context.previous, "mine");
	leave();
	expect_config("{\"currentContext\":\"mine\"}");
}

static void broken_config_is_left_alone(void **state)
{
	_cleanup_free_ char *now = NULL;

	write_config("{\"currentContext\": ");
	enter();
	assert_false(context.current);
	assert_non_null(strstr(context.warning, "not valid JSON"));
	leave();
	now = read_config();
	assert_string_equal(now, "{\"currentContext\": ");
}

static void any_case_of_the_key(void **state)
{
	write_config("{\"CurrentContext\":\"mine\"}");
	enter();
	expect_config("{\"CurrentContext\":\"desktop-linux\"}");
	leave();
	expect_config("{\"CurrentContext\":\"mine\"}");
}

static void docker_config_is_honoured(void **state)
{
	char elsewhere[96];
	_cleanup_free_ char *text = NULL;
	size_t len;

	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", dir);
	setenv("DOCKER_CONFIG", elsewhere, 1);
	enter();
	assert_int_equal(fd_read_file(dir_fd, "elsewhere/config.json", 4096, &text, &len), 0);
	assert_non_null(strstr(text, "desktop-linux"));
	assert_null(read_config());
	leave();
}

static void meta_file(void **state)
{
	static const char path[] = ".docker/contexts/meta/"
				   "fe9c6bd7a66301f49ca9b6a70b217107cd1284598bfc254700c989b916da791e/meta.json";
	static const char theirs[] = "{\"Name\":\"desktop-linux\",\"theirs\":1}";
	_cleanup_free_ char *text = NULL, *rest = NULL, *kept = NULL;
	size_t len;

	enter();
	assert_int_equal(fd_read_file(dir_fd, path, 4096, &text, &len), 0);
	assert_non_null(strstr(text, "unix:///tmp/x/docker.sock"));
	leave();
	/* a name in /tmp that anybody could take must not stay behind */
	assert_int_equal(fd_read_file(dir_fd, path, 4096, &rest, &len), 0);
	assert_null(strstr(rest, "/tmp/x"));
	assert_non_null(strstr(rest, "unix:///rest/docker.sock"));
	/* somebody else's context of that name is kept */
	assert_int_equal(fd_replace_file(dir_fd, "m", theirs, strlen(theirs), 0600), 0);
	assert_int_equal(renameat(dir_fd, "m", dir_fd, path), 0);
	enter();
	assert_int_equal(fd_read_file(run_fd, "context-meta.before.json", 4096, &kept, &len), 0);
	assert_non_null(strstr(kept, "theirs"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(fresh), T(keeps_everything_else), T(user_changed_meanwhile), T(crash_is_repaired),
		T(broken_config_is_left_alone), T(any_case_of_the_key), T(docker_config_is_honoured), T(meta_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
