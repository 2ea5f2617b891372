/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-log-file: foreign text is escaped, long lines are cut, files rotate and stay bounded, a flood is dropped
 * and counted (VM-11, BCK-02).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "machine/log-file.h"

static char dir[] = "/tmp/caisson-test-log-XXXXXX";
static int dir_fd;

static int setup(void **state)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	dir_fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY) : -1;
	return dir_fd < 0;
}

static int teardown(void **state)
{
	unlinkat(dir_fd, "a.log", 0);
	unlinkat(dir_fd, "a.log.1", 0);
	close(dir_fd);
	return rmdir(dir);
}

static void escapes(void **state)
{
	static const char line[] = "evil \x1b[31m %s %n \xe2\x80\xae tail";
	struct log_file *file = NULL;
	char *text = NULL;
	size_t len;

	assert_int_equal(log_file_open(dir_fd, "a.log", &file), 0);
	log_file_line(file, "console", line, sizeof(line) - 1);
	assert_int_equal(fd_read_file(dir_fd, "a.log", 65536, &text, &len), 0);
	assert_null(strchr(text, '\x1b'));
	assert_null(strstr(text, "\xe2\x80\xae"));
	assert_non_null(strstr(text, "console: evil \\x1b[31m %s %n "));
	assert_non_null(strstr(log_file_last(file), "evil"));
	free(text);
	log_file_free(file);
}

/* One time per line: ours. What only looks like a stamp stays. */
static void a_second_stamp_goes(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"2026-11-22T01:25:45.343Z INFO com.docker.caisson.net: jail", "Z INFO com.docker.caisson.net: jail\n"},
		{"init: 2026-11-22T01:25:45.343Z INFO caisson-agent: v", "Z init: INFO caisson-agent: v\n"},
		{"dockerd: time=\"2026-11-22T01:34:29.541297886Z\" level=info msg=\"x\"", "Z dockerd: level=info msg=\"x\"\n"},
		{"2026-11-22 01:25:45.343Z day", "Z 2026-11-22 01:25:45.343Z day\n"},
		{"dockerd: time=\"2026-11-22T01:34:29.5", "Z dockerd: time=\"2026-11-22T01:34:29.5\n"},
		{"time=\"never\" level", "Z time=\"never\" level\n"},
		{"2026-11-22T01:25:45.343Z", "Z 2026-11-22T01:25:45.343Z\n"},
		{"t", "Z t\n"},
		{"a: ", "Z a: \n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct log_file *file = NULL;
		char *text = NULL;
		size_t len;

		assert_int_equal(log_file_open(dir_fd, "a.log", &file), 0);
		log_file_line(file, NULL, rows[i].in, strlen(rows[i].in));
		assert_int_equal(fd_read_file(dir_fd, "a.log", 65536, &text, &len), 0);
		assert_in_range(len, strlen("2026-11-22T01:25:45.343"), 500);
		assert_string_equal(text + strlen("2026-11-22T01:25:45.343"), rows[i].out);
		free(text);
		log_file_free(file);
		unlinkat(dir_fd, "a.log", 0);
	}
}

static void flood_is_bounded(void **state)
{
	struct log_file *file = NULL;
	char line[1000];
	struct stat st;

	memset(line, 'x', sizeof(line));
	assert_int_equal(log_file_open(dir_fd, "a.log", &file), 0);
	for (int i = 0; i < 50000; i++)
		log_file_line(file, NULL, line, sizeof(line));
	assert_int_equal(fstatat(dir_fd, "a.log", &st, 0), 0);
	assert_in_range(st.st_size, LOG_FILE_BURST / 2, 2 * LOG_FILE_BURST);
	assert_true(log_file_dropped(file) > 40u << 20);
	log_file_free(file);
}

static void rotates_once(void **state)
{
	int fd = openat(dir_fd, "a.log", O_WRONLY | O_CREAT, 0600);
	struct log_file *file = NULL;
	struct stat st;

	assert_int_equal(ftruncate(fd, LOG_FILE_MAX - 10), 0);
	close(fd);
	assert_int_equal(log_file_open(dir_fd, "a.log", &file), 0);
	log_file_line(file, NULL, "first of the new file", 21);
	assert_int_equal(fstatat(dir_fd, "a.log.1", &st, 0), 0);
	assert_int_equal(st.st_size, LOG_FILE_MAX - 10);
	assert_int_equal(fstatat(dir_fd, "a.log", &st, 0), 0);
	assert_in_range(st.st_size, 20, 100);
	log_file_free(file);
}

static void stream_cuts_lines(void **state)
{
	struct loop *loop = NULL;
	struct log_stream *stream = NULL;
	struct log_file *file = NULL;
	char big[3000], *text = NULL;
	int fds[2];
	size_t len;

	memset(big, 'y', sizeof(big));
	big[sizeof(big) - 1] = '\n';
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(log_file_open(dir_fd, "a.log", &file), 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(log_stream_new(loop, fds[0], file, "vm", NULL, NULL, &stream), 0);
	assert_int_equal(write(fds[1], big, sizeof(big)), sizeof(big));
	assert_int_equal(write(fds[1], "short\r\nno end", 13), 13);
	while (loop_step(loop, 20) > 0)
		;
	log_stream_free(stream);
	close(fds[1]);
	assert_int_equal(fd_read_file(dir_fd, "a.log", 65536, &text, &len), 0);
	assert_in_range(len, LOG_FILE_LINE_MAX, LOG_FILE_LINE_MAX + 200);
	assert_non_null(strstr(text, "vm: short\n"));
	assert_non_null(strstr(text, "vm: no end\n"));
	free(text);
	log_file_free(file);
	loop_free(loop);
}

static void links_are_refused(void **state)
{
	struct log_file *file = NULL;

	assert_int_equal(symlinkat("/etc/hostname", dir_fd, "a.log"), 0);
	assert_int_equal(log_file_open(dir_fd, "a.log", &file), -ELOOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(escapes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_stamp_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(flood_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(rotates_once, setup, teardown),
		cmocka_unit_test_setup_teardown(stream_cuts_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(links_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
