/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver: see the header. For each of the two files the chain of symbolic links is walked; every directory on the way is
 * watched for the one name that matters in it, and where a directory is missing, its nearest parent for the name that
 * would bring it. After a change the chain is walked anew before the files are read, so nothing is missed between the two.
 */
#include "backend/resolver.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"

enum { WATCHES_MAX = 32, LINKS_MAX = 8, DELAY_US = 100000, NAME_SIZE = NAME_MAX + 1 };
#define WATCH_MASK                                                                                                      \
	(IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | \
	 IN_MOVE_SELF | IN_ONLYDIR)
#define WATCH_ALWAYS (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_Q_OVERFLOW)

struct watch {
	int wd;
	char name[NAME_SIZE];
};

struct resolver {
	struct loop *loop;
	struct resolver_hooks hooks;
	struct resolver_override override;
	char conf_path[PATH_MAX], hosts_path[PATH_MAX];
	int inotify_fd;
	struct loop_source *source, *timer;
	bool armed;
	size_t n_watches;
	struct watch watches[WATCHES_MAX];
	struct netctl_resolvers from_file, told;
	size_t n_pieces;
	struct netctl_hosts *pieces, *spare; /* RESOLVER_PIECES_MAX each */
	char *buffer;			     /* RESOLVER_FILE_MAX */
};

/* Reads at most RESOLVER_FILE_MAX bytes of the regular file PATH, links followed. Return: length; 0 when it is missing. */
static size_t read_file(const char *path, char *buffer)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t len = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			log_errno(error_errno(), "reading %s", path);
		return 0;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		log_warning("%s is not a regular file and was left alone", path);
		return 0;
	}
	while (len < RESOLVER_FILE_MAX && (n = read(fd, buffer + len, RESOLVER_FILE_MAX - len)) > 0)
		len += (size_t)n;
	if (st.st_size > RESOLVER_FILE_MAX)
		log_warning("only the first %d bytes of %s are used", RESOLVER_FILE_MAX, path);
	return len;
}

static void say_skipped(const char *path, const struct resolver_skipped *skipped)
{
	if (skipped->bad)
		log_info("%s: %u entries cannot be used by the virtual machine and were left out", path, skipped->bad);
	if (skipped->too_many)
		log_warning("%s: %u entries are beyond the limits and were left out", path, skipped->too_many);
}

/* Tells the servers when they are other ones than before, or FORCE. */
static void tell_resolvers(struct resolver *resolver, bool force)
{
	const struct resolver_override *override = &resolver->override;
	struct netctl_resolvers now = resolver->from_file;

	if (override->n_servers) {
		memset(now.servers, 0, sizeof(now.servers));
		memcpy(now.servers, override->servers, override->n_servers * sizeof(now.servers[0]));
		now.n_servers = override->n_servers;
	}
	memcpy(now.domains, override->domains, override->n_domains * sizeof(now.domains[0]));
	now.n_domains = override->n_domains;
	if (!force && !memcmp(&now, &resolver->told, sizeof(now)))
		return;
	resolver->told = now;
	log_info("DNS: %u servers%s, %u split domains, %u search domains", now.n_servers,
		 override->n_servers ? " from the settings" : "", now.n_domains, now.n_search);
	resolver->hooks.resolvers(resolver->hooks.data, &resolver->told);
}

static void read_conf(struct resolver *resolver, bool force)
{
	size_t len = read_file(resolver->conf_path, resolver->buffer);
	struct netctl_resolvers before = resolver->from_file;
	struct resolver_skipped skipped;

	resolver_parse_conf(&resolver->from_file, &skipped, resolver->buffer, len);
	if (force || memcmp(&before, &resolver->from_file, sizeof(before)))
		say_skipped(resolver->conf_path, &skipped);
	tell_resolvers(resolver, force);
}

static void read_hosts(struct resolver *resolver, bool force)
{
	size_t len = read_file(resolver->hosts_path, resolver->buffer), n;
	struct netctl_hosts *read = resolver->spare;
	struct resolver_skipped skipped;

	n = resolver_parse_hosts(read, &skipped, resolver->buffer, len);
	if (!force && n == resolver->n_pieces && !memcmp(read, resolver->pieces, n * sizeof(*read)))
		return;
	resolver->spare = resolver->pieces;
	resolver->pieces = read;
	resolver->n_pieces = n;
	say_skipped(resolver->hosts_path, &skipped);
	resolver->hooks.hosts(resolver->hooks.data, read, n);
}

/* PATH becomes the directory it is in; its last component goes to NAME. Return: false at the root. */
static bool split_path(char *path, char name[static NAME_SIZE])
{
	char *slash = strrchr(path, '/');

	if (!slash || !slash[1] || strlen(slash + 1) >= NAME_SIZE)
		return false;
	memcpy(name, slash + 1, strlen(slash + 1) + 1);
	slash[slash == path] = '\0';
	return true;
}

/* Watches for PATH's last component, or for the nearest thing above it that is missing. */
static void watch_name(struct resolver *resolver, const char *path)
{
	struct watch *watch = &resolver->watches[resolver->n_watches];
	char dir[PATH_MAX];

	if (resolver->n_watches == WATCHES_MAX)
		return;
	memcpy(dir, path, strlen(path) + 1);
	while (split_path(dir, watch->name)) {
		watch->wd = inotify_add_watch(resolver->inotify_fd, dir, WATCH_MASK);
		if (watch->wd >= 0) {
			resolver->n_watches++;
			return;
		}
		if (errno != ENOENT && errno != ENOTDIR)
			break;
	}
	log_errno(error_errno(), "watching %s", path);
}

