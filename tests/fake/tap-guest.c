/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tap-guest: for tests and benches: lets a real Linux network stack be the guest of a vhost-user-net server without a VM.
 *
 * Usage: tap-guest [OPTION...] COMMAND [ARG...], options below in usage[]. Makes a network namespace of its own with a tap
 * device, plays QEMU and driver towards the server (caisson-net of either role, or passt --vhost-user), carries frames
 * between the two with the offloads that the server offered, and runs COMMAND in the namespace; ends with its exit status.
 * Frames are read from the tap into guest memory and written from there, nothing is copied here. Needs /dev/net/tun and
 * the right to make namespaces; tests/fake/netcard.py drives it for the data card. Never part of a product.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
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
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "proto/control-link.h"
#include "proto/data-card.h"
#include "proto/net-frame.h"
#include "tests/fake/vhost-frontend.h"

enum {
	RX,
	TX,
	QUEUE_MAX = 1024,
	PIECE_SIZE = 4096, /* receive buffers, and pieces of a frame to send, as Linux does it with pages */
	FRAME_MAX = NET_VNET_LEN + NET_FRAME_MAX,
	FRAME_PIECES = (FRAME_MAX + PIECE_SIZE - 1) / PIECE_SIZE,
	BUFFER_SIZE = FRAME_PIECES * PIECE_SIZE,
	BATCH = 64, /* frames before the other direction gets its turn */
	OFFLOAD_USO = 0x20 | 0x40, /* TUN_F_USO4 and 6 of linux/if_tun.h, since 6.2 */
	SKIP = 77,
};

static const char usage[] =
	"Usage: tap-guest [OPTION...] COMMAND [ARG...]\n"
	"  --fd=N            connected vhost-user socket\n"
	"  --connect=PATH    or: socket of a vhost-user server\n"
	"  --card=NAME       control (default) or data: name, MAC address and addresses of that card\n"
	"  --name=NAME --mac=MAC --mtu=N      other ones\n"
	"  --address=ADDR/LEN --gateway=ADDR  may be given twice (IPv4, IPv6); \"none\": no address at all\n"
	"  --queue=N         entries of each ring, a power of two up to 1024 (256)\n"
	"  --refuse=MASK     virtio features that are not accepted\n"
	"  --pid-file=FILE   the command's pid is written there when the link is up (nsenter --net=/proc/PID/ns/net)\n";

struct options {
	int fd;
	const char *connect, *name, *mac, *mtu, *pid_file;
	const char *address[2], *gateway[2];
	unsigned int n_address, n_gateway;
	uint64_t refuse;
};

static struct frontend *front;
static int tap_fd;
static uint16_t rx_slot_of[QUEUE_MAX];
static uint16_t tx_slot_of[QUEUE_MAX], tx_free[QUEUE_MAX];
static unsigned int n_tx_free;
static uint16_t queue_size = 256; /* QEMU's own default */

static int open_tap(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int header = NET_VNET_LEN, little = 1;
	unsigned int offload = 0;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (front->features & VIRTIO_NET_CSUM) {
		offload = TUN_F_CSUM;
		if (front->features & VIRTIO_NET_HOST_TSO4)
			offload |= TUN_F_TSO4 | TUN_F_TSO6;
		if (front->features & VIRTIO_NET_HOST_USO)
			offload |= OFFLOAD_USO;
	}
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
	    ioctl(fd, TUNSETVNETLE, &little) < 0 ||
	    (ioctl(fd, TUNSETOFFLOAD, offload) < 0 && ioctl(fd, TUNSETOFFLOAD, offload & ~(unsigned int)OFFLOAD_USO) < 0))
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

static bool is6(const char *text)
{
	return strchr(text, ':');
}

static int set_up_link(const struct options *o)
{
	char key[64];
	bool v6 = false;
	int r;

	for (unsigned int i = 0; i < o->n_address; i++)
		v6 |= is6(o->address[i]);
	snprintf(key, sizeof(key), "net.ipv6.conf.%s.disable_ipv6=%d", o->name, !v6);
	r = run((const char *[]){"ip", "link", "set", "lo", "up", NULL}) || run((const char *[]){"sysctl", "-qw", key, NULL});
	snprintf(key, sizeof(key), "net.ipv6.conf.%s.accept_dad=0", o->name);
	r = r || run((const char *[]){"sysctl", "-qw", key, NULL}) ||
	    run((const char *[]){"ip", "link", "set", o->name, "address", o->mac, "mtu", o->mtu, "up", NULL});
	for (unsigned int i = 0; i < o->n_address && !r; i++)
		if (strcmp(o->address[i], "none") != 0)
			r = run((const char *[]){"ip", "addr", "add", o->address[i], "dev", o->name,
						 is6(o->address[i]) ? "nodad" : NULL, NULL});
	for (unsigned int i = 0; i < o->n_gateway && !r; i++)
		r = run((const char *[]){"ip", is6(o->gateway[i]) ? "-6" : "-4", "route", "add", "default", "via",
					 o->gateway[i], "dev", o->name, NULL});
	return r;
}

