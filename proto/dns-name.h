/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns-name: names of the domain name system, on the wire (RFC 1035, section 4.1.4) and as text.
 *
 * Compression is read only backwards, so no message can loop. Pure codec: no I/O, no allocation. Used by proto/dns and devices/net.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_NAME_MAX = 255, /* on the wire, root label included */
	DNS_TEXT_MAX = 256, /* as text with NUL */
	DNS_LABEL_MAX = 63,
};

/* Labels as on the wire, without compression, LEN bytes with the root label. */
struct dns_name {
	uint8_t len;
	uint8_t wire[DNS_NAME_MAX];
};
/* Reads the name at *OFF, which moves behind it. Return: 0; -EBADMSG. */
int dns_name_read(struct dns_name *ret, const uint8_t *msg, size_t len, size_t *off);
/* Letters, digits, '-' and '_' in labels of 1 to 63, a trailing dot allowed, "." the root. Return: 0; -EINVAL. */
int dns_name_parse(struct dns_name *ret, const char *text);
/* Lower case, no trailing dot ("." for the root); other bytes than letters, digits, '-', '_', '*' become '?'. */
void dns_name_text(const struct dns_name *name, char dst[static DNS_TEXT_MAX]);
/* Letters compare without case. */
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
/* NAME is ANCESTOR or lies below it. */
bool dns_name_below(const struct dns_name *name, const struct dns_name *ancestor);
/* Labels without the root. */
unsigned int dns_name_labels(const struct dns_name *name);
