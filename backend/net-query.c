/* SPDX-License-Identifier: Apache-2.0 */
/* net-query: a queue of questions; the first one is in progress: one GET out, its answer awaited. */
#include "backend/net-query.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/net-json.h"
#include "base/error.h"
#include "base/log.h"

struct question {
	struct question *next;
	struct net_query_request request;
	void *token;
	bool forgotten;
	unsigned int left; /* parts not yet asked for */
	json_t *result;
};

struct net_query {
	struct net_client *client;
	const struct rules *rules;
	net_query_done_fn done;
	void *data;
	struct loop_source *timer;
	struct question *first, **last;
	enum netctl_what asked; /* 0: nothing is out */
	uint32_t cursor;	/* of it */
	unsigned int pieces;	/* of this part so far */
};

/* More than an honest network process needs for NET_QUERY_ITEMS_MAX items of the smallest pieces. */
enum { PIECES_MAX = NET_QUERY_ITEMS_MAX / NETCTL_DNS_PIECE_MAX + 8 };

static const struct part {
	enum net_part part;
	enum netctl_what what;
	enum netctl_type answer;
} parts[] = {
	{NET_PART_STATS, NETCTL_GET_STATS, NETCTL_STATS},
	{NET_PART_RULES, NETCTL_GET_RULES, NETCTL_RULE_COUNTS},
	{NET_PART_PORTS, NETCTL_GET_PORTS, NETCTL_PORT_COUNTS},
	{NET_PART_FLOWS, NETCTL_GET_FLOWS, NETCTL_FLOWS},
	{NET_PART_DNS, NETCTL_GET_DNS, NETCTL_DNS_CACHE},
};

static void finish(struct net_query *q, bool complete)
{
	struct question *a = q->first;

	q->first = a->next;
	if (!q->first)
		q->last = &q->first;
	q->asked = 0;
	if (a->result)
		(void)json_object_set_new(a->result, "complete", json_boolean(complete));
	if (a->forgotten)
		json_decref(a->result);
	else
		q->done(q->data, a->token, &a->request, a->result);
	free(a);
	/* The next question begins from the loop. */
	(void)loop_timer_set(q->timer, q->first ? 0 : UINT64_MAX);
}

static void get(struct net_query *q, enum netctl_what what, uint32_t cursor)
{
	_cleanup_free_ struct netctl_message *message = calloc(1, sizeof(*message));
	int r = -ENOMEM;

	if (message) {
		message->type = NETCTL_GET;
		message->get.what = what;
		message->get.cursor = cursor;
		r = net_client_send(q->client, message, -EBADF);
	}
	q->cursor = cursor;
	/* A link that broke in net_client_send has finished the question through net_query_lost already. */
	if (r < 0 && q->asked == what)
		finish(q, false);
	else if (r >= 0)
		(void)loop_timer_set(q->timer, NET_QUERY_PIECE_US);
}

/* Asks for the next part, or ends. */
static void advance(struct net_query *q)
{
	struct question *a = q->first;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (!(a->left & parts[i].part))
			continue;
		a->left &= ~(unsigned int)parts[i].part;
		q->asked = parts[i].what;
		q->pieces = 0;
		get(q, parts[i].what, 0);
		return;
	}
	finish(q, true);
}

static int on_timer(void *data)
{
	struct net_query *q = data;

	if (!q->first)
		return 0;
	if (q->asked) {
		log_limited(LOG_WARNING, "net: the network process does not answer");
		finish(q, false);
	} else if (q->first->forgotten) {
		finish(q, false);
	} else {
		advance(q);
	}
	return 0;
}

/* Adds the answer. Return: cursor of what follows, 0: that was all. */
static uint32_t add(struct net_query *q, const struct netctl_message *m)
{
	json_t *o = q->first->result;
	size_t max = q->first->request.max_flows;

	switch (m->type) {
	case NETCTL_STATS:
		(void)json_object_set_new(o, "stats", net_json_stats(&m->stats));
		return 0;
	case NETCTL_RULE_COUNTS:
		(void)json_object_set_new(o, "rules", net_json_rules(&m->rule_counts, q->rules));
		return 0;
	case NETCTL_PORT_COUNTS:
		net_json_add_ports(o, &m->port_counts);
		return m->port_counts.next;
	case NETCTL_FLOWS:
		return net_json_add_flows(o, &m->flows, max) ? m->flows.next : 0;
	case NETCTL_DNS_CACHE:
		return net_json_add_dns(o, &m->dns, max) ? m->dns.next : 0;
	default:
		return 0;
	}
}

void net_query_message(struct net_query *q, const struct netctl_message *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts) && q->asked; i++) {
		uint32_t next;

		if (parts[i].answer != m->type || parts[i].what != q->asked)
			continue;
		next = add(q, m);
		if (next && (q->first->forgotten || next <= q->cursor || ++q->pieces == PIECES_MAX))
			finish(q, false);
		else if (next)
			get(q, parts[i].what, next);
		else
			advance(q);
		return;
	}
}

void net_query_lost(struct net_query *q)
{
	if (q->first && q->asked)
		finish(q, false);
}

int net_query_ask(struct net_query *q, const struct net_query_request *request, void *token)
{
	struct question *a = calloc(1, sizeof(*a));

	if (!a)
		return trace(-ENOMEM);
	*a = (struct question){.request = *request, .token = token, .left = request->parts, .result = json_object()};
	*q->last = a;
	q->last = &a->next;
	return q->first == a ? loop_timer_set(q->timer, 0) : 0;
}

void net_query_forget(struct net_query *q, const void *token)
{
	for (struct question *a = q->first; a; a = a->next)
		if (a->token == token)
			a->forgotten = true;
}

int net_query_new(struct loop *loop, struct net_client *client, const struct rules *rules, net_query_done_fn done, void *data,
		  struct net_query **ret)
{
	struct net_query *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return trace(-ENOMEM);
	*q = (struct net_query){.client = client, .rules = rules, .done = done, .data = data};
	q->last = &q->first;
	r = loop_add_timer(loop, on_timer, q, &q->timer);
	if (r < 0) {
		free(q);
		return trace(r);
	}
	*ret = q;
	return 0;
}

struct net_query *net_query_free(struct net_query *q)
{
	struct question *next;

	if (!q)
		return NULL;
	for (struct question *a = q->first; a; a = next) {
		next = a->next;
		json_decref(a->result);
		free(a);
	}
	loop_source_free(q->timer);
	free(q);
	return NULL;
}
