/* SPDX-License-Identifier: Apache-2.0 */
/* Threats FS-16: conversations with an honest and with a hostile front-end over the socket. */
#include "devices/vhost/test-rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sock.h"

enum { REFUSED = 1, KiB = 1024, MiB = 1024 * 1024 };

struct table {
	uint32_t n, padding;
	struct vhost_user_region regions[9];
};

static void test_negotiation(void **state)
{
	struct rig rig = {0};
	uint64_t v = 0;

	rig_start(&rig, NULL);
	assert_true(rig.features & VIRTIO_RING_EVENT_IDX);
	assert_true(rig.features & VIRTIO_VERSION_1);
	assert_int_equal(vhost_features(rig.vhost), rig.features);
	assert_int_equal(rig.n_start[0], 1);
	assert_int_equal(rig.n_kick[0], 1);
	assert_int_equal(frontend_get_u64(rig.f, VHOST_USER_GET_QUEUE_NUM, &v), 0);
	assert_int_equal(v, 2);
	assert_int_equal(frontend_get_u64(rig.f, VHOST_USER_GET_MAX_MEM_SLOTS, &v), 0);
	assert_int_equal(v, 32);
	assert_int_equal(frontend_set_u64(rig.f, VHOST_USER_NET_SET_MTU, 65520), 0);
	assert_int_equal(rig.mtu, 65520);
	assert_null(vhost_ring(rig.vhost, 2));
	rig_close(&rig);
	assert_int_equal(rig.n_stop[0], 1);
	assert_int_equal(rig.n_disconnect, 0);
}

static void test_config(void **state)
{
	uint32_t body[3 + 2] = {8, 8, 0}, reply[3 + 2];
	struct rig rig = {0};

	rig_start(&rig, NULL);
	assert_int_equal(frontend_send(rig.f, VHOST_USER_GET_CONFIG, 0, body, sizeof(body), NULL, 0), 0);
	assert_int_equal(frontend_reply(rig.f, VHOST_USER_GET_CONFIG, reply, sizeof(reply)), sizeof(reply));
	assert_int_equal(reply[3], 0x09090909);
	body[0] = 249; /* 249 + 8 > 256 */
	assert_int_equal(frontend_send(rig.f, VHOST_USER_GET_CONFIG, 0, body, sizeof(body), NULL, 0), 0);
	assert_int_equal(frontend_reply(rig.f, VHOST_USER_GET_CONFIG, reply, sizeof(reply)), -EPIPE);
	assert_int_equal(rig.code, -EPROTO);
	rig_close(&rig);
}

static void test_end_of_connection(void **state)
{
	struct rig rig = {0};

	rig_start(&rig, NULL);
	rig.f->socket_fd = fd_close(rig.f->socket_fd);
	rig_run(&rig);
	assert_int_equal(rig.n_disconnect, 1);
	assert_int_equal(rig.code, 0);
	assert_int_equal(rig.n_stop[0], 1);
	assert_int_equal(rig_pop(&rig, 0), -ESHUTDOWN);
	rig_close(&rig);
	assert_int_equal(rig.n_disconnect, 1);
}

/* Sends one SET_MEM_TABLE of N regions with N_FDS copies of FD on a fresh connection. Return: as frontend_request. */
static int mem_table(const struct table *t, unsigned int n_fds, int fd)
{
	struct rig rig = {0};
	int fds[9], r;

	rig_open(&rig, NULL);
	for (int i = 0; i < 9; i++)
		fds[i] = fd >= 0 ? fd : rig.f->memory_fd;
	/* negotiate with a good table first: a refused one must leave it alone */
	assert_int_equal(frontend_negotiate(rig.f), 0);
	r = frontend_request(rig.f, VHOST_USER_SET_MEM_TABLE, t, 8 + 32 * (t->n > 9 ? 9 : t->n), fds, n_fds);
	if (r == REFUSED)
		assert_int_equal(frontend_start_queue(rig.f, 0, 0), 0);
	rig_close(&rig);
	return r;
}

