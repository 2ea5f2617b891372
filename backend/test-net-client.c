/* SPDX-License-Identifier: Apache-2.0 */
/* test-net-client: what is kept is told to every new process; a slow, silent, dead or lying one harms nobody. With net-query. */
#include "base/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/net-query.h"
#include "base/chan.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/sock.h"

static struct loop *loop;
static struct net_client *client;
static struct net_query *query;
static struct rules rules;
static struct netctl_message message, got;
static int peer, n_linked, n_lost, n_done, got_fd;
static json_t *last;

static void on_linked(void *data)
{
	n_linked++;
}

static void on_message(void *data, const struct netctl_message *m)
{
	net_query_message(query, m);
}

static void on_lost(void *data)
{
	n_lost++;
	net_query_lost(query);
}

static void on_done(void *data, void *token, const struct net_query_request *request, json_t *result)
{
	n_done++;
	json_decref(last);
	last = result;
}

static int setup(void **state)
{
	const struct net_client_hooks hooks = {on_linked, on_message, on_lost, NULL};

	n_linked = n_lost = n_done = 0;
	peer = got_fd = -EBADF;
	return loop_new(&loop) < 0 || net_client_new(loop, &hooks, &client) < 0 ||
	       net_query_new(loop, client, &rules, on_done, NULL, &query) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	query = net_query_free(query);
	client = net_client_free(client);
	loop = loop_free(loop);
	peer = fd_close(peer);
	got_fd = fd_close(got_fd);
	json_decref(last);
	last = NULL;
	return 0;
}

static void settle(void)
{
	for (int i = 0; i < 1000 && loop_step(loop, 2) > 0; i++)
		;
}

static void link_new(void)
{
	int fds[2];

	peer = fd_close(peer);
	assert_int_equal(sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, fds), 0);
	peer = fds[1];
	net_client_link_consume(client, fds[0]);
}

/* The next frame at the process's end. Return: false: there is none. */
static bool next(void)
{
	static uint8_t buf[NETCTL_FRAME_MAX];
	size_t n_fds = 1;
	ssize_t n;

	got_fd = fd_close(got_fd);
	n = chan_recv(peer, buf, sizeof(buf), &got_fd, &n_fds);
	if (n <= 0) {
		got_fd = -EBADF;
		return false;
	}
	if (!n_fds)
		got_fd = -EBADF;
	assert_int_equal(netctl_decode(&got, NETCTL_TO_NET, buf, (size_t)n, n_fds), 0);
	return true;
}

static void reply(void)
{
	uint8_t buf[NETCTL_FRAME_MAX];
	int n = netctl_encode(&message, buf);

	assert_true(n > 0);
	assert_int_equal(chan_send(peer, buf, (size_t)n, NULL, 0), 0);
	settle();
}

static void fresh(enum netctl_type type)
{
	memset(&message, 0, sizeof(message));
	message.type = type;
}

static void tell_config(uint16_t mtu)
{
	fresh(NETCTL_CONFIG);
	message.config = (struct netctl_config){.subnet = 0xc0a84100, .mtu = mtu, .ipv6 = true, .hash_key = {1, 2}};
	assert_int_equal(net_client_set(client, &message), 0);
}

static void kept_and_told_again(void **state)
{
	struct netctl_hosts *pieces = calloc(2, sizeof(*pieces));
	int proxy[2];

	assert_non_null(pieces);
	/* without a process everything is only kept */
	tell_config(1400);
	tell_config(1500);
	fresh(NETCTL_RULES);
	message.rules.egress = true;
	assert_int_equal(net_client_set(client, &message), 0);
	pieces[0].first = true;
	pieces[1].last = true;
	assert_int_equal(net_client_set_hosts(client, pieces, 2), 0);
	free(pieces);
	assert_int_equal(sock_pair(SOCK_SEQPACKET, proxy), 0);
	net_client_set_proxy_consume(client, proxy[0]);
	fresh(NETCTL_GET);
	message.get.what = NETCTL_GET_STATS;
	assert_int_equal(net_client_send(client, &message, -EBADF), -ENOTCONN);
	for (int i = 1; i <= 2; i++) {
		link_new();
		assert_int_equal(n_linked, i);
		assert_true(net_client_is_linked(client));
		settle();
		assert_true(next() && got.type == NETCTL_CONFIG);
		assert_int_equal(got.config.mtu, 1500);
		assert_true(next() && got.type == NETCTL_RULES);
		assert_true(next() && got.type == NETCTL_HOSTS && got.hosts.first);
		assert_true(next() && got.type == NETCTL_HOSTS && got.hosts.last);
		assert_true(next() && got.type == NETCTL_PROXY);
		assert_true(got_fd >= 0);
		assert_false(next());
	}
	assert_int_equal(n_lost, 1);
	fd_close(proxy[1]);
	/* a kept type goes by net_client_set only */
	fresh(NETCTL_PORT_ADD);
	assert_int_equal(net_client_set(client, &message), -EINVAL);
}

