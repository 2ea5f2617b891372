/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-jail-rules: the filters of caisson-net's two roles, proved call by call: each rule's call passes, what a taken-over
 * process would want kills (NET-15). A sanitizer build has a wider filter for its own run-time, so there it is skipped.
 */
#include "devices/net/jail-rules.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
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

static int set_up_control(void **state)
{
	n_rules = jail_rules_control(&rules);
	return n_rules ? 0 : -1;
}

static int set_up_data(void **state)
{
	n_rules = jail_rules_data(&rules);
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
		for (size_t k = 0; k < JAIL_CHECKS_MAX; k++)
			if (rules[i].more[k].mask)
				call.arg[rules[i].more[k].arg] = (long)rules[i].more[k].value;
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

/* In both roles. */
static const struct call never[] = {
	{"open", __NR_open, {(long)"/dev/null", 0}},
	{"openat", __NR_openat, {-100, (long)"/dev/null", 0}},
	{"openat2", __NR_openat2, {-100, (long)"/dev/null", 0, 0}},
	{"read", __NR_read, {-1, 0, 0}},
	{"execve", __NR_execve, {(long)"/bin/true", 0, 0}},
	{"execveat", __NR_execveat, {-100, (long)"/bin/true", 0, 0, 0}},
	{"fork", __NR_fork, {0}},
	{"clone", __NR_clone, {0}},
	{"clone3", __NR_clone3, {0, 0}},
	{"socket, Unix", __NR_socket, {AF_UNIX, SOCK_STREAM, 0}},
	{"socket, netlink", __NR_socket, {AF_NETLINK, SOCK_RAW, 0}},
	{"socket, netlink datagrams", __NR_socket, {AF_NETLINK, SOCK_DGRAM, 0}},
	{"socket, packet", __NR_socket, {AF_PACKET, SOCK_RAW, 0}},
	{"socket, packet datagrams", __NR_socket, {AF_PACKET, SOCK_DGRAM, 0}},
	{"socket, raw IPv4", __NR_socket, {AF_INET, SOCK_RAW, IPPROTO_ICMP}},
	{"socket, raw IPv6", __NR_socket, {AF_INET6, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMPV6}},
	{"socket, raw all", __NR_socket, {AF_INET, SOCK_RAW, IPPROTO_RAW}},
	{"socket, SCTP", __NR_socket, {AF_INET, SOCK_STREAM, IPPROTO_SCTP}},
	{"socket, MPTCP", __NR_socket, {AF_INET, SOCK_STREAM, 262}},
	{"socket, UDP-Lite", __NR_socket, {AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE}},
	{"socket, vsock", __NR_socket, {40, SOCK_STREAM, 0}},
	{"socket, seqpacket", __NR_socket, {AF_INET, SOCK_SEQPACKET, 0}},
	{"socket, stream as ping", __NR_socket, {AF_INET, SOCK_STREAM, IPPROTO_ICMP}},
	{"socketpair, IPv4", __NR_socketpair, {AF_INET, SOCK_STREAM, 0, 0}},
	{"bind", __NR_bind, {-1, 0, 0}},
	{"listen", __NR_listen, {-1, 1}},
	{"accept", __NR_accept, {-1, 0, 0}},
	{"ptrace", __NR_ptrace, {PTRACE_TRACEME, 0, 0, 0}},
	{"process_vm_readv", __NR_process_vm_readv, {1, 0, 0, 0, 0, 0}},
	{"pidfd_getfd", __NR_pidfd_getfd, {-1, 0, 0}},
	{"kill", __NR_kill, {1, 0}},
	{"mmap, executable", __NR_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
	{"mmap, all three", __NR_mmap, {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
	{"fcntl, another descriptor", __NR_fcntl, {2, F_DUPFD, 0}},
	{"mprotect", __NR_mprotect, {0, 0, PROT_EXEC}},
	{"ioctl, terminal", __NR_ioctl, {0, 0x5412 /* TIOCSTI */, 0}},
	{"ioctl, interface addresses", __NR_ioctl, {0, SIOCGIFCONF, 0}},
	{"setsockopt, ARP tables", __NR_setsockopt, {-1, 0, 96, 0, 0}},
	{"bpf", __NR_bpf, {0, 0, 0}},
	{"io_uring_setup", __NR_io_uring_setup, {1, 0}},
	{"userfaultfd", __NR_userfaultfd, {0}},
	{"unshare", __NR_unshare, {0}},
	{"setns", __NR_setns, {-1, 0}},
	{"prctl", __NR_prctl, {0}},
	{"setrlimit", __NR_setrlimit, {7, 0}},
	{"unlink", __NR_unlink, {(long)"/nonexistent"}},
};

/* What the data card may do, the control card may not. */
static const struct call never_control[] = {
	{"socket, IPv4", __NR_socket, {AF_INET, SOCK_STREAM, 0}},
	{"socket, UDP", __NR_socket, {AF_INET6, SOCK_DGRAM, IPPROTO_UDP}},
	{"connect", __NR_connect, {-1, 0, 0}},
	{"sendmmsg", __NR_sendmmsg, {-1, 0, 0, 0}},
	{"recvmmsg", __NR_recvmmsg, {-1, 0, 0, 0, 0}},
	{"setsockopt, TCP", __NR_setsockopt, {-1, IPPROTO_TCP, TCP_NODELAY, 0, 0}},
};

/* And what a socket of the data card may not be made to do. */
static const struct call never_data[] = {
	{"bind to a device", __NR_setsockopt, {-1, SOL_SOCKET, SO_BINDTODEVICE, 0, 0}},
	{"mark", __NR_setsockopt, {-1, SOL_SOCKET, SO_MARK, 0, 0}},
	{"attach a filter", __NR_setsockopt, {-1, SOL_SOCKET, SO_ATTACH_FILTER, 0, 0}},
	{"reuse a port", __NR_setsockopt, {-1, SOL_SOCKET, SO_REUSEPORT, 0, 0}},
	{"another protocol above TCP", __NR_setsockopt, {-1, IPPROTO_TCP, 31 /* TCP_ULP */, 0, 0}},
	{"repair", __NR_setsockopt, {-1, IPPROTO_TCP, 19 /* TCP_REPAIR */, 0, 0}},
	{"header included", __NR_setsockopt, {-1, IPPROTO_IP, IP_HDRINCL, 0, 0}},
	{"transparent", __NR_setsockopt, {-1, IPPROTO_IP, IP_TRANSPARENT, 0, 0}},
	{"join a group", __NR_setsockopt, {-1, IPPROTO_IP, IP_ADD_MEMBERSHIP, 0, 0}},
	{"join an IPv6 group", __NR_setsockopt, {-1, IPPROTO_IPV6, IPV6_JOIN_GROUP, 0, 0}},
	{"encapsulate", __NR_setsockopt, {-1, IPPROTO_UDP, 100 /* UDP_ENCAP */, 0, 0}},
};

static void all_kill(const struct call *calls, size_t n)
{
	skip_when_sanitized();
	for (size_t i = 0; i < n; i++)
		if (in_jail(&calls[i]) != SIGSYS)
			fail_msg("%s is not killed", calls[i].name);
}

static void test_all_else_kills(void **state)
{
	all_kill(never, ARRAY_SIZE(never));
}

static void test_control_kills(void **state)
{
	all_kill(never_control, ARRAY_SIZE(never_control));
}

static void test_data_kills(void **state)
{
	all_kill(never_data, ARRAY_SIZE(never_data));
}

/* No rule is there twice, and each says why. */
static void test_list(void **state)
{
	for (size_t i = 0; i < n_rules; i++) {
		assert_true(rules[i].reason && rules[i].reason[0]);
		for (size_t k = 0; k < i; k++)
			if (rules[i].arg >= 0 && rules[k].syscall == rules[i].syscall && rules[k].arg == rules[i].arg &&
			    rules[k].value == rules[i].value && !memcmp(rules[k].more, rules[i].more, sizeof(rules[i].more)))
				fail_msg("system call %d is listed twice", rules[i].syscall);
	}
}

int main(void)
{
	const struct CMUnitTest control[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_every_rule_passes),
		cmocka_unit_test(test_signal_returns),
		cmocka_unit_test(test_all_else_kills),
		cmocka_unit_test(test_control_kills),
	};
	const struct CMUnitTest data[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_every_rule_passes),
		cmocka_unit_test(test_signal_returns),
		cmocka_unit_test(test_all_else_kills),
		cmocka_unit_test(test_data_kills),
	};
	int failed = cmocka_run_group_tests(control, set_up_control, NULL);

	return cmocka_run_group_tests(data, set_up_data, NULL) || failed;
}
