/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-proxy-target: a request as a guest may send it, through target, route and the head that would be sent on.
 *
 * What goes on must decode again, with the same framing, must not be longer than can be explained, and a target that the rules refuse
 * must have nothing to dial. Never part of a product.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/proxy/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct proxyctl_settings settings;
	static struct rules rules;
	static struct http_head head, again;
	static char out[2 * HTTP_HEAD_MAX];
	struct bytes_writer w = bytes_writer(out, sizeof(out));
	struct target target;
	struct route route;
	const char *why = "";

	if (size < 1 || http_request_decode(&head, (const char *)data + 1, size - 1,
			&why) <= 0 || target_parse(&target, &head, &why) < 0)
		return 0;
	rules = (struct rules){.host = RULES_HOST_ALL, .egress = true, .gateway4 = net_addr4(0xc0a84101),
			       .alias4 = net_addr4(0xc0a841fe), .subnet4 = net_addr4(0xc0a84100)};
	settings.http.kind = settings.https.kind = data[0] & 3;
	settings.n_excludes = data[0] >> 2 & 1;
	settings.exclude[0] = (struct proxyctl_exclude){.kind = PROXYCTL_EXCLUDE_GLOB, .text = "*a?c*"};
	memcpy(settings.http.user, "user", 5);
	route_decide(&settings, &rules, &target, &route);
	if (route.kind == ROUTE_REFUSED && route.n_addrs)
		abort();
	/* Our own fields may be one too many for our own decoder. */
	if (target.connect || head.n_fields > HTTP_FIELDS_MAX - 8)
		return 0;
	head_request(&w, &head, &target, &route);
	if (!w.ok || http_request_decode(&again, out, w.off, &why) != (ssize_t)w.off)
		abort();
	if (again.framing != head.framing || again.content_length != head.content_length)
		abort();
	return 0;
}