/* A process that does not read: nothing blocks, all comes in order, with its descriptors. */
static void slow_reader(void **state)
{
	uint32_t n = 0;

	link_new();
	for (uint32_t i = 1; i <= 3000; i++) {
		fresh(NETCTL_PORT_ADD);
		message.port = (struct netctl_port){.id = i, .target = net_addr4(0xac110002), .target_port = 80,
						    .bound = net_addr4(0x7f000001), .bound_port = 8080};
		assert_int_equal(net_client_send(client, &message, peer), 0);
	}
	for (int i = 0; i < 100000 && n < 3000; i++) {
		(void)loop_step(loop, 0);
		while (next()) {
			assert_int_equal(got.type, NETCTL_PORT_ADD);
			assert_int_equal(got.port.id, ++n);
			assert_true(got_fd >= 0);
		}
	}
	assert_int_equal(n, 3000);
	settle();
	assert_int_equal(loop_step(loop, 10), 0);
}

static void never_reads_at_all(void **state)
{
	int r = 0;

	link_new();
	fresh(NETCTL_RESOLVERS);
	for (unsigned int i = 0; i < NETCTL_DOMAINS_MAX; i++) {
		message.resolvers.n_domains++;
		memset(message.resolvers.domains[i].name, 'a' + (int)i, 60);
		message.resolvers.domains[i].n_servers = 1;
		message.resolvers.domains[i].servers[0] = (struct netctl_server){net_addr4(0x0a000001), 53};
	}
	for (int i = 0; i < 100000 && r >= 0; i++)
		r = net_client_set(client, &message);
	assert_true(r < 0);
	assert_int_equal(n_lost, 1);
	assert_false(net_client_is_linked(client));
}

static void lying_process(void **state)
{
	static const char *const frames[] = {"", "x", "\x21\0\1\0\0\0\0\0", "\1\0\1\0\0\0\0\0", "\xff\xff\xff\xff\xff\xff\xff\xff"};
	static const size_t lens[] = {0, 1, 8, 8, 8};

	for (size_t i = 1; i < ARRAY_SIZE(frames); i++) {
		link_new();
		settle();
		n_lost = 0;
		assert_int_equal(chan_send(peer, frames[i], lens[i], NULL, 0), 0);
		settle();
		assert_int_equal(n_lost, 1);
		assert_false(net_client_is_linked(client));
	}
	/* a descriptor where none belongs */
	link_new();
	n_lost = 0;
	fresh(NETCTL_READY);
	message.ready.version = NETCTL_VERSION;
	{
		uint8_t buf[NETCTL_FRAME_MAX];
		int n = netctl_encode(&message, buf);

		assert_int_equal(chan_send(peer, buf, (size_t)n, &peer, 1), 0);
	}
	settle();
	assert_int_equal(n_lost, 1);
	/* gone */
	link_new();
	settle();
	peer = fd_close(peer);
	settle();
	assert_int_equal(n_lost, 2);
}

static bool is_complete(void)
{
	return json_is_true(json_object_get(last, "complete"));
}

