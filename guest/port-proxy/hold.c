/* SPDX-License-Identifier: Apache-2.0 */
/* hold: see hold.h. */
#include "guest/port-proxy/hold.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "guest/init-link.h"

#define HOLD_DIR "/run/caisson"
#define HOLD_PREFIX "hold-"
enum { NAME_SIZE = 32, END_TRIES = 100, END_PAUSE_MS = 10 };

DEFINE_CLEANUP(DIR *, closedir)

static void name_of(const struct args *args, char name[static NAME_SIZE])
{
	snprintf(name, NAME_SIZE, HOLD_PREFIX "%s-%u", args->protocol == ARGS_UDP ? "udp" : "tcp", args->host_port);
}

static int open_lock(const char *name, int flags)
{
	_cleanup_close_ int dir_fd = open(HOLD_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = dir_fd < 0 ? -1 : openat(dir_fd, name, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? error_errno() : fd;
}

/* dockerd waits for the end of what it started, and of its output. */
static int go_to_background(void)
{
	pid_t pid = fork();

	if (pid > 0)
		_exit(0);
	if (pid < 0)
		return trace(error_errno());
	(void)setsid();
	for (int fd = 0; fd < 3; fd++)
		(void)close(fd);
	(void)fd_close_others(NULL, 0);
	return fd_populate_std();
}

int hold_begin(const struct args *args)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	_cleanup_close_ int fd = -EBADF;
	char name[NAME_SIZE];
	int r = go_to_background();

	if (r < 0)
		return r;
	name_of(args, name);
	fd = open_lock(name, O_CREAT);
	if (fd < 0)
		return trace(fd);
	if (fcntl(fd, F_SETLK, &lock) < 0)
		return errno == EAGAIN || errno == EACCES ? -EEXIST : trace(error_errno());
	return take_fd(fd);
}

static int end_one(const char *name)
{
	_cleanup_close_ int fd = open_lock(name, 0);

	if (fd < 0)
		return fd == -ENOENT ? 0 : trace(fd);
	for (int i = 0; i < END_TRIES; i++) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

		if (fcntl(fd, F_GETLK, &lock) < 0)
			return trace(error_errno());
		if (lock.l_type == F_UNLCK)
			return 0;
		if (lock.l_pid > 1)
			(void)kill(lock.l_pid, SIGTERM);
		(void)poll(NULL, 0, END_PAUSE_MS);
	}
	return trace(-ETIMEDOUT);
}

int hold_end(const struct args *args)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	char name[NAME_SIZE];

	if (args->mode != ARGS_UNHOLD_ALL) {
		name_of(args, name);
		return end_one(name);
	}
	dir = opendir(HOLD_DIR);
	if (!dir)
		return trace(error_errno());
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, HOLD_PREFIX, strlen(HOLD_PREFIX)))
			(void)end_one(entry->d_name);
	return 0;
}

int hold_own_address(struct net_addr *ret)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq q = {.ifr_name = INIT_LINK_DATA_CARD};
	struct sockaddr_in sin;

	if (fd < 0 || ioctl(fd, SIOCGIFADDR, &q) < 0)
		return trace(error_errno());
	memcpy(&sin, &q.ifr_addr, sizeof(sin));
	*ret = net_addr4(ntohl(sin.sin_addr.s_addr));
	return 0;
}
