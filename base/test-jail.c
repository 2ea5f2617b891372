/* SPDX-License-Identifier: Apache-2.0 */
/* test-jail: unit tests of base/jail. Run by meson; needs no network and no root. */
#include "base/jail.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/test.h"

static const struct jail_rule rules[] = {
	{__NR_write, "test output", -1, 0},
	{__NR_exit_group, "end", -1, 0},
	{__NR_socketpair, "Unix pairs only", 0, AF_UNIX},
	{__NR_socket, "TCP only, with or without flags", 0, AF_INET, {{1, ~(unsigned long)SOCK_NONBLOCK, SOCK_STREAM}, {2, ~0UL, 0}}},
};

/* Runs WHAT in a jailed child. Return: wait status. */
static int jailed(void (*what)(void), bool with_filter)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct jail_state s = {0};

		if (jail_privileges() < 0 || jail_files(&s) < 0)
			_exit(101);
		if (with_filter && jail_syscalls(rules, ARRAY_SIZE(rules), &s) < 0)
			_exit(102);
		what();
		syscall(__NR_exit_group, 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void allowed(void)
{
	int fds[2];

	syscall(__NR_socketpair, AF_UNIX, SOCK_STREAM, 0, fds);
	syscall(__NR_socket, AF_INET, SOCK_STREAM, 0);
	syscall(__NR_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static void forbidden_second(void)
{
	syscall(__NR_socket, AF_INET, SOCK_DGRAM, 0);
}

static void forbidden_third(void)
{
	syscall(__NR_socket, AF_INET, SOCK_STREAM, 6);
}

static void forbidden_call(void)
{
	syscall(__NR_getppid);
}

static void forbidden_argument(void)
{
	int fds[2];

	syscall(__NR_socketpair, AF_INET, SOCK_STREAM, 0, fds);
}

/* i386's getpid (20): a foreign ABI must not slip through. */
static void foreign_abi(void)
{
	__asm__ volatile("int $0x80" : : "a"(20) : "memory");
}

static void no_files(void)
{
	if (open("/etc/passwd", O_RDONLY) >= 0)
		_exit(1);
	if (open("/proc/self/fd", O_RDONLY | O_DIRECTORY) >= 0)
		_exit(2);
	if (mkdir("/tmp/caisson-jail-made", 0700) == 0)
		_exit(3);
	execl("/bin/true", "true", (char *)NULL);
}

static void no_status_file(void)
{
	_exit(open("/proc/self/status", O_RDONLY) >= 0 ? 1 : 0);
}

static void test_filter(void **state)
{
	int status = jailed(allowed, true);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	status = jailed(forbidden_call, true);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = jailed(forbidden_argument, true);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = jailed(forbidden_second, true);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = jailed(forbidden_third, true);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = jailed(foreign_abi, true);
	assert_true(WIFSIGNALED(status));
}

static void test_files(void **state)
{
	struct jail_state s;
	int status, probe;
	pid_t pid = fork();

	if (pid == 0)
		_exit(jail_privileges() < 0 ? 9 : jail_files(&s));
	waitpid(pid, &probe, 0);
	if (WEXITSTATUS(probe) == JAIL_E_NO_LANDLOCK)
		skip();
	status = jailed(no_files, false);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	status = jailed(no_status_file, false);
	assert_int_equal(status, 0);
}

/* Return: exit status of a child that binds or connects a TCP socket behind LOCK. 0: both possible, 1: no bind, 2: no connect. */
static int tcp_in_jail(int (*lock)(struct jail_state *state), bool *ret_can)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct jail_state s = {0};
	int status;
	pid_t pid = fork();

	if (!pid) {
		int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), bits = 0;
		socklen_t len = sizeof(any);

		if (bind(listener, (struct sockaddr *)&any, len) < 0 || listen(listener, 1) < 0 ||
		    getsockname(listener, (struct sockaddr *)&any, &len) < 0)
			_exit(101);
		if (jail_privileges() < 0 || lock(&s) < 0)
			_exit(102);
		if (s.landlock_abi < 4)
			_exit(103);
		if (connect(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
			bits |= 2;
		any.sin_port = 0;
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
			bits |= 1;
		_exit(bits);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 101 && WEXITSTATUS(status) != 102);
	*ret_can = WEXITSTATUS(status) != 103;
	return WEXITSTATUS(status);
}

static void test_tcp(void **state)
{
	bool can;

	if (tcp_in_jail(jail_files, &can) != 3 && can)
		fail_msg("bind or connect is possible");
	if (!can)
		skip();
	assert_int_equal(tcp_in_jail(jail_files_dialling, &can), 1);
}

static void test_describe(void **state)
{
	struct jail_state s = {.landlock = true, .landlock_abi = 6, .n_syscalls = 24};
	char line[128];

	jail_describe(&s, line, sizeof(line));
	assert_non_null(strstr(line, "caps=0 nnp=1 seccomp=2 landlock=6 syscalls=24"));
}

/* Nothing in a build that is delivered; never a second time what is there, never beyond the room. */
static void test_sanitizer_rules(void **state)
{
	struct jail_rule all[64] = {{__NR_read, "own", -1, 0}, {__NR_mmap, "own", 2, 3}};
	size_t n = jail_add_sanitizer(all, 2, ARRAY_SIZE(all));
	unsigned int reads = 0;

	assert_int_equal(jail_add_sanitizer(all, 2, 2), 2);
#ifdef __SANITIZE_ADDRESS__
	assert_true(n > 3 && n < ARRAY_SIZE(all));
	assert_int_equal(jail_add_sanitizer(all, 2, 3), 3);
	assert_int_equal(all[2].syscall, __NR_mmap); /* one with a condition does not do */
#else
	assert_int_equal(n, 2);
#endif
	for (size_t i = 0; i < n; i++)
		reads += all[i].syscall == __NR_read;
	assert_int_equal(reads, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sanitizer_rules),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_describe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
