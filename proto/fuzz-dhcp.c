/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-dhcp: any bytes as a request; what is understood is answered within any size that the input names. */
#include <stdlib.h>

#include "proto/dhcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPLY_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"corp.example", "example", "a.b.c.d.e.f", "", "..", "x"};
	struct dhcp_request request;
	struct dhcp_reply reply = {.type = DHCP_ACK, .lease = true, .mtu = 1500};
	size_t room;
	uint8_t *dst;
	int n;

	if (dhcp_decode(&request, data, size) < 0)
		return 0;
	if (request.max_size < DHCP_PACKET_MIN || request.type >= DHCP_TYPE_MAX)
		abort();
	reply.xid = request.xid;
	reply.type = request.broadcast ? DHCP_NAK : DHCP_ACK;
	reply.n_search = request.requested % (DHCP_SEARCH_MAX + 1);
	for (size_t i = 0; i < reply.n_search; i++)
		reply.search[i] = names[(request.xid >> i) % 6];
	room = request.server % REPLY_MAX;
	dst = malloc(room + !room);
	if (!dst)
		abort();
	n = dhcp_encode(&reply, dst, room);
	if (n >= 0 && (size_t)n > room)
		abort();
	free(dst);
	return 0;
}
