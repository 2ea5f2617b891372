/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-agent: the agent codec as conversations: what is accepted, and beside it what is refused.
 */
#include "base/test.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "proto/agent.h"

struct sample {
	struct agent_message m;
	enum agent_direction direction;
	size_t body_len;
};

static const struct sample samples[] = {
	{{AGENT_HELLO, 1, .hello = {AGENT_VERSION, 1234567}}, AGENT_TO_MACHINE, 16},
	{{AGENT_STAGE, 2, .stage = {AGENT_STAGE_ENGINE, UINT64_MAX}}, AGENT_TO_MACHINE, 16},
	{{AGENT_FAILED, 3, .failed = {AGENT_CAUSE_ROOT_CORRUPT, 77, 5}}, AGENT_TO_MACHINE, 24},
	{{AGENT_PONG, 4, .ping = {0x1122334455667788}}, AGENT_TO_MACHINE, 8},
	{{AGENT_STATS, 5, .stats = {1, 2, 3, 4, 5}}, AGENT_TO_MACHINE, 40},
	{{AGENT_PING, 6, .ping = {UINT64_MAX}}, AGENT_TO_GUEST, 8},
	{{AGENT_SHUTDOWN, 7, .shutdown = {30000}}, AGENT_TO_GUEST, 8},
	{{AGENT_TIME, 8, .time = {1795305600000000000}}, AGENT_TO_GUEST, 8},
	{{AGENT_STATS_GET, UINT32_MAX}, AGENT_TO_GUEST, 0},
	{{AGENT_PORT_OPEN, 9, .port_open = {7, true, 53, 5353, {{1}}, {{2}}}}, AGENT_TO_MACHINE, 44},
	{{AGENT_PORT_CLOSE, 10, .port_close = {UINT32_MAX}}, AGENT_TO_MACHINE, 4},
	{{AGENT_PORT_RESET, 11}, AGENT_TO_MACHINE, 0},
	{{AGENT_NET, 12, .net = {255, 256, {{0xfd, 0xca}}, 16}}, AGENT_TO_MACHINE, 28},
	{{AGENT_NET, 13}, AGENT_TO_MACHINE, 28},
	{{AGENT_PORT_RESULT, 14, .port_result = {1, AGENT_PORT_UNAVAILABLE}}, AGENT_TO_GUEST, 8},
};

static void test_round_trip(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		uint8_t frame[AGENT_FRAME_MAX], again[AGENT_FRAME_MAX];
		struct agent_message m;
		int len = agent_encode(&samples[i].m, frame);

		assert_int_equal(len, AGENT_HEADER_SIZE + samples[i].body_len);
		assert_int_equal(agent_decode(&m, samples[i].direction, frame, (size_t)len), len);
		assert_int_equal(m.type, samples[i].m.type);
		assert_int_equal(m.seq, samples[i].m.seq);
		assert_int_equal(agent_encode(&m, again), len);
		assert_memory_equal(frame, again, (size_t)len);
		/* Bytes behind the frame belong to the next one. */
		memset(frame + len, 0xff, sizeof(frame) - (size_t)len);
		assert_int_equal(agent_decode(&m, samples[i].direction, frame, sizeof(frame)), len);
	}
}

static void test_golden_bytes(void **state _unused_)
{
	static const uint8_t want[] = {'C', 'S', 'N', '1', 2, 0, 0, 0, 16, 0, 0, 0, 9, 0, 0, 0,
				       5,   0,	 0,   0,   0, 0, 0, 0, 1,  2, 0, 0, 0, 0, 0, 0};
	struct agent_message m = {AGENT_STAGE, 9, .stage = {AGENT_STAGE_ENGINE, 0x201}};
	uint8_t frame[AGENT_FRAME_MAX];

	assert_int_equal(agent_encode(&m, frame), sizeof(want));
	assert_memory_equal(frame, want, sizeof(want));
}

static void test_values(void **state _unused_)
{
	struct agent_message m = {AGENT_STATS, 1, .stats = {10, 20, 30, 40, 50}}, got;
	uint8_t frame[AGENT_FRAME_MAX];
	int len = agent_encode(&m, frame);

	assert_int_equal(agent_decode(&got, AGENT_TO_MACHINE, frame, (size_t)len), len);
	assert_int_equal(got.stats.mem_total, 10);
	assert_int_equal(got.stats.mem_available, 20);
	assert_int_equal(got.stats.data_total, 30);
	assert_int_equal(got.stats.data_available, 40);
	assert_int_equal(got.stats.uptime_us, 50);
}

static void test_every_prefix_waits(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		uint8_t frame[AGENT_FRAME_MAX];
		struct agent_message m = {AGENT_PONG, 99};
		int len = agent_encode(&samples[i].m, frame);

		for (int n = 0; n < len; n++)
			assert_int_equal(agent_decode(&m, samples[i].direction, frame, (size_t)n), 0);
		assert_int_equal(m.seq, 99); /* untouched */
	}
}

static void test_wrong_direction(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		uint8_t frame[AGENT_FRAME_MAX];
		struct agent_message m;
		int len = agent_encode(&samples[i].m, frame);

		assert_int_equal(agent_decode(&m, !samples[i].direction, frame, (size_t)len), -EBADMSG);
	}
}

