/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson-net: the network card process. In this role ("control") it joins TCP of the guest's control namespace to Unix
 * sockets of the host.
 *
 * Inherited: 2 log, 3 vhost-user socket (connected), 4 machine (seqpacket), 5 and on: listeners in the order of --listen.
 * Plot: options, privileges dropped, set-up, files and system calls locked, ready, loop. Each round: events are
 * turned into marks, then frames are taken, timers looked at, frames sent, rings published. Nothing runs while
 * nothing happens: the only clock is the wait's time-out, and it is infinite unless a flow awaits an answer.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/jail.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"
#include "devices/net/card.h"
#include "devices/net/control.h"
#include "devices/net/host-unix.h"
#include "devices/net/jail-rules.h"
#include "devices/net/listen.h"
#include "devices/net/watch.h"
#include "proto/control-link.h"

enum { FD_VHOST = 3, FD_CONTROL = 4, FD_LISTEN = 5, FDS_OTHER = 64, EXIT_USAGE = 2 };

static const char usage[] =
	"Usage: caisson-net --role=control --listen=PORT[,PORT...]\n"
	"\n"
	"Serves one virtual network card. Started by caisson-machine with the descriptors\n"
	"  3  connected vhost-user socket\n"
	"  4  control socket of the machine\n"
	"  5  and on: one listening Unix socket for each PORT\n"
	"\n"
	"Options:\n"
	"  --role=control   the card of the control link (the only role so far)\n"
	"  --listen=PORTS   guest ports, 1 to 65535, at most 8, separated by commas\n"
	"  --help           this text\n"
	"  --version        the version\n";

struct options {
	bool control;
	size_t n_ports;
	uint16_t ports[LISTEN_MAX];
};

struct net {
	struct loop *loop;
	struct host_unix host;
	struct tcp tcp;
	struct card card;
	struct control control;
	struct listener listeners[LISTEN_MAX];
	size_t n_listeners;
	int watch_fd;
};

static struct net net; /* large, and zero until used */

static int parse_ports(struct options *options, const char *text)
{
	char copy[128], *rest = copy, *word;

	if (strlen(text) >= sizeof(copy))
		return -E2BIG;
	memcpy(copy, text, strlen(text) + 1);
	while ((word = strsep(&rest, ","))) {
		uint64_t port;

		if (options->n_ports == LISTEN_MAX)
			return -E2BIG;
		if (text_parse_u64(word, UINT16_MAX, &port) < 0 || !port)
			return -EINVAL;
		for (size_t i = 0; i < options->n_ports; i++)
			if (options->ports[i] == port)
				return -EINVAL;
		options->ports[options->n_ports++] = (uint16_t)port;
	}
	return 0;
}

/* Return: 0; EXIT_USAGE + 1: told and done; -EINVAL: said why. */
static int parse_options(struct options *options, int argc, char **argv)
{
	static const struct option longs[] = {
		{"role", required_argument, NULL, 'r'}, {"listen", required_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},	{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'r':
			if (strcmp(optarg, "control")) {
				fprintf(stderr, "caisson-net: unknown role '%s'; there is 'control'\n", optarg);
				return -EINVAL;
			}
			options->control = true;
			break;
		case 'l':
			if (options->n_ports || parse_ports(options, optarg) < 0) {
				fprintf(stderr, "caisson-net: --listen wants 1 to %d different ports between 1 and 65535\n", LISTEN_MAX);
				return -EINVAL;
			}
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_USAGE + 1;
		case 'v':
			puts("caisson-net " CAISSON_VERSION);
			return EXIT_USAGE + 1;
		default:
			return -EINVAL;
		}
	}
	if (optind != argc || !options->control || !options->n_ports) {
		fprintf(stderr, "caisson-net: --role=control and --listen=PORTS are needed, and nothing else\n");
		return -EINVAL;
	}
	return 0;
}

/* Descriptors for a full table. Return: flows that the limit allows; 0: too few to work at all. */
static uint32_t raise_files(uint32_t wanted)
{
	struct rlimit limit;
	rlim_t need = wanted + FDS_OTHER;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	if (limit.rlim_cur < need) {
		limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			return 0;
	}
	if (limit.rlim_cur >= need)
		return wanted;
	return limit.rlim_cur > FDS_OTHER ? (uint32_t)(limit.rlim_cur - FDS_OTHER) : 0;
}

static int on_host_sockets(void *data, int fd, uint32_t events)
{
	/* Events may arm timers: not from the last round's time, which may be hours ago. */
	tcp_now(&net.tcp, loop_now_us());
	return watch_dispatch(fd, tcp_host_event, &net.tcp);
}

