/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-disk: made sparse and private, grown, never shrunk, never shared, never through a link.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/disk.h"

static char dir[] = "/tmp/caisson-test-disk-XXXXXX";
static int dir_fd;

static int setup(void **state)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	dir_fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY) : -1;
	return dir_fd < 0;
}

static int teardown(void **state)
{
	unlinkat(dir_fd, DISK_NAME, 0);
	unlinkat(dir_fd, "other", 0);
	close(dir_fd);
	return rmdir(dir);
}

static void made_sparse_and_private(void **state)
{
	struct fault fault = FAULT_INIT;
	int fd = disk_open(dir_fd, 65536, &fault);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 65536ll << 20);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(st.st_blocks < 16);
	close(fd);
}

static void grows_and_never_shrinks(void **state)
{
	struct fault fault = FAULT_INIT;
	struct stat st;
	int fd = disk_open(dir_fd, 2048, &fault);

	/* Whatever the content claims, the size is the file's (VM-10). */
	assert_int_equal(pwrite(fd, "QFI\xfb\0\0\0\3/etc/passwd", 19, 0), 19);
	close(fd);
	fd = disk_open(dir_fd, 4096, &fault);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 4096ll << 20);
	close(fd);
	assert_int_equal(disk_open(dir_fd, 2048, &fault), -EINVAL);
	assert_non_null(strstr(fault.text, "smaller"));
	assert_int_equal(fstatat(dir_fd, DISK_NAME, &st, 0), 0);
	assert_int_equal(st.st_size, 4096ll << 20);
}

static void never_shared(void **state)
{
	struct fault fault = FAULT_INIT;
	int fd = disk_open(dir_fd, 2048, &fault), copy;

	assert_true(fd >= 0);
	assert_int_equal(disk_open(dir_fd, 2048, &fault), -EWOULDBLOCK);
	assert_int_equal(fault.code, 0);
	/* The lock lasts as long as any copy of the descriptor, as QEMU has one. */
	copy = dup(fd);
	close(fd);
	assert_int_equal(disk_open(dir_fd, 2048, &fault), -EWOULDBLOCK);
	close(copy);
	fd = disk_open(dir_fd, 2048, &fault);
	assert_true(fd >= 0);
	close(fd);
}

static void odd_files_are_refused(void **state)
{
	struct fault fault = FAULT_INIT;
	int fd = openat(dir_fd, "other", O_RDWR | O_CREAT, 0600);

	close(fd);
	assert_int_equal(symlinkat("other", dir_fd, DISK_NAME), 0);
	assert_int_equal(disk_open(dir_fd, 2048, &fault), -ELOOP);
	unlinkat(dir_fd, DISK_NAME, 0);
	assert_int_equal(linkat(dir_fd, "other", dir_fd, DISK_NAME, 0), 0);
	assert_int_equal(disk_open(dir_fd, 2048, &fault), -EPERM);
	unlinkat(dir_fd, DISK_NAME, 0);
	assert_int_equal(mkfifoat(dir_fd, DISK_NAME, 0600), 0);
	assert_int_equal(disk_open(dir_fd, 2048, &fault), -EPERM);
	unlinkat(dir_fd, DISK_NAME, 0);
	assert_int_equal(disk_open(dir_fd, 1, &fault), -ERANGE);
	assert_int_equal(disk_open(dir_fd, UINT64_MAX, &fault), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(made_sparse_and_private, setup, teardown),
		cmocka_unit_test_setup_teardown(grows_and_never_shrinks, setup, teardown),
		cmocka_unit_test_setup_teardown(never_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(odd_files_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