static void give_rx(uint16_t slot)
{
	struct frontend_segment segment = {frontend_buffer(front, RX, slot), PIECE_SIZE, true};
	int head = frontend_add(front, RX, &segment, 1);

	if (head < 0)
		abort();
	rx_slot_of[head] = slot;
}

static void take_tx(void)
{
	uint32_t head, len;

	while (frontend_used(front, TX, &head, &len))
		tx_free[n_tx_free++] = tx_slot_of[head];
}

/* Pieces a frame needs: a device without CSUM gets it in one, because Linux hands over pages only with that. */
static size_t piece_size(void)
{
	return front->features & VIRTIO_NET_CSUM ? PIECE_SIZE : BUFFER_SIZE;
}

static bool tx_room(void)
{
	return n_tx_free && front->queues[TX].n_free >= FRAME_PIECES;
}

/* Tap to transmit ring. Return: true when frames were moved. */
static bool carry_out(void)
{
	size_t piece = piece_size();
	bool any = false;

	take_tx();
	for (int i = 0; i < BATCH && tx_room(); i++) {
		struct frontend_segment segments[FRAME_PIECES];
		uint16_t slot = tx_free[n_tx_free - 1];
		uint64_t addr = frontend_buffer(front, TX, slot);
		ssize_t n = read(tap_fd, frontend_at(front, addr, BUFFER_SIZE), BUFFER_SIZE);
		size_t used = 0;
		int head;

		if (n <= 0)
			break;
		for (size_t off = 0; off < (size_t)n; off += piece, used++)
			segments[used] = (struct frontend_segment){
				addr + off, (uint32_t)((size_t)n - off < piece ? (size_t)n - off : piece), false};
		head = frontend_add(front, TX, segments, used);
		if (head < 0)
			abort();
		n_tx_free--;
		tx_slot_of[head] = slot;
		any = true;
	}
	if (any)
		frontend_kick(front, TX);
	return any;
}

/* DATA_VALID ("the checksum need not be looked at", passt's way) means nothing to a tap device: said as a partial checksum,
 * which the local stack does not look at either. */
static void translate_header(uint8_t *data, uint32_t len)
{
	const uint8_t *eth = data + NET_VNET_LEN;
	unsigned int l4, proto;

	if (!(data[0] & NET_VNET_DATA_VALID) || data[0] & NET_VNET_NEEDS_CSUM || len < NET_VNET_LEN + NET_ETH_LEN + NET_IP6_LEN)
		return;
	if (eth[12] == 0x08 && eth[13] == 0x00) {
		l4 = NET_ETH_LEN + (eth[14] & 15u) * 4;
		proto = eth[23];
	} else {
		l4 = NET_ETH_LEN + NET_IP6_LEN;
		proto = eth[20];
	}
	data[0] = proto == 6 || proto == 17 ? NET_VNET_NEEDS_CSUM : 0;
	data[6] = (uint8_t)l4;
	data[7] = 0;
	data[8] = proto == 6 ? 16 : 6;
	data[9] = 0;
}

/* Receive ring to tap. Return: true when frames were moved. */
static bool carry_in(void)
{
	struct iovec iov[FRAME_PIECES];
	uint16_t slots[FRAME_PIECES];
	uint32_t head, len;
	bool any = false;

	for (int i = 0; i < BATCH && frontend_used(front, RX, &head, &len); i++) {
		unsigned int left = 1, n = 0;

		for (bool first = true; left; first = false, left--, n++) {
			uint8_t *data;

			if (!first && !frontend_used(front, RX, &head, &len))
				abort(); /* a merged packet's buffers appear together */
			if (len > PIECE_SIZE || n == FRAME_PIECES)
				abort();
			slots[n] = rx_slot_of[head];
			data = frontend_at(front, frontend_buffer(front, RX, slots[n]), PIECE_SIZE);
			iov[n] = (struct iovec){data, len};
			if (first)
				translate_header(data, len);
			if (first)
				left = front->features & VIRTIO_NET_MRG_RXBUF ? data[10] | data[11] << 8 : 1;
		}
		if (writev(tap_fd, iov, (int)n) < 0 && errno != EIO) /* EIO: the link is down */
			perror("tap-guest: tap");
		for (unsigned int k = 0; k < n; k++)
			give_rx(slots[k]);
		any = true;
	}
	if (any)
		frontend_kick(front, RX);
	return any;
}

