/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-init-uevent: arbitrary bytes as a kernel uevent. */
#include "guest/init/uevent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t block;

	(void)uevent_parse_corrupt((const char *)data, size, &block);
	return 0;
}
