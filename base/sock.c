/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock: see the header. A Unix address holds 107 bytes; "/proc/self/fd/N/NAME" always fits for names of up to
 * 80 bytes, and its prefix is the directory descriptor itself, whatever the directory is called now.
 */
#include "base/sock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/path.h"

static int make_address(int dir_fd, const char *name, struct sockaddr_un *ret)
{
	int n;

	if (!path_is_name(name))
		return trace(-EINVAL);
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
	if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
		return trace(-ENAMETOOLONG);
	return 0;
}

static int remove_stale(int dir_fd, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : trace(error_errno());
	if (!S_ISSOCK(st.st_mode))
		return trace(-EEXIST);
	if (unlinkat(dir_fd, name, 0) < 0)
		return trace(error_errno());
	return 0;
}

int sock_listen_at(int dir_fd, const char *name, int type, int backlog)
{
	_cleanup_close_ int fd = -EBADF;
	struct sockaddr_un address;
	int r;

	r = make_address(dir_fd, name, &address);
	if (r < 0)
		return r;
	r = remove_stale(dir_fd, name);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return trace(error_errno());
	/* The socket file takes the descriptor's mode and the umask: 0600 from its first moment. */
	if (fchmod(fd, 0600) < 0)
		return trace(error_errno());
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return trace(error_errno());
	if (listen(fd, backlog) < 0)
		return trace(error_errno());
	return take_fd(fd);
}

int sock_connect_at(int dir_fd, const char *name, int type)
{
	_cleanup_close_ int fd = -EBADF;
	struct sockaddr_un address;
	int r;

	r = make_address(dir_fd, name, &address);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return trace(error_errno());
	do {
		r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return error_errno();
	return take_fd(fd);
}

int sock_pair(int type, int ret_fds[static 2])
{
	int fds[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
		return trace(error_errno());
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}

int sock_peer(int fd, struct sock_peer *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return trace(error_errno());
	if (len != sizeof(cred))
		return trace(-EPROTO);
	*ret = (struct sock_peer){.uid = cred.uid, .gid = cred.gid, .pid = cred.pid};
	return 0;
}
