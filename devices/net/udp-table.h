/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp-table: the fixed tables of udp: flows, published ports, what is gathered and what is held; their look-up and lists.
 *
 * Who may call it: the files of udp, by udp-private.h, and their tests.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/table.h"
#include "devices/net/udp.h"

enum {
	UDP_HASH_MAX = 2 * UDP_FLOWS_MAX,
	UDP_OUT_MAX = 256,	      /* datagrams of the guest gathered at a time */
	UDP_OUT_IOV_MAX = 1024,	      /* and their segments; also what one sendmsg takes */
	UDP_GROUP_MAX = 64,	      /* datagrams of one UDP_SEGMENT send: Linux's limit before 6.9 */
	UDP_GROUP_BYTES_MAX = 65487,  /* of one such send: an IPv6 packet */
	UDP_DATAGRAM_MAX = 65507,
	UDP_ROOM_SEGMENTS = 4,	      /* more, and datagrams go through our own buffers */
	UDP_ROUND = 256,	      /* datagrams to the guest per round, so that TCP gets buffers, too */
	UDP_ROUND_STARVED = 32,	      /* the same when the guest ran out of them lately */
	UDP_DIRECT_MIN = 4,	      /* datagrams of the last turn that make a flow worth a batch of guest buffers */
	UDP_LARGE_TURNS = 64,	      /* after a datagram beyond the MTU, turns that expect more */
	UDP_REFUSED_US = 5000000,     /* a refused flow is remembered: one decision, one log line */
	UDP_EVICT_IDLE_US = 10000000, /* flows of clients that rest this long make room */
	UDP_TOUCH_US = 1000000,	      /* lists are in order of last use, to this precision */
	UDP_SOCKET_BUFFER = 2 << 20,
	UDP_BOUNCE = UINT16_MAX + 1,	     /* more than a datagram has */
	UDP_BOUNCE_STRIDE = UDP_BOUNCE + 25 * 64, /* a power of two would put all of them into one set of the cache */
	UDP_GROUPS_AT_ONCE = 16,
	UDP_NAME_MAX = sizeof(struct sockaddr_in6),
	UDP_CONTROL_MAX = 128,
};

/* Flows by how long they may rest; each list in order of last use. */
enum udp_list { UDP_LIST_REFUSED, UDP_LIST_BRIEF, UDP_LIST_INBOUND, UDP_LIST_LONG, UDP_LISTS };
/* The two keys of a flow: as the guest sees it; for flows of ports, as the client does. */
enum udp_index { UDP_BY_KEY, UDP_BY_CLIENT, UDP_INDEXES };

enum udp_flag {
	UDP_ANSWERED = 1 << 0,
	UDP_INBOUND = 1 << 1,
	UDP_REFUSED = 1 << 2,	/* by a rule: no socket */
	UDP_NO_GROUPS = 1 << 3, /* UDP_SEGMENT does not work on this path */
	UDP_DONT_FRAGMENT = 1 << 4,
};

/* A socket to read: a flow's or a port's. Its number: flow index + 1, or UDP_FLOWS_MAX + port index + 1. */
struct udp_source {
	int fd; /* owned, -EBADF: none */
	bool v6, gro, listed, readable;
	uint8_t hint, large, mixed; /* datagrams expected; turns that expect some beyond the MTU, or different sizes */
	uint16_t size; /* of the last datagram */
	uint32_t ready_next, ready_prev;
};

struct udp_flow {
	struct flow_key key, client; /* CLIENT of flows of ports: host the client, guest the address it used, guest_port the port's index */
	struct udp_source source;
	uint8_t flags, list;
	uint16_t port; /* index + 1 */
	uint32_t scope; /* of a link-local client */
	uint32_t list_next, list_prev, port_next, port_prev; /* index + 1 */
	uint16_t out_first, out_last; /* gathered datagrams, index + 1 */
	uint64_t touched_us, rx_bytes, tx_bytes;
};

