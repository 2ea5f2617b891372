/* SPDX-License-Identifier: Apache-2.0 */
/* target: see the header. Called by devices/proxy; never does I/O. */
#include "devices/proxy/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

static int refuse(const char *why, const char **ret_why)
{
	*ret_why = why;
	return -EINVAL;
}

static int parse_port(struct target *t, const char *text, size_t len, const char **ret_why)
{
	char number[8] = "";
	uint64_t n;

	if (len >= sizeof(number))
		return refuse("the port is not a number from 1 to 65535", ret_why);
	memcpy(number, text, len);
	if (text_parse_u64(number, UINT16_MAX, &n) < 0 || !n)
		return refuse("the port is not a number from 1 to 65535", ret_why);
	t->port = (uint16_t)n;
	return 0;
}

/* Splits "HOST[:PORT]" or "[V6][:PORT]". */
static int parse_authority(struct target *t, const char *text, size_t len, bool port_needed, const char **ret_why)
{
	const char *colon, *host = text;
	size_t host_len;

	if (memchr(text, '@', len))
		return refuse("a user name in the target is not possible", ret_why);
	if (len && text[0] == '[') {
		const char *close = memchr(text, ']', len);

		if (!close || (close + 1 < text + len && close[1] != ':'))
			return refuse("the IPv6 address is not [ADDRESS]:PORT", ret_why);
		host = text + 1;
		host_len = (size_t)(close - host);
		colon = close + 1 < text + len ? close + 1 : NULL;
	} else {
		colon = memchr(text, ':', len);
		host_len = colon ? (size_t)(colon - text) : len;
	}
	if (!colon && port_needed)
		return refuse("the target has no port", ret_why);
	if (!host_len || host_len >= sizeof(t->host))
		return refuse("the host is empty or too long", ret_why);
	for (size_t i = 0; i < host_len; i++)
		t->host[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] | 32) : host[i];
	t->host[host_len] = '\0';
	t->is_addr = proxyctl_address_parse(t->host, &t->addr);
	/* Brackets hold an IPv6 address and nothing else does. */
	if ((text[0] == '[') != (t->is_addr && strchr(t->host, ':')) || (!t->is_addr && !proxyctl_name_ok(t->host)))
		return refuse("the host is neither a name nor an address in its usual form", ret_why);
	if (!t->is_addr && t->host[host_len - 1] == '.')
		t->host[host_len - 1] = '\0';
	return colon ? parse_port(t, colon + 1, (size_t)(text + len - colon - 1), ret_why) : 0;
}

int target_parse(struct target *ret, const struct http_head *head, const char **ret_why)
{
	struct target t = {.port = 80};
	const char *p = head->target.p;
	size_t len = head->target.len, n;
	int r;

	switch (head->target_form) {
	case HTTP_TARGET_AUTHORITY:
		t.connect = true;
		r = parse_authority(&t, p, len, true, ret_why);
		break;
	case HTTP_TARGET_ABSOLUTE:
		p += 7;
		len -= 7;
		for (n = 0; n < len && p[n] != '/' && p[n] != '?'; n++)
			;
		t.path = (struct http_slice){p + n, len - n};
		r = parse_authority(&t, p, n, false, ret_why);
		break;
	default:
		return refuse("this is a proxy: a request to it names a whole address, http://HOST/..., or is a CONNECT", ret_why);
	}
	if (r >= 0)
		*ret = t;
	return r;
}

void target_text(const char *host, uint16_t port, uint16_t default_port, char dst[static TARGET_TEXT_MAX])
{
	bool v6 = strchr(host, ':') != NULL;
	int n = snprintf(dst, TARGET_TEXT_MAX, "%s%s%s", v6 ? "[" : "", host, v6 ? "]" : "");

	if (port != default_port && n > 0 && n < TARGET_TEXT_MAX - 8)
		snprintf(dst + n, TARGET_TEXT_MAX - (size_t)n, ":%u", port);
}
