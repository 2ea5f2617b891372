/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson-net: the network card process. --role=control joins TCP of the guest's control namespace to Unix sockets of the host,
 * --role=data carries all other traffic of the VM to ordinary sockets of the user.
 *
 * Inherited: 2 log, 3 vhost-user socket (connected), 4 machine (seqpacket); control: 5 and on listeners in the order of
 * --listen; data: 5 backend (seqpacket). Plot of both: options, privileges dropped, set-up, files and system calls locked,
 * ready, loop. Each round: events are turned into marks, then frames are taken, timers looked at, frames sent, rings
 * published. Nothing runs while nothing happens: the only clock is the wait's time-out, and it is infinite unless a flow
 * awaits something.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/jail.h"
#include "base/log.h"
#include "base/text.h"
#include "devices/net/role.h"

enum { EXIT_USAGE = 2, KEEP_MAX = 2 + LISTEN_MAX };

static const char usage[] =
	"Usage: caisson-net --role=control --listen=PORT[,PORT...]\n"
	"       caisson-net --role=data\n"
	"\n"
	"Serves one virtual network card. Started by caisson-machine with the descriptors\n"
	"  3  connected vhost-user socket\n"
	"  4  control socket of the machine\n"
	"  5  control: and on, one listening Unix socket for each PORT; data: socket of the backend\n"
	"\n"
	"Options:\n"
	"  --role=ROLE      control: the card of the control link; data: the card of the containers\n"
	"  --listen=PORTS   guest ports, 1 to 65535, at most 8, separated by commas (control only)\n"
	"  --help           this text\n"
	"  --version        the version\n";

enum role { ROLE_NONE, ROLE_CONTROL, ROLE_DATA };

static int parse_ports(struct role_options *options, const char *text)
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

static int parse_role(enum role *role, const char *text)
{
	*role = !strcmp(text, "control") ? ROLE_CONTROL : !strcmp(text, "data") ? ROLE_DATA : ROLE_NONE;
	if (*role != ROLE_NONE)
		return 0;
	fprintf(stderr, "caisson-net: unknown role '%s'; there are 'control' and 'data'\n", text);
	return -EINVAL;
}

/* Return: 0; EXIT_USAGE + 1: told and done; -EINVAL: said why. */
static int parse_options(struct role_options *options, enum role *role, int argc, char **argv)
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
			if (parse_role(role, optarg) < 0)
				return -EINVAL;
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
	if (optind != argc || *role == ROLE_NONE || (*role == ROLE_CONTROL) != (options->n_ports > 0)) {
		fprintf(stderr, "caisson-net: --role=data alone, or --role=control with --listen=PORTS, and nothing else\n");
		return -EINVAL;
	}
	return 0;
}

int role_drop(size_t n)
{
	int keep[KEEP_MAX];
	int r;

	for (size_t i = 0; i < n && i < KEEP_MAX; i++)
		keep[i] = ROLE_FD_VHOST + (int)i;
	r = fd_close_others(keep, n < KEEP_MAX ? n : KEEP_MAX);
	if (r >= 0)
		r = jail_privileges();
	return r < 0 ? log_errno(r, "dropping privileges") : 0;
}

uint32_t role_files(uint32_t n, uint32_t other)
{
	struct rlimit limit;
	rlim_t need = (rlim_t)n + other;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	if (limit.rlim_cur < need) {
		limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			return 0;
	}
	if (limit.rlim_cur >= need)
		return n;
	return limit.rlim_cur > other ? (uint32_t)(limit.rlim_cur - other) : 0;
}

int role_lock(const struct jail_rule *rules, size_t n_rules, bool dials)
{
	struct jail_state state = {0};
	char text[256];
	int r = dials ? jail_files_dialling(&state) : jail_files(&state);

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

int role_wait(uint64_t deadline_us, uint64_t now_us)
{
	uint64_t ms;

	if (deadline_us == UINT64_MAX)
		return -1;
	if (deadline_us <= now_us)
		return 0;
	ms = (deadline_us - now_us + 999) / 1000;
	return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

int role_ended(int r, const struct card *card)
{
	if (r < 0)
		return log_errno(r, "event loop");
	if (card->ended && card->end_code < 0)
		return log_errno(card->end_code, "vhost-user: %s", card->end_reason);
	log_info("%s is gone, ending", card->ended ? "QEMU" : "the machine");
	return 0;
}

int main(int argc, char **argv)
{
	struct role_options options = {0};
	enum role role = ROLE_NONE;
	int r = fd_populate_std();

	if (r < 0)
		return EXIT_FAILURE;
	r = parse_options(&options, &role, argc, argv);
	if (r)
		return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	log_open("com.docker.caisson.net", STDERR_FILENO, LOG_INFO);
	if (!geteuid()) {
		log_error("refusing to run as root: the network process needs no rights at all");
		return EXIT_FAILURE;
	}
	r = role == ROLE_CONTROL ? role_control(&options) : role_data();
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
