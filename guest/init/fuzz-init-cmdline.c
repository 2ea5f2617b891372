/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-init-cmdline: arbitrary text as kernel command line; what is accepted must make a well-formed table. */
#include <stdlib.h>
#include <string.h>

#include "guest/init/modules.h"
#include "guest/init/verity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct modules modules;
	struct verity_params params;
	char table[VERITY_TABLE_MAX], *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (verity_parse_cmdline(&params, text) == 0 &&
	    (verity_table(table, sizeof(table), &params, 254, 0) < 0 ||
	     params.data_blocks > params.hash_start_block))
		abort();
	(void)modules_parse(&modules, (const char *)data, size);
	free(text);
	return 0;
}