static int carry(pid_t child)
{
	int child_fd = (int)syscall(SYS_pidfd_open, child, 0);

	for (;;) {
		bool in = carry_in(), busy = carry_out() || in;
		/* Asked for room only now: room found by carry_out after this would be slept over. */
		struct pollfd fds[] = {
			{tap_fd, tx_room() ? POLLIN : 0, 0},
			{front->queues[RX].call_fd, POLLIN, 0},
			{front->queues[TX].call_fd, POLLIN, 0},
			{front->socket_fd, 0, 0},
			{child_fd, POLLIN, 0},
		};
		uint64_t n;
		int status;

		if (poll(fds, 5, busy ? 0 : -1) < 0 && errno != EINTR)
			return 1;
		for (int i = 1; i < 3; i++)
			if (fds[i].revents & POLLIN && read(fds[i].fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
				return 1;
		if (fds[4].revents && waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
		if (fds[3].revents & POLLHUP) {
			fprintf(stderr, "tap-guest: the server closed the connection\n");
			kill(child, SIGKILL);
			return 3;
		}
	}
}

static int parse_options(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"fd", 1, NULL, 'f'}, {"connect", 1, NULL, 'c'}, {"card", 1, NULL, 'd'}, {"name", 1, NULL, 'n'},
		{"mac", 1, NULL, 'm'}, {"mtu", 1, NULL, 'u'}, {"address", 1, NULL, 'a'}, {"gateway", 1, NULL, 'g'},
		{"refuse", 1, NULL, 'r'}, {"pid-file", 1, NULL, 'p'}, {"queue", 1, NULL, 'q'}, {NULL, 0, NULL, 0},
	};
	bool data = false;
	int c;

	*o = (struct options){.fd = -1};
	while ((c = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
		if (c == 'f')
			o->fd = atoi(optarg);
		else if (c == 'c')
			o->connect = optarg;
		else if (c == 'd')
			data = !strcmp(optarg, "data");
		else if (c == 'n')
			o->name = optarg;
		else if (c == 'm')
			o->mac = optarg;
		else if (c == 'u')
			o->mtu = optarg;
		else if (c == 'a' && o->n_address < 2)
			o->address[o->n_address++] = optarg;
		else if (c == 'g' && o->n_gateway < 2)
			o->gateway[o->n_gateway++] = optarg;
		else if (c == 'r')
			o->refuse = strtoull(optarg, NULL, 0);
		else if (c == 'q')
			queue_size = (uint16_t)strtoul(optarg, NULL, 10);
		else if (c == 'p')
			o->pid_file = optarg;
		else
			return -1;
	}
	if (optind == argc || (o->fd < 0) == !o->connect || queue_size < 32 || queue_size > QUEUE_MAX ||
	    queue_size & (queue_size - 1))
		return -1;
	if (!o->name)
		o->name = data ? "eth0" : "ctl0";
	if (!o->mac)
		o->mac = data ? DATA_GUEST_MAC_TEXT : CONTROL_GUEST_MAC_TEXT;
	if (!o->mtu)
		o->mtu = data ? "1500" : "65520";
	if (!o->n_address && data) {
		o->address[o->n_address++] = "192.168.65.3/24";
		o->address[o->n_address++] = DATA_GUEST6_TEXT "/64";
		o->gateway[o->n_gateway++] = "192.168.65.1";
		o->gateway[o->n_gateway++] = DATA_GATEWAY6_TEXT;
	} else if (!o->n_address) {
		o->address[o->n_address++] = CONTROL_GUEST_IP_TEXT "/30";
	}
	return optind;
}

static int connect_server(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -1 : fd;
}

static void write_pid(const char *path, pid_t pid)
{
	FILE *f = path ? fopen(path, "we") : NULL;

	if (f) {
		fprintf(f, "%d\n", (int)pid);
		fclose(f);
	}
}

int main(int argc, char **argv)
{
	struct frontend_config config = {.buffer_size = BUFFER_SIZE};
	struct options o;
	int command = parse_options(&o, argc, argv);
	pid_t child;

	if (command < 0) {
		fputs(usage, stderr);
		return 2;
	}
	config.refuse = o.refuse;
	config.queue_size = queue_size;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (o.connect)
		o.fd = connect_server(o.connect);
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return SKIP;
	if (o.fd < 0 || frontend_new_fd(&config, o.fd, &front) < 0 || frontend_start(front) < 0) {
		fprintf(stderr, "tap-guest: the server does not answer\n");
		return 1;
	}
	tap_fd = open_tap(o.name);
	if (tap_fd < 0) {
		perror("tap-guest: /dev/net/tun");
		return SKIP;
	}
	if (set_up_link(&o))
		return 1;
	for (uint16_t i = 0; i < queue_size; i++) {
		give_rx(i);
		tx_free[n_tx_free++] = i;
	}
	frontend_kick(front, RX);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[command], argv + command);
		_exit(127);
	}
	write_pid(o.pid_file, child);
	return carry(child);
}
