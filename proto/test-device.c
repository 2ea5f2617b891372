/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-device: the device control codec: what is accepted, and beside it what is refused.
 */
#include "base/test.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "proto/device.h"

static const struct {
	struct device_message m;
	size_t body_len, n_fds;
} samples[] = {
	{{DEVICE_READY}, 0, 0},
	{{DEVICE_FLOW, .flow = {2001}}, 4, 1},
	{{DEVICE_STATS_GET}, 0, 0},
	{{DEVICE_STATS, .stats = {1, 2, 3, 4, 5, 6, 7, 8, 9, UINT64_MAX}}, 80, 0},
};

static void test_round_trip(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		uint8_t frame[DEVICE_FRAME_MAX], again[DEVICE_FRAME_MAX];
		struct device_message m;
		int len = device_encode(&samples[i].m, frame);

		assert_int_equal(len, DEVICE_HEADER_SIZE + samples[i].body_len);
		assert_int_equal(device_decode(&m, frame, (size_t)len, samples[i].n_fds), 0);
		assert_int_equal(m.type, samples[i].m.type);
		assert_int_equal(device_encode(&m, again), len);
		assert_memory_equal(frame, again, (size_t)len);
	}
}

static void test_values(void **state _unused_)
{
	static const uint8_t flow[] = {2, 0, 1, 0, 4, 0, 0, 0, 0xd1, 0x07, 0, 0};
	uint8_t frame[DEVICE_FRAME_MAX];
	struct device_message m;
	int len;

	assert_int_equal(device_decode(&m, flow, sizeof(flow), 1), 0);
	assert_int_equal(m.type, DEVICE_FLOW);
	assert_int_equal(m.flow.port, 2001);
	len = device_encode(&samples[3].m, frame);
	assert_int_equal(device_decode(&m, frame, (size_t)len, 0), 0);
	assert_int_equal(m.stats.flows_now, 1);
	assert_int_equal(m.stats.flows_refused, 3);
	assert_int_equal(m.stats.tx_bytes, 5);
	assert_int_equal(m.stats.rx_packets, 6);
	assert_true(m.stats.bad_frames == UINT64_MAX);
}

static void test_lengths_refused(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		uint8_t frame[DEVICE_FRAME_MAX + 1] = {0};
		struct device_message m = {DEVICE_READY};
		size_t len = (size_t)device_encode(&samples[i].m, frame);

		for (size_t n = 0; n <= sizeof(frame); n++)
			if (n != len)
				assert_int_equal(device_decode(&m, frame, n, samples[i].n_fds), -EBADMSG);
	}
}

static void test_descriptors_refused(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		uint8_t frame[DEVICE_FRAME_MAX];
		struct device_message m;
		size_t len = (size_t)device_encode(&samples[i].m, frame);

		assert_int_equal(device_decode(&m, frame, len, !samples[i].n_fds), -EBADMSG);
		assert_int_equal(device_decode(&m, frame, len, 2), -EBADMSG);
	}
}

/* Each row breaks one half-word of a good FLOW frame. */
static void test_broken_words(void **state _unused_)
{
	static const struct {
		size_t off;
		uint16_t value;
	} rows[] = {
		{0, 0}, {0, DEVICE_TYPE_MAX}, {0, UINT16_MAX}, {0, DEVICE_READY}, {0, DEVICE_STATS},
		{2, 0}, {2, DEVICE_VERSION + 1},
		{4, 3}, {4, 5}, {4, 0}, {6, 1}, {6, UINT16_MAX},
		{8, 0},	 /* port 0 */
		{10, 1}, /* reserved */
	};
	uint8_t frame[DEVICE_FRAME_MAX];
	struct device_message m;
	size_t len = (size_t)device_encode(&samples[1].m, frame);

	assert_int_equal(device_decode(&m, frame, len, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		device_encode(&samples[1].m, frame);
		le16_store(frame + rows[i].off, rows[i].value);
		assert_int_equal(device_decode(&m, frame, len, 1), -EBADMSG);
	}
}

static void test_encode_unknown(void **state _unused_)
{
	static const int types[] = {0, DEVICE_TYPE_MAX, -1};
	uint8_t frame[DEVICE_FRAME_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct device_message m = {(enum device_type)types[i]};

		assert_int_equal(device_encode(&m, frame), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	    cmocka_unit_test(test_values),
		cmocka_unit_test(test_lengths_refused),	    cmocka_unit_test(test_descriptors_refused),
		cmocka_unit_test(test_broken_words),	    cmocka_unit_test(test_encode_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
