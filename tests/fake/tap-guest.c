/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tap-guest: for tests and benches: lets a real Linux TCP stack be the guest of caisson-net without a VM.
 *
 * Usage: tap-guest VHOST-FD COMMAND [ARG...]. Makes a network namespace of its own with a tap device set up as the
 * guest's control card, plays QEMU and driver on the vhost-user socket, carries frames between the two, and runs COMMAND
 * in the namespace; ends with its exit status. Needs /dev/net/tun and the right to make namespaces. Never part of a product.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "proto/control-link.h"
#include "proto/net-frame.h"
#include "tests/fake/vhost-frontend.h"

enum {
	RX,
	TX,
	QUEUE_SIZE = 256,
	BUFFER_SIZE = 4096,
	FRAME_MAX = NET_VNET_LEN + NET_FRAME_MAX,
	TX_SLOTS = (FRAME_MAX + BUFFER_SIZE - 1) / BUFFER_SIZE, /* buffers of one frame */
	TX_FRAMES = QUEUE_SIZE / TX_SLOTS,
	SKIP = 77,
};

static struct frontend *front;
static int tap_fd;
static uint8_t frame[FRAME_MAX];
static uint16_t rx_slot_of[QUEUE_SIZE], tx_group_of[QUEUE_SIZE];
static bool tx_busy[TX_FRAMES];

static int open_tap(void)
{
	struct ifreq ifr = {.ifr_name = "ctl0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int header = NET_VNET_LEN, little = 1;
	unsigned int offload = TUN_F_CSUM;

	if (front->features & VIRTIO_NET_HOST_TSO4)
		offload |= TUN_F_TSO4 | TUN_F_TSO6;
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
	    ioctl(fd, TUNSETVNETLE, &little) < 0 || ioctl(fd, TUNSETOFFLOAD, offload) < 0)
		return -1;
	return fd;
}

/* Runs ip or sysctl with ARGS. Return: exit status, 1 when it did not exit. */
static int run(const char *const *args)
{
	pid_t child = fork();
	int status;

	if (!child) {
		execvp(args[0], (char *const *)args);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int set_up_link(const char *mtu)
{
	char address[64];

	snprintf(address, sizeof(address), "%s/%d", CONTROL_GUEST_IP_TEXT, CONTROL_PREFIX_LEN);
	return run((const char *[]){"ip", "link", "set", "lo", "up", NULL}) ||
	       run((const char *[]){"sysctl", "-qw", "net.ipv6.conf.ctl0.disable_ipv6=1", NULL}) ||
	       run((const char *[]){"ip", "link", "set", "ctl0", "address", CONTROL_GUEST_MAC_TEXT, "mtu", mtu, "up",
				    NULL}) ||
	       run((const char *[]){"ip", "addr", "add", address, "dev", "ctl0", NULL});
}

static void give_rx(uint16_t slot)
{
	struct frontend_segment segment = {frontend_buffer(front, RX, slot), BUFFER_SIZE, true};
	int head = frontend_add(front, RX, &segment, 1);

	if (head < 0)
		abort();
	rx_slot_of[head] = slot;
}

static void take_tx(void)
{
	uint32_t head, len;

	while (frontend_used(front, TX, &head, &len))
		tx_busy[tx_group_of[head]] = false;
}

static int free_group(void)
{
	for (int i = 0; i < TX_FRAMES; i++)
		if (!tx_busy[i])
			return i;
	return -1;
}

/* Tap to transmit ring. */
static void carry_out(void)
{
	bool any = false;
	int group;

	take_tx();
	while ((group = free_group()) >= 0) {
		struct frontend_segment segments[TX_SLOTS];
		ssize_t n = read(tap_fd, frame, sizeof(frame));
		size_t used = 0;
		int head;

		if (n <= 0)
			break;
		for (size_t off = 0; off < (size_t)n; off += BUFFER_SIZE, used++) {
			uint64_t addr = frontend_buffer(front, TX, (uint16_t)((size_t)group * TX_SLOTS + used));
			uint32_t len = (size_t)n - off < BUFFER_SIZE ? (uint32_t)((size_t)n - off) : BUFFER_SIZE;

			memcpy(frontend_at(front, addr, len), frame + off, len);
			segments[used] = (struct frontend_segment){addr, len, false};
		}
		head = frontend_add(front, TX, segments, used);
		if (head < 0)
			abort();
		tx_group_of[head] = (uint16_t)group;
		tx_busy[group] = true;
		any = true;
	}
	if (any)
		frontend_kick(front, TX);
}

/* Receive ring to tap. */
static void carry_in(void)
{
	uint32_t head, len;
	bool any = false;

	while (frontend_used(front, RX, &head, &len)) {
		size_t n = 0;
		unsigned int left = 1;

		for (bool first = true; left; first = false, left--) {
			uint8_t *data;

			if (!first && !frontend_used(front, RX, &head, &len))
				abort(); /* a merged packet's buffers appear together */
			data = frontend_at(front, frontend_buffer(front, RX, rx_slot_of[head]), BUFFER_SIZE);
			if (len > BUFFER_SIZE || n + len > sizeof(frame))
				abort();
			memcpy(frame + n, data, len);
			n += len;
			if (first)
				left = frame[10] | frame[11] << 8;
			give_rx(rx_slot_of[head]);
			any = true;
		}
		if (write(tap_fd, frame, n) < 0)
			perror("tap-guest: tap");
	}
	if (any)
		frontend_kick(front, RX);
}

static int carry(pid_t child)
{
	for (;;) {
		struct pollfd fds[] = {
			{tap_fd, free_group() >= 0 ? POLLIN : 0, 0},
			{front->queues[RX].call_fd, POLLIN, 0},
			{front->queues[TX].call_fd, POLLIN, 0},
			{front->socket_fd, 0, 0},
		};
		uint64_t n;
		int status;

		if (poll(fds, 4, 50) < 0 && errno != EINTR)
			return 1;
		for (int i = 1; i < 3; i++)
			if (fds[i].revents & POLLIN && read(fds[i].fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
				return 1;
		carry_in();
		carry_out();
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
		if (fds[3].revents & POLLHUP) {
			fprintf(stderr, "tap-guest: caisson-net closed the connection\n");
			kill(child, SIGKILL);
			return 3;
		}
	}
}

int main(int argc, char **argv)
{
	struct frontend_config config = {.queue_size = QUEUE_SIZE, .buffer_size = BUFFER_SIZE};
	const char *refuse = getenv("TAP_GUEST_REFUSE"), *mtu = getenv("TAP_GUEST_MTU");
	uint64_t vhost_fd;
	pid_t child;

	if (argc < 3 || text_parse_u64(argv[1], INT32_MAX, &vhost_fd) < 0)
		return 2;
	if (refuse)
		config.refuse = strtoull(refuse, NULL, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return SKIP;
	if (frontend_new_fd(&config, (int)vhost_fd, &front) < 0 || frontend_start(front) < 0) {
		fprintf(stderr, "tap-guest: caisson-net does not answer\n");
		return 1;
	}
	tap_fd = open_tap();
	if (tap_fd < 0) {
		perror("tap-guest: /dev/net/tun");
		return SKIP;
	}
	if (set_up_link(mtu ? mtu : "65520"))
		return 1;
	for (uint16_t i = 0; i < QUEUE_SIZE; i++)
		give_rx(i);
	frontend_kick(front, RX);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	return carry(child);
}
