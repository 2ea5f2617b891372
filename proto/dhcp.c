/* SPDX-License-Identifier: Apache-2.0 */
/* dhcp: see the header. */
#include "proto/dhcp.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

enum {
	OP_REQUEST = 1,
	OP_REPLY = 2,
	HTYPE_ETHERNET = 1,
	OFF_XID = 4,
	OFF_FLAGS = 10,
	OFF_CLIENT = 12,
	OFF_YOURS = 16,
	OFF_RELAY = 24,
	OFF_MAC = 28,
	OFF_COOKIE = 236,
	FLAG_BROADCAST = 0x8000,
	OPTION_PAD = 0,
	OPTION_NETMASK = 1,
	OPTION_ROUTER = 3,
	OPTION_DNS = 6,
	OPTION_MTU = 26,
	OPTION_BROADCAST = 28,
	OPTION_REQUESTED = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_MAX_SIZE = 57,
	OPTION_SEARCH = 119,
	OPTION_END = 255,
	OPTION_LEN_MAX = 255,
	LABEL_MAX = 63,
};
#define COOKIE 0x63825363u
#define FOR_EVER 0xffffffffu

/* One option that is looked at. Return: 0; -EBADMSG: a wrong length, or it was given before. */
static int take_option(struct dhcp_request *ret, uint8_t code, const uint8_t *p, size_t len)
{
	switch (code) {
	case OPTION_TYPE:
		if (len != 1 || ret->type || !p[0] || p[0] >= DHCP_TYPE_MAX)
			return -EBADMSG;
		ret->type = p[0];
		return 0;
	case OPTION_REQUESTED:
		if (len != 4 || ret->requested)
			return -EBADMSG;
		ret->requested = be32_load(p);
		return 0;
	case OPTION_SERVER:
		if (len != 4 || ret->server)
			return -EBADMSG;
		ret->server = be32_load(p);
		return 0;
	case OPTION_MAX_SIZE:
		if (len != 2 || ret->max_size)
			return -EBADMSG;
		ret->max_size = be16_load(p);
		return ret->max_size ? 0 : -EBADMSG;
	default:
		return 0;
	}
}

static int take_options(struct dhcp_request *ret, const uint8_t *p, size_t len)
{
	while (len && p[0] != OPTION_END) {
		size_t n = 1;

		if (p[0] != OPTION_PAD) {
			if (len < 2 || (size_t)p[1] + 2 > len)
				return -EBADMSG;
			if (take_option(ret, p[0], p + 2, p[1]) < 0)
				return -EBADMSG;
			n = (size_t)p[1] + 2;
		}
		p += n;
		len -= n;
	}
	return len ? 0 : -EBADMSG; /* the end must be told */
}

int dhcp_decode(struct dhcp_request *ret, const uint8_t *src, size_t len)
{
	struct dhcp_request request = {0};

	if (len < DHCP_FIXED_LEN || src[0] != OP_REQUEST || src[1] != HTYPE_ETHERNET || src[2] != NET_MAC_LEN ||
	    be32_load(src + OFF_COOKIE) != COOKIE || be32_load(src + OFF_RELAY))
		return -EBADMSG;
	request.xid = be32_load(src + OFF_XID);
	request.broadcast = be16_load(src + OFF_FLAGS) & FLAG_BROADCAST;
	request.client = be32_load(src + OFF_CLIENT);
	memcpy(request.mac, src + OFF_MAC, NET_MAC_LEN);
	if (take_options(&request, src + DHCP_FIXED_LEN, len - DHCP_FIXED_LEN) < 0)
		return -EBADMSG;
	if (!request.type || request.type == DHCP_OFFER || request.type == DHCP_ACK || request.type == DHCP_NAK)
		return -EBADMSG;
	if (request.max_size < DHCP_PACKET_MIN)
		request.max_size = DHCP_PACKET_MIN;
	*ret = request;
	return 0;
}

