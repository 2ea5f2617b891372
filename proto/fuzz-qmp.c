/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-qmp: lines from a QEMU that lies. Texts must be terminated and free of control characters.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	if (n == size)
		abort();
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t off = 0;
	int n;

	while ((n = qmp_line((const char *)data + off, size - off)) > 0) {
		struct qmp_message m;

		if ((size_t)n > size - off)
			abort();
		if (qmp_decode(&m, (const char *)data + off, (size_t)n) == 0) {
			check(m.name, sizeof(m.name));
			check(m.text, sizeof(m.text));
		}
		off += (size_t)n;
	}
	return 0;
}