static void test_mem_tables(void **state)
{
	static const struct {
		const char *what;
		struct table t;
		unsigned int n_fds;
		int expected;
	} cases[] = {
		{"one", {1, 0, {{0, MiB, 0x10000, 0}}}, 1, 0},
		{"eight", {8, 0, {{0, KiB * 4, 0, 0}, {4096, 4096, 4096, 0}, {8192, 4096, 8192, 0}, {12288, 4096, 12288, 0},
				  {16384, 4096, 16384, 0}, {20480, 4096, 20480, 0},
				  {24576, 4096, 24576, 0}, {28672, 4096, 28672, 0}}}, 8, 0},
		{"none", {0}, 0, -EPIPE},
		{"nine", {9}, 8, -EPIPE},
		{"2^32-1", {UINT32_MAX}, 8, -EPIPE},
		{"no descriptor", {1, 0, {{0, MiB, 0, 0}}}, 0, -EPIPE},
		{"two descriptors for one", {1, 0, {{0, MiB, 0, 0}}}, 2, -EPIPE},
		{"one descriptor for two", {2, 0, {{0, MiB, 0, 0}, {MiB, MiB, MiB, 0}}}, 1, -EPIPE},
		{"nine descriptors", {1, 0, {{0, MiB, 0, 0}}}, 9, -EPIPE},
		{"empty region", {1, 0, {{0, 0, 0, 0}}}, 1, -EPIPE},
		{"guest overlap", {2, 0, {{0, MiB, 0, 0}, {MiB - 1, MiB, 2 * MiB, 0}}}, 2, REFUSED},
		{"guest overlap from below", {2, 0, {{MiB, MiB, 0, 0}, {0, MiB + 1, 4 * MiB, 0}}}, 2, REFUSED},
		{"same region twice", {2, 0, {{0, MiB, 0, 0}, {0, MiB, 0, 0}}}, 2, REFUSED},
		{"adjoining", {2, 0, {{0, MiB, 0, 0}, {MiB, MiB, MiB, 0}}}, 2, 0},
		{"user overlap", {2, 0, {{0, MiB, 0, 0}, {MiB, MiB, MiB - 1, 0}}}, 2, REFUSED},
		{"size 2^63", {1, 0, {{0, UINT64_C(1) << 63, 0, 0}}}, 1, REFUSED},
		{"size 2^64-1", {1, 0, {{0, UINT64_MAX, 0, 0}}}, 1, REFUSED},
		{"guest wraps", {1, 0, {{UINT64_MAX - 4095, 8192, 0, 0}}}, 1, -EPIPE},
		{"last guest page", {1, 0, {{UINT64_MAX - 4095, 4096, 0, 0}}}, 1, 0},
		{"user wraps", {1, 0, {{0, 8192, UINT64_MAX - 4095, 0}}}, 1, -EPIPE},
		{"offset + size wraps", {1, 0, {{0, 8192, 0, UINT64_MAX - 4095}}}, 1, -EPIPE},
		{"offset beyond the file", {1, 0, {{0, 4096, 0, 1 << 30}}}, 1, REFUSED},
		{"size beyond the file", {1, 0, {{0, 1 << 30, 0, 4096}}}, 1, REFUSED},
		{"unaligned offset", {1, 0, {{0, 4096, 0, 100}}}, 1, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = mem_table(&cases[i].t, cases[i].n_fds, -1);

		if (r != cases[i].expected)
			fail_msg("%s: %d", cases[i].what, r);
	}
}

/* A file that the front-end could cut under the mapping is refused, whatever it is. */
static void test_unsealed_memory(void **state)
{
	const struct table t = {1, 0, {{0, 4096, 0, 0}}};
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING), ends[2];

	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(mem_table(&t, 1, fd), REFUSED);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	assert_int_equal(mem_table(&t, 1, fd), REFUSED);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(mem_table(&t, 1, fd), 0);
	fd_close(fd);
	assert_int_equal(sock_pair(SOCK_STREAM, ends), 0);
	assert_int_equal(mem_table(&t, 1, ends[0]), REFUSED);
	fd_close(ends[0]);
	fd_close(ends[1]);
}

