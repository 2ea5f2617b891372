/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error: how functions fail in this project.
 *
 * int r: 0 is success; a negative errno is fatal and forwarded unchanged as `return trace(r)`; a
 * positive value is the callee's THING_E_* code, documented at that function and handled by its caller.
 * Outputs are untouched on failure and always set on success. Nothing a peer, guest or file can
 * influence is ever asserted.
 *
 * struct fault carries a human sentence (what happened, why, what to do) across a process border.
 * Who may call it: every room.
 */
#pragma once

#include <errno.h>
#include <stddef.h>

#include "base/cleanup.h"

enum { FAULT_TEXT_MAX = 512 };

/* code: negative errno, 0 when nothing is wrong. text: one or two sentences, no newline, UTF-8. */
struct fault {
	int code;
	char text[FAULT_TEXT_MAX];
};

#define FAULT_INIT {0, ""}

/* Records where a negative R passed by (printed with CAISSON_TRACE=1), returns R. */
#define trace(r) error_trace((r), __FILE__, __LINE__, __func__)
int error_trace(int r, const char *file, int line, const char *func);

/* errno as a negative code; never 0 (a libc that failed without errno counts as -EIO). */
int error_errno(void);

/* Sets FAULT (may be NULL) to code R and a formatted sentence; control characters are escaped. Return: R. */
int fault_set(struct fault *fault, int r, const char *format, ...) _printf_(3, 4);
