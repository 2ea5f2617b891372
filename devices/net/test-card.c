/* SPDX-License-Identifier: Apache-2.0 */
/* test-card: rings and rooms: several rooms at a time, short frames, no buffers, stops, frames of the guest. */
#include <errno.h>
#include <string.h>

#include "base/loop.h"
#include "base/test.h"
#include "devices/net/card.h"
#include "tests/fake/vhost-frontend.h"

enum { BUFFER = 512, QUEUE = 64 };

static struct loop *loop;
static struct frontend *f;
static struct card card;
static struct wire_caps caps;
static unsigned int n_frames, n_up, n_down, n_room, n_batch_end;
static int frame_result;
static struct wire_room rooms[WIRE_ROOMS_MAX + 1];

static int sink_frame(void *sink, const struct card_frame *frame)
{
	n_frames++;
	return frame_result;
}

static void sink_batch_end(void *sink)
{
	n_batch_end++;
}

static void sink_up(void *sink, const struct wire_caps *told)
{
	n_up++;
	caps = *told;
}

static void sink_down(void *sink)
{
	n_down++;
}

static void sink_room(void *sink)
{
	n_room++;
}

static const struct frame_sink sink = {sink_frame, sink_batch_end, sink_up, sink_down, sink_room};

static int pump(void *data)
{
	return loop_step(loop, 0);
}

static void run(void)
{
	for (int i = 0; i < 8; i++)
		assert_true(loop_step(loop, 0) >= 0);
}

static void start(uint64_t offered, uint64_t refused)
{
	struct frontend_config config = {.queue_size = QUEUE, .buffer_size = BUFFER, .refuse = refused, .pump = pump};
	int fd;

	memset(&card, 0, sizeof(card));
	n_frames = n_up = n_down = n_room = n_batch_end = 0;
	frame_result = 0;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(frontend_new(&config, &fd, &f), 0);
	assert_int_equal(card_start(&card, loop, fd, &sink, NULL, offered, 1500), 0);
	assert_int_equal(frontend_start(f), 0);
	run();
}

static int set_up(void **state)
{
	start(CARD_FEATURES_DATA, 0);
	return 0;
}

static int tear_down(void **state)
{
	card_stop(&card);
	f = frontend_free(f);
	loop = loop_free(loop);
	return 0;
}

/* Gives the device N receive buffers. */
static void offer(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct frontend_segment s = {frontend_buffer(f, CARD_RX, (uint16_t)(i % QUEUE)), BUFFER, true};

		assert_true(frontend_add(f, CARD_RX, &s, 1) >= 0);
	}
	frontend_kick(f, CARD_RX);
	run();
}

static int reserve(size_t len, struct wire_room *room)
{
	return card_wire_ops.reserve(&card, len, room);
}

static void commit(struct wire_room *room, size_t len)
{
	struct net_vnet vnet = {0};
	uint8_t head[64];

	memset(head, 0x11, sizeof(head));
	card_wire_ops.commit(&card, room, &vnet, head, len < sizeof(head) ? len : sizeof(head),
			     len < sizeof(head) ? 0 : len - sizeof(head));
}

/* Takes one frame as a driver does. Return: its length with the virtio-net header, 0: there is none. */
static size_t take(unsigned int *ret_buffers)
{
	size_t sum = 0;
	uint32_t head, len, n = 1;

	*ret_buffers = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!frontend_used(f, CARD_RX, &head, &len)) {
			assert_int_equal(i, 0);
			return 0;
		}
		if (!i) {
			struct net_vnet vnet;

			/* Slots are given in order of descriptors here. */
			net_vnet_decode(&vnet, frontend_at(f, f->queues[CARD_RX].desc[head].addr, NET_VNET_LEN));
			n = vnet.num_buffers;
			assert_true(n > 0);
		}
		assert_true(len > 0); /* a driver refuses empty ones */
		if (i + 1 < n)
			assert_int_equal(len, BUFFER);
		sum += len;
	}
	*ret_buffers = n;
	return sum;
}

static void test_features(void **state)
{
	assert_true(caps.csum && caps.tso4 && caps.tso6 && caps.uso && caps.mergeable);
	assert_int_equal(caps.mtu, 1500);
	assert_int_equal(n_up, 1);
	tear_down(NULL);
	start(CARD_FEATURES_CONTROL, 0);
	assert_true(caps.csum && caps.tso4 && !caps.uso);
	assert_false(f->features & VIRTIO_NET_HOST_USO);
	tear_down(NULL);
	start(CARD_FEATURES_DATA, VIRTIO_NET_GUEST_USO6 | VIRTIO_NET_MRG_RXBUF | VIRTIO_NET_GUEST_TSO4);
	assert_true(caps.tso6 && !caps.tso4 && !caps.uso && !caps.mergeable);
}

static void test_rooms_in_order(void **state)
{
	unsigned int n;

	offer(20);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(reserve(3 * BUFFER - NET_VNET_LEN, &rooms[i]), 0);
		assert_int_equal(rooms[i].n_iov, 3);
		assert_int_equal(rooms[i].capacity, 3 * BUFFER);
	}
	for (unsigned int i = 0; i < 4; i++)
		commit(&rooms[i], 3 * BUFFER - NET_VNET_LEN);
	assert_int_equal(take(&n), 0); /* not before flush */
	card_flush(&card);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(take(&n), 3 * BUFFER);
		assert_int_equal(n, 3);
	}
	assert_int_equal(card.stats.rx_packets, 4);
}

