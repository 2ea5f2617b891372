/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-load: small TCP loads for the network bench, with a server of its own.
 *
 * Usage: net-load serve ADDRESS PORT        answers each byte block it reads with the same bytes, until killed
 *        net-load rr ADDRESS PORT COUNT     COUNT exchanges of 1 byte on one connection; prints seconds
 *        net-load crr ADDRESS PORT COUNT    COUNT times connect, one exchange, close; prints seconds
 *        net-load hold ADDRESS PORT COUNT   opens COUNT connections, prints "ready", keeps them until its input ends
 * IPv4 only. Never part of a product.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in peer = {.sin_family = AF_INET};

static void die(const char *what)
{
	fprintf(stderr, "net-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void exchange(int fd)
{
	char byte = 'x';

	if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
		die("exchange");
}

static void serve_ready(int fd, int listener, int epoll_fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	char buffer[4096];
	int one = 1;

	if (fd == listener) {
		while ((event.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
			setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event);
		}
		return;
	}
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n > 0 ? write(fd, buffer, (size_t)n) != n : n == 0 || errno != EAGAIN)
		close(fd);
}

static void serve(void)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, epoll_fd = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&peer, sizeof(peer)) < 0 || listen(listener, 4096) < 0)
		die("listen");
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, 64, -1);

		for (int i = 0; i < n; i++)
			serve_ready(events[i].data.fd, listener, epoll_fd);
	}
}

static void raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
	double start;
	char byte;

	if (argc < 4 || inet_pton(AF_INET, argv[2], &peer.sin_addr) != 1)
		return 2;
	peer.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	signal(SIGPIPE, SIG_IGN);
	raise_files();
	start = now();
	if (!strcmp(argv[1], "serve")) {
		serve();
	} else if (!strcmp(argv[1], "rr")) {
		int fd = dial();

		for (unsigned long i = 0; i < count; i++)
			exchange(fd);
	} else if (!strcmp(argv[1], "crr")) {
		for (unsigned long i = 0; i < count; i++) {
			int fd = dial();

			exchange(fd);
			close(fd);
		}
	} else if (!strcmp(argv[1], "hold")) {
		for (unsigned long i = 0; i < count; i++)
			exchange(dial());
		puts("ready");
		fflush(stdout);
		while (read(0, &byte, 1) > 0)
			;
		return 0;
	} else {
		return 2;
	}
	printf("%.6f\n", now() - start);
	return 0;
}
