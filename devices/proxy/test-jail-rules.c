/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-jail-rules: the filter of caisson-proxy, proved call by call (NET-15): what its work needs passes, what a taken-over
 * process would want kills. A sanitizer build has a wider filter for its own run-time, so there it is skipped.
 */
#include "devices/proxy/jail-rules.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/test.h"

struct call {
	const char *name;
	long number, arg[6];
};

/* Return: the signal that killed a child that made CALL in the jail, 0: none. */
static int in_jail(const struct call *call)
{
	const struct jail_rule *rules;
	size_t n_rules = jail_rules_proxy(&rules);
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		struct jail_state state = {0};

		if (jail_privileges() < 0 || jail_syscalls(rules, n_rules, &state) < 0)
			_exit(101);
		syscall(call->number, call->arg[0], call->arg[1], call->arg[2], call->arg[3], call->arg[4], call->arg[5]);
		syscall(__NR_exit_group, 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void skip_when_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("skipped: a sanitizer's run-time widens the filter\n");
	skip();
#endif
}

static void test_every_rule_passes(void **state)
{
	const struct jail_rule *rules;
	size_t n_rules = jail_rules_proxy(&rules);

	skip_when_sanitized();
	for (size_t i = 0; i < n_rules; i++) {
		struct call call = {rules[i].reason, rules[i].syscall, {-1, 0, 0, 0, 0, 0}};

		/* These make no sense as plain calls. */
		if (rules[i].syscall == __NR_rt_sigreturn || rules[i].syscall == __NR_restart_syscall)
			continue;
		if (rules[i].syscall == __NR_exit_group || rules[i].syscall == __NR_brk || rules[i].syscall == __NR_mmap)
			call.arg[0] = 0;
		if (rules[i].arg >= 0)
			call.arg[rules[i].arg] = (long)rules[i].value;
		if (in_jail(&call))
			fail_msg("system call %d (%s) is killed", rules[i].syscall, rules[i].reason);
		assert_true(rules[i].reason && rules[i].reason[0]);
	}
}

static void test_all_else_kills(void **state)
{
	static const struct call calls[] = {
		{"open", __NR_open, {(long)"/dev/null", 0}},
		{"openat", __NR_openat, {-100, (long)"/dev/null", 0}},
		{"readlink", __NR_readlink, {(long)"/", 0, 0}},
		{"stat", __NR_newfstatat, {-100, (long)"/", 0, 0}},
		{"execve", __NR_execve, {(long)"/bin/true", 0, 0}},
		{"fork", __NR_fork, {0}},
		{"clone", __NR_clone, {0}},
		{"clone3", __NR_clone3, {0, 0}},
		{"socket, Unix", __NR_socket, {AF_UNIX, SOCK_STREAM, 0}},
		{"socket, netlink", __NR_socket, {AF_NETLINK, SOCK_RAW, 0}},
		{"socket, packet", __NR_socket, {AF_PACKET, SOCK_RAW, 0}},
		{"socketpair", __NR_socketpair, {AF_UNIX, SOCK_STREAM, 0, 0}},
		{"bind", __NR_bind, {-1, 0, 0}},
		{"listen", __NR_listen, {-1, 1}},
		{"accept4", __NR_accept4, {-1, 0, 0, 0}},
		{"getsockopt, another level", __NR_getsockopt, {-1, IPPROTO_IP, 0, 0, 0}},
		{"setsockopt, another level", __NR_setsockopt, {-1, IPPROTO_IPV6, 0, 0, 0}},
		{"fcntl, another command", __NR_fcntl, {2, F_DUPFD, 0}},
		{"kill", __NR_kill, {1, 0}},
		{"ptrace", __NR_ptrace, {0, 0, 0, 0}},
		{"process_vm_readv", __NR_process_vm_readv, {1, 0, 0, 0, 0, 0}},
		{"mmap, executable", __NR_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
		{"mprotect", __NR_mprotect, {0, 0, PROT_EXEC}},
		{"ioctl", __NR_ioctl, {0, 0x5412 /* TIOCSTI */, 0}},
		{"bpf", __NR_bpf, {0, 0, 0}},
		{"io_uring_setup", __NR_io_uring_setup, {1, 0}},
		{"unshare", __NR_unshare, {0}},
		{"prctl", __NR_prctl, {0}},
		{"unlink", __NR_unlink, {(long)"/nonexistent"}},
	};

	skip_when_sanitized();
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (in_jail(&calls[i]) != SIGSYS)
			fail_msg("%s is not killed", calls[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_rule_passes), cmocka_unit_test(test_all_else_kills)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
