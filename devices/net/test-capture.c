/* SPDX-License-Identifier: Apache-2.0 */
/* test-capture: what is written is a pcap file to its last byte, whatever the reader does. */
#include "devices/net/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/test.h"

static struct capture capture;
static uint8_t file[4 << 20];
static size_t n_file;
static int reader = -EBADF, writer = -EBADF;

static int set_up(void **state)
{
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	memset(&capture, 0, sizeof(capture));
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	reader = fds[0];
	writer = fds[1];
	assert_int_equal(fd_set_nonblock(reader, true), 0);
	n_file = 0;
	return 0;
}

static int tear_down(void **state)
{
	capture_stop(&capture, NETCTL_CAPTURE_STOPPED, 0);
	capture_timers(&capture, UINT64_MAX);
	reader = fd_close(reader);
	return 0;
}

static void start(uint32_t snap_len, uint64_t max_bytes, uint32_t max_ms)
{
	struct netctl_capture limit = {snap_len, max_bytes, max_ms};

	assert_int_equal(capture_start_consume(&capture, &limit, writer, 1000000), 0);
	assert_true(capture.on);
}

static void read_some(void)
{
	ssize_t n;

	while ((n = read(reader, file + n_file, sizeof(file) - n_file)) > 0)
		n_file += (size_t)n;
}

/* A frame of LEN bytes, HEAD of them before the segments; all bytes are TAG. */
static void frame(uint8_t tag, size_t head_len, size_t len)
{
	static uint8_t head[256], body[70000];
	struct iovec iov[] = {{body, 100}, {body + 100, sizeof(body) - 100}};

	memset(head, tag, sizeof(head));
	memset(body, tag, sizeof(body));
	memset(body, 0xee, 12); /* the virtio-net header is not part of a frame */
	capture_frame(&capture, head, head_len, iov, 2, 12, len - head_len);
}

/* Checks the file. Return: number of records; each must be LENGTH of TOTAL bytes (0: any) of one tag. */
static size_t records(uint32_t length, uint32_t total)
{
	size_t at = 24, n = 0;

	assert_true(n_file >= 24);
	assert_int_equal(le32_load(file), 0xa1b2c3d4);
	assert_int_equal(le16_load(file + 4), 2);
	assert_int_equal(le16_load(file + 6), 4);
	assert_int_equal(le32_load(file + 16), capture.limit.snap_len);
	assert_int_equal(le32_load(file + 20), 1);
	while (at < n_file) {
		uint32_t len, usec;

		assert_true(n_file - at >= 16);
		assert_true(le32_load(file + at) > 1600000000);
		usec = le32_load(file + at + 4);
		len = le32_load(file + at + 8);
		assert_true(usec < 1000000 && len <= capture.limit.snap_len);
		assert_true(!length || (len == length && le32_load(file + at + 12) == total));
		at += 16;
		assert_true(n_file - at >= len);
		for (uint32_t i = 1; i < len; i++)
			assert_int_equal(file[at + i], file[at]);
		at += len;
		n++;
	}
	assert_int_equal(at, n_file);
	return n;
}

static void test_frames(void **state)
{
	start(NETCTL_SNAP_MAX, 1 << 20, 0);
	frame(1, 0, 60);
	frame(2, 54, 60);
	frame(3, 60, 60);
	capture_timers(&capture, 1000000);
	read_some();
	assert_int_equal(records(60, 60), 3);
	assert_int_equal(capture.bytes, n_file);
	assert_int_equal(file[24 + 16], 1);
	assert_true(capture_deadline(&capture) == UINT64_MAX); /* nothing waits, nobody wakes up */
	capture_stop(&capture, NETCTL_CAPTURE_STOPPED, 1000000);
	frame(4, 0, 60);
	capture_timers(&capture, 1000000);
	read_some();
	assert_int_equal(records(60, 60), 3);
	assert_int_equal(capture.why, NETCTL_CAPTURE_STOPPED);
	assert_int_equal(read(reader, file, 1), 0);
}

static void test_snap(void **state)
{
	start(64, 1 << 20, 0);
	frame(1, 0, 1514);
	frame(2, 54, 1514);
	frame(3, 200, 1514);
	capture_timers(&capture, 1000000);
	read_some();
	assert_int_equal(records(64, 1514), 3);
	assert_int_equal(records(64, 1514), 3);
}

