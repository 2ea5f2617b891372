/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp: translation between TCP segments of the guest and stream sockets of the host, without a TCP stack.
 *
 * Theory of operation: tcp-in.c. Events that reach a flow, and who handles them:
 *   segment from the guest   tcp_segment (tcp-in.c), may only mark the flow and write to the host socket
 *   host socket is ready     tcp_host_event (tcp-in.c), only marks the flow
 *   timer                    tcp_timers (tcp-timer.c), only marks the flow
 *   round                    tcp_run (tcp-out.c): all that goes to the guest, from the marks; ends flows
 * A flow may end only in tcp_run, where the guest reset it, or where the host says that it cannot be.
 *
 * Who may call it: main, card, data-card, listen, publish, link, tests. It never allocates, never waits, and touches no socket
 * but those of its flows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "devices/net/flow.h"
#include "devices/net/host.h"
#include "devices/net/icmp-error.h"
#include "devices/net/wire.h"
#include "proto/net-frame.h"

enum {
	TCP_LATER_MAX = 256,	   /* acknowledgements that wait at a time */
	TCP_LATER_US = 10000,	   /* and how long */
	TCP_LATER_BYTES = 16384,   /* larger segments are bulk */
	TCP_SCALE = 8,		   /* of the window we tell, RFC 7323 */
	TCP_RETRIES_SYN = 6,	   /* a guest that does not answer SYN: about two minutes */
	TCP_RETRIES_DATA = 15,	   /* nor data: about 9 minutes */
	TCP_FRAMES_PER_TURN = 4,   /* of one flow before others get theirs */
	TCP_TURNS_PER_ROUND = 256, /* flows served before rings and sockets are looked at again */
	TCP_BYTES_PER_ROUND = 256 * 1024, /* the same in bytes: the guest works on these while the next are copied */
	TCP_PEEK_MIN = 4096,	   /* a quiet flow asks for this much at first */
	TCP_DUPLICATES = 3,	   /* duplicate acknowledgements that mean loss, RFC 5681 */
	TCP_MSS_MIN = 88,	   /* a smaller one from the guest counts as this, as Linux does it */
	TCP_MSS_UNSAID = 536,	   /* RFC 9293, 3.7.1 */
	TCP_RETRIES_REST = 9,	   /* a quiet guest that does not answer questions either: about ten minutes */
};

struct tcp_stats {
	uint64_t flows_total, flows_refused;
	uint64_t rx_bytes, tx_bytes;
	uint64_t retransmits; /* rounds of going back, either cause */
	uint64_t drops;	      /* segments not taken: out of order, no room, invalid for their flow */
	uint64_t stray;	      /* segments of no flow */
	uint64_t resets;      /* flows that ended with RST, either way */
	uint64_t unreachable; /* flows that ended with ICMP */
};

struct tcp_later_entry {
	uint64_t handle;
	uint64_t at_us;
};
struct tcp_later {
	uint32_t first, n;
	struct tcp_later_entry entry[TCP_LATER_MAX];
};

struct tcp {
	struct flow_table flows;
	struct tcp_later later;
	const struct wire_ops *wire;
	void *wire_data;
	struct wire_caps caps; /* set by tcp_wire_up */
	const struct host_ops *host;
	void *host_data;
	int watch_fd; /* borrowed */
	struct net_addr address, guest_address;
	uint8_t mac[NET_MAC_LEN], guest_mac[NET_MAC_LEN];
	uint16_t next_port; /* of flows that the host opens */
	bool up;	    /* rings run */
	bool starved;	    /* the guest gave no buffers: wait for its kick */
	bool looks_after;   /* of tcp_config */
	struct icmp_error *icmp;
	void (*ended)(void *data, const struct flow *flow);
	void *ended_data;
	uint64_t now_us;
	uint64_t full_us; /* when a full table was last logged */
	struct tcp_stats stats;
};

struct tcp_config {
	const struct wire_ops *wire;
	void *wire_data;
	const struct host_ops *host;
	void *host_data;
	int watch_fd; /* borrowed */
	uint32_t flows_max;
	uint64_t hash_key[2];
	struct net_addr address, guest_address; /* of flows made by tcp_connect_guest; the data card has no use for them */
	uint8_t mac[NET_MAC_LEN], guest_mac[NET_MAC_LEN];
	bool looks_after; /* ask quiet guests and host peers from time to time whether they still live */
	struct icmp_error *icmp; /* borrowed; NULL: RST instead */
	/* A flow with an owner has ended; its counters are final. NULL: nobody wants to know. */
	void (*ended)(void *data, const struct flow *flow);
	void *ended_data;
};

void tcp_init(struct tcp *tcp, const struct tcp_config *config);
/* The guest's rings run, and it accepts CAPS. */
void tcp_wire_up(struct tcp *tcp, const struct wire_caps *caps);
/* They stopped: flows stay, nothing is sent. */
void tcp_wire_down(struct tcp *tcp);
/* A new MTU, known with the first CONFIG; also given by tcp_wire_up. */
void tcp_set_mtu(struct tcp *tcp, uint16_t mtu);
/* Another key for hashes and initial sequence numbers. Return: 0; -EBUSY: there are flows. */
int tcp_set_key(struct tcp *tcp, const uint64_t key[static 2]);
/* Resets every flow on the host's side and forgets it; nothing is told to the guest. */
void tcp_drop_all(struct tcp *tcp);

/* The clock of this round; call before the others. */
void tcp_now(struct tcp *tcp, uint64_t now_us);
/* FRAME is NET_KIND_TCP, its offload header and checksum were checked, its addresses belong on this card. */
void tcp_segment(struct tcp *tcp, const struct net_frame *frame, const struct wire_payload *payload);
/* Watch callback; DATA is the struct tcp. */
void tcp_host_event(void *data, uint64_t handle, uint32_t events);
/* A host program connected FD (consumed, even on failure): opens guest port PORT for it.
 * Return: 0; -ENFILE: the table is full, counted as refused; -errno. */
int tcp_connect_guest(struct tcp *tcp, int fd, uint16_t port);
/* The same for any pair of addresses: KEY's guest is the target, KEY's host is whom the guest sees. With KEY's host_port 0, or
 * when the guest has a flow from there already, it sees FALLBACK with a port of ours instead. OWNER (0: none) is kept in
 * the flow for tcp_config.ended, which is not called when this fails. */
int tcp_connect_guest_as(struct tcp *tcp, int fd, const struct flow_key *key, const struct net_addr *fallback,
			 uint32_t owner);
/* Sends what is due. Return: true when work is left for at once. */
bool tcp_run(struct tcp *tcp);
/* Marks flows whose time has come. */
void tcp_timers(struct tcp *tcp);
/* Return: when tcp_timers wants to be called, UINT64_MAX: not at all. */
uint64_t tcp_deadline(const struct tcp *tcp);
/* Describes flows from *CURSOR (0: the first) on; flow_next gives the flows themselves. Return: number filled, at most
 * MAX; *CURSOR is 0 at the end. */
struct netctl_flow;
size_t tcp_list(const struct tcp *tcp, uint32_t *cursor, struct netctl_flow *ret, size_t max);