static void test_short_frame(void **state)
{
	unsigned int n;

	offer(10);
	/* The youngest gives back what it does not need. */
	assert_int_equal(reserve(4 * BUFFER, &rooms[0]), 0);
	commit(&rooms[0], 100);
	assert_int_equal(vring_avail(vhost_ring(card.vhost, CARD_RX)), 9);
	/* Another reaches its last buffer by padding. */
	assert_int_equal(reserve(3 * BUFFER - NET_VNET_LEN, &rooms[0]), 0);
	assert_int_equal(reserve(100, &rooms[1]), 0);
	commit(&rooms[0], 100);
	commit(&rooms[1], 100);
	card_flush(&card);
	assert_int_equal(take(&n), 112);
	assert_int_equal(n, 1);
	assert_int_equal(take(&n), 2 * BUFFER + 1);
	assert_int_equal(n, 3);
	assert_int_equal(take(&n), 112);
	assert_int_equal(n, 1);
	assert_int_equal(vring_avail(vhost_ring(card.vhost, CARD_RX)), 5);
}

static void test_cancel(void **state)
{
	unsigned int n;

	offer(4);
	assert_int_equal(reserve(100, &rooms[0]), 0);
	assert_int_equal(reserve(2 * BUFFER, &rooms[1]), 0);
	card_wire_ops.cancel(&card, &rooms[1]);
	assert_int_equal(reserve(100, &rooms[1]), 0);
	commit(&rooms[0], 100);
	commit(&rooms[1], 200);
	card_flush(&card);
	assert_int_equal(take(&n), 112);
	assert_int_equal(take(&n), 212);
	assert_int_equal(vring_avail(vhost_ring(card.vhost, CARD_RX)), 2);
	assert_int_equal(vring_outstanding(vhost_ring(card.vhost, CARD_RX)), 0);
}

static void test_rooms_max(void **state)
{
	offer(QUEUE);
	for (unsigned int i = 0; i < WIRE_ROOMS_MAX; i++)
		assert_int_equal(reserve(100, &rooms[i]), 0);
	assert_int_equal(reserve(100, &rooms[WIRE_ROOMS_MAX]), -EAGAIN);
	for (unsigned int i = 0; i < WIRE_ROOMS_MAX; i++)
		commit(&rooms[i], 100);
	card_flush(&card);
	assert_int_equal(card.stats.starved, 0);
}

static void test_starved(void **state)
{
	unsigned int before;

	assert_int_equal(reserve(100, &rooms[0]), -EAGAIN);
	assert_int_equal(card.stats.starved, 1);
	before = n_room;
	offer(1); /* kicks */
	assert_int_equal(n_room, before + 1);
	assert_int_equal(reserve(5000, &rooms[0]), 0); /* less than asked for */
	assert_int_equal(rooms[0].capacity, BUFFER);
	assert_int_equal(reserve(100, &rooms[1]), -EAGAIN);
	commit(&rooms[0], 100);
	card_flush(&card);
	before = n_room;
	offer(1);
	assert_int_equal(n_room, before + 1);
}

static void test_not_mergeable(void **state)
{
	unsigned int n;

	tear_down(NULL);
	start(CARD_FEATURES_DATA, VIRTIO_NET_MRG_RXBUF);
	offer(3);
	assert_int_equal(reserve(2 * BUFFER, &rooms[0]), 0);
	assert_int_equal(rooms[0].capacity, BUFFER);
	commit(&rooms[0], 100);
	card_flush(&card);
	assert_int_equal(take(&n), 112);
	assert_int_equal(n, 1);
}

static void test_stop_with_rooms(void **state)
{
	offer(4);
	assert_int_equal(reserve(100, &rooms[0]), 0);
	assert_int_equal(reserve(100, &rooms[1]), 0);
	assert_true(frontend_stop_queue(f, CARD_RX) >= 0);
	assert_int_equal(n_down, 1);
	commit(&rooms[0], 100); /* harmless */
	card_wire_ops.cancel(&card, &rooms[1]);
	assert_int_equal(reserve(100, &rooms[0]), -EAGAIN);
	assert_int_equal(card.stats.rx_packets, 0);
}

static void send_frame(size_t len)
{
	uint64_t addr = frontend_buffer(f, CARD_TX, 0);
	struct frontend_segment s = {addr, (uint32_t)len, false};
	uint8_t *p = frontend_at(f, addr, BUFFER);

	memset(p, 0, BUFFER);
	p[NET_VNET_LEN + 12] = 0x12;
	assert_true(frontend_add(f, CARD_TX, &s, 1) >= 0);
	frontend_kick(f, CARD_TX);
	run();
	(void)card_drain(&card);
	card_flush(&card);
}

static void test_guest_frames(void **state)
{
	uint32_t head, len;

	send_frame(5); /* not even a virtio-net header */
	send_frame(NET_VNET_LEN + 13);
	assert_int_equal(n_frames, 0);
	assert_int_equal(card.stats.bad_frames, 2);
	send_frame(NET_VNET_LEN + 60);
	assert_int_equal(n_frames, 1);
	frame_result = -ENOENT;
	send_frame(NET_VNET_LEN + 60);
	assert_int_equal(card.stats.ignored, 1);
	frame_result = -EBADMSG;
	send_frame(NET_VNET_LEN + 60);
	assert_int_equal(card.stats.bad_frames, 3);
	assert_int_equal(card.stats.tx_packets, 5);
	assert_int_equal(n_batch_end, 5);
	for (int i = 0; i < 5; i++)
		assert_true(frontend_used(f, CARD_TX, &head, &len));
}

#define CARD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CARD(test_features),  CARD(test_rooms_in_order), CARD(test_short_frame),     CARD(test_cancel),	     CARD(test_rooms_max),
		CARD(test_starved),   CARD(test_not_mergeable),	 CARD(test_stop_with_rooms), CARD(test_guest_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
