/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver: follows the host's resolv.conf and hosts file, and tells what the network process is to use.
 *
 * Directories are watched, not files: a rewrite, a rename over the file, a replaced symbolic link and its target's change are
 * all seen. Changes are gathered for 100 ms; without one nothing runs. It never resolves a name and never writes.
 * Who may call it: session and what serves the network process.
 */
#pragma once

#include "backend/resolver-parse.h"
#include "base/cleanup.h"

struct loop;
struct resolver;

/* Both are called once from inside resolver_new and again after each change of what they give, from the loop. */
struct resolver_hooks {
	void (*resolvers)(void *data, const struct netctl_resolvers *resolvers);
	void (*hosts)(void *data, const struct netctl_hosts *pieces, size_t n);
	void *data;
};
/* From the settings: servers stand instead of resolv.conf's when there is one, domains beside them. */
struct resolver_override {
	uint8_t n_servers, n_domains;
	struct netctl_server servers[NETCTL_RESOLVERS_MAX];
	struct netctl_domain domains[NETCTL_DOMAINS_MAX];
};

/* OVERRIDE may be NULL, and is copied. Without inotify the files are read once, and a log line says so. Return: 0 or -errno. */
int resolver_new(struct loop *loop, const struct resolver_hooks *hooks, const struct resolver_override *override,
		 struct resolver **ret);
/* As resolver_new with other files (absolute paths; for tests). */
int resolver_new_at(struct loop *loop, const char *conf_path, const char *hosts_path, const struct resolver_hooks *hooks,
		    const struct resolver_override *override, struct resolver **ret);
/* Settings changed: the hook is called at once when that changes anything. */
void resolver_set_override(struct resolver *resolver, const struct resolver_override *override);
/* NULL allowed. Return: NULL. */
struct resolver *resolver_free(struct resolver *resolver);
DEFINE_CLEANUP(struct resolver *, resolver_free)