static void test_off(void **state)
{
	fd_close(writer);
	frame(1, 0, 60);
	capture_timers(&capture, 5);
	assert_true(capture_deadline(&capture) == UINT64_MAX);
	assert_int_equal(capture.why, 0);
}

/* A slow reader loses whole frames and never gets a part of one. */
static void test_slow_reader(void **state)
{
	start(NETCTL_SNAP_MAX, 1 << 30, 0);
	for (int i = 0; i < 200; i++)
		frame((uint8_t)i, 54, 65000);
	assert_true(capture.drops > 0);
	capture_timers(&capture, 1000000);
	assert_true(capture_deadline(&capture) <= loop_now_us() + CAPTURE_RETRY_US);
	for (int i = 0; i < 400 && capture_deadline(&capture) != UINT64_MAX; i++) {
		read_some();
		frame((uint8_t)i, 54, 3000);
		capture_timers(&capture, 1000000);
	}
	capture_stop(&capture, NETCTL_CAPTURE_STOPPED, 1000000);
	for (int i = 0; i < 400 && !capture.why; i++) {
		read_some();
		capture_timers(&capture, 1000000);
	}
	read_some();
	assert_true(records(0, 0) > 10);
	assert_int_equal(capture.bytes, n_file);
}

static void test_byte_limit(void **state)
{
	start(NETCTL_SNAP_MAX, 24 + 3 * (16 + 60) + 10, 0);
	for (uint8_t i = 0; i < 5; i++)
		frame(i, 0, 60);
	assert_false(capture.on);
	capture_timers(&capture, 1000000);
	read_some();
	assert_int_equal(records(60, 60), 3);
	assert_int_equal(capture.why, NETCTL_CAPTURE_LIMIT);
}

static void test_time_limit(void **state)
{
	start(NETCTL_SNAP_MAX, 1 << 20, 500);
	frame(1, 0, 60);
	capture_timers(&capture, 1499999);
	assert_true(capture.on);
	assert_true(capture_deadline(&capture) == 1500000);
	capture_timers(&capture, 1500000);
	assert_int_equal(capture.why, NETCTL_CAPTURE_TIME);
	read_some();
	assert_int_equal(records(60, 60), 1);
}

static void test_reader_gone(void **state)
{
	start(NETCTL_SNAP_MAX, 1 << 20, 0);
	reader = fd_close(reader);
	frame(1, 0, 60);
	capture_timers(&capture, 1000000);
	assert_false(capture.on);
	assert_int_equal(capture.why, NETCTL_CAPTURE_CLOSED);
}

/* A reader that never reads cannot keep a capture that is over. */
static void test_reader_stuck(void **state)
{
	start(NETCTL_SNAP_MAX, 1 << 30, 0);
	for (int i = 0; i < 20; i++)
		frame((uint8_t)i, 54, 65000);
	capture_stop(&capture, NETCTL_CAPTURE_STOPPED, 1000000);
	capture_timers(&capture, 1000001);
	assert_int_equal(capture.why, 0);
	capture_timers(&capture, 1000000 + CAPTURE_LINGER_US);
	assert_int_equal(capture.why, NETCTL_CAPTURE_STOPPED);
}

static void test_descriptors(void **state)
{
	struct netctl_capture limit = {65549, 1 << 20, 0};
	int fd = open("/dev/null", O_WRONLY), pair[2];

	fd_close(writer);
	assert_int_equal(capture_start_consume(&capture, &limit, fd, 0), -EINVAL);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* consumed */
	assert_false(capture.on);
	assert_int_equal(capture_start_consume(&capture, &limit, -EBADF, 0), -EBADF);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(capture_start_consume(&capture, &limit, pair[0], 0), 0);
	fd_close(pair[1]);
	fd = memfd_create("pcap", MFD_CLOEXEC);
	assert_int_equal(capture_start_consume(&capture, &limit, fd, 0), 0); /* replaces */
	assert_int_equal(fcntl(pair[0], F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frames, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_snap, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_slow_reader, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_byte_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_time_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reader_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reader_stuck, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_descriptors, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