static int one_state(uint32_t request, uint32_t index, uint32_t num)
{
	struct rig rig = {0};
	int r;

	rig_open(&rig, NULL);
	assert_int_equal(frontend_negotiate(rig.f), 0);
	r = frontend_set_state(rig.f, request, index, num);
	rig_close(&rig);
	return r;
}

static void test_ring_numbers(void **state)
{
	static const uint32_t requests[] = {VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ENABLE};

	assert_int_equal(one_state(VHOST_USER_SET_VRING_NUM, 0, 0), -EPIPE);
	assert_int_equal(one_state(VHOST_USER_SET_VRING_NUM, 0, 3), -EPIPE);
	assert_int_equal(one_state(VHOST_USER_SET_VRING_NUM, 0, 32769), -EPIPE);
	assert_int_equal(one_state(VHOST_USER_SET_VRING_NUM, 0, 65536), -EPIPE);
	assert_int_equal(one_state(VHOST_USER_SET_VRING_NUM, 0, 32768), 0);
	assert_int_equal(one_state(VHOST_USER_SET_VRING_NUM, 0, 1), 0);
	assert_int_equal(one_state(VHOST_USER_SET_VRING_BASE, 0, 65536), -EPIPE);
	assert_int_equal(one_state(VHOST_USER_SET_VRING_BASE, 0, 65535), 0);
	assert_int_equal(one_state(VHOST_USER_SET_VRING_ENABLE, 0, 2), -EPIPE);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(one_state(requests[i], 1, 1), 0);
		assert_int_equal(one_state(requests[i], 2, 1), -EPIPE);
		assert_int_equal(one_state(requests[i], 255, 1), -EPIPE);
		assert_int_equal(one_state(requests[i], UINT32_MAX, 1), -EPIPE);
	}
}

