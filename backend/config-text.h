/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config-text: settings that are text: defaults, checks at the moment of setting, and what may be shown of them.
 *
 * No I/O. Who may call it: backend/config.
 */
#pragma once

#include "backend/config.h"

void config_text_default(char dst[static CONFIG_TEXT_MAX], enum config_key key);
/* Most items of a list; 1 for a string. */
size_t config_text_items(enum config_key key);
/* May TEXT (LEN bytes; item NUMBER from 1 of a list) be the value? Return: 0; CONFIG_E_VALUE with FAULT, which never quotes a secret. */
int config_text_check(enum config_key key, const char *text, size_t len, unsigned int number, struct fault *fault);
/* URL with the password as ***. Return: DST. */
const char *config_text_mask(char *dst, size_t size, const char *url);
