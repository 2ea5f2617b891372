/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-dns-name: a name anywhere in any bytes: within its bounds, and the same when it is read again without compression. */
#include <stdlib.h>
#include <string.h>

#include "proto/dns-name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *src)
{
	struct dns_name name, again;
	char text[DNS_TEXT_MAX];

	if (dns_name_parse(&name, src) < 0)
		return;
	dns_name_text(&name, text);
	if (dns_name_parse(&again, text) < 0 || !dns_name_equal(&name, &again) || !dns_name_below(&name, &again))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_name name, again;
	char text[DNS_TEXT_MAX];
	size_t off = 12, zero = 0;

	if (size < DNS_TEXT_MAX) {
		memcpy(text, data, size);
		text[size] = '\0';
		check_text(text);
	}
	if (dns_name_read(&name, data, size, &off) < 0)
		return 0;
	if (off > size || !name.len || name.wire[name.len - 1])
		abort();
	dns_name_text(&name, text);
	if (!text[0] || strlen(text) > 253)
		abort();
	if (dns_name_read(&again, name.wire, name.len, &zero) < 0 || zero != name.len || !dns_name_equal(&name, &again) ||
	    dns_name_labels(&name) != dns_name_labels(&again))
		abort();
	return 0;
}
