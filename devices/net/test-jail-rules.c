/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-jail-rules: the filter of caisson-net, proved call by call: each rule's call passes, what a taken-over process would
 * want kills. A sanitizer build has a wider filter for its own run-time, so there it is skipped.
 */
#include "devices/net/jail-rules.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/test.h"

/* One call with arguments that harm nothing. */
struct call {
	const char *name;
	long number, arg[6];
};

static const struct jail_rule *rules;
static size_t n_rules;
static volatile sig_atomic_t alarmed;

static void on_alarm(int signo)
{
	alarmed = 1;
}

static void skip_when_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("skipped: a sanitizer's run-time widens the filter\n");
	skip();
#endif
}

/* Return: 0: CALL passed; the signal that killed the child. */
static int in_jail(const struct call *call)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct jail_state state = {0};

		if (jail_privileges() < 0 || jail_syscalls(rules, n_rules, &state) < 0)
			_exit(101);
		syscall(call->number, call->arg[0], call->arg[1], call->arg[2], call->arg[3], call->arg[4], call->arg[5]);
		syscall(__NR_exit_group, 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status);
	assert_int_equal(WEXITSTATUS(status), 0);
	return 0;
}

static int set_up(void **state)
{
	n_rules = jail_rules_control(&rules);
	return n_rules ? 0 : -1;
}

static void test_every_rule_passes(void **state)
{
	skip_when_sanitized();
	for (size_t i = 0; i < n_rules; i++) {
		struct call call = {rules[i].reason, rules[i].syscall, {-1, 0, 0, 0, 0, 0}};

		/* These two make no sense as plain calls; the first has its own test. */
		if (rules[i].syscall == __NR_rt_sigreturn || rules[i].syscall == __NR_restart_syscall)
			continue;
		if (rules[i].syscall == __NR_exit_group || rules[i].syscall == __NR_brk)
			call.arg[0] = 0;
		if (rules[i].arg >= 0)
			call.arg[rules[i].arg] = (long)rules[i].value;
		if (in_jail(&call))
			fail_msg("system call %d (%s) is killed", rules[i].syscall, rules[i].reason);
	}
}

static void test_signal_returns(void **state)
{
	struct sigaction action = {.sa_handler = on_alarm};
	int status = -1;
	pid_t pid;

	skip_when_sanitized();
	sigaction(SIGALRM, &action, NULL); /* here: the first signal may come before the child runs */
	pid = fork();
	if (!pid) {
		struct jail_state jail = {0};

		if (jail_syscalls(rules, n_rules, &jail) < 0)
			_exit(101);
		alarmed = 0; /* what came before the filter proves nothing */
		while (!alarmed)
			syscall(__NR_epoll_wait, -1, 0, 0, 0);
		syscall(__NR_exit_group, 0);
	}
	assert_true(pid > 0);
	for (int i = 0; i < 200 && waitpid(pid, &status, WNOHANG) != pid; i++) {
		kill(pid, SIGALRM);
		usleep(10000);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_all_else_kills(void **state)
{
	static const struct call calls[] = {
		{"open", __NR_open, {(long)"/dev/null", 0}},
		{"openat", __NR_openat, {-100, (long)"/dev/null", 0}},
		{"openat2", __NR_openat2, {-100, (long)"/dev/null", 0, 0}},
		{"read", __NR_read, {-1, 0, 0}},
		{"execve", __NR_execve, {(long)"/bin/true", 0, 0}},
		{"execveat", __NR_execveat, {-100, (long)"/bin/true", 0, 0, 0}},
		{"fork", __NR_fork, {0}},
		{"clone", __NR_clone, {0}},
		{"clone3", __NR_clone3, {0, 0}},
		{"socket, IPv4", __NR_socket, {AF_INET, SOCK_STREAM, 0}},
		{"socket, Unix", __NR_socket, {AF_UNIX, SOCK_STREAM, 0}},
		{"socketpair, IPv4", __NR_socketpair, {AF_INET, SOCK_STREAM, 0, 0}},
		{"connect", __NR_connect, {-1, 0, 0}},
		{"bind", __NR_bind, {-1, 0, 0}},
		{"listen", __NR_listen, {-1, 1}},
		{"ptrace", __NR_ptrace, {PTRACE_TRACEME, 0, 0, 0}},
		{"process_vm_readv", __NR_process_vm_readv, {1, 0, 0, 0, 0, 0}},
		{"kill", __NR_kill, {1, 0}},
		{"mmap, executable", __NR_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
		{"mmap, all three", __NR_mmap, {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
		{"fcntl, another descriptor", __NR_fcntl, {2, F_DUPFD, 0}},
		{"mprotect", __NR_mprotect, {0, 0, PROT_EXEC}},
		{"ioctl, another", __NR_ioctl, {0, 0x5412 /* TIOCSTI */, 0}},
		{"setsockopt, another level", __NR_setsockopt, {-1, 0, 0, 0, 0}},
		{"bpf", __NR_bpf, {0, 0, 0}},
		{"io_uring_setup", __NR_io_uring_setup, {1, 0}},
		{"userfaultfd", __NR_userfaultfd, {0}},
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
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_rule_passes),
		cmocka_unit_test(test_signal_returns),
		cmocka_unit_test(test_all_else_kills),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
