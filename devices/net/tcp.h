/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp: translation between TCP segments of the guest and stream sockets of the host, without a TCP stack.
 *
 * Theory of operation: tcp-in.c. Events that reach a flow, and who handles them:
 *   segment from the guest   tcp_segment (tcp-in.c), may only mark the flow and write to the host socket
 *   host socket is ready     tcp_host_event (tcp-in.c), only marks the flow
 *   timer                    tcp_timers (tcp-timer.c), only marks the flow
 *   round                    tcp_run (tcp-out.c): all that goes to the guest, from the marks; ends flows
 * A flow may end only in tcp_run, or where the guest reset it.
 *
 * Who may call it: main, card, tests. It never allocates, never waits, and touches no socket but those of its flows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "devices/net/flow.h"
#include "devices/net/host.h"
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
	TCP_PEEK_MIN = 4096,	   /* a quiet flow asks for this much at first */
	TCP_DUPLICATES = 3,	   /* duplicate acknowledgements that mean loss, RFC 5681 */
	TCP_MSS_MIN = 88,	   /* a smaller one from the guest counts as this, as Linux does it */
	TCP_MSS_DEFAULT = 536,	   /* RFC 9293, 3.7.1 */
};

struct tcp_stats {
	uint64_t flows_total, flows_refused;
	uint64_t rx_bytes, tx_bytes;
	uint64_t retransmits; /* rounds of going back, either cause */
	uint64_t drops;	      /* segments not taken: out of order, no room, invalid for their flow */
	uint64_t stray;	      /* segments of no flow */
	uint64_t resets;      /* flows that ended with RST, either way */
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
	uint64_t now_us;
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
	struct net_addr address, guest_address;
	uint8_t mac[NET_MAC_LEN], guest_mac[NET_MAC_LEN];
};

void tcp_init(struct tcp *tcp, const struct tcp_config *config);
/* The guest's rings run, and it accepts CAPS. */
void tcp_wire_up(struct tcp *tcp, const struct wire_caps *caps);
/* They stopped: flows stay, nothing is sent. */
void tcp_wire_down(struct tcp *tcp);
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
/* Sends what is due. Return: true when work is left for at once. */
bool tcp_run(struct tcp *tcp);
/* Marks flows whose time has come. */
void tcp_timers(struct tcp *tcp);
/* Return: when tcp_timers wants to be called, UINT64_MAX: not at all. */
uint64_t tcp_deadline(const struct tcp *tcp);

/* ---- between the files of the engine ---- */

/* tcp-later.c, see there. */
uint32_t tcp_later(struct tcp *tcp, struct flow *flow, uint32_t len);
void tcp_later_sent(struct tcp *tcp, struct flow *flow, bool bare);
void tcp_later_run(struct tcp *tcp);
uint64_t tcp_later_next(const struct tcp *tcp);

/* Sequence numbers compare modulo 2^32, RFC 9293, 3.4. */
static inline bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}
/* Initial sequence number of KEY now, RFC 6528: unguessable, and growing faster than bytes can flow. */
uint32_t tcp_initial_seq(const struct tcp *tcp, const struct flow_key *key);
/* Largest payload of one segment that the guest may send us. */
uint16_t tcp_mss(const struct tcp *tcp, const struct flow *flow);
/* Ends FLOW and closes its socket; HARD tells the host's peer that it was reset. */
void tcp_end(struct tcp *tcp, struct flow *flow, bool hard);
/* FLOW ends with RST to the guest; the socket is told now. */
void tcp_abort(struct tcp *tcp, struct flow *flow);
/* Watches the host socket for room. */
void tcp_want_room(struct tcp *tcp, struct flow *flow, bool want);
/* Answers a segment of no flow, RFC 9293, 3.10.7.1. */
void tcp_send_stray_rst(struct tcp *tcp, const struct net_frame *frame);
