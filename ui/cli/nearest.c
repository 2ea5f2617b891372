/* SPDX-License-Identifier: Apache-2.0 */
/* nearest: see nearest.h. */
#include "ui/cli/nearest.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"

static bool is_swapped(const char *a, const char *b)
{
	size_t i = 0;

	while (a[i] && a[i] == b[i])
		i++;
	return a[i] && a[i + 1] && a[i] == b[i + 1] && a[i + 1] == b[i] && !strcmp(a + i + 2, b + i + 2);
}

const char *nearest_name(const char *word, const char *const *candidates, size_t n)
{
	if (!word[0])
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (strlen(word) == strlen(candidates[i]) && is_swapped(word, candidates[i]))
			return candidates[i];
	return text_nearest(word, candidates, n);
}
