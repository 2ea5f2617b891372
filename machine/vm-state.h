/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm-state: the one state machine of the VM: what an event means in a state, and what is to be done.
 *
 * States and what holds in them:
 *   OFF         no QEMU. LAUNCH starts one.
 *   TRYING      QEMU runs under KVM, nothing was heard from the guest yet; a failure leads to TCG.
 *   RELAUNCHING that QEMU was killed; its end starts the next one, under TCG.
 *   BOOTING     QEMU runs, the engine is not ready.
 *   RUNNING     the engine is ready.
 *   STOPPING    the guest was asked to power off; a deadline runs.
 *   FAILING     the guest said that it cannot go on; it may power off by itself within a deadline.
 *   QUITTING    QEMU was told to quit; a deadline runs.
 *   KILLING     QEMU got SIGKILL; a deadline runs.
 *   ENDED       no QEMU, for good: a machine process runs one VM.
 * A missing cell of the table means: ignored in that state. Who may call it: machine.c. Pure.
 */
#pragma once

enum vm_state {
	VM_OFF,
	VM_TRYING,
	VM_RELAUNCHING,
	VM_BOOTING,
	VM_RUNNING,
	VM_STOPPING,
	VM_FAILING,
	VM_QUITTING,
	VM_KILLING,
	VM_ENDED,
	VM_STATE_MAX,
};
enum vm_event {
	VM_EV_LAUNCH_TRIAL,  /* launch with KVM, TCG allowed */
	VM_EV_LAUNCH,	     /* launch with the one accelerator there is */
	VM_EV_LAUNCH_FAILED, /* QEMU could not be started at all; a fault is recorded */
	VM_EV_HELLO,	     /* first frame from the guest */
	VM_EV_READY,	     /* engine ready */
	VM_EV_GUEST_FAILED,  /* the guest named a cause; a fault is recorded */
	VM_EV_BROKEN,	     /* guest or QEMU broke a protocol; a fault is recorded */
	VM_EV_LINK_LOST,     /* net cannot be kept up; a fault is recorded */
	VM_EV_STUCK,	     /* the processor stopped (QEMU: internal-error), or the first byte is overdue */
	VM_EV_SHUTDOWN,	     /* stop orderly */
	VM_EV_FORCE,	     /* stop at once */
	VM_EV_DEADLINE,	     /* the timer that the last transition armed */
	VM_EV_EXIT,	     /* QEMU ended */
	VM_EVENT_MAX,
};
enum vm_action {
	VM_DO_NOTHING,
	VM_DO_START,	  /* start QEMU and net; watch for the first byte */
	VM_DO_REMEMBER,	  /* KVM booted: keep the verdict, stop the watch */
	VM_DO_DISTRUST,	  /* KVM did not boot: keep that verdict, kill QEMU */
	VM_DO_RESTART,	  /* start again under TCG */
	VM_DO_GREET,	  /* stop the watch */
	VM_DO_ANNOUNCE,	  /* report RUNNING */
	VM_DO_ASK,	  /* AGENT_SHUTDOWN, arm the deadline */
	VM_DO_FAIL_ASK,	  /* report the recorded fault, then as ASK */
	VM_DO_AWAIT,	  /* report the fault, arm the deadline for the guest's own power-off */
	VM_DO_QUIT,	  /* QMP quit, arm the deadline */
	VM_DO_QUIT_STUCK, /* record the fault that the processor stopped, then as QUIT */
	VM_DO_FAIL_QUIT,  /* report the recorded fault, then as QUIT */
	VM_DO_KILL,	  /* SIGKILL, arm the deadline */
	VM_DO_LOST,	  /* QEMU ended unasked: record the fault, then as END */
	VM_DO_END,	  /* report FAILED when a fault is recorded, then OFF; leave */
	VM_ACTION_MAX,
};

/* The action for EVENT in STATE; *STATE becomes the next one. */
enum vm_action vm_step(enum vm_state *state, enum vm_event event);
const char *vm_state_name(enum vm_state state);
const char *vm_event_name(enum vm_event event);
