/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-engine-watch: any bytes of a client, in pieces of any size, with any answers of the engine: every byte comes out once, in
 * order, and what is learnt are ports. The first byte decides the sizes of the pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/engine-watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(void *data, const struct port_name *name)
{
	if (name->first < 1 || name->first > name->last)
		abort();
}

struct output {
	char *text;
	size_t len;
};

static void pull(struct relay_filter *filter, struct output *out)
{
	const char *p;
	size_t n;

	while ((n = filter->ops->pending(filter, &p)) > 0) {
		n = n > 3 ? n - n / 3 : n;
		memcpy(out->text + out->len, p, n);
		out->len += n;
		filter->ops->sent(filter, n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const answers[] = {"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 101 U\r\n\r\n"};
	struct engine_watch_shared shared = {.named = note, .held = {.name = "held", .max = 1 << 16}};
	struct relay_filter *filter = NULL;
	struct output out = {malloc(size + 1), 0};
	size_t step = size ? data[0] % 64 + 1u : 1, at = 0;

	if (!out.text || engine_watch_new(&shared, &filter) < 0)
		abort();
	while (at < size) {
		size_t n = size - at < step ? size - at : step;
		uint64_t most;

		if (filter->ops->is_held(filter))
			filter->ops->answer(filter, answers[step & 1], strlen(answers[step & 1]));
		pull(filter, &out);
		most = filter->ops->splice(filter);
		if (most) {
			n = most < n ? (size_t)most : n;
			memcpy(out.text + out.len, data + at, n);
			out.len += n;
			filter->ops->spliced(filter, n);
		} else if (engine_watch_feed(filter, data + at, n) < 0) {
			abort();
		}
		at += n;
	}
	filter->ops->end(filter);
	pull(filter, &out);
	if (out.len != size || memcmp(out.text, data, size) || !filter->ops->is_over(filter))
		abort();
	filter->ops->free(filter);
	if (shared.held.used)
		abort();
	free(out.text);
	return 0;
}
