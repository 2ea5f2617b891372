/* SPDX-License-Identifier: Apache-2.0 */
/* test-sock: unit tests of base/sock. Run by meson; needs no network and no root. */
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/chan.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/test.h"

static char root_path[] = "/tmp/caisson-sock-XXXXXX";
static int dir_fd = -EBADF;

/* A directory whose path alone is longer than a socket address. */
static int setup(void **state)
{
	char path[600];
	int n;

	if (!mkdtemp(root_path))
		return -1;
	n = snprintf(path, sizeof(path), "%s/%0150d/%0150d", root_path, 1, 2);
	if (n < 0)
		return -1;
	dir_fd = fd_open_dir_path(path, true);
	return dir_fd < 0 ? -1 : 0;
}

static void test_long_path(void **state)
{
	_cleanup_close_ int l = sock_listen_at(dir_fd, "s.sock", SOCK_STREAM, 4), c = -EBADF, a = -EBADF;
	struct sock_peer peer;
	struct stat st;

	assert_true(l >= 0);
	assert_int_equal(fstatat(dir_fd, "s.sock", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	c = sock_connect_at(dir_fd, "s.sock", SOCK_STREAM);
	assert_true(c >= 0);
	a = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	assert_true(a >= 0);
	assert_int_equal(sock_peer(a, &peer), 0);
	assert_int_equal(peer.uid, getuid());
	assert_int_equal(peer.pid, getpid());
	unlinkat(dir_fd, "s.sock", 0);
}

static void test_stale_and_foreign(void **state)
{
	int l = sock_listen_at(dir_fd, "t.sock", SOCK_STREAM, 4), f;

	assert_true(l >= 0);
	close(l);
	assert_int_equal(sock_connect_at(dir_fd, "t.sock", SOCK_STREAM), -ECONNREFUSED);
	l = sock_listen_at(dir_fd, "t.sock", SOCK_STREAM, 4); /* the stale one goes */
	assert_true(l >= 0);
	close(l);
	unlinkat(dir_fd, "t.sock", 0);
	f = openat(dir_fd, "t.sock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(f >= 0);
	close(f);
	assert_int_equal(sock_listen_at(dir_fd, "t.sock", SOCK_STREAM, 4), -EEXIST); /* a file stays */
	unlinkat(dir_fd, "t.sock", 0);
	assert_int_equal(sock_listen_at(dir_fd, "../x", SOCK_STREAM, 4), -EINVAL);
	assert_int_equal(sock_connect_at(dir_fd, "none", SOCK_STREAM), -ENOENT);
}

static size_t count_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_chan(void **state)
{
	int pair[2], got[2], send[3] = {0, 1, 2};
	size_t n_got = 2, before;
	char buf[8];

	assert_int_equal(sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, pair), 0);
	assert_int_equal(chan_send(pair[0], "hello", 5, send, 2), 0);
	assert_int_equal(chan_recv(pair[1], buf, sizeof(buf), got, &n_got), 5);
	assert_int_equal(n_got, 2);
	assert_int_equal(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	close(got[0]);
	close(got[1]);
	before = count_fds();
	assert_int_equal(chan_send(pair[0], "x", 1, send, 3), 0); /* one descriptor too many */
	n_got = 2;
	assert_int_equal(chan_recv(pair[1], buf, sizeof(buf), got, &n_got), -EMSGSIZE);
	assert_int_equal(chan_send(pair[0], "too long a record", 17, send, 1), 0);
	n_got = 2;
	assert_int_equal(chan_recv(pair[1], buf, sizeof(buf), got, &n_got), -EMSGSIZE);
	assert_int_equal(chan_send(pair[0], "x", 1, send, 1), 0);
	assert_int_equal(chan_recv(pair[1], buf, sizeof(buf), NULL, NULL), -EMSGSIZE); /* none wanted */
	assert_int_equal(count_fds(), before);
	n_got = 2;
	assert_int_equal(chan_recv(pair[1], buf, sizeof(buf), got, &n_got), -EAGAIN);
	close(pair[0]);
	n_got = 2;
	assert_int_equal(chan_recv(pair[1], buf, sizeof(buf), got, &n_got), 0);
	assert_int_equal(chan_send(pair[1], "x", 1, NULL, 0), -EPIPE); /* and no SIGPIPE */
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_stale_and_foreign),
		cmocka_unit_test(test_chan),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