static void pieces_are_put_together(void **state)
{
	const struct net_query_request request = {.parts = NET_PART_STATS | NET_PART_FLOWS | NET_PART_RULES, .max_flows = 150};

	link_new();
	settle();
	assert_int_equal(net_query_ask(query, &request, &n_done), 0);
	assert_int_equal(n_done, 0);
	settle();
	assert_true(next() && got.type == NETCTL_GET && got.get.what == NETCTL_GET_STATS);
	/* an answer to another question is not one */
	fresh(NETCTL_FLOWS);
	reply();
	assert_false(next());
	fresh(NETCTL_STATS);
	message.stats.tcp_now = 7;
	reply();
	assert_true(next() && got.get.what == NETCTL_GET_RULES);
	fresh(NETCTL_RULE_COUNTS);
	message.rule_counts.n = 2;
	message.rule_counts.refused[1] = 3;
	reply();
	for (uint32_t piece = 0; piece < 2; piece++) {
		assert_true(next() && got.get.what == NETCTL_GET_FLOWS);
		assert_int_equal(got.get.cursor, piece * 1000);
		fresh(NETCTL_FLOWS);
		message.flows.n = NETCTL_FLOWS_PIECE_MAX;
		message.flows.next = (piece + 1) * 1000;
		for (unsigned int i = 0; i < message.flows.n; i++)
			message.flows.flow[i] = (struct netctl_flow){.proto = RULES_TCP, .guest = net_addr4(0xc0a84103),
								     .host = net_addr4(0x01020304), .guest_port = 1, .host_port = 2};
		reply();
	}
	/* as many as were asked for, then no more pieces */
	assert_int_equal(n_done, 1);
	assert_true(is_complete());
	assert_int_equal(json_array_size(json_object_get(last, "flows")), 150);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(last, "stats"), "tcp_now")), 7);
	assert_int_equal(json_array_size(json_object_get(last, "rules")), 2);
	assert_false(next());
}

static void nobody_answers(void **state)
{
	const struct net_query_request request = {.parts = NET_PART_STATS, .max_flows = 10};
	int token_a, token_b;

	/* no process */
	assert_int_equal(net_query_ask(query, &request, &token_a), 0);
	settle();
	assert_int_equal(n_done, 1);
	assert_false(is_complete());
	/* it dies with two questions waiting */
	link_new();
	assert_int_equal(net_query_ask(query, &request, &token_a), 0);
	assert_int_equal(net_query_ask(query, &request, &token_b), 0);
	settle();
	peer = fd_close(peer);
	settle();
	assert_int_equal(n_done, 3);
	assert_false(is_complete());
	/* who has gone is not told */
	assert_int_equal(net_query_ask(query, &request, &token_a), 0);
	net_query_forget(query, &token_a);
	settle();
	assert_int_equal(n_done, 3);
	/* silence: the time is limited */
	link_new();
	assert_int_equal(net_query_ask(query, &request, &token_a), 0);
	for (int i = 0; i < 40 && n_done == 3; i++)
		(void)loop_step(loop, 100);
	assert_int_equal(n_done, 4);
	assert_false(is_complete());
}

/* A process that was taken over has no end of pieces, and no end of ports. */
static void endless_pieces(void **state)
{
	const struct net_query_request request = {.parts = NET_PART_PORTS};
	uint32_t cursor = 0, id = 0;

	link_new();
	assert_int_equal(net_query_ask(query, &request, &n_done), 0);
	settle();
	for (int i = 0; i < 10000 && next(); i++) {
		fresh(NETCTL_PORT_COUNTS);
		message.port_counts.n = NETCTL_PORTS_PIECE_MAX;
		for (unsigned int k = 0; k < message.port_counts.n; k++)
			message.port_counts.port[k].id = ++id;
		message.port_counts.next = ++cursor;
		reply();
	}
	assert_int_equal(n_done, 1);
	assert_false(is_complete());
	assert_int_equal(json_object_size(json_object_get(last, "port_counts")), NETCTL_PORTS_MAX);
	/* in circles */
	assert_int_equal(net_query_ask(query, &request, &n_done), 0);
	settle();
	for (int i = 0; i < 10 && next(); i++) {
		fresh(NETCTL_PORT_COUNTS);
		message.port_counts.next = 1;
		reply();
	}
	assert_int_equal(n_done, 2);
	/* for nobody */
	assert_int_equal(net_query_ask(query, &request, &n_done), 0);
	settle();
	net_query_forget(query, &n_done);
	assert_true(next());
	fresh(NETCTL_PORT_COUNTS);
	message.port_counts.next = 1;
	reply();
	assert_false(next());
	assert_int_equal(n_done, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(kept_and_told_again), T(slow_reader), T(never_reads_at_all), T(lying_process), T(pieces_are_put_together),
		T(nobody_answers), T(endless_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
