/* SPDX-License-Identifier: Apache-2.0 */
/* dhcp-client: see dhcp-client.h. Offsets are RFC 2131's figure 1. */
#include "guest/init/dhcp-client.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

enum {
	OFF_XID = 4, OFF_FLAGS = 10, OFF_YIADDR = 16, OFF_CHADDR = 28, OFF_MAGIC = 236, OFF_OPTIONS = 240,
	PADDED = 300, MAGIC = 0x63825363, BROADCAST = 0x8000, BOOTREQUEST = 1, BOOTREPLY = 2, ETHERNET = 1,
	NAME_MAX_LEN = 253, LABEL_MAX = 63, PREFIX_MIN = 8, PREFIX_MAX = 30, MTU_MIN = 576,
};
enum option {
	OPT_PAD = 0, OPT_NETMASK = 1, OPT_ROUTER = 3, OPT_DNS = 6, OPT_MTU = 26, OPT_REQUESTED = 50, OPT_TYPE = 53, OPT_SERVER = 54,
	OPT_LIST = 55, OPT_MAX_SIZE = 57, OPT_SEARCH = 119, OPT_END = 255,
};

static uint8_t *put(uint8_t *p, enum option option, const void *value, uint8_t len)
{
	*p++ = (uint8_t)option;
	*p++ = len;
	memcpy(p, value, len);
	return p + len;
}

static uint8_t *put32(uint8_t *p, enum option option, uint32_t value)
{
	uint8_t bytes[4];

	be32_store(bytes, value);
	return put(p, option, bytes, sizeof(bytes));
}

size_t dhcp_client_encode(const struct dhcp_client_question *question, uint8_t dst[static DHCP_CLIENT_FRAME_MAX])
{
	static const uint8_t wanted[] = {OPT_NETMASK, OPT_ROUTER, OPT_DNS, OPT_MTU, OPT_SEARCH};
	static const uint8_t max_size[] = {1500 >> 8, 1500 & 0xff};
	const uint8_t type = (uint8_t)question->type;
	uint8_t *p = dst + OFF_OPTIONS;

	memset(dst, 0, DHCP_CLIENT_FRAME_MAX);
	dst[0] = BOOTREQUEST;
	dst[1] = ETHERNET;
	dst[2] = DHCP_CLIENT_MAC_LEN;
	be32_store(dst + OFF_XID, question->xid);
	/* Without an address the kernel hears nothing but broadcasts. */
	be16_store(dst + OFF_FLAGS, BROADCAST);
	memcpy(dst + OFF_CHADDR, question->mac, DHCP_CLIENT_MAC_LEN);
	be32_store(dst + OFF_MAGIC, MAGIC);
	p = put(p, OPT_TYPE, &type, 1);
	if (question->requested)
		p = put32(p, OPT_REQUESTED, question->requested);
	if (question->server)
		p = put32(p, OPT_SERVER, question->server);
	p = put(p, OPT_MAX_SIZE, max_size, sizeof(max_size));
	p = put(p, OPT_LIST, wanted, sizeof(wanted));
	*p++ = OPT_END;
	return p - dst < PADDED ? PADDED : (size_t)(p - dst);
}

static int prefix_of(uint32_t netmask)
{
	int len = __builtin_popcount(netmask);

	return len >= PREFIX_MIN && len <= PREFIX_MAX && netmask == ~UINT32_C(0) << (32 - len) ? len : -EBADMSG;
}

