/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uevent: see uevent.h. Only messages of the kernel itself count (netlink port 0): processes in the VM with
 * CAP_NET_ADMIN may send to the group too, and a forged report would be a way to power the VM off.
 */
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "guest/init/uevent.h"

#define UEVENT_VERITY_KEY "DM_VERITY_ERR_BLOCK_NR="

int uevent_open(void)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = 1};
	_cleanup_close_ int fd = -EBADF;
	int size = 1 << 20;

	fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (fd < 0)
		return trace(error_errno());
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return trace(error_errno());
	return take_fd(fd);
}

static bool parse_value(const char *value, size_t len, uint64_t *ret_block)
{
	const char *comma = memchr(value, ',', len);
	char digits[24];
	size_t n;

	if (!comma)
		return false;
	n = len - (size_t)(comma + 1 - value);
	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, comma + 1, n);
	digits[n] = '\0';
	return text_parse_u64(digits, UINT64_MAX, ret_block) == 0;
}

bool uevent_parse_corrupt(const char *msg, size_t len, uint64_t *ret_block)
{
	const size_t key_len = strlen(UEVENT_VERITY_KEY);
	size_t off = 0;

	while (off < len) {
		size_t n = strnlen(msg + off, len - off);

		if (n > key_len && memcmp(msg + off, UEVENT_VERITY_KEY, key_len) == 0)
			return parse_value(msg + off + key_len, n - key_len, ret_block);
		off += n + 1;
	}
	return false;
}

bool uevent_read_corrupt(int fd, uint64_t *ret_block)
{
	char msg[UEVENT_SIZE_MAX];
	bool found = false;
	int i;

	for (i = 0; i < UEVENT_READ_MAX; i++) {
		struct sockaddr_nl from = {0};
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, msg, sizeof(msg), 0, (struct sockaddr *)&from, &from_len);

		if (n < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;
		if (n <= 0)
			return found;
		if (from_len >= sizeof(from) && from.nl_pid == 0 && !found)
			found = uevent_parse_corrupt(msg, (size_t)n, ret_block);
	}
	return found;
}
