/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp: datagrams between the guest and UDP sockets of the host, in batches.
 *
 * Theory of operation: udp.c. Who may call it: data-card (datagrams of the guest), publish (ports), dns and dhcp (answers),
 * main. It never allocates and never waits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/net/flow.h"
#include "devices/net/frame-sink.h"
#include "devices/net/icmp-error.h"
#include "devices/net/policy.h"
#include "devices/net/wire.h"

enum {
	UDP_FLOWS_MAX = 16384,
	UDP_PORTS_MAX = 4096,
	UDP_IDLE_US = 180000000,	/* a flow that was answered, RFC 4787 REQ-5 asks for at least two minutes */
	UDP_IDLE_UNANSWERED_US = 30000000,
	UDP_BATCH = 64,
};

struct udp; /* one, static: udp_init returns it */

struct udp_config {
	const struct wire_ops *wire;
	void *wire_data;
	int watch_fd; /* borrowed; handles of ours have bit 63 set, so that main can tell them from TCP's */
	struct policy *policy;
	struct icmp_error *icmp;
	uint64_t hash_key[2];
	struct net_addr gateway4, gateway6, guest4, guest6;
	uint8_t mac[NET_MAC_LEN], guest_mac[NET_MAC_LEN];
};
struct udp_stats { uint64_t now, total, refused, rx_bytes, tx_bytes, rx_packets, tx_packets, drops; };
#define UDP_HANDLE (1ull << 63)

struct udp *udp_init(const struct udp_config *config);
/* The addresses of the card, known with the first CONFIG. */
void udp_set_addresses(struct udp *udp, const struct udp_config *config);
void udp_wire_up(struct udp *udp, const struct wire_caps *caps);
void udp_wire_down(struct udp *udp);
/* Ends flows that the rules would judge otherwise now. */
void udp_rules_changed(struct udp *udp);
/* Ends every flow; published ports stay. */
void udp_drop_all(struct udp *udp);
void udp_now(struct udp *udp, uint64_t now_us);
/* FRAME is NET_KIND_UDP from the guest to somewhere that is not the card itself; its checksum was checked or is the wire's
 * business (NEEDS_CSUM). Batched until udp_batch_end. */
void udp_datagram(struct udp *udp, const struct card_frame *frame);
/* The same for one to the card's own addresses: taken when it answers a client that is disguised. Return: false: it does not. */
bool udp_answer(struct udp *udp, const struct card_frame *frame);
void udp_batch_end(struct udp *udp);
/* Watch callback, HANDLE has UDP_HANDLE set. */
void udp_host_event(void *udp, uint64_t handle, uint32_t events);
/* Moves what waits in host sockets to the guest. Return: true when work is left for at once. */
bool udp_run(struct udp *udp);
void udp_timers(struct udp *udp);
uint64_t udp_deadline(const struct udp *udp);
/* One datagram of the card itself (DNS, DHCP) to the guest: KEY is the guest's view (host: sender, guest: receiver). At most
 * MTU minus headers, the caller's duty. GUEST_MAC NULL: the guest's. Return: 0; -EAGAIN: no buffer, dropped and counted. */
int udp_send_local(struct udp *udp, const struct flow_key *key, const void *payload, size_t len);

/* Published port: FD is a bound UDP socket (consumed, also on failure), clients' datagrams go to TARGET in the guest with
 * the client's address (or the gateway's, publish.h), answers leave through FD. Return: 0 with *RET_PORT, -ENFILE, -errno. */
struct udp_port;
int udp_port_add_consume(struct udp *udp, int fd, const struct net_addr *target, uint16_t target_port, uint32_t id,
			 struct udp_port **ret_port);
void udp_port_remove(struct udp *udp, struct udp_port *port);
struct netctl_port_count;
void udp_port_count(const struct udp_port *port, struct netctl_port_count *ret);
void udp_get_stats(const struct udp *udp, struct udp_stats *ret);
/* Flows from index *CURSOR on for the report. Return: number filled, at most MAX; *CURSOR 0 at the end. */
struct netctl_flow;
size_t udp_list(const struct udp *udp, uint32_t *cursor, struct netctl_flow *ret, size_t max);