static bool label_ok(const uint8_t *label, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = label[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return len > 0 && len <= LABEL_MAX;
}

/* Names as DNS writes them, not compressed; what is not so is left out with what follows it. */
static void read_search(struct dhcp_client_lease *lease, const uint8_t *src, size_t len)
{
	size_t off = 0, out = 0;

	lease->search[0] = '\0';
	while (off < len) {
		char name[NAME_MAX_LEN + 2];
		size_t n = 0;

		while (off < len && src[off]) {
			size_t label = src[off];

			if (label > LABEL_MAX || label > len - off - 1 || n + label + 1 > sizeof(name) ||
			    !label_ok(src + off + 1, label))
				return;
			for (size_t i = 0; i < label; i++)
				name[n++] = (char)(src[off + 1 + i] | (src[off + 1 + i] >= 'A' && src[off + 1 + i] <= 'Z' ? 0x20 : 0));
			name[n++] = '.';
			off += label + 1;
		}
		if (off == len || n < 2 || out + n + 1 > sizeof(lease->search))
			return;
		off++;
		name[n - 1] = '\0';
		if (out)
			lease->search[out - 1] = ' ';
		memcpy(lease->search + out, name, n);
		out += n;
	}
}

struct gather {
	uint8_t search[DHCP_CLIENT_FRAME_MAX];
	size_t search_len;
	uint32_t netmask;
};

static int read_option(struct dhcp_client_lease *lease, struct gather *g, uint8_t option, const uint8_t *v, uint8_t len)
{
	switch (option) {
	case OPT_TYPE:
		if (len != 1 || lease->type)
			return -EBADMSG;
		lease->type = (enum dhcp_client_type)v[0];
		return 0;
	case OPT_NETMASK:
		g->netmask = len == 4 ? be32_load(v) : 0;
		return 0;
	case OPT_ROUTER:
		lease->router = len >= 4 ? be32_load(v) : 0;
		return 0;
	case OPT_DNS:
		lease->dns = len >= 4 ? be32_load(v) : 0;
		return 0;
	case OPT_SERVER:
		lease->server = len == 4 ? be32_load(v) : 0;
		return 0;
	case OPT_MTU:
		lease->mtu = len == 2 ? be16_load(v) : 0;
		return 0;
	case OPT_SEARCH: /* pieces of a long option belong together (RFC 3396) */
		memcpy(g->search + g->search_len, v, len);
		g->search_len += len;
		return 0;
	default:
		return 0;
	}
}

static int read_options(struct dhcp_client_lease *lease, struct gather *g, const uint8_t *src, size_t len)
{
	size_t off = 0;

	while (off < len && src[off] != OPT_END) {
		uint8_t size;

		if (src[off] == OPT_PAD) {
			off++;
			continue;
		}
		if (len - off < 2 || (size = src[off + 1]) > len - off - 2)
			return -EBADMSG;
		if (read_option(lease, g, src[off], src + off + 2, size) < 0)
			return -EBADMSG;
		off += 2u + size;
	}
	return 0;
}

static bool usable(const struct dhcp_client_lease *lease)
{
	uint32_t mask = ~UINT32_C(0) << (32 - lease->prefix_len), host = lease->address & ~mask;

	/* A unicast address in its own subnet, and a router beside it. */
	return lease->address >> 24 && lease->address >> 28 < 0xe && lease->address >> 24 != 127 && host && host != ~mask &&
	       lease->server && lease->router && !((lease->router ^ lease->address) & mask) &&
	       lease->router != lease->address;
}

int dhcp_client_decode(struct dhcp_client_lease *ret, const struct dhcp_client_question *question, const uint8_t *src,
		       size_t len)
{
	struct dhcp_client_lease lease = {0};
	struct gather g = {.search_len = 0};
	int r;

	if (len < OFF_OPTIONS || len > DHCP_CLIENT_FRAME_MAX || src[0] != BOOTREPLY || src[1] != ETHERNET ||
	    src[2] != DHCP_CLIENT_MAC_LEN || be32_load(src + OFF_XID) != question->xid ||
	    memcmp(src + OFF_CHADDR, question->mac, DHCP_CLIENT_MAC_LEN) != 0 || be32_load(src + OFF_MAGIC) != MAGIC)
		return -EBADMSG;
	r = read_options(&lease, &g, src + OFF_OPTIONS, len - OFF_OPTIONS);
	if (r < 0)
		return r;
	if (lease.type == DHCP_CLIENT_NAK && question->type == DHCP_CLIENT_REQUEST) {
		*ret = lease;
		return 0;
	}
	if (lease.type != (question->type == DHCP_CLIENT_DISCOVER ? DHCP_CLIENT_OFFER : DHCP_CLIENT_ACK))
		return -EBADMSG;
	r = prefix_of(g.netmask);
	if (r < 0)
		return r;
	lease.prefix_len = (uint8_t)r;
	lease.address = be32_load(src + OFF_YIADDR);
	if (!usable(&lease) || (question->type == DHCP_CLIENT_REQUEST && lease.address != question->requested))
		return -EBADMSG;
	if (lease.mtu < MTU_MIN)
		lease.mtu = 0;
	read_search(&lease, g.search, g.search_len);
	*ret = lease;
	return 0;
}
