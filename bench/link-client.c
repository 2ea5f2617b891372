/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link-client: the host's end of the link bench. Speaks bench/guest/bench-init.c's protocol over a Unix socket or a
 * loopback TCP port and prints seconds. Usage: link-client unix:PATH|tcp:PORT S|G|E COUNT
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ECHO_SIZE = 64, BUFFER_SIZE = 256 * 1024 };

static char buffer[BUFFER_SIZE];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int connect_to(const char *where)
{
	int fd, one = 1;

	if (!strncmp(where, "unix:", 5)) {
		struct sockaddr_un a = {.sun_family = AF_UNIX};

		snprintf(a.sun_path, sizeof(a.sun_path), "%s", where + 5);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			die(where);
		return fd;
	}
	if (!strncmp(where, "tcp:", 4)) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(where + 4, NULL, 10)),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			die(where);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		return fd;
	}
	fprintf(stderr, "link-client: unix:PATH or tcp:PORT\n");
	exit(2);
}

static void put(int fd, const void *p, size_t len)
{
	for (size_t off = 0; off < len;) {
		ssize_t n = write(fd, (const char *)p + off, len - off);

		if (n <= 0)
			die("write");
		off += (size_t)n;
	}
}

static void get(int fd, size_t len)
{
	while (len) {
		ssize_t n = read(fd, buffer, len < sizeof(buffer) ? len : sizeof(buffer));

		if (n <= 0)
			die("read");
		len -= (size_t)n;
	}
}

int main(int argc, char **argv)
{
	uint64_t request[2], left;
	double start;
	int fd;

	if (argc != 4 || !strchr("SGE", argv[2][0]) || argv[2][1]) {
		fprintf(stderr, "usage: link-client unix:PATH|tcp:PORT S|G|E COUNT\n");
		return 2;
	}
	fd = connect_to(argv[1]);
	request[0] = (unsigned char)argv[2][0];
	request[1] = strtoull(argv[3], NULL, 10);
	start = now();
	put(fd, request, sizeof(request));
	switch (request[0]) {
	case 'S':
		for (left = request[1]; left;) {
			size_t n = left < sizeof(buffer) ? left : sizeof(buffer);

			put(fd, buffer, n);
			left -= n;
		}
		get(fd, 1);
		break;
	case 'G':
		get(fd, request[1]);
		break;
	default:
		for (left = request[1]; left; left--) {
			put(fd, buffer, ECHO_SIZE);
			get(fd, ECHO_SIZE);
		}
	}
	printf("%.6f\n", now() - start);
	close(fd);
	return 0;
}
