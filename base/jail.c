/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail: see the header for the stages. The Landlock structures are declared here because Debian 12's kernel
 * headers are older than the running kernel may be; numbers from include/uapi/linux/landlock.h.
 */
#include "base/jail.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

struct landlock_ruleset {
	uint64_t handled_fs;
	uint64_t handled_net;
	uint64_t scoped;
};

enum { LANDLOCK_VERSION_FLAG = 1, LANDLOCK_BIND_TCP = 1, LANDLOCK_CONNECT_TCP = 2, LANDLOCK_SCOPES = 3 /* abstract, signals */ };

int jail_privileges(void)
{
	struct rlimit none = {0, 0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return trace(error_errno());
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return trace(error_errno());
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return trace(error_errno());
	capng_clear(CAPNG_SELECT_BOTH);
	/* The bounding set needs CAP_SETPCAP; a process without it cannot gain anything anyway (no new privs). */
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return trace(-EPERM);
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) > CAPNG_NONE)
		return trace(-EPERM);
	return 0;
}

static int lock_files(struct jail_state *state, uint64_t net)
{
	/* Highest access bit per ABI version 1..: fs 13, 14 (refer), 15 (truncate), 15, 16 (ioctl); net from 4, scope from 6. */
	static const unsigned int fs_bits[] = {0, 13, 14, 15, 15, 16};
	struct landlock_ruleset rules = {0};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
	unsigned int bits;
	int fd, r = 0;

	state->landlock = false;
	state->landlock_abi = 0;
	if (abi < 1)
		return JAIL_E_NO_LANDLOCK;
	bits = abi < (long)ARRAY_SIZE(fs_bits) ? fs_bits[abi] : fs_bits[ARRAY_SIZE(fs_bits) - 1];
	rules.handled_fs = (UINT64_C(1) << bits) - 1;
	rules.handled_net = abi >= 4 ? net : 0;
	rules.scoped = abi >= 6 ? LANDLOCK_SCOPES : 0;
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
	if (fd < 0)
		return trace(error_errno());
	/* No rule is added: nothing beneath any directory is allowed. */
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = error_errno();
	close(fd);
	if (r < 0)
		return trace(r);
	state->landlock = true;
	state->landlock_abi = (int)abi;
	return 0;
}

int jail_files(struct jail_state *state)
{
	return lock_files(state, LANDLOCK_BIND_TCP | LANDLOCK_CONNECT_TCP);
}

int jail_files_dialling(struct jail_state *state)
{
	return lock_files(state, LANDLOCK_BIND_TCP);
}

static int add_rules(scmp_filter_ctx ctx, const struct jail_rule *rules, size_t n_rules)
{
	for (size_t i = 0; i < n_rules; i++) {
		struct scmp_arg_cmp cmp[1 + JAIL_CHECKS_MAX];
		unsigned int n = 0;
		int r;

		if (rules[i].arg >= 0)
			cmp[n++] = (struct scmp_arg_cmp){.arg = (unsigned int)rules[i].arg,
							 .op = SCMP_CMP_EQ, .datum_a = rules[i].value};
		for (size_t k = 0; k < JAIL_CHECKS_MAX; k++)
			if (rules[i].more[k].mask)
				cmp[n++] = (struct scmp_arg_cmp){.arg = rules[i].more[k].arg, .op = SCMP_CMP_MASKED_EQ,
								 .datum_a = rules[i].more[k].mask, .datum_b = rules[i].more[k].value};
		r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, rules[i].syscall, n, cmp);
		if (r < 0)
			return trace(r);
	}
	return 0;
}

int jail_syscalls(const struct jail_rule *rules, size_t n_rules, struct jail_state *state)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	unsigned int n_distinct = 0;
	int r;

	if (!ctx)
		return trace(-ENOMEM);
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r >= 0)
		r = add_rules(ctx, rules, n_rules);
	if (r >= 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	if (r < 0)
		return trace(r);
	for (size_t i = 0; i < n_rules; i++) {
		size_t k = 0;

		while (k < i && rules[k].syscall != rules[i].syscall)
			k++;
		n_distinct += k == i;
	}
	state->n_syscalls = n_distinct;
	return 0;
}

#ifdef __SANITIZE_ADDRESS__
static const struct jail_rule sanitizer[] = {
	{__NR_mmap, "sanitizer", -1, 0},
	{__NR_munmap, "sanitizer", -1, 0},
	{__NR_mprotect, "sanitizer", -1, 0},
	{__NR_madvise, "sanitizer", -1, 0},
	{__NR_sigaltstack, "sanitizer", -1, 0},
	{__NR_futex, "sanitizer", -1, 0},
	{__NR_getpid, "sanitizer", -1, 0},
	{__NR_gettid, "sanitizer", -1, 0},
	{__NR_rt_sigprocmask, "sanitizer", -1, 0},
	{__NR_rt_sigaction, "sanitizer", -1, 0},
	{__NR_sched_yield, "sanitizer", -1, 0},
	{__NR_readlink, "sanitizer", -1, 0},
	{__NR_openat, "sanitizer", -1, 0},
	{__NR_open, "sanitizer", -1, 0},
	{__NR_read, "sanitizer", -1, 0},
	{__NR_tgkill, "sanitizer", -1, 0},
	{__NR_getrlimit, "sanitizer", -1, 0},
	{__NR_prlimit64, "sanitizer", -1, 0},
};

size_t jail_add_sanitizer(struct jail_rule *rules, size_t n, size_t max)
{
	const size_t n_own = n;

	for (size_t i = 0; i < ARRAY_SIZE(sanitizer) && n < max; i++) {
		size_t k = 0;

		while (k < n_own && (rules[k].syscall != sanitizer[i].syscall || rules[k].arg >= 0 || rules[k].more[0].mask))
			k++;
		if (k == n_own)
			rules[n++] = sanitizer[i];
	}
	return n;
}
#else
size_t jail_add_sanitizer(struct jail_rule *rules, size_t n, size_t max)
{
	return n;
}
#endif

void jail_describe(const struct jail_state *state, char *dst, size_t size)
{
	/* Said from what was done, not from /proc: the jail has no files. Tests compare it with /proc. */
	snprintf(dst, size, "uid=%u caps=0 nnp=1 seccomp=2 landlock=%d syscalls=%u", (unsigned int)geteuid(),
		 state->landlock ? state->landlock_abi : 0, state->n_syscalls);
}
