/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-netctl: the codec between backend and network process on arbitrary bytes; bit 0 of the first byte is the direction,
 * the rest the number of descriptors.
 *
 * What decodes must encode to the same bytes again, and must be refused in the other direction, with another number of
 * descriptors, and with one byte less. Never part of a product.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/netctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct netctl_message m, other;
	static uint8_t again[NETCTL_FRAME_MAX];
	enum netctl_direction direction, opposite;
	size_t n_fds;

	if (size < 1)
		return 0;
	direction = data[0] & 1 ? NETCTL_TO_BACKEND : NETCTL_TO_NET;
	opposite = data[0] & 1 ? NETCTL_TO_NET : NETCTL_TO_BACKEND;
	n_fds = data[0] >> 1;
	data++;
	size--;
	if (netctl_decode(&m, direction, data, size, n_fds) < 0)
		return 0;
	if (netctl_encode(&m, again) != (int)size || memcmp(again, data, size) != 0)
		abort();
	if (netctl_decode(&other, opposite, data, size, n_fds) == 0 || netctl_decode(&other, direction, data, size, n_fds + 1) == 0 ||
	    netctl_decode(&other, direction, data, size - 1, n_fds) == 0)
		abort();
	return 0;
}
