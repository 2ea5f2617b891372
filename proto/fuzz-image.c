/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-image: a description that decodes gives a kernel parameter of harmless characters.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fault fault = FAULT_INIT;
	struct image image;
	char text[512];

	if (image_decode(&image, (const char *)data, size, &fault))
		return 0;
	if (image_verity_parameter(&image, text, sizeof(text)) <= 0)
		abort();
	if (strpbrk(text, " ,\"'\n") || strpbrk(image.cmdline, "\"'\n\\"))
		abort();
	return 0;
}
