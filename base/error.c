/* SPDX-License-Identifier: Apache-2.0 */
/* error: trace points and faults. Allocates nothing; errno is preserved by trace. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

int error_trace(int r, const char *file, int line, const char *func)
{
	static int enabled = -1;
	int saved = errno;

	if (enabled < 0)
		enabled = getenv("CAISSON_TRACE") != NULL;
	if (r < 0 && enabled)
		fprintf(stderr, "trace: %s:%d: %s: %s\n", file, line, func, strerror(-r));
	errno = saved;
	return r;
}

int error_errno(void)
{
	return errno > 0 ? -errno : -EIO;
}

int fault_set(struct fault *fault, int r, const char *format, ...)
{
	char raw[FAULT_TEXT_MAX];
	va_list ap;
	int n;

	if (!fault)
		return r;
	va_start(ap, format);
	n = vsnprintf(raw, sizeof(raw), format, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof(raw))
		n = sizeof(raw) - 1;
	fault->code = r;
	text_escape(fault->text, sizeof(fault->text), raw, (size_t)n);
	return r;
}
