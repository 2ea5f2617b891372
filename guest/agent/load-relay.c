/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load-relay: measures the relay on this kernel: bulk both ways and small exchanges between TCP on loopback and a
 * Unix socket, with the CPU seconds of the relaying process alone. Usage: load-relay [MIB [EXCHANGES]].
 * As process 1 of a VM (initramfs) it brings loopback up first and powers off at the end.
 * Not installed, not a test: a scale.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "guest/agent/relay.h"

enum { BLOCK = 1 << 16, MIB = 1 << 20 };

struct ends {
	int outer_tcp, inner_tcp, outer_unix, inner_unix;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		die("loopback");
	close(fd);
}

static struct ends make_ends(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	struct ends e;
	int fds[2], on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) < 0)
		die("listener");
	e.outer_tcp = socket(AF_INET, SOCK_STREAM, 0);
	if (e.outer_tcp < 0 || connect(e.outer_tcp, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		die("connect");
	setsockopt(e.outer_tcp, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	e.inner_tcp = accept(listener, NULL, NULL);
	if (e.inner_tcp < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		die("pair");
	close(listener);
	e.outer_unix = fds[0];
	e.inner_unix = fds[1];
	return e;
}

static void child_send(int fd, uint64_t total)
{
	static char block[BLOCK];

	while (total > 0) {
		ssize_t n = write(fd, block, total < sizeof(block) ? (size_t)total : sizeof(block));

		if (n <= 0)
			die("write");
		total -= (uint64_t)n;
	}
	exit(0);
}

static void child_receive(int fd)
{
	static char block[BLOCK];
	ssize_t n;

	while ((n = read(fd, block, sizeof(block))) > 0)
		;
	exit(n < 0);
}

static void child_exchange(int fd, uint64_t rounds, bool asks)
{
	char block[512] = {0};

	for (uint64_t i = 0; i < rounds; i++) {
		if (asks && write(fd, block, 100) != 100)
			die("ask");
		if (read(fd, block, sizeof(block)) <= 0)
			die("hear");
		if (!asks && write(fd, block, 100) != 100)
			die("answer");
	}
	exit(0);
}

static void close_ends(const struct ends *e, bool inner)
{
	close(inner ? e->inner_tcp : e->outer_tcp);
	close(inner ? e->inner_unix : e->outer_unix);
}

/* Closes in the child what is not its own, so that every end is seen. */
static bool fork_child(const struct ends *e, int own)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return false;
	close_ends(e, true);
	close(own == e->outer_tcp ? e->outer_unix : e->outer_tcp);
	return true;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

enum mode { TO_UNIX, TO_TCP, EXCHANGE };

static void measure(const char *name, enum mode mode, uint64_t amount)
{
	struct ends e = make_ends();
	struct relay_stats stats = {0};
	struct relay_set *set = NULL;
	struct loop *loop;
	double cpu, wall;
	uint64_t start;

	if (fork_child(&e, e.outer_tcp)) {
		if (mode == EXCHANGE)
			child_exchange(e.outer_tcp, amount, true);
		else if (mode == TO_UNIX)
			child_send(e.outer_tcp, amount * MIB);
		child_receive(e.outer_tcp);
	}
	if (fork_child(&e, e.outer_unix)) {
		if (mode == EXCHANGE)
			child_exchange(e.outer_unix, amount, false);
		else if (mode == TO_TCP)
			child_send(e.outer_unix, amount * MIB);
		child_receive(e.outer_unix);
	}
	close_ends(&e, false);
	start = loop_now_us();
	cpu = cpu_seconds();
	if (loop_new(&loop) < 0 || relay_set_new(loop, 1, 0, &set) < 0 ||
	    relay_join_consume(set, e.inner_tcp, e.inner_unix) != 0)
		die("relay");
	do {
		if (loop_step(loop, relay_set_pending(set) ? 0 : -1) < 0)
			die("loop");
		relay_set_run(set);
		relay_set_stats(set, &stats);
	} while (stats.now);
	wall = (double)(loop_now_us() - start) / 1e6;
	cpu = cpu_seconds() - cpu;
	if (mode == EXCHANGE)
		printf("%-14s %8.0f /s      %6.2f s CPU  %6.2f us CPU each\n", name, (double)amount / wall, cpu,
		       cpu * 1e6 / (double)amount);
	else
		printf("%-14s %8.0f MiB/s   %6.2f s CPU  %6.2f ms CPU per MiB\n", name, (double)amount / wall, cpu,
		       cpu * 1e3 / (double)amount);
	fflush(stdout);
	relay_set_free(set);
	loop_free(loop);
	while (wait(NULL) > 0)
		;
}

int main(int argc, char **argv)
{
	uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 1024;
	uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000;

	signal(SIGPIPE, SIG_IGN);
	if (getpid() == 1) {
		loopback_up();
		mib = 128;
		rounds = 1000;
	}
	measure("TCP to Unix", TO_UNIX, mib);
	measure("Unix to TCP", TO_TCP, mib);
	measure("100-byte turn", EXCHANGE, rounds);
	if (getpid() == 1)
		reboot(RB_POWER_OFF);
	return 0;
}
