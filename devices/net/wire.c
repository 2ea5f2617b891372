/* SPDX-License-Identifier: Apache-2.0 */
/* wire: see the header. */
#include "devices/net/wire.h"

#include <errno.h>

#include "devices/vhost/guest-memory.h"

enum { SUM_CHUNK = 4096 /* even, so that sums chain */ };

uint64_t wire_sum(uint64_t sum, const struct iovec *iov, size_t n_iov, size_t off, size_t len)
{
	uint8_t chunk[SUM_CHUNK];

	while (len) {
		size_t n = guest_iov_read(chunk, len < sizeof(chunk) ? len : sizeof(chunk), iov, n_iov, off);

		if (!n)
			break;
		sum = net_sum(sum, chunk, n);
		off += n;
		len -= n;
	}
	return sum;
}

int wire_send(const struct wire_ops *wire, void *data, const uint8_t *frame, size_t len)
{
	struct net_vnet vnet = {0};
	struct wire_room room;
	int r = wire->reserve(data, len, &room);

	if (r < 0)
		return r;
	if (room.capacity < NET_VNET_LEN + len) {
		wire->cancel(data, &room);
		return -EMSGSIZE;
	}
	wire->commit(data, &room, &vnet, frame, len, 0);
	return 0;
}
