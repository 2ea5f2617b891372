/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-device: the device control codec on arbitrary bytes; the first byte is the number of descriptors.
 *
 * What decodes must encode to the same bytes again and must be refused with another number of descriptors or
 * with one byte less. Never part of a product.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[DEVICE_FRAME_MAX];
	struct device_message m, other;
	size_t n_fds;

	if (size < 1)
		return 0;
	n_fds = data[0];
	data++;
	size--;
	if (device_decode(&m, data, size, n_fds) < 0)
		return 0;
	if (size > DEVICE_FRAME_MAX || device_encode(&m, again) != (int)size || memcmp(again, data, size) != 0)
		abort();
	if (device_decode(&other, data, size, n_fds + 1) == 0 || device_decode(&other, data, size - 1, n_fds) == 0)
		abort();
	return 0;
}
