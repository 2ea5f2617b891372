/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm-state: the table, see vm-state.h.
 */
#include "machine/vm-state.h"

#include "base/cleanup.h"

struct vm_cell {
	enum vm_state next; /* VM_OFF in a missing cell: nothing ever returns to OFF */
	enum vm_action action;
};

static const struct vm_cell cells[VM_STATE_MAX][VM_EVENT_MAX] = {
	[VM_OFF] = {
		[VM_EV_LAUNCH_TRIAL] = {VM_TRYING, VM_DO_START},
		[VM_EV_LAUNCH] = {VM_BOOTING, VM_DO_START},
		[VM_EV_LAUNCH_FAILED] = {VM_ENDED, VM_DO_END},
		[VM_EV_SHUTDOWN] = {VM_ENDED, VM_DO_END},
		[VM_EV_FORCE] = {VM_ENDED, VM_DO_END},
	},
	[VM_TRYING] = {
		[VM_EV_LAUNCH_FAILED] = {VM_ENDED, VM_DO_END},
		[VM_EV_HELLO] = {VM_BOOTING, VM_DO_REMEMBER},
		[VM_EV_STUCK] = {VM_RELAUNCHING, VM_DO_DISTRUST},
		[VM_EV_BROKEN] = {VM_QUITTING, VM_DO_FAIL_QUIT},
		[VM_EV_LINK_LOST] = {VM_QUITTING, VM_DO_FAIL_QUIT},
		[VM_EV_SHUTDOWN] = {VM_QUITTING, VM_DO_QUIT},
		[VM_EV_FORCE] = {VM_QUITTING, VM_DO_QUIT},
		[VM_EV_EXIT] = {VM_BOOTING, VM_DO_RESTART},
	},
	[VM_RELAUNCHING] = {
		[VM_EV_SHUTDOWN] = {VM_KILLING, VM_DO_KILL},
		[VM_EV_FORCE] = {VM_KILLING, VM_DO_KILL},
		[VM_EV_DEADLINE] = {VM_ENDED, VM_DO_LOST},
		[VM_EV_EXIT] = {VM_BOOTING, VM_DO_RESTART},
	},
	[VM_BOOTING] = {
		[VM_EV_LAUNCH_FAILED] = {VM_ENDED, VM_DO_END},
		[VM_EV_HELLO] = {VM_BOOTING, VM_DO_GREET},
		[VM_EV_READY] = {VM_RUNNING, VM_DO_ANNOUNCE},
		[VM_EV_GUEST_FAILED] = {VM_FAILING, VM_DO_AWAIT},
		[VM_EV_BROKEN] = {VM_QUITTING, VM_DO_FAIL_QUIT},
		[VM_EV_LINK_LOST] = {VM_STOPPING, VM_DO_FAIL_ASK},
		[VM_EV_STUCK] = {VM_QUITTING, VM_DO_QUIT_STUCK},
		[VM_EV_SHUTDOWN] = {VM_STOPPING, VM_DO_ASK},
		[VM_EV_FORCE] = {VM_QUITTING, VM_DO_QUIT},
		[VM_EV_EXIT] = {VM_ENDED, VM_DO_LOST},
	},
	[VM_RUNNING] = {
		[VM_EV_GUEST_FAILED] = {VM_FAILING, VM_DO_AWAIT},
		[VM_EV_BROKEN] = {VM_QUITTING, VM_DO_FAIL_QUIT},
		[VM_EV_LINK_LOST] = {VM_STOPPING, VM_DO_FAIL_ASK},
		[VM_EV_STUCK] = {VM_QUITTING, VM_DO_QUIT_STUCK},
		[VM_EV_SHUTDOWN] = {VM_STOPPING, VM_DO_ASK},
		[VM_EV_FORCE] = {VM_QUITTING, VM_DO_QUIT},
		[VM_EV_EXIT] = {VM_ENDED, VM_DO_LOST},
	},
	[VM_STOPPING] = {
		[VM_EV_BROKEN] = {VM_QUITTING, VM_DO_FAIL_QUIT},
		[VM_EV_STUCK] = {VM_QUITTING, VM_DO_QUIT_STUCK},
		[VM_EV_SHUTDOWN] = {VM_STOPPING, VM_DO_ASK}, /* with less time than before */
		[VM_EV_FORCE] = {VM_QUITTING, VM_DO_QUIT},
		[VM_EV_DEADLINE] = {VM_QUITTING, VM_DO_QUIT},
		[VM_EV_EXIT] = {VM_ENDED, VM_DO_END},
	},
	[VM_FAILING] = {
		[VM_EV_BROKEN] = {VM_QUITTING, VM_DO_QUIT},
		[VM_EV_STUCK] = {VM_QUITTING, VM_DO_QUIT},
		[VM_EV_FORCE] = {VM_QUITTING, VM_DO_QUIT},
		[VM_EV_DEADLINE] = {VM_QUITTING, VM_DO_QUIT},
		[VM_EV_EXIT] = {VM_ENDED, VM_DO_END},
	},
	[VM_QUITTING] = {
		[VM_EV_DEADLINE] = {VM_KILLING, VM_DO_KILL},
		[VM_EV_EXIT] = {VM_ENDED, VM_DO_END},
	},
	[VM_KILLING] = {
		[VM_EV_DEADLINE] = {VM_ENDED, VM_DO_LOST},
		[VM_EV_EXIT] = {VM_ENDED, VM_DO_END},
	},
};

static const char *const state_names[] = {
	[VM_OFF] = "off",	  [VM_TRYING] = "trying",     [VM_RELAUNCHING] = "relaunching",
	[VM_BOOTING] = "booting",  [VM_RUNNING] = "running",   [VM_STOPPING] = "stopping",
	[VM_FAILING] = "failing",  [VM_QUITTING] = "quitting", [VM_KILLING] = "killing",
	[VM_ENDED] = "ended",
};
static const char *const event_names[] = {
	[VM_EV_LAUNCH_TRIAL] = "launch-trial", [VM_EV_LAUNCH] = "launch",
	[VM_EV_LAUNCH_FAILED] = "launch-failed", [VM_EV_HELLO] = "hello",
	[VM_EV_READY] = "ready",	       [VM_EV_GUEST_FAILED] = "guest-failed",
	[VM_EV_LINK_LOST] = "link-lost",
	[VM_EV_BROKEN] = "broken",	       [VM_EV_STUCK] = "stuck",
	[VM_EV_SHUTDOWN] = "shutdown",	       [VM_EV_FORCE] = "force",
	[VM_EV_DEADLINE] = "deadline",	       [VM_EV_EXIT] = "exit",
};
_Static_assert(ARRAY_SIZE(state_names) == VM_STATE_MAX, "every state has a name");
_Static_assert(ARRAY_SIZE(event_names) == VM_EVENT_MAX, "every event has a name");

enum vm_action vm_step(enum vm_state *state, enum vm_event event)
{
	const struct vm_cell *cell = &cells[*state][event];

	if (cell->next == VM_OFF)
		return VM_DO_NOTHING;
	*state = cell->next;
	return cell->action;
}

const char *vm_state_name(enum vm_state state)
{
	return (unsigned int)state < VM_STATE_MAX ? state_names[state] : "unknown";
}

const char *vm_event_name(enum vm_event event)
{
	return (unsigned int)event < VM_EVENT_MAX ? event_names[event] : "unknown";
}
