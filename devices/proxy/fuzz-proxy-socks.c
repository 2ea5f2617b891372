/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-proxy-socks: a SOCKS5 server's bytes, in pieces as the first byte says. Never part of a product.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/proxy/socks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct socks socks = {.user = size && data[0] & 1 ? "user" : "", .password = "word", .host = "a.test", .port = 1};
	uint8_t out[SOCKS_OUT_MAX];
	size_t at = 1, given = 0, taken, n_out;
	const char *why = "";
	int r = 0;

	if (size < 1)
		return 0;
	if (socks_start(&socks, out) > sizeof(out))
		abort();
	while (!r && at + given < size) {
		given++;
		r = socks_feed(&socks, data + at, given, &taken, out, &n_out, &why);
		if (taken > given || n_out > sizeof(out) || (r < 0 && !*why))
			abort();
		at += taken;
		given -= taken;
	}
	return 0;
}
