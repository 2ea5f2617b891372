/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-settings: any bytes as a settings file: in range or refused with a sentence that names a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct config_host host = {.cpus = 4, .memory_mib = 8192};
	struct fault fault = FAULT_INIT;
	struct config config;
	int r = config_decode(&config, &host, "file", (const char *)data, size, &fault);

	if (r < 0) {
		if (strncmp(fault.text, "file:", 5) || fault.text[5] < '1' || fault.text[5] > '9')
			abort();
		return 0;
	}
	for (unsigned int i = 0; i < CONFIG_TEXT_FIRST; i++) {
		struct config_range range = config_range((enum config_key)i, &host);

		if (config.value[i] < range.min || config.value[i] > range.max)
			abort();
	}
	return 0;
}
