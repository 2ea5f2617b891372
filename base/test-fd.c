/* SPDX-License-Identifier: Apache-2.0 */
/* test-fd: unit tests of base/fd. Run by meson; needs no network and no root. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/test.h"

static char dir_path[] = "/tmp/caisson-fd-XXXXXX";
static int dir_fd = -EBADF;

static int setup(void **state)
{
	if (!mkdtemp(dir_path))
		return -1;
	dir_fd = fd_open_dir_path(dir_path, false);
	return dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char cmd[64];

	close(dir_fd);
	snprintf(cmd, sizeof(cmd), "%s", dir_path);
	return rmdir(cmd) < 0 && errno != ENOTEMPTY;
}

static void test_replace_and_read(void **state)
{
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t len;

	assert_int_equal(fd_replace_file(dir_fd, "f", "one", 3, 0600), 0);
	assert_int_equal(fd_replace_file(dir_fd, "f", "second", 6, 0600), 0);
	assert_int_equal(fd_read_file(dir_fd, "f", 6, &data, &len), 0);
	assert_int_equal(len, 6);
	assert_string_equal(data, "second");
	assert_int_equal(fstatat(dir_fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fd_read_file(dir_fd, "f", 5, &data, &len), -EFBIG);
	assert_int_equal(fd_read_file(dir_fd, "none", 5, &data, &len), -ENOENT);
	unlinkat(dir_fd, "f", 0);
}

static void test_links_and_pipes_are_refused(void **state)
{
	char *data;
	size_t len;

	assert_int_equal(symlinkat("/etc/passwd", dir_fd, "link"), 0);
	assert_int_equal(fd_read_file(dir_fd, "link", 1 << 20, &data, &len), -ELOOP);
	assert_int_equal(mkfifoat(dir_fd, "fifo", 0600), 0);
	assert_int_equal(fd_read_file(dir_fd, "fifo", 10, &data, &len), -EINVAL); /* and does not block */
	unlinkat(dir_fd, "link", 0);
	unlinkat(dir_fd, "fifo", 0);
}

static void test_directories(void **state)
{
	_cleanup_free_ char *deep = NULL;
	_cleanup_close_ int a = fd_open_dir(dir_fd, "a", true), b = -EBADF;
	struct stat st;

	assert_true(a >= 0);
	assert_int_equal(fstat(a, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(symlinkat("a", dir_fd, "la"), 0);
	assert_true(fd_open_dir(dir_fd, "la", false) < 0);
	assert_int_equal(fchmod(a, 0777), 0);
	assert_int_equal(fd_open_dir(dir_fd, "a", true), -EPERM); /* others can write */
	assert_true(asprintf(&deep, "%s/x/y/z", dir_path) > 0);
	assert_int_equal(fd_open_dir_path(deep, false), -ENOENT);
	b = fd_open_dir_path(deep, true);
	assert_true(b >= 0);
	assert_int_equal(fd_open_dir_path("relative", true), -EINVAL);
	unlinkat(dir_fd, "la", 0);
	unlinkat(dir_fd, "a", AT_REMOVEDIR);
	unlinkat(dir_fd, "x/y/z", AT_REMOVEDIR);
	unlinkat(dir_fd, "x/y", AT_REMOVEDIR);
	unlinkat(dir_fd, "x", AT_REMOVEDIR);
}

static void test_lock(void **state)
{
	int held = fd_lock_file(dir_fd, "lock");

	assert_true(held >= 0);
	assert_int_equal(fd_lock_file(dir_fd, "lock"), -EWOULDBLOCK);
	close(held);
	held = fd_lock_file(dir_fd, "lock");
	assert_true(held >= 0);
	close(held);
	unlinkat(dir_fd, "lock", 0);
}

static void test_close_others(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int a = fcntl(0, F_DUPFD, 20), b = fcntl(0, F_DUPFD, 30), c = fcntl(0, F_DUPFD, 40);
		int keep[] = {c, a};

		if (fd_close_others(keep, 2) < 0)
			_exit(1);
		_exit(fcntl(a, F_GETFD) < 0 || fcntl(c, F_GETFD) < 0 || fcntl(b, F_GETFD) >= 0 ? 2 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replace_and_read), cmocka_unit_test(test_links_and_pipes_are_refused),
		cmocka_unit_test(test_directories),	 cmocka_unit_test(test_lock),
		cmocka_unit_test(test_close_others),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
