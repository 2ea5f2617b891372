/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules: where traffic of the VM may go: one table, one evaluation, for TCP, UDP, ICMP echo, DNS and both families.
 *
 * Evaluated on the address that will be dialled, after any resolution. Order: the built-in rules below, the user's rules
 * (the first that matches), then the default. What a built-in rule refuses nothing else allows; what the host settings allow
 * the user's deny rules can still refuse, the default does not ask. IPv4 addresses that hide in IPv6 ones (mapped,
 * compatible, translated, 6to4, NAT64) are judged as what they are; only a deny rule also matches the outer form.
 * Pure: no I/O, no allocation; the caller keeps counters by rule number. Used by devices/net and devices/proxy.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/net-frame.h"

enum rules_proto { RULES_TCP = 1, RULES_UDP = 2, RULES_ECHO = 4, RULES_ANY = 7 };

enum {
	RULES_USER_MAX = 64,
	RULES_NAME_MAX = 32,	   /* with NUL; [a-z0-9-] */
	RULES_HOST_PORTS_MAX = 32, /* ranges */
	RULES_HOST_ADDRS_MAX = 512,
	RULES_RESOLVERS_MAX = 64,
};

/* Numbers of the built-in rules; user rule I is RULES_USER + I. */
enum rules_number {
	RULE_OWN = 0,	   /* "own-address": the card's own addresses serve DNS, DHCP, the proxy, echo and nothing else */
	RULE_HOST_ALIAS,   /* "host-alias": the alias, and with it the host's loopback, as the setting says */
	RULE_HOST_ADDRESS, /* "host-address": another address of the host itself: as the alias */
	RULE_LOOPBACK,	   /* "loopback": 127/8, ::1, 0/8, :: */
	RULE_LINK_LOCAL,   /* "link-local": 169.254/16, fe80::/10; with it cloud metadata */
	RULE_METADATA,	   /* "metadata": fd00:ec2::254 and its like: clouds' addresses for their guests beside link-local */
	RULE_RESERVED,	   /* "reserved": multicast, broadcast, 240/4; documentation and benchmark ranges are NOT in it */
	RULE_EGRESS,	   /* "egress": the default, allow or deny */
	RULES_USER,
	RULES_MAX = RULES_USER + RULES_USER_MAX,
};

struct rules_range { uint16_t first, last; };
struct rules_user {
	char name[RULES_NAME_MAX];
	bool allow;
	uint8_t protocols; /* enum rules_proto, or-ed */
	uint8_t prefix_len; /* of the 128-bit form: an IPv4 /8 is 104; 0: every address of both families */
	struct net_addr addr;
	struct rules_range ports; /* 0 to 65535: any; must be that with RULES_ECHO alone */
};

enum rules_host { RULES_HOST_NONE, RULES_HOST_ALL, RULES_HOST_PORTS };

struct rules {
	struct net_addr gateway4, alias4, gateway6, alias6; /* of the card */
	struct net_addr subnet4; /* of the card: other addresses in it are nobody (own-address) */
	enum rules_host host;
	uint8_t n_host_ports;
	struct rules_range host_ports[RULES_HOST_PORTS_MAX];
	bool egress; /* default verdict */
	size_t n_user;
	struct rules_user user[RULES_USER_MAX];
	size_t n_host_addrs;
	struct net_addr host_addrs[RULES_HOST_ADDRS_MAX]; /* all addresses of the host but loopback */
};

struct rules_verdict {
	bool allow;
	unsigned int rule; /* that decided */
	struct net_addr dial; /* when allowed: the alias became 127.0.0.1 or ::1, the rest as asked */
	bool to_host;	   /* the alias or an address of the host */
};

/* May the VM talk PROTO to ADDR, PORT (0 with echo)? The card's own services are not asked about: they are served before. */
void rules_decide(const struct rules *rules, enum rules_proto proto, const struct net_addr *addr, uint16_t port,
		  struct rules_verdict *ret);
/* May our own resolver ask ADDR on PORT? Never a link-local or reserved address; loopback and the host only on port 53 (a stub
 * resolver), others also on a port the user named. The user's rules and the default are asked about ADDR as for UDP. */
bool rules_resolver(const struct rules *rules, const struct net_addr *addr, uint16_t port);
/* Name of rule NUMBER; "" when there is none. */
const char *rules_name(const struct rules *rules, unsigned int number);
/* Parses one rule of the user: "ACTION [PROTOCOL] ADDRESS[/LEN] [PORT[-PORT]] [name=NAME]", ACTION allow or deny, PROTOCOL tcp,
 * udp, icmp or any, ADDRESS "all" for both families. NUMBER makes the name when none is given ("rule-3").
 * Return: 0; -EINVAL with *REASON, a static sentence. */
int rules_parse(struct rules_user *ret, const char *text, unsigned int number, const char **reason);
/* RULE is one that rules_parse could have made. */
bool rules_user_ok(const struct rules_user *rule);
/* ADDR has no bits beyond the first PREFIX_LEN (at most 128). */
bool rules_prefix_ok(const struct net_addr *addr, unsigned int prefix_len);
/* ADDR lies in NET/PREFIX_LEN (128-bit form). */
bool rules_in_net(const struct net_addr *addr, const struct net_addr *net, unsigned int prefix_len);
