/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iptables: runs the real iptables with the arguments it was given, and before that tells port-proxy of a port of a swarm
 * service that appears or goes: nothing else in the engine says so. Started by dockerd, for every rule, so it does nothing
 * else and links nothing. Never: changes an argument, its order, the environment or a descriptor.
 */
#include <errno.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/iptables/classify.h"

#define REAL "/usr/sbin/xtables-nft-multi"
#define PROXY "/usr/lib/caisson/port-proxy"

static void tell(const struct classify *c)
{
	static const char *const orders[] = {
		[CLASSIFY_BEGIN] = "-hold", [CLASSIFY_END] = "-unhold", [CLASSIFY_END_ALL] = "-unhold-all"};
	const char *argv[] = {PROXY, orders[c->kind], "-proto", c->protocol, "-host-port", c->port, NULL};
	pid_t pid;

	if (c->kind == CLASSIFY_END_ALL)
		argv[2] = NULL;
	/* Whatever comes of it: the rule is the engine's and must be made. */
	if (posix_spawn(&pid, PROXY, NULL, NULL, (char *const *)(void *)argv, environ) == 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
}

int main(int argc, char **argv)
{
	struct classify c;

	classify(&c, argc, argv);
	if (c.kind != CLASSIFY_NOTHING)
		tell(&c);
	execv(REAL, argv);
	return 127;
}