/* Replaces PATH, a link, by its target. Return: false when it is no link. */
static bool follow_link(char path[static PATH_MAX])
{
	char target[PATH_MAX], name[NAME_SIZE];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	size_t len;

	if (n <= 0)
		return false;
	target[n] = '\0';
	if (target[0] == '/') {
		memcpy(path, target, (size_t)n + 1);
		return true;
	}
	if (!split_path(path, name))
		return false;
	len = strlen(path);
	if (len + 1 + (size_t)n >= PATH_MAX)
		return false;
	path[len] = '/';
	memcpy(path + len + 1, target, (size_t)n + 1);
	return true;
}

static void watch_chain(struct resolver *resolver, const char *path)
{
	char at[PATH_MAX];

	memcpy(at, path, strlen(path) + 1);
	for (unsigned int i = 0; i < LINKS_MAX; i++) {
		watch_name(resolver, at);
		if (!follow_link(at))
			return;
	}
}

static bool is_watched(const struct resolver *resolver, int wd)
{
	for (size_t i = 0; i < resolver->n_watches; i++)
		if (resolver->watches[i].wd == wd)
			return true;
	return false;
}

/* Walks both chains anew and forgets the directories that are not on the way any more. */
static void watch_files(struct resolver *resolver)
{
	int before[WATCHES_MAX];
	size_t n_before = resolver->n_watches;

	if (resolver->inotify_fd < 0)
		return;
	for (size_t i = 0; i < n_before; i++)
		before[i] = resolver->watches[i].wd;
	resolver->n_watches = 0;
	watch_chain(resolver, resolver->conf_path);
	watch_chain(resolver, resolver->hosts_path);
	for (size_t i = 0; i < n_before; i++)
		if (!is_watched(resolver, before[i]))
			(void)inotify_rm_watch(resolver->inotify_fd, before[i]);
}

static int on_delay(void *data)
{
	struct resolver *resolver = data;

	resolver->armed = false;
	watch_files(resolver);
	read_conf(resolver, false);
	read_hosts(resolver, false);
	return 0;
}

static bool matters(const struct resolver *resolver, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; i < resolver->n_watches; i++) {
		const struct watch *watch = &resolver->watches[i];

		if (watch->wd == event->wd && (event->mask & WATCH_ALWAYS || (event->len && !strcmp(event->name, watch->name))))
			return true;
	}
	return false;
}

static int on_inotify(void *data, int fd, uint32_t events)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct resolver *resolver = data;
	bool changed = false;
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
		const struct inotify_event *event;

		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(*event) + event->len)) {
			event = (const struct inotify_event *)(buffer + at);
			changed |= matters(resolver, event);
		}
	}
	if (!changed || resolver->armed)
		return 0;
	resolver->armed = true;
	return loop_timer_set(resolver->timer, DELAY_US);
}

static int start_watching(struct resolver *resolver)
{
	int r = loop_add_timer(resolver->loop, on_delay, resolver, &resolver->timer);

	if (r < 0)
		return trace(r);
	resolver->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (resolver->inotify_fd < 0) {
		log_errno(error_errno(), "DNS does not follow changes of %s, inotify", resolver->conf_path);
		return 0;
	}
	watch_files(resolver);
	return loop_add_fd(resolver->loop, resolver->inotify_fd, EPOLLIN, on_inotify, resolver, &resolver->source);
}

static bool copy_path(char dst[static PATH_MAX], const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/' || len >= PATH_MAX)
		return false;
	memcpy(dst, path, len + 1);
	return true;
}

int resolver_new_at(struct loop *loop, const char *conf_path, const char *hosts_path, const struct resolver_hooks *hooks,
		    const struct resolver_override *override, struct resolver **ret)
{
	_cleanup_(resolver_freep) struct resolver *resolver = calloc(1, sizeof(*resolver));
	int r;

	if (!resolver)
		return trace(-ENOMEM);
	resolver->loop = loop;
	resolver->hooks = *hooks;
	resolver->inotify_fd = -EBADF;
	if (override)
		resolver->override = *override;
	if (!copy_path(resolver->conf_path, conf_path) || !copy_path(resolver->hosts_path, hosts_path))
		return trace(-EINVAL);
	resolver->pieces = calloc(RESOLVER_PIECES_MAX, sizeof(*resolver->pieces));
	resolver->spare = calloc(RESOLVER_PIECES_MAX, sizeof(*resolver->spare));
	resolver->buffer = malloc(RESOLVER_FILE_MAX);
	if (!resolver->pieces || !resolver->spare || !resolver->buffer)
		return trace(-ENOMEM);
	r = start_watching(resolver);
	if (r < 0)
		return trace(r);
	read_conf(resolver, true);
	read_hosts(resolver, true);
	*ret = take_ptr(resolver);
	return 0;
}

int resolver_new(struct loop *loop, const struct resolver_hooks *hooks, const struct resolver_override *override,
		 struct resolver **ret)
{
	return resolver_new_at(loop, "/etc/resolv.conf", "/etc/hosts", hooks, override, ret);
}

void resolver_set_override(struct resolver *resolver, const struct resolver_override *override)
{
	resolver->override = *override;
	tell_resolvers(resolver, false);
}

struct resolver *resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return NULL;
	loop_source_free(resolver->source);
	loop_source_free(resolver->timer);
	fd_close(resolver->inotify_fd);
	free(resolver->pieces);
	free(resolver->spare);
	free(resolver->buffer);
	free(resolver);
	return NULL;
}