/* Ring addresses relative to ring 0's honest ones. */
static int one_addr(int64_t desc, int64_t avail, int64_t used)
{
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} addr = {0};
	struct rig rig = {0};
	int r;

	rig_open(&rig, NULL);
	assert_int_equal(frontend_negotiate(rig.f), 0);
	struct frontend_queue *q = &rig.f->queues[0];
	addr.desc = (uintptr_t)q->desc + (uint64_t)desc;
	addr.avail = (uintptr_t)q->avail + (uint64_t)avail;
	addr.used = (uintptr_t)q->used + (uint64_t)used;
	r = frontend_request(rig.f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	assert_int_equal(r, REFUSED); /* no size yet */
	assert_int_equal(frontend_set_state(rig.f, VHOST_USER_SET_VRING_NUM, 0, 256), 0);
	r = frontend_request(rig.f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	assert_int_equal(rig.n_start[0], 0);
	rig_close(&rig);
	return r;
}

static void test_ring_addresses(void **state)
{
	/* Regions 0 and 2 are 8 MiB apart in the file and in user addresses; the used ring of queue 0 is at 8192. */
	assert_int_equal(one_addr(0, 0, 0), 0);
	assert_int_equal(one_addr(16, 2, 4), 0);
	assert_int_equal(one_addr(8, 0, 0), REFUSED);
	assert_int_equal(one_addr(0, 1, 0), REFUSED);
	assert_int_equal(one_addr(0, 0, 2), REFUSED);
	assert_int_equal(one_addr(-16, 0, 0), REFUSED);
	assert_int_equal(one_addr((INT64_C(1) << 40), 0, 0), REFUSED);
	assert_int_equal(one_addr(0, 0, 8 * MiB - 8192 - 8), REFUSED); /* would cross into the next region */
	assert_int_equal(one_addr(0, 0, INT64_MIN), REFUSED);
}

static int one_event_fd(uint32_t request, uint64_t value, const int *fds, size_t n_fds)
{
	struct rig rig = {0};
	int r;

	rig_open(&rig, NULL);
	assert_int_equal(frontend_negotiate(rig.f), 0);
	r = frontend_request(rig.f, request, &value, 8, fds, n_fds);
	rig_close(&rig);
	return r;
}

static void test_event_descriptors(void **state)
{
	int event[2] = {eventfd(0, 0), eventfd(0, 0)}, pipes[2], sockets[2], file = memfd_create("x", 0);

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(sock_pair(SOCK_STREAM, sockets), 0);
	for (uint32_t request = VHOST_USER_SET_VRING_KICK; request <= VHOST_USER_SET_VRING_ERR; request++) {
		assert_int_equal(one_event_fd(request, 1, event, 1), 0);
		assert_int_equal(one_event_fd(request, 1, pipes, 1), 0);
		assert_int_equal(one_event_fd(request, 2, event, 1), -EPIPE);
		assert_int_equal(one_event_fd(request, 255, event, 1), -EPIPE);
		assert_int_equal(one_event_fd(request, 0x200, event, 1), -EPIPE);
		assert_int_equal(one_event_fd(request, 0, NULL, 0), -EPIPE);
		assert_int_equal(one_event_fd(request, 0, event, 2), -EPIPE);
		assert_int_equal(one_event_fd(request, 0x100, event, 1), -EPIPE);
		assert_int_equal(one_event_fd(request, 0, sockets, 1), REFUSED);
		assert_int_equal(one_event_fd(request, 0, &file, 1), REFUSED);
		/* No descriptor means polling: nothing to call is fine, nothing to be kicked by is not. */
		assert_int_equal(one_event_fd(request, 0x100, NULL, 0), request == VHOST_USER_SET_VRING_KICK ? REFUSED : 0);
	}
	fd_close(event[0]), fd_close(event[1]), fd_close(pipes[0]), fd_close(pipes[1]);
	fd_close(sockets[0]), fd_close(sockets[1]), fd_close(file);
}

static void test_features(void **state)
{
	struct rig rig = {0};
	uint64_t f;

	rig_open(&rig, NULL);
	assert_int_equal(frontend_negotiate(rig.f), 0);
	f = rig.f->features;
	assert_int_equal(frontend_set_u64(rig.f, VHOST_USER_SET_FEATURES, f | VIRTIO_RING_PACKED), REFUSED);
	assert_int_equal(frontend_set_u64(rig.f, VHOST_USER_SET_FEATURES, f & ~VIRTIO_VERSION_1), REFUSED);
	assert_int_equal(frontend_set_u64(rig.f, VHOST_USER_SET_FEATURES, f & ~VIRTIO_RING_EVENT_IDX), 0);
	assert_int_equal(vhost_features(rig.vhost), f & ~VIRTIO_RING_EVENT_IDX);
	assert_int_equal(frontend_start_queue(rig.f, 0, 0), 0);
	assert_int_equal(frontend_set_u64(rig.f, VHOST_USER_SET_FEATURES, f), REFUSED); /* runs */
	assert_int_equal(frontend_set_state(rig.f, VHOST_USER_SET_VRING_NUM, 0, 256), REFUSED);
	assert_int_equal(frontend_set_state(rig.f, VHOST_USER_SET_VRING_BASE, 0, 0), REFUSED);
	assert_int_equal(frontend_set_u64(rig.f, VHOST_USER_SET_PROTOCOL_FEATURES, 0), -EPIPE);
	rig_close(&rig);
	rig_open(&rig, NULL);
	assert_int_equal(frontend_set_u64(rig.f, VHOST_USER_SET_FEATURES, f), -EPIPE); /* before SET_OWNER */
	rig_close(&rig);
}

static void test_enable_and_reset(void **state)
{
	struct rig rig = {0};

	rig_start(&rig, NULL);
	assert_int_equal(frontend_set_state(rig.f, VHOST_USER_SET_VRING_ENABLE, 0, 0), 0);
	assert_int_equal(rig.n_stop[0], 1);
	assert_int_equal(rig_pop(&rig, 0), -ESHUTDOWN);
	assert_int_equal(frontend_set_state(rig.f, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(rig.n_start[0], 2);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_EMPTY);
	assert_int_equal(frontend_request(rig.f, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_int_equal(rig.n_stop[0], 2);
	assert_int_equal(rig.n_stop[1], 1);
	assert_int_equal(frontend_start_queue(rig.f, 0, 0), 0);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_EMPTY);
	rig_close(&rig);
}

/* Memory changes under running rings: they pause, follow, and go on where they were. */
static void test_memory_changes(void **state)
{
	struct rig rig = {0};

	rig_start(&rig, NULL);
	struct {
		uint64_t padding;
		struct vhost_user_region region;
	} reg = {0, {UINT64_C(1) << 40, MiB, UINT64_C(1) << 50, 0}}, mine;
	const struct frontend_segment s = {reg.region.guest_addr, 10, false};
	struct table t = {3, 0, {rig.f->regions[2], rig.f->regions[0], rig.f->regions[1]}};
	int fds[3] = {rig.f->memory_fd, rig.f->memory_fd, rig.f->memory_fd};

	assert_true(frontend_add(rig.f, 0, &s, 1) >= 0);
	frontend_kick(rig.f, 0);
	assert_int_equal(frontend_request(rig.f, VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), fds, 1), 0);
	assert_int_equal(rig.n_stop[0], 0);
	assert_int_equal(frontend_request(rig.f, VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), fds, 1), REFUSED);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	assert_int_equal(frontend_request(rig.f, VHOST_USER_SET_MEM_TABLE, &t, 8 + 3 * 32, fds, 3), 0);
	assert_int_equal(rig.n_stop[0], 1);
	assert_int_equal(rig.n_start[0], 2);
	assert_int_equal(vring_avail(rig_ring(&rig, 0)), 1); /* came back unused */
	assert_int_equal(rig_pop(&rig, 0), -ESHUTDOWN); /* the added region is gone with the old table */
	assert_int_equal(frontend_request(rig.f, VHOST_USER_REM_MEM_REG, &reg, sizeof(reg), NULL, 0), REFUSED);
	assert_int_equal(frontend_request(rig.f, VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), fds, 1), 0);
	assert_int_equal(frontend_request(rig.f, VHOST_USER_REM_MEM_REG, &reg, sizeof(reg), fds, 1), 0);
	mine.padding = 0;
	mine.region = rig.f->regions[0]; /* the rings are there */
	assert_int_equal(frontend_request(rig.f, VHOST_USER_REM_MEM_REG, &mine, sizeof(mine), NULL, 0), REFUSED);
	t.n = 1; /* a table without them */
	assert_int_equal(frontend_request(rig.f, VHOST_USER_SET_MEM_TABLE, &t, 8 + 32, fds, 1), REFUSED);
	assert_int_equal(rig_pop(&rig, 1), VRING_E_EMPTY);
	rig_close(&rig);
}

