/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text: strict numbers, safe printing of foreign text, nearest names, human sizes and durations.
 *
 * Never depends on the locale. Who may call it: every room but helper.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies SRC[0..LEN) into DST (always terminated, at most SIZE - 1 bytes): printable ASCII and valid UTF-8
 * outside control, bidi and format characters stay, all else becomes \xNN. Return: bytes written. */
size_t text_escape(char *dst, size_t size, const char *src, size_t len);
/* Decimal, no sign, no space, no leading zero unless "0", nothing behind, at most MAX. Return: 0, -EINVAL, -ERANGE. */
int text_parse_u64(const char *s, uint64_t max, uint64_t *ret);
/* "512M", "4G", "64GiB", "1048576" to bytes. Return: 0, -EINVAL, -ERANGE. */
int text_parse_size(const char *s, uint64_t *ret);
/* "1.5 GiB" into DST. Return: DST. */
char *text_format_size(char *dst, size_t size, uint64_t bytes);
/* Edit distance of A and B (insert, delete, replace, swap of neighbours), at most LIMIT + 1. */
unsigned int text_distance(const char *a, const char *b, unsigned int limit);
/* The candidate nearest to WORD, NULL when none is near (distance above a third of its length, at least 1..2). */
const char *text_nearest(const char *word, const char *const *candidates, size_t n);
/* STR starts with PREFIX: pointer behind it, or NULL. */
const char *text_after(const char *str, const char *prefix);