/* Each row breaks one word of a good STAGE frame. */
static void test_broken_words(void **state _unused_)
{
	static const struct {
		size_t off;
		uint32_t value;
	} rows[] = {
		{0, 0x314e5342},	 /* magic */
		{4, 0},			 /* types without a row */
		{4, 10},
		{4, 15},
		{4, AGENT_TYPE_MAX},
		{4, UINT32_MAX},
		{8, 15},		 /* lengths */
		{8, 17},
		{8, 0},
		{8, UINT32_MAX},
		{16, 0},		 /* stage out of its enumeration */
		{16, AGENT_STAGE_MAX},
		{16, UINT32_MAX},
		{20, 1},		 /* reserved word */
	};
	struct agent_message good = {AGENT_STAGE, 1, .stage = {AGENT_STAGE_MAX - 1, 1}}, m;
	uint8_t frame[AGENT_FRAME_MAX];
	int len = agent_encode(&good, frame);

	assert_int_equal(agent_decode(&m, AGENT_TO_MACHINE, frame, (size_t)len), len);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		agent_encode(&good, frame);
		le32_store(frame + rows[i].off, rows[i].value);
		assert_int_equal(agent_decode(&m, AGENT_TO_MACHINE, frame, (size_t)len), -EBADMSG);
	}
	/* A bad header is refused before its body has come: nobody waits for 4 GiB. */
	agent_encode(&good, frame);
	le32_store(frame + 8, UINT32_MAX);
	assert_int_equal(agent_decode(&m, AGENT_TO_MACHINE, frame, AGENT_HEADER_SIZE), -EBADMSG);
}

/* Each row breaks one word of a good frame: a port's id, protocol and numbers; a status; a subnet. */
static void test_broken_ports(void **state _unused_)
{
	static const struct agent_message good[] = {
		{AGENT_PORT_OPEN, 1, .port_open = {1, false, 80, 80, {{0}}, {{0}}}},
		{AGENT_PORT_CLOSE, 1, .port_close = {1}},
		{AGENT_PORT_RESULT, 1, .port_result = {1, 0}},
		{AGENT_NET, 1, .net = {0, 1, {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 172, 17, 0, 0}}, 112}},
		{AGENT_NET, 1},
	};
	static const struct {
		size_t i, off;
		uint32_t value;
	} rows[] = {
		{0, 16, 0},  {0, 20, 2},    {0, 20, 0x101}, {0, 24, 0x500000}, {0, 24, 80},
		{1, 16, 0},  {2, 16, 0},    {2, 20, AGENT_PORT_STATUS_MAX},    {2, 20, UINT32_MAX},
		{3, 16, 1},  {3, 20, 257},  {3, 20, UINT32_MAX}, {3, 36, 0x010011ac}, {3, 40, 111 - 8},
		{3, 40, 95}, {3, 40, 129},  {3, 40, 112 + 256},  {3, 40, UINT32_MAX}, {3, 20, 0},
		{4, 16, 1},  {4, 40, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct agent_message *m = &good[rows[i].i];
		enum agent_direction direction = m->type == AGENT_PORT_RESULT ? AGENT_TO_GUEST : AGENT_TO_MACHINE;
		uint8_t frame[AGENT_FRAME_MAX];
		struct agent_message got;
		int len = agent_encode(m, frame);

		assert_int_equal(agent_decode(&got, direction, frame, (size_t)len), len);
		le32_store(frame + rows[i].off, rows[i].value);
		assert_int_equal(agent_decode(&got, direction, frame, (size_t)len), -EBADMSG);
	}
}

static void test_failed_cause(void **state _unused_)
{
	struct agent_message m = {AGENT_FAILED, 1, .failed = {AGENT_CAUSE_MAX, 0, 0}}, got;
	uint8_t frame[AGENT_FRAME_MAX];
	int len = agent_encode(&m, frame);

	assert_int_equal(agent_decode(&got, AGENT_TO_MACHINE, frame, (size_t)len), -EBADMSG);
	m.failed.cause = AGENT_CAUSE_MAX - 1;
	agent_encode(&m, frame);
	assert_int_equal(agent_decode(&got, AGENT_TO_MACHINE, frame, (size_t)len), len);
}

static void test_encode_unknown(void **state _unused_)
{
	static const int types[] = {0, 10, 15, AGENT_TYPE_MAX, -1};
	uint8_t frame[AGENT_FRAME_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct agent_message m = {(enum agent_type)types[i], 0};

		assert_int_equal(agent_encode(&m, frame), -EINVAL);
	}
}

static void test_names(void **state _unused_)
{
	for (uint32_t i = 1; i < AGENT_STAGE_MAX; i++)
		assert_string_not_equal(agent_stage_name(i), "unknown");
	for (uint32_t i = 2; i < AGENT_CAUSE_MAX; i++)
		assert_string_not_equal(agent_cause_text(i), agent_cause_text(i - 1));
	assert_string_equal(agent_stage_name(0), "unknown");
	assert_string_equal(agent_stage_name(AGENT_STAGE_MAX), "unknown");
	assert_string_equal(agent_cause_text(0), agent_cause_text(UINT32_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	  cmocka_unit_test(test_golden_bytes),
		cmocka_unit_test(test_values),		  cmocka_unit_test(test_every_prefix_waits),
		cmocka_unit_test(test_wrong_direction),	  cmocka_unit_test(test_broken_words),
		cmocka_unit_test(test_broken_ports),	  cmocka_unit_test(test_failed_cause),
		cmocka_unit_test(test_encode_unknown),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