static void test_memory_slots(void **state)
{
	struct {
		uint64_t padding;
		struct vhost_user_region region;
	} reg = {0, {0, 4096, 0, 0}};
	struct rig rig = {0};

	rig_open(&rig, NULL);
	assert_int_equal(frontend_negotiate(rig.f), 0);
	for (uint64_t i = FRONTEND_REGIONS; i <= 32; i++) {
		reg.region.guest_addr = reg.region.user_addr = (i + 1) << 40;
		assert_int_equal(frontend_request(rig.f, VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), &rig.f->memory_fd, 1), i == 32);
	}
	rig_close(&rig);
}

/* The log must lie inside its file and cannot be cut; pages it does not cover are skipped, not written. */
static void test_log_bounds(void **state)
{
	static const struct {
		uint64_t size, offset;
		bool good;
	} cases[] = {{4096, 0, true}, {4096, 4096, true}, {8192, 0, true}, {1, 8191, true}, {0, 0, false},
		     {8193, 0, false}, {4096, 4097, false}, {UINT64_MAX, 0, false}, {1, UINT64_MAX, false}};
	int fd = memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t body[2] = {cases[i].size, cases[i].offset};
		struct rig rig = {0};
		uint64_t ack = 1;
		int r;

		rig_open(&rig, NULL);
		assert_int_equal(frontend_negotiate(rig.f), 0);
		assert_int_equal(frontend_send(rig.f, VHOST_USER_SET_LOG_BASE, 0, body, 16, &fd, 1), 0);
		r = frontend_reply(rig.f, VHOST_USER_SET_LOG_BASE, &ack, 8);
		assert_int_equal(r, cases[i].good ? 8 : -EPIPE);
		assert_int_equal(frontend_send(rig.f, VHOST_USER_SET_LOG_FD, 0, NULL, 0, &fd, 1), cases[i].good ? 0 : -EPIPE);
		rig_close(&rig);
	}
	fd_close(fd);
}

