/* SPDX-License-Identifier: Apache-2.0 */
/* test-guest-map: trimming gives touched pages back and loses nothing. The map's bounds are test-vhost's business. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/test.h"
#include "devices/vhost/guest-map.h"

enum { PAGES = 1024, PAGE = 4096 };

static long resident_shared_kib(void)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "re");

	assert_non_null(f);
	while (kib < 0 && getline(&line, &size, f) > 0)
		(void)sscanf(line, "RssShmem: %ld kB", &kib);
	fclose(f);
	assert_true(kib >= 0);
	return kib;
}

static void test_trim(void **state)
{
	struct vhost_user_region region = {.guest_addr = 0, .size = PAGES * PAGE, .user_addr = 0x10000};
	_cleanup_close_ int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct guest_map map = {0};
	uint64_t len;
	uint8_t *p;
	long before;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(guest_map_add(&map, &region, fd), 0);
	before = resident_shared_kib();
	p = guest_map_gpa(&map, 0, PAGES * PAGE, &len);
	assert_non_null(p);
	for (size_t i = 0; i < PAGES; i++)
		p[i * PAGE] = (uint8_t)i;
	assert_true(resident_shared_kib() >= before + PAGES * PAGE / 1024 / 2);
	guest_map_trim(&map);
	assert_true(resident_shared_kib() <= before + 64);
	for (size_t i = 0; i < PAGES; i++)
		assert_int_equal(p[i * PAGE], (uint8_t)i);
	guest_map_clear(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_trim)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
