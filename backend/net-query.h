/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net-query: questions to the network process, asked piece by piece, one question at a time, each with a time limit.
 *
 * A network process that is not there, dies or keeps silent makes the answer incomplete, never late. Who may call it:
 * backend/network.
 */
#pragma once

#include <jansson.h>

#include "backend/net-client.h"

enum net_part { NET_PART_STATS = 1, NET_PART_RULES = 2, NET_PART_PORTS = 4, NET_PART_FLOWS = 8, NET_PART_DNS = 16, NET_PART_ALL = 31 };
enum { NET_QUERY_PIECE_US = 2000000, NET_QUERY_FLOWS_STANDARD = 1000, NET_QUERY_ITEMS_MAX = 65536 };

struct net_query_request {
	unsigned int parts;   /* enum net_part, or-ed */
	uint32_t max_flows;   /* of each of flows and dns at most that many */
	bool ports_only;      /* the answer is the list of ports */
};
/* RESULT is owned by the callee (NULL: out of memory): "complete", and "stats", "rules", "port_counts" (by id), "flows", "dns" as
 * far as they were asked for and came. TOKEN is the caller's. */
typedef void (*net_query_done_fn)(void *data, void *token, const struct net_query_request *request, json_t *result);

struct net_query;
/* CLIENT and RULES (names of the user's rules) are borrowed. Return: 0 or -errno. */
int net_query_new(struct loop *loop, struct net_client *client, const struct rules *rules, net_query_done_fn done, void *data,
		  struct net_query **ret);
struct net_query *net_query_free(struct net_query *query);
/* DONE is called later, never from here. Return: 0 or -errno. */
int net_query_ask(struct net_query *query, const struct net_query_request *request, void *token);
/* TOKEN's owner has gone: DONE is not called for it. */
void net_query_forget(struct net_query *query, const void *token);
/* A message of the network process; others than answers are ignored. */
void net_query_message(struct net_query *query, const struct netctl_message *message);
/* The link has ended. */
void net_query_lost(struct net_query *query);