/* Small enough logs exist: a used ring far beyond the log is not marked anywhere. */
static void test_log_too_small(void **state)
{
	const struct frontend_segment far = {UINT64_C(1) << 32, 64, true};
	const uint64_t body[2] = {1, 0};
	struct rig rig = {0};
	uint64_t ack;
	int fd = memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, 1), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	rig_start(&rig, NULL);
	assert_int_equal(frontend_send(rig.f, VHOST_USER_SET_LOG_BASE, 0, body, 16, &fd, 1), 0);
	assert_int_equal(frontend_reply(rig.f, VHOST_USER_SET_LOG_BASE, &ack, 8), 8);
	assert_int_equal(frontend_set_u64(rig.f, VHOST_USER_SET_FEATURES, rig.f->features | VHOST_USER_F_LOG_ALL), 0);
	assert_true(frontend_add(rig.f, 0, &far, 1) >= 0);
	frontend_kick(rig.f, 0);
	assert_int_equal(rig_pop(&rig, 0), VRING_E_CHAIN);
	vring_push(rig_ring(&rig, 0), &rig.chain, 64);
	vring_flush(rig_ring(&rig, 0));
	rig_close(&rig);
	fd_close(fd);
}

/* Every request number, in random order, with wrong sizes, flags and descriptor counts, over many connections. */
static void test_table_walk(void **state)
{
	static const uint32_t sizes[] = {0, 1, 7, 8, 9, 12, 13, 16, 24, 40, 41, 72, 264, 276, 277, 4096, UINT32_MAX};
	static uint8_t body[4096];
	unsigned int before, n_ended = 0, n_survived = 0;
	struct rig rig = {0};
	int fds[10];

	srand(4711);
	rig_open(&rig, NULL);
	for (int i = 0; i < 10; i++)
		fds[i] = i % 2 ? rig.f->memory_fd : rig.f->queues[0].kick_fd;
	before = rig_count_fds();
	for (int i = 0; i < 6000; i++) {
		uint32_t request = (uint32_t)rand() % 65, size = sizes[(size_t)rand() % 17];
		size_t n_fds = (size_t)rand() % 11;
		uint32_t flags = rand() % 8 ? VHOST_USER_FLAG_NEED_REPLY : (uint32_t)rand();

		/* Half of them well formed as far as the table can say, so that handlers are reached. */
		if (rand() % 2 && request < VHOST_USER_REQUEST_MAX && vhost_user_rules[request].name) {
			size = vhost_user_rules[request].size_min;
			n_fds = vhost_user_rules[request].n_fds;
		}
		for (size_t k = 0; k < 300; k++)
			body[k] = rand() % 16 ? 0 : (uint8_t)rand();
		frontend_send(rig.f, request, flags, body, size > sizeof(body) ? sizeof(body) : size, fds, n_fds);
		rig_run(&rig);
		if (rig.n_disconnect) {
			assert_int_not_equal(rig.code, 0);
			assert_non_null(rig.reason);
			assert_int_equal(rig_count_fds(), before - 1); /* all but the device's end of the socket */
			rig_reopen(&rig);
			if (i % 2)
				assert_int_equal(frontend_negotiate(rig.f), 0);
			n_ended++;
		} else {
			uint8_t sink[512];

			while (recv(rig.f->socket_fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
				;
			n_survived++;
		}
	}
	assert_true(n_ended > 1000);
	assert_true(n_survived > 100);
	rig_close(&rig);
}

/* Full conversations, again and again: descriptors and mappings do not pile up. */
static void test_reconnects(void **state)
{
	struct rig rig = {0};
	unsigned int before;

	rig_start(&rig, NULL);
	before = rig_count_fds();
	for (int i = 0; i < 200; i++) {
		rig_reopen(&rig);
		assert_int_equal(frontend_start(rig.f), 0);
		for (int k = 0; k < 3; k++) {
			uint64_t index = 0;

			assert_int_equal(frontend_request(rig.f, VHOST_USER_SET_VRING_KICK, &index, 8, &rig.f->queues[0].kick_fd, 1), 0);
			assert_int_equal(frontend_request(rig.f, VHOST_USER_SET_VRING_CALL, &index, 8, &rig.f->queues[0].call_fd, 1), 0);
		}
		assert_int_equal(rig_count_fds(), before);
	}
	rig_close(&rig);
}

/* Descriptors that come with a body, not with the header, end the connection and are closed. */
static void test_split_message(void **state)
{
	uint8_t message[VHOST_USER_HEADER_SIZE + 8] = {VHOST_USER_SET_FEATURES, 0, 0, 0, 1, 0, 0, 0, 8};
	struct rig rig = {0};
	uint64_t v = 0;

	rig_open(&rig, NULL);
	assert_int_equal(frontend_negotiate(rig.f), 0);
	memcpy(message + 12, &rig.f->features, 8);
	for (size_t i = 0; i < sizeof(message); i++) { /* byte by byte */
		assert_int_equal(send(rig.f->socket_fd, message + i, 1, 0), 1);
		rig_run(&rig);
	}
	assert_int_equal(frontend_get_u64(rig.f, VHOST_USER_GET_FEATURES, &v), 0);
	assert_int_equal(send(rig.f->socket_fd, message, VHOST_USER_HEADER_SIZE, 0), VHOST_USER_HEADER_SIZE);
	rig_run(&rig);
	assert_int_equal(rig.n_disconnect, 0);
	/* The next bytes are taken for the body; they carry a descriptor. */
	frontend_send(rig.f, 0, 0, NULL, 0, &rig.f->memory_fd, 1);
	rig_run(&rig);
	assert_int_equal(rig.n_disconnect, 1);
	assert_int_equal(rig.code, -EPROTO);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_negotiation),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_end_of_connection),
		cmocka_unit_test(test_mem_tables),
		cmocka_unit_test(test_unsealed_memory),
		cmocka_unit_test(test_ring_numbers),
		cmocka_unit_test(test_ring_addresses),
		cmocka_unit_test(test_event_descriptors),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_enable_and_reset),
		cmocka_unit_test(test_memory_changes),
		cmocka_unit_test(test_memory_slots),
		cmocka_unit_test(test_log_bounds),
		cmocka_unit_test(test_log_too_small),
		cmocka_unit_test(test_table_walk),
		cmocka_unit_test(test_reconnects),
		cmocka_unit_test(test_split_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
