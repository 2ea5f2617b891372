/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-http: request and response heads and their bodies, in one piece and byte by byte; both must agree. */
#include <stdlib.h>

#include "proto/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes a body in steps of at most STEP bytes. Return: payload bytes, -1 when refused. */
static int64_t drain(const struct http_head *head, const char *src, size_t len, size_t step, bool *ret_done)
{
	struct http_body body;
	int64_t total = 0;
	size_t at = 0;

	http_body_start(&body, head);
	while (at < len) {
		struct http_slice data;
		ssize_t n = http_body_decode(&body, src + at, len - at < step ? len - at : step, &data);

		if (n < 0)
			return -1;
		if (data.len && (data.p < src + at || data.p + data.len > src + at + n))
			abort();
		total += (int64_t)data.len;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	*ret_done = body.done;
	return total;
}

static void check_body(const struct http_head *head, const char *src, size_t len)
{
	bool done_a = false, done_b = false;
	int64_t a = drain(head, src, len, len, &done_a), b = drain(head, src, len, 1, &done_b);

	if (a != b || (a >= 0 && done_a != done_b))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *src = (const char *)data, *why = NULL;
	static struct http_head head;
	ssize_t n = http_request_decode(&head, src, size, &why);

	if (n > (ssize_t)size || (n < 0 && !why))
		abort();
	if (n > 0)
		check_body(&head, src + n, size - (size_t)n);
	why = NULL;
	n = http_response_decode(&head, src, size, size & 1, &why);
	if (n > (ssize_t)size || (n < 0 && !why))
		abort();
	if (n > 0)
		check_body(&head, src + n, size - (size_t)n);
	return 0;
}
