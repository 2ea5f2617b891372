/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail: takes from the calling process, for good, what it will not need.
 *
 * Stages, each as early as it can be: jail_privileges (no new privileges, capabilities dropped, not dumpable,
 * no core), jail_files (Landlock: no file operation at all, where the kernel has it), jail_syscalls (seccomp
 * allow-list, kill on anything else and on foreign ABIs). jail_describe gives the one line that tests compare.
 * Should: be called before the first byte of foreign input. Mustn't: be undone, or fail open: every
 * failure but a missing Landlock is fatal to the caller.
 * Who may call it: main() of a jailed process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { JAIL_CHECKS_MAX = 2 };

/* Argument ARG and MASK must equal VALUE. MASK 0: no check. */
struct jail_check {
	unsigned int arg;
	unsigned long mask, value;
};
struct jail_rule {
	int syscall;	    /* __NR_* */
	const char *reason; /* why this process needs it; compared with docs by a test */
	int arg;	    /* -1: any argument; else argument ARG must equal VALUE */
	unsigned long value;
	struct jail_check more[JAIL_CHECKS_MAX]; /* all of these too */
};

struct jail_state {
	bool landlock;	    /* false where the kernel lacks it */
	int landlock_abi;
	unsigned int n_syscalls;
};

int jail_privileges(void);
/* Return: 0; JAIL_E_NO_LANDLOCK: kernel has none; -errno. */
enum { JAIL_E_NO_LANDLOCK = 1 };
int jail_files(struct jail_state *state);
/* The same for a process whose work it is to connect TCP sockets: only bind is forbidden, where the kernel can. */
int jail_files_dialling(struct jail_state *state);
/* Several rules for one syscall are or-ed. Return: 0 or -errno. */
int jail_syscalls(const struct jail_rule *rules, size_t n_rules, struct jail_state *state);
/* Appends what a sanitizer's run-time needs to report, in a build that has one (only tests run it), to the N rules at RULES, which
 * have room for MAX. Return: the number then. */
size_t jail_add_sanitizer(struct jail_rule *rules, size_t n, size_t max);
/* "uid=1000 caps=0 nnp=1 seccomp=2 landlock=6 syscalls=24" into DST, terminated, cut at SIZE. */
void jail_describe(const struct jail_state *state, char *dst, size_t size);