static int set_up_engine(void)
{
	struct tcp_config config = {
		.wire = &card_wire_ops,
		.wire_data = &net.card,
		.host = &host_unix_ops,
		.host_data = &net.host,
		.flows_max = raise_files(FLOW_CONTROL_MAX),
		.address = net_addr4(CONTROL_HOST_IP),
		.guest_address = net_addr4(CONTROL_GUEST_IP),
		.mac = CONTROL_HOST_MAC,
		.guest_mac = CONTROL_GUEST_MAC,
	};
	int r = host_unix_init(&net.host);

	if (r < 0)
		return log_errno(r, "looking at the kernel's Unix sockets");
	if (!config.flows_max)
		return log_errno(-EMFILE, "the limit of open files is too low");
	if (getrandom(config.hash_key, sizeof(config.hash_key), 0) != sizeof(config.hash_key))
		return log_errno(error_errno(), "getting random bytes");
	net.watch_fd = watch_new();
	if (net.watch_fd < 0)
		return log_errno(net.watch_fd, "making the epoll set");
	config.watch_fd = net.watch_fd;
	net.host.deliver = control_deliver;
	net.host.data = &net.control;
	tcp_init(&net.tcp, &config);
	return 0;
}

static int set_up(const struct options *options)
{
	int r = loop_new(&net.loop);

	if (r < 0)
		return log_errno(r, "making the event loop");
	r = set_up_engine();
	if (r < 0)
		return r;
	r = control_start(&net.control, net.loop, FD_CONTROL, &net.card, &net.tcp);
	if (r >= 0)
		r = loop_add_fd(net.loop, net.watch_fd, EPOLLIN, on_host_sockets, NULL, NULL);
	for (size_t i = 0; i < options->n_ports && r >= 0; i++, net.n_listeners++)
		r = listen_start(&net.listeners[i], net.loop, FD_LISTEN + (int)i, options->ports[i], &net.tcp);
	if (r < 0)
		return log_errno(r, "using the inherited descriptors");
	r = card_start(&net.card, net.loop, FD_VHOST, &net.tcp, CONTROL_MTU);
	return r < 0 ? log_errno(r, "serving the vhost-user socket") : 0;
}

static int lock_up(void)
{
	const struct jail_rule *rules;
	size_t n_rules = jail_rules_control(&rules);
	struct jail_state state = {0};
	char text[256];
	int r = jail_files(&state);

	if (r < 0)
		return log_errno(r, "locking files away");
	if (r == JAIL_E_NO_LANDLOCK)
		log_warning("this kernel has no Landlock; system calls are filtered all the same");
	r = jail_syscalls(rules, n_rules, &state);
	if (r < 0)
		return log_errno(r, "filtering system calls");
	jail_describe(&state, text, sizeof(text));
	log_info("jail: %s", text);
	return 0;
}

/* Milliseconds until DEADLINE_US, rounded up; -1: for ever. */
static int wait_time(uint64_t deadline_us, uint64_t now_us)
{
	if (deadline_us == UINT64_MAX)
		return -1;
	return deadline_us <= now_us ? 0 : (int)((deadline_us - now_us + 999) / 1000);
}

static int serve(void)
{
	int timeout = -1;
	int r = 0;

	while (r >= 0 && !net.card.ended && !net.control.ended) {
		uint64_t deadline;
		bool more;

		r = loop_step(net.loop, timeout);
		if (r < 0)
			break;
		tcp_now(&net.tcp, loop_now_us());
		more = card_drain(&net.card);
		tcp_timers(&net.tcp);
		more |= tcp_run(&net.tcp);
		card_flush(&net.card);
		deadline = tcp_deadline(&net.tcp);
		for (size_t i = 0; i < net.n_listeners && r >= 0; i++) {
			r = listen_follow(&net.listeners[i], net.tcp.up, net.tcp.now_us);
			if (listen_deadline(&net.listeners[i]) < deadline)
				deadline = listen_deadline(&net.listeners[i]);
		}
		timeout = more ? 0 : wait_time(deadline, net.tcp.now_us);
		if (timeout < 0)
			card_quiet(&net.card);
	}
	return r;
}

static int run(const struct options *options)
{
	int keep[2 + LISTEN_MAX] = {FD_VHOST, FD_CONTROL};
	int r;

	for (size_t i = 0; i < options->n_ports; i++)
		keep[2 + i] = FD_LISTEN + (int)i;
	r = fd_close_others(keep, 2 + options->n_ports);
	if (r >= 0)
		r = jail_privileges();
	if (r < 0)
		return log_errno(r, "dropping privileges");
	r = set_up(options);
	if (r >= 0)
		r = lock_up();
	if (r < 0)
		return r;
	r = control_ready(&net.control);
	if (r < 0)
		return log_errno(r, "telling the machine that the card is ready");
	r = serve();
	if (r < 0)
		return log_errno(r, "event loop");
	if (net.card.ended && net.card.end_code < 0)
		return log_errno(net.card.end_code, "vhost-user: %s", net.card.end_reason);
	log_info("%s is gone, ending", net.card.ended ? "QEMU" : "the machine");
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {0};
	int r = fd_populate_std();

	if (r < 0)
		return EXIT_FAILURE;
	r = parse_options(&options, argc, argv);
	if (r)
		return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	log_open("com.docker.caisson.net", STDERR_FILENO, LOG_INFO);
	if (!geteuid()) {
		log_error("refusing to run as root: the network process needs no rights at all");
		return EXIT_FAILURE;
	}
	return run(&options) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