struct udp_port {
	struct udp_source source;
	uint32_t id, first_flow;
	struct net_addr target;
	uint16_t target_port;
	uint64_t connections, rx_bytes, tx_bytes, now, refused;
};

/* A datagram or superframe of the guest; GSO 0: one datagram. */
struct udp_out {
	uint32_t len;
	uint16_t first_iov, n_iov, gso, next;
};

/* Datagrams of one recvmmsg that are in our own buffers, those before AT already sent. */
struct udp_held {
	uint32_t source; /* number, 0: nothing is held */
	uint64_t handle; /* of it */
	unsigned int n, at;
	uint32_t off; /* within a superframe */
	size_t len[UDP_BATCH];
	uint16_t gso[UDP_BATCH];
};

struct udp_list_ends { uint32_t head, tail; };

struct udp {
	struct udp_config config;
	struct wire_caps caps;
	bool up, groups; /* UDP_SEGMENT works */
	uint64_t now_us;
	struct udp_stats stats;
	struct table slots, port_slots;
	struct udp_list_ends lists[UDP_LISTS], ready;
	uint32_t last; /* flow of the last datagram, index + 1 */
	uint32_t starved; /* rounds to be modest in */
	uint32_t fragment_id;
	uint16_t n_out, n_out_iov, n_out_flows;
	uint32_t out_flows[UDP_OUT_MAX];
	struct udp_out out[UDP_OUT_MAX];
	struct iovec out_iov[UDP_OUT_IOV_MAX];
	struct udp_held held;
	struct mmsghdr in[UDP_BATCH];
	struct iovec in_iov[UDP_BATCH][UDP_ROOM_SEGMENTS + 1];
	struct sockaddr_in6 in_name[UDP_BATCH];
	_Alignas(struct cmsghdr) uint8_t in_control[UDP_BATCH][UDP_CONTROL_MAX];
	struct wire_room rooms[UDP_BATCH];
	uint32_t cells[UDP_INDEXES][UDP_HASH_MAX]; /* index + 1 */
	struct table_slot flow_slots[UDP_FLOWS_MAX], port_slot[UDP_PORTS_MAX];
	struct udp_flow flows[UDP_FLOWS_MAX];
	struct udp_port ports[UDP_PORTS_MAX];
	uint8_t bounce[UDP_BATCH][UDP_BOUNCE_STRIDE];
};

struct udp_flow *udp_flow_find(struct udp *udp, enum udp_index index, const struct flow_key *key);
/* A flow with KEY, which is not there yet, on the list BRIEF; may end another one. NULL: the table is full, counted. */
struct udp_flow *udp_flow_new(struct udp *udp, const struct flow_key *key);
/* Enters FLOW under its client key, too. */
void udp_flow_index_client(struct udp *udp, struct udp_flow *flow);
/* Ends FLOW and closes its socket; what was gathered for it is sent before. */
void udp_flow_end(struct udp *udp, struct udp_flow *flow);
/* FLOW was used and belongs on LIST. */
void udp_flow_touch(struct udp *udp, struct udp_flow *flow, enum udp_list list);
/* Ends the flow of least use to make room in the table, or, with SOCKET, for a descriptor: one that has a socket of its own
 * then. Return: false when there is none that may be ended. */
bool udp_flow_evict(struct udp *udp, bool socket);
uint32_t udp_flow_number(const struct udp *udp, const struct udp_flow *flow);
/* Handles are the watch's. Return: the source, NULL when it is gone. */
uint64_t udp_handle(const struct udp *udp, uint32_t number);
struct udp_source *udp_source_by_handle(struct udp *udp, uint64_t handle, uint32_t *ret_number);
struct udp_source *udp_source(struct udp *udp, uint32_t number);
void udp_ready(struct udp *udp, uint32_t number);
void udp_unready(struct udp *udp, uint32_t number);
