/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-machine: what decodes must encode, and decode to the same again. Never part of a product.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine_message a, b;
	static char first[MACHINE_FRAME_MAX], second[MACHINE_FRAME_MAX];
	struct fault fault = FAULT_INIT;
	int n;

	if (machine_decode(&a, (const char *)data, size, &fault))
		return 0;
	n = machine_encode(&a, first, sizeof(first));
	if (n == -EMSGSIZE) /* escapes can be longer than what they stand for */
		return 0;
	if (n <= 0 || machine_decode(&b, first, (size_t)n, NULL) || machine_encode(&b, second, sizeof(second)) != n ||
	    memcmp(first, second, (size_t)n) != 0)
		abort();
	return 0;
}
