/* SPDX-License-Identifier: Apache-2.0 */
/* text: see the header. UTF-8 is decoded strictly (RFC 3629: no overlong forms, no surrogates). */
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* Decodes one sequence of S[0..LEN). Return: its length with *RET, or 0 when it is not valid. */
static size_t utf8_decode(const uint8_t *s, size_t len, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
	uint32_t c;

	if (n == 0 || n > len)
		return 0;
	if (n == 1) {
		*ret = s[0];
		return 1;
	}
	c = s[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return n;
}

/* Characters that change what a reader sees elsewhere: controls, bidi marks, separators, tags, byte-order mark. */
static bool is_deceptive(uint32_t c)
{
	static const struct { uint32_t first, last; } ranges[] = {
		{0x0000, 0x001f}, {0x007f, 0x009f}, {0x00ad, 0x00ad}, {0x061c, 0x061c}, {0x115f, 0x1160},
		{0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
		{0x3164, 0x3164}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb},
		{0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

size_t text_escape(char *dst, size_t size, const char *src, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *s = (const uint8_t *)src;
	size_t off = 0;

	if (!size)
		return 0;
	for (size_t i = 0; i < len;) {
		uint32_t c = 0;
		size_t n = utf8_decode(s + i, len - i, &c);

		if (n && !is_deceptive(c)) {
			if (n > size - 1 - off)
				break;
			memcpy(dst + off, s + i, n);
			off += n;
			i += n;
			continue;
		}
		n = n ? n : 1;
		if (4 * n > size - 1 - off)
			break;
		for (size_t k = 0; k < n; k++, i++) {
			dst[off++] = '\\';
			dst[off++] = 'x';
			dst[off++] = hex[s[i] >> 4];
			dst[off++] = hex[s[i] & 15];
		}
	}
	dst[off] = '\0';
	return off;
}

/* Digits of S up to END into *RET. Return: 0, -EINVAL, -ERANGE. */
static int parse_digits(const char *s, const char *end, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (s == end || (s[0] == '0' && end - s > 1))
		return -EINVAL;
	for (; s < end; s++) {
		uint64_t digit;

		if (*s < '0' || *s > '9')
			return -EINVAL;
		digit = (uint64_t)(*s - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		v = v * 10 + digit;
	}
	if (v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int text_parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
	return parse_digits(s, s + strlen(s), max, ret);
}

int text_parse_size(const char *s, uint64_t *ret)
{
	static const struct { const char *suffix; unsigned int shift; } units[] = {
		{"", 0}, {"K", 10}, {"KiB", 10}, {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}, {"T", 40}, {"TiB", 40},
	};
	size_t n = strspn(s, "0123456789");
	uint64_t v;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		int r;

		if (strcmp(s + n, units[i].suffix))
			continue;
		r = parse_digits(s, s + n, UINT64_MAX >> units[i].shift, &v);
		if (r < 0)
			return r;
		*ret = v << units[i].shift;
		return 0;
	}
	return -EINVAL;
}

char *text_format_size(char *dst, size_t size, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned int u = 0;
	uint64_t whole = bytes, rest = 0;

	while (whole >= 1024 && u < ARRAY_SIZE(units) - 1) {
		rest = whole % 1024;
		whole /= 1024;
		u++;
	}
	if (u && rest * 10 / 1024)
		snprintf(dst, size, "%llu.%llu %s", (unsigned long long)whole, (unsigned long long)(rest * 10 / 1024), units[u]);
	else
		snprintf(dst, size, "%llu %s", (unsigned long long)whole, units[u]);
	return dst;
}

unsigned int text_distance(const char *a, const char *b, unsigned int limit)
{
	enum { WORD_MAX = 64 };
	size_t la = strlen(a), lb = strlen(b);
	unsigned int rows[3][WORD_MAX + 1];

	if (la > WORD_MAX || lb > WORD_MAX)
		return limit + 1;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned int *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned int best = above[j - 1] + (a[i - 1] != b[j - 1]);

			best = above[j] + 1 < best ? above[j] + 1 : best;
			best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two_above[j - 2] + 1 < best)
				best = two_above[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[la % 3][lb] > limit ? limit + 1 : rows[la % 3][lb];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t n)
{
	size_t len = strlen(word);
	unsigned int limit = len < 3 ? 1 : len < 6 ? 2 : (unsigned int)(len / 3), best = limit + 1;
	const char *nearest = NULL;

	for (size_t i = 0; len && i < n; i++) {
		unsigned int d = text_distance(word, candidates[i], limit);

		/* A typed beginning of a longer name counts as one edit. */
		if (d > 1 && len >= 2 && !strncmp(word, candidates[i], len))
			d = 1;
		if (d < best) {
			best = d;
			nearest = candidates[i];
		}
	}
	return nearest;
}

const char *text_after(const char *str, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(str, prefix, len) ? NULL : str + len;
}
