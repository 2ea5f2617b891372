/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-proxyctl: the proxyctl codec on arbitrary bytes; the first byte picks direction and number of descriptors.
 *
 * What decodes as one of our own types must encode to the same bytes again. Never part of a product.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/proxyctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct proxyctl_message m;
	uint8_t again[PROXYCTL_FRAME_MAX];
	char host[PROXYCTL_HOST_MAX] = "";
	struct net_addr addr;

	if (size < 1)
		return 0;
	if (proxyctl_decode(&m, data[0] & 1 ? PROXYCTL_TO_BACKEND : PROXYCTL_TO_PROXY, data + 1, size - 1, data[0] >> 1) == 0 &&
	    m.type != PROXYCTL_NET)
		if (proxyctl_encode(&m, again) != (int)(size - 1) || memcmp(again, data + 1, size - 1))
			abort();
	memcpy(host, data, size < sizeof(host) - 1 ? size : sizeof(host) - 1);
	/* Nothing is both. */
	if (proxyctl_name_ok(host) && proxyctl_address_parse(host, &addr))
		abort();
	return 0;
}
