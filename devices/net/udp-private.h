/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp-private: what the files of udp share. Nobody else includes it; udp.h is the door, udp.c the theory.
 *
 * udp-table.c flows and lists | udp-socket.c sockets and their errors | udp-in.c datagrams of the guest, gathered |
 * udp-send.c leave for the host | udp-out.c datagrams for the guest, from sockets | udp-emit.c as frames | udp-port.c published ports
 */
#pragma once

#include "devices/net/udp-table.h"

/* Opens FLOW's socket to DIAL. Return: 0 or -errno. */
int udp_socket_open(struct udp *udp, struct udp_flow *flow, const struct net_addr *dial);
/* Options that every socket here has. */
void udp_socket_prepare(const struct udp *udp, struct udp_source *source);
/* Takes superframes from the kernel while the guest does. */
void udp_socket_groups(const struct udp *udp, struct udp_source *source);
void udp_socket_dont_fragment(struct udp_flow *flow, bool on);
/* Tells the guest what became of its datagrams: the errors that wait in FLOW's socket. Return: their number. */
unsigned int udp_socket_errors(struct udp *udp, struct udp_flow *flow);
/* ... and one that sending has met. */
void udp_tell_error(struct udp *udp, const struct udp_flow *flow, int error, uint16_t mtu);
socklen_t udp_sockaddr(struct sockaddr_in6 *ret, bool v6, const struct net_addr *addr, uint16_t port, uint32_t scope);

/* Sends what is gathered. */
void udp_send_all(struct udp *udp);
/* Sends LEN bytes as one datagram, in fragments beyond the MTU. Return: 0; -EAGAIN: no buffer, nothing was sent; -EMSGSIZE. */
int udp_emit(struct udp *udp, const struct flow_key *key, const uint8_t *payload, size_t len);
/* As a superframe of datagrams of GSO bytes; from byte *OFF on, which moves. */
int udp_emit_group(struct udp *udp, const struct flow_key *key, const uint8_t *payload, size_t len, uint16_t gso, uint32_t *off);
/* Sends the LEN bytes that lie in ROOM: one datagram, or with GSO datagrams of that size. */
void udp_emit_room(struct udp *udp, const struct flow_key *key, struct wire_room *room, size_t len, uint16_t gso);
/* Length of the head of a datagram. */
size_t udp_head_len(bool v4);
/* The flow of a datagram that came to PORT as MSG; opens it. NULL: refused, counted. */
struct udp_flow *udp_port_flow(struct udp *udp, struct udp_port *port, const struct msghdr *msg);
