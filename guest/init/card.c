/* SPDX-License-Identifier: Apache-2.0 */
/* card: see card.h. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "guest/init/card.h"

DEFINE_CLEANUP(DIR *, closedir)

static int has_mac(int class_fd, const char *name, const char *mac)
{
	_cleanup_close_ int fd = -EBADF;
	char path[IF_NAMESIZE + 16], text[32] = "";
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/address", name) >= (int)sizeof(path))
		return 0;
	fd = openat(class_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, mac) == 0;
}

int card_find(const char *mac)
{
	_cleanup_(closedirp) DIR *dir = opendir("/sys/class/net");
	struct dirent *entry;

	if (!dir)
		return trace(error_errno());
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !has_mac(dirfd(dir), entry->d_name, mac))
			continue;
		return (int)if_nametoindex(entry->d_name) ?: -ENODEV;
	}
	return -ENODEV;
}

/* A route socket that acts in the network namespace FROM_FD (-EBADF: our own). */
static int route_socket(int from_fd)
{
	_cleanup_close_ int own_fd = -EBADF, fd = -EBADF;
	int r = 0;

	if (from_fd >= 0) {
		own_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		if (own_fd < 0 || setns(from_fd, CLONE_NEWNET) < 0)
			return trace(error_errno());
	}
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		r = error_errno();
	if (from_fd >= 0 && setns(own_fd, CLONE_NEWNET) < 0)
		r = error_errno();
	return r < 0 ? trace(r) : take_fd(fd);
}

int card_move(int from_fd, int index, int to_fd)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
		struct rtattr attr;
		uint32_t fd;
	} request = {
		.header = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_NEWLINK,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK, .nlmsg_seq = 1},
		.info = {.ifi_family = AF_UNSPEC, .ifi_index = index},
		.attr = {.rta_len = RTA_LENGTH(sizeof(uint32_t)), .rta_type = IFLA_NET_NS_FD},
		.fd = (uint32_t)to_fd,
	};
	struct { struct nlmsghdr header; struct nlmsgerr error; char rest[256]; } reply;
	_cleanup_close_ int fd = -EBADF;
	ssize_t n;

	fd = route_socket(from_fd);
	if (fd < 0)
		return fd;
	if (send(fd, &request, sizeof(request), 0) < 0)
		return trace(error_errno());
	n = recv(fd, &reply, sizeof(reply), 0);
	if (n < 0)
		return trace(error_errno());
	if ((size_t)n < sizeof(reply.header) + sizeof(reply.error) || reply.header.nlmsg_type != NLMSG_ERROR)
		return trace(-EBADMSG);
	return trace(reply.error.error);
}