size_t dhcp_encode_name(uint8_t *dst, size_t size, const char *name)
{
	size_t n = 0;

	while (*name) {
		size_t label = strcspn(name, ".");

		if (!label || label > LABEL_MAX || n + 1 + label + 1 > size || n + 1 + label + 1 > DHCP_NAME_MAX)
			return 0;
		dst[n] = (uint8_t)label;
		memcpy(dst + n + 1, name, label);
		n += 1 + label;
		name += label;
		if (*name == '.')
			name++;
	}
	if (!n)
		return 0;
	dst[n] = 0;
	return n + 1;
}

static void put_option(struct bytes_writer *w, uint8_t code, const void *data, size_t len)
{
	bytes_put8(w, code);
	bytes_put8(w, (uint8_t)len);
	bytes_put(w, data, len);
}

static void put_address(struct bytes_writer *w, uint8_t code, uint32_t address)
{
	uint8_t text[4];

	be32_store(text, address);
	put_option(w, code, text, sizeof(text));
}

/* The search list, in pieces of at most 255 bytes (RFC 3396), and as many names as leave room for the end mark. */
static void put_search(struct bytes_writer *w, const struct dhcp_reply *reply)
{
	uint8_t names[DHCP_SEARCH_MAX * DHCP_NAME_MAX];
	size_t n = 0;

	for (size_t i = 0; i < reply->n_search && i < DHCP_SEARCH_MAX; i++) {
		size_t len = dhcp_encode_name(names + n, sizeof(names) - n, reply->search[i]);
		size_t pieces = (n + len + OPTION_LEN_MAX - 1) / OPTION_LEN_MAX;

		if (w->off + n + len + 2 * pieces + 1 > w->size)
			break;
		n += len;
	}
	for (size_t at = 0; at < n; at += OPTION_LEN_MAX)
		put_option(w, OPTION_SEARCH, names + at, n - at < OPTION_LEN_MAX ? n - at : OPTION_LEN_MAX);
}

static void put_options(struct bytes_writer *w, const struct dhcp_reply *reply)
{
	uint8_t type = (uint8_t)reply->type, mtu[2];

	put_option(w, OPTION_TYPE, &type, 1);
	put_address(w, OPTION_SERVER, reply->server);
	if (reply->type == DHCP_NAK)
		return;
	if (reply->lease)
		put_address(w, OPTION_LEASE, FOR_EVER);
	put_address(w, OPTION_NETMASK, reply->netmask);
	put_address(w, OPTION_BROADCAST, reply->net_broadcast);
	put_address(w, OPTION_ROUTER, reply->router);
	put_address(w, OPTION_DNS, reply->dns);
	be16_store(mtu, reply->mtu);
	put_option(w, OPTION_MTU, mtu, sizeof(mtu));
	put_search(w, reply);
}

int dhcp_encode(const struct dhcp_reply *reply, uint8_t *dst, size_t size)
{
	struct bytes_writer w = bytes_writer(dst, size);
	uint8_t fixed[DHCP_FIXED_LEN] = {OP_REPLY, HTYPE_ETHERNET, NET_MAC_LEN};
	size_t min = size < DHCP_REPLY_MIN ? size : DHCP_REPLY_MIN;

	be32_store(fixed + OFF_XID, reply->xid);
	be16_store(fixed + OFF_FLAGS, reply->broadcast ? FLAG_BROADCAST : 0);
	be32_store(fixed + OFF_CLIENT, reply->client);
	be32_store(fixed + OFF_YOURS, reply->yours);
	memcpy(fixed + OFF_MAC, reply->mac, NET_MAC_LEN);
	be32_store(fixed + OFF_COOKIE, COOKIE);
	bytes_put(&w, fixed, sizeof(fixed));
	put_options(&w, reply);
	bytes_put8(&w, OPTION_END);
	if (!w.ok)
		return -EMSGSIZE;
	while (w.off < min)
		bytes_put8(&w, OPTION_PAD);
	return (int)w.off;
}
