/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench-init: PID 1 of the bench VM. Serves the same tiny protocol on TCP port 1002 of two network cards (the
 * control card behind caisson-net, a card behind QEMU's user network) and on a virtio-serial port, so that one run
 * compares three ways into one guest. Never part of a product image.
 *
 * Protocol, on any byte stream: 16-byte request (operation u64, count u64, little-endian), then
 *   'S' sink: the guest reads COUNT bytes and answers one byte;
 *   'G' generate: the guest writes COUNT bytes;
 *   'E' echo: COUNT times, the guest reads 64 bytes and writes them back.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/control-link.h"

enum { PORT = CONTROL_PORT_ECHO, ECHO_SIZE = 64, BUFFER_SIZE = 256 * 1024 };

static char buffer[BUFFER_SIZE];

static void say(const char *what)
{
	printf("bench-init: %s: %s\n", what, strerror(errno));
	fflush(stdout);
}

static int read_all(int fd, void *p, size_t len)
{
	for (size_t off = 0; off < len;) {
		ssize_t n = read(fd, (char *)p + off, len - off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		off += (size_t)n;
	}
	return 0;
}

static int write_all(int fd, const void *p, size_t len)
{
	for (size_t off = 0; off < len;) {
		ssize_t n = write(fd, (const char *)p + off, len - off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		off += (size_t)n;
	}
	return 0;
}

static int serve_sink(int fd, uint64_t count)
{
	while (count) {
		ssize_t n = read(fd, buffer, count < sizeof(buffer) ? count : sizeof(buffer));

		if (n <= 0)
			return -1;
		count -= (uint64_t)n;
	}
	return write_all(fd, "k", 1);
}

static int serve_generate(int fd, uint64_t count)
{
	while (count) {
		size_t n = count < sizeof(buffer) ? count : sizeof(buffer);

		if (write_all(fd, buffer, n) < 0)
			return -1;
		count -= n;
	}
	return 0;
}

static int serve_echo(int fd, uint64_t count)
{
	for (; count; count--)
		if (read_all(fd, buffer, ECHO_SIZE) < 0 || write_all(fd, buffer, ECHO_SIZE) < 0)
			return -1;
	return 0;
}

static void serve(int fd)
{
	uint64_t request[2];
	int r = 0;

	while (r == 0 && read_all(fd, request, sizeof(request)) == 0) {
		switch (request[0]) {
		case 'S':
			r = serve_sink(fd, request[1]);
			break;
		case 'G':
			r = serve_generate(fd, request[1]);
			break;
		case 'E':
			r = serve_echo(fd, request[1]);
			break;
		default:
			r = -1;
		}
	}
}

static void serve_tcp(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (l < 0 || bind(l, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(l, 64) < 0) {
		say("listening");
		return;
	}
	for (;;) {
		int fd = accept(l, NULL, NULL);

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (fork() == 0) {
			serve(fd);
			_exit(0);
		}
		close(fd);
	}
}

static void load_modules(void)
{
	static const char *const names[] = {"failover", "net_failover", "virtio_net"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "/modules/%s.ko", names[i]);
		fd = open(path, O_RDONLY);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
			say(path);
		if (fd >= 0)
			close(fd);
	}
}

static void configure(int s, const char *name, const char *address, const char *mask, int mtu)
{
	struct ifreq r = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&r.ifr_addr;

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, address, &in->sin_addr);
	if (ioctl(s, SIOCSIFADDR, &r) < 0)
		say("address");
	inet_pton(AF_INET, mask, &in->sin_addr);
	if (ioctl(s, SIOCSIFNETMASK, &r) < 0)
		say("mask");
	if (mtu) {
		r.ifr_mtu = mtu;
		if (ioctl(s, SIOCSIFMTU, &r) < 0)
			say("mtu");
	}
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
		say("up");
}

static void configure_cards(void)
{
	static const uint8_t control[6] = CONTROL_GUEST_MAC;
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	configure(s, "lo", "127.0.0.1", "255.0.0.0", 0);
	for (int i = 0; i < 2; i++) {
		struct ifreq r = {0};

		snprintf(r.ifr_name, sizeof(r.ifr_name), "eth%d", i);
		if (ioctl(s, SIOCGIFHWADDR, &r) < 0)
			continue;
		if (!memcmp(r.ifr_hwaddr.sa_data, control, 6))
			configure(s, r.ifr_name, CONTROL_GUEST_IP_TEXT, "255.255.255.252", CONTROL_MTU);
		else
			configure(s, r.ifr_name, "10.0.2.15", "255.255.255.0", 0);
	}
	close(s);
}

static int open_port(void)
{
	for (int device = 0; device < 8; device++) {
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/dev/vport%dp1", device);
		fd = open(path, O_RDWR);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

int main(void)
{
	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	signal(SIGCHLD, SIG_IGN);
	load_modules();
	configure_cards();
	if (fork() == 0) {
		int fd;

		/* An open that QEMU hears before its own handshake for the port is lost. */
		sleep(2);
		/* The port appears a moment after its driver, under the number of its device. */
		while ((fd = open_port()) < 0)
			usleep(10000);
		for (;;) {
			serve(fd);
			usleep(10000); /* the port reads 0 while the host end is not connected */
		}
	}
	sleep(3);
	printf("bench-init: ready\n");
	fflush(stdout);
	serve_tcp();
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
