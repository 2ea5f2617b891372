/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-accel: the probe's refusals are in words and in time; the memory is believed for its key only.
 * The allow twin of the probe (the guest code is right) is tests/process/test_accel_guest.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine/accel-probe.h"
#include "machine/accel.h"

static void no_device(void **state)
{
	struct accel_probe p;

	accel_probe("/dev/caisson-no-such-device", ACCEL_PROBE_BUDGET_MS, &p);
	assert_false(p.works);
	assert_non_null(strstr(p.reason, "cannot be opened: No such file"));
	assert_true(p.transient);
	accel_probe("/dev/null", ACCEL_PROBE_BUDGET_MS, &p);
	assert_false(p.works);
	assert_non_null(strstr(p.reason, "KVM_GET_API_VERSION"));
}

/* On any host: an answer within the budget, with a reason. */
static void real_device(void **state)
{
	struct accel_probe p;

	accel_probe(ACCEL_DEVICE, ACCEL_PROBE_BUDGET_MS, &p);
	assert_true(p.us < 1500000);
	assert_true(strlen(p.reason) > 5);
	if (p.works)
		assert_int_equal(p.step, ACCEL_STEP_END);
	print_message("%s: %s\n", p.works ? "works" : "does not work", p.reason);
}

static void memory(void **state)
{
	char dir[] = "/tmp/caisson-test-accel-XXXXXX";
	int fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY) : -1;
	struct accel_memory m = {.key = "boot qemu device", .qemu_version = "10.0.2", .known = true,
				 .reason = "KVM hung in a timer interrupt"};
	struct accel_memory other;
	int file;

	assert_true(fd >= 0);
	assert_false(accel_load(&other, fd, m.key));
	assert_int_equal(accel_save(&m, fd), 0);
	assert_true(accel_load(&other, fd, m.key));
	assert_string_equal(other.reason, m.reason);
	assert_true(other.known);
	assert_false(other.works);
	assert_false(accel_load(&other, fd, "another boot"));
	assert_false(other.known);
	assert_string_equal(other.key, "another boot");
	file = openat(fd, "accel.json", O_WRONLY | O_TRUNC);
	assert_int_equal(write(file, "{\"format\":1}", 12), 12);
	close(file);
	assert_false(accel_load(&other, fd, m.key));
	unlinkat(fd, "accel.json", 0);
	close(fd);
	rmdir(dir);
}

static void choices(void **state)
{
	struct accel_memory bad = {.known = true, .reason = "it hung"}, good = {.known = true, .works = true};
	struct accel_memory none = {.known = false};
	struct fault fault = FAULT_INIT;
	struct accel_choice c;

	assert_int_equal(accel_choose(&c, MACHINE_ACCEL_AUTO, "/x", &bad, &fault), 0);
	assert_int_equal(c.accel, MACHINE_ACCEL_TCG);
	assert_string_equal(c.reason, "it hung");
	assert_int_equal(accel_choose(&c, MACHINE_ACCEL_KVM, "/x", &bad, &fault), -ENOTSUP);
	assert_non_null(strstr(fault.text, "it hung"));
	assert_int_equal(accel_choose(&c, MACHINE_ACCEL_AUTO, "/x", &good, &fault), 0);
	assert_int_equal(c.accel, MACHINE_ACCEL_KVM);
	assert_true(c.trial);
	assert_int_equal(accel_choose(&c, MACHINE_ACCEL_KVM, "/x", &good, &fault), 0);
	assert_false(c.trial);
	assert_int_equal(accel_choose(&c, MACHINE_ACCEL_TCG, "/x", &good, &fault), 0);
	assert_int_equal(c.accel, MACHINE_ACCEL_TCG);
	/* Rights may be there at the next start: asked again, not remembered. */
	assert_int_equal(accel_choose(&c, MACHINE_ACCEL_AUTO, "/dev/caisson-no-such-device", &none, &fault), 0);
	assert_int_equal(c.accel, MACHINE_ACCEL_TCG);
	assert_non_null(strstr(c.reason, "cannot be opened"));
	assert_false(none.known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(no_device), cmocka_unit_test(real_device),
					   cmocka_unit_test(memory), cmocka_unit_test(choices)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
