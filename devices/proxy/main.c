/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson-proxy: the HTTP proxy of the VM, http.docker.internal:3128, as a process of its own.
 *
 * Started by the backend with nothing but descriptors: 2 log, 3 proxyctl socket of the backend, 4 link of the network process, on
 * which each connection of the VM arrives as a Unix stream. It holds the user's proxy password and talks HTTP with the guest, so it
 * sees no file, no guest memory and no other process. It never listens, binds or runs a program.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/jail.h"
#include "base/log.h"
#include "devices/proxy/ctl.h"
#include "devices/proxy/jail-rules.h"

enum { FD_CTL = 3, FD_LINK = 4, EXIT_USAGE = 2, FDS_OTHER = 160, FDS_OF_CONN = 6 };

static const char usage[] =
	"Usage: caisson-proxy\n"
	"\n"
	"Serves the HTTP proxy of the virtual machine. Started by caisson-backend with the descriptors\n"
	"  3  control socket of the backend\n"
	"  4  link of the network process\n"
	"\n"
	"Options:\n"
	"  --help     this text\n"
	"  --version  the version\n";

static struct proxy proxy; /* large, and zero until used */
static struct ctl ctl;

/* Return: 0: go on; 1: told and done; -EINVAL: said why. */
static int parse_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {NULL, 0, NULL, 0}};
	int c = getopt_long(argc, argv, "", longs, NULL);

	if (c == 'h' || c == 'v') {
		fputs(c == 'h' ? usage : "caisson-proxy " CAISSON_VERSION "\n", stdout);
		return 1;
	}
	if (c == -1 && optind == argc)
		return 0;
	if (c == -1)
		fputs("caisson-proxy: takes no arguments\n", stderr);
	return -EINVAL;
}

/* Descriptors for a full table. Return: connections that the limit allows. */
static uint32_t raise_files(void)
{
	const rlim_t need = PROXY_CONNS_MAX * FDS_OF_CONN + FDS_OTHER;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	if (limit.rlim_cur < need) {
		limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			return 0;
	}
	if (limit.rlim_cur >= need)
		return PROXY_CONNS_MAX;
	return limit.rlim_cur > FDS_OTHER ? (uint32_t)((limit.rlim_cur - FDS_OTHER) / FDS_OF_CONN) : 0;
}

static int set_up(void)
{
	int r;

	proxy.conns_max = raise_files();
	if (!proxy.conns_max)
		return log_errno(-EMFILE, "the limit of open files is too low");
	r = loop_new(&proxy.loop);
	if (r >= 0)
		r = relay_pool_new(&proxy.pool);
	if (r < 0)
		return log_errno(r, "making the event loop");
	r = resolve_new(proxy.loop, &proxy.resolve);
	if (r < 0)
		return log_errno(r, "making the resolver");
	r = ctl_start(&ctl, &proxy, FD_CTL, FD_LINK);
	return r < 0 ? log_errno(r, "using the inherited descriptors") : 0;
}

static int lock_up(void)
{
	const struct jail_rule *rules;
	size_t n_rules = jail_rules_proxy(&rules);
	struct jail_state state = {0};
	char text[256];
	int r = jail_files_dialling(&state);

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

static int run(void)
{
	static const int keep[] = {FD_CTL, FD_LINK};
	int r = fd_close_others(keep, ARRAY_SIZE(keep));

	if (r >= 0)
		r = jail_privileges();
	if (r < 0)
		return log_errno(r, "dropping privileges");
	/* splice has no flag that would spare us this. */
	(void)signal(SIGPIPE, SIG_IGN);
	r = set_up();
	if (r >= 0)
		r = lock_up();
	if (r < 0)
		return r;
	r = ctl_ready(&ctl);
	if (r < 0)
		return log_errno(r, "telling the backend that the proxy is ready");
	r = loop_run(proxy.loop);
	return r < 0 ? log_errno(r, "event loop") : 0;
}

int main(int argc, char **argv)
{
	int r = fd_populate_std();

	if (r < 0)
		return EXIT_FAILURE;
	r = parse_options(argc, argv);
	if (r)
		return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	log_open("com.docker.caisson.proxy", STDERR_FILENO, LOG_INFO);
	if (!geteuid()) {
		log_error("refusing to run as root: the proxy needs no rights at all");
		return EXIT_FAILURE;
	}
	return run() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
