/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-vm-state: walks every cell of the table and compares it with a second, independently written list; checks that
 * every running state can be left by QEMU's end and by force.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <string.h>

#include "base/cleanup.h"
#include "machine/vm-state.h"

struct row {
	enum vm_state from;
	enum vm_event event;
	enum vm_state to;
	enum vm_action action;
};

/* Everything that is not in this list must be ignored. */
static const struct row rows[] = {
	{VM_OFF, VM_EV_LAUNCH_TRIAL, VM_TRYING, VM_DO_START},
	{VM_OFF, VM_EV_LAUNCH, VM_BOOTING, VM_DO_START},
	{VM_OFF, VM_EV_LAUNCH_FAILED, VM_ENDED, VM_DO_END},
	{VM_OFF, VM_EV_SHUTDOWN, VM_ENDED, VM_DO_END},
	{VM_OFF, VM_EV_FORCE, VM_ENDED, VM_DO_END},
	{VM_TRYING, VM_EV_LAUNCH_FAILED, VM_ENDED, VM_DO_END},
	{VM_TRYING, VM_EV_HELLO, VM_BOOTING, VM_DO_REMEMBER},
	{VM_TRYING, VM_EV_STUCK, VM_RELAUNCHING, VM_DO_DISTRUST},
	{VM_TRYING, VM_EV_BROKEN, VM_QUITTING, VM_DO_FAIL_QUIT},
	{VM_TRYING, VM_EV_LINK_LOST, VM_QUITTING, VM_DO_FAIL_QUIT},
	{VM_TRYING, VM_EV_SHUTDOWN, VM_QUITTING, VM_DO_QUIT},
	{VM_TRYING, VM_EV_FORCE, VM_QUITTING, VM_DO_QUIT},
	{VM_TRYING, VM_EV_EXIT, VM_BOOTING, VM_DO_RESTART},
	{VM_RELAUNCHING, VM_EV_SHUTDOWN, VM_KILLING, VM_DO_KILL},
	{VM_RELAUNCHING, VM_EV_FORCE, VM_KILLING, VM_DO_KILL},
	{VM_RELAUNCHING, VM_EV_DEADLINE, VM_ENDED, VM_DO_LOST},
	{VM_RELAUNCHING, VM_EV_EXIT, VM_BOOTING, VM_DO_RESTART},
	{VM_BOOTING, VM_EV_LAUNCH_FAILED, VM_ENDED, VM_DO_END},
	{VM_BOOTING, VM_EV_HELLO, VM_BOOTING, VM_DO_GREET},
	{VM_BOOTING, VM_EV_READY, VM_RUNNING, VM_DO_ANNOUNCE},
	{VM_BOOTING, VM_EV_GUEST_FAILED, VM_FAILING, VM_DO_AWAIT},
	{VM_BOOTING, VM_EV_BROKEN, VM_QUITTING, VM_DO_FAIL_QUIT},
	{VM_BOOTING, VM_EV_LINK_LOST, VM_STOPPING, VM_DO_FAIL_ASK},
	{VM_BOOTING, VM_EV_STUCK, VM_QUITTING, VM_DO_QUIT_STUCK},
	{VM_BOOTING, VM_EV_SHUTDOWN, VM_STOPPING, VM_DO_ASK},
	{VM_BOOTING, VM_EV_FORCE, VM_QUITTING, VM_DO_QUIT},
	{VM_BOOTING, VM_EV_EXIT, VM_ENDED, VM_DO_LOST},
	{VM_RUNNING, VM_EV_GUEST_FAILED, VM_FAILING, VM_DO_AWAIT},
	{VM_RUNNING, VM_EV_BROKEN, VM_QUITTING, VM_DO_FAIL_QUIT},
	{VM_RUNNING, VM_EV_LINK_LOST, VM_STOPPING, VM_DO_FAIL_ASK},
	{VM_RUNNING, VM_EV_STUCK, VM_QUITTING, VM_DO_QUIT_STUCK},
	{VM_RUNNING, VM_EV_SHUTDOWN, VM_STOPPING, VM_DO_ASK},
	{VM_RUNNING, VM_EV_FORCE, VM_QUITTING, VM_DO_QUIT},
	{VM_RUNNING, VM_EV_EXIT, VM_ENDED, VM_DO_LOST},
	{VM_STOPPING, VM_EV_BROKEN, VM_QUITTING, VM_DO_FAIL_QUIT},
	{VM_STOPPING, VM_EV_STUCK, VM_QUITTING, VM_DO_QUIT_STUCK},
	{VM_STOPPING, VM_EV_SHUTDOWN, VM_STOPPING, VM_DO_ASK},
	{VM_STOPPING, VM_EV_FORCE, VM_QUITTING, VM_DO_QUIT},
	{VM_STOPPING, VM_EV_DEADLINE, VM_QUITTING, VM_DO_QUIT},
	{VM_STOPPING, VM_EV_EXIT, VM_ENDED, VM_DO_END},
	{VM_FAILING, VM_EV_BROKEN, VM_QUITTING, VM_DO_QUIT},
	{VM_FAILING, VM_EV_STUCK, VM_QUITTING, VM_DO_QUIT},
	{VM_FAILING, VM_EV_FORCE, VM_QUITTING, VM_DO_QUIT},
	{VM_FAILING, VM_EV_DEADLINE, VM_QUITTING, VM_DO_QUIT},
	{VM_FAILING, VM_EV_EXIT, VM_ENDED, VM_DO_END},
	{VM_QUITTING, VM_EV_DEADLINE, VM_KILLING, VM_DO_KILL},
	{VM_QUITTING, VM_EV_EXIT, VM_ENDED, VM_DO_END},
	{VM_KILLING, VM_EV_DEADLINE, VM_ENDED, VM_DO_LOST},
	{VM_KILLING, VM_EV_EXIT, VM_ENDED, VM_DO_END},
};

static const struct row *find(enum vm_state from, enum vm_event event)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].from == from && rows[i].event == event)
			return &rows[i];
	return NULL;
}

static void every_cell(void **state)
{
	size_t seen = 0;

	for (int s = 0; s < VM_STATE_MAX; s++)
		for (int e = 0; e < VM_EVENT_MAX; e++) {
			const struct row *row = find((enum vm_state)s, (enum vm_event)e);
			enum vm_state next = (enum vm_state)s;
			enum vm_action action = vm_step(&next, (enum vm_event)e);

			assert_int_equal(next, row ? row->to : (enum vm_state)s);
			assert_int_equal(action, row ? row->action : VM_DO_NOTHING);
			seen += row != NULL;
		}
	assert_int_equal(seen, ARRAY_SIZE(rows));
}

/* Whatever happened, the end of QEMU and repeated force lead out. */
static void no_way_is_blind(void **state)
{
	for (int s = VM_TRYING; s < VM_ENDED; s++) {
		enum vm_state now = (enum vm_state)s;

		vm_step(&now, VM_EV_FORCE);
		vm_step(&now, VM_EV_DEADLINE);
		vm_step(&now, VM_EV_DEADLINE);
		vm_step(&now, VM_EV_EXIT);
		assert_int_equal(now, VM_ENDED);
	}
}

static void names_are_distinct(void **state)
{
	for (int a = 0; a < VM_STATE_MAX; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(vm_state_name((enum vm_state)a), vm_state_name((enum vm_state)b));
	for (int a = 0; a < VM_EVENT_MAX; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(vm_event_name((enum vm_event)a), vm_event_name((enum vm_event)b));
	assert_string_equal(vm_state_name((enum vm_state)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell),
		cmocka_unit_test(no_way_is_blind),
		cmocka_unit_test(names_are_distinct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
