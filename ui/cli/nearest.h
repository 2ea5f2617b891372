/* SPDX-License-Identifier: Apache-2.0 */
/* nearest: what somebody meant who typed WORD. Who may call it: ui/cli only. */
#pragma once

#include <stddef.h>

/* The candidate that is WORD with two neighbouring letters swapped, else the nearest by text_nearest(); NULL: none. */
const char *nearest_name(const char *word, const char *const *candidates, size_t n);
