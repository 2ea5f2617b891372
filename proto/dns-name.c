/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns-name: see the header. dns_name_read is the only place that follows pointers. Each must lead to a byte before the labels
 * it was found in, so the places form a falling sequence and reading ends; the length is bounded before a label is taken.
 */
#include "proto/dns-name.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

enum { HEADER_LEN = 12, POINTER = 0xc0, POINTER_MAX = 0x3fff };

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

int dns_name_read(struct dns_name *ret, const uint8_t *msg, size_t len, size_t *off)
{
	size_t at = *off, labels_at = at, end = 0, n = 0;
	struct dns_name name;

	for (;;) {
		uint8_t size;

		if (at >= len)
			return -EBADMSG;
		size = msg[at];
		if ((size & POINTER) == POINTER) {
			size_t target;

			if (len - at < 2)
				return -EBADMSG;
			target = be16_load(msg + at) & POINTER_MAX;
			if (!end)
				end = at + 2;
			if (target >= labels_at || target < HEADER_LEN)
				return -EBADMSG;
			at = labels_at = target;
			continue;
		}
		if (size & POINTER || len - at - 1 < size || n + 1 + size + (size > 0) > DNS_NAME_MAX)
			return -EBADMSG;
		memcpy(name.wire + n, msg + at, 1u + size);
		n += 1u + size;
		at += 1u + size;
		if (!size)
			break;
	}
	name.len = (uint8_t)n;
	*off = end ? end : at;
	ret->len = name.len;
	memcpy(ret->wire, name.wire, n);
	return 0;
}

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

int dns_name_parse(struct dns_name *ret, const char *text)
{
	struct dns_name name = {.len = 0};
	size_t n = 0, label = 0;

	if (!strcmp(text, ".")) {
		*ret = (struct dns_name){.len = 1};
		return 0;
	}
	if (!*text)
		return -EINVAL;
	while (*text) {
		for (label = 0; is_label_char(text[label]); label++)
			;
		/* the length, the label and the root's byte */
		if (!label || label > DNS_LABEL_MAX || n + label + 2 > DNS_NAME_MAX || (text[label] && text[label] != '.'))
			return -EINVAL;
		name.wire[n++] = (uint8_t)label;
		memcpy(name.wire + n, text, label);
		n += label;
		text += label + (text[label] == '.');
	}
	name.wire[n++] = 0;
	name.len = (uint8_t)n;
	*ret = name;
	return 0;
}

void dns_name_text(const struct dns_name *name, char dst[static DNS_TEXT_MAX])
{
	size_t n = 0;

	for (size_t at = 0; at < name->len && name->wire[at]; at += 1u + name->wire[at]) {
		if (n)
			dst[n++] = '.';
		for (size_t i = 1; i <= name->wire[at]; i++) {
			char c = (char)lower(name->wire[at + i]);

			dst[n++] = is_label_char(c) || c == '*' ? c : '?';
		}
	}
	if (!n)
		dst[n++] = '.';
	dst[n] = 0;
}

static bool equal_bytes(const uint8_t *a, const uint8_t *b, size_t len)
{
	/* Lengths are below 64, no letters: they may be lowered with the rest. */
	for (size_t i = 0; i < len; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && equal_bytes(a->wire, b->wire, a->len);
}

bool dns_name_below(const struct dns_name *name, const struct dns_name *ancestor)
{
	size_t at = 0;

	while (at < name->len && (size_t)(name->len - at) > ancestor->len)
		at += 1u + name->wire[at];
	return at <= name->len && (size_t)(name->len - at) == ancestor->len &&
	       equal_bytes(name->wire + at, ancestor->wire, ancestor->len);
}

unsigned int dns_name_labels(const struct dns_name *name)
{
	unsigned int n = 0;

	for (size_t at = 0; at < name->len && name->wire[at]; at += 1u + name->wire[at])
		n++;
	return n;
}
