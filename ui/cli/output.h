/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output: what the user sees: escaped foreign text, colour where a terminal wants it, errors, one progress line.
 *
 * Colour and control codes go to terminals only, and not with NO_COLOR or TERM=dumb. Text that came from the
 * backend, the guest or a file passes output_safe() first. Who may call it: ui/cli only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum output_style { STYLE_NONE, STYLE_BOLD, STYLE_DIM, STYLE_GREEN, STYLE_YELLOW, STYLE_RED, STYLE_MAX };
enum output_mark { MARK_OK, MARK_WARN, MARK_FAIL, MARK_SKIP, MARK_MAX };
enum { OUTPUT_TEXT_MAX = 1024 };

struct output {
	bool terminal; /* stdout may be redrawn */
	bool colour;
	bool err_colour;
	bool utf8;
	unsigned int columns;
	/* the progress line */
	unsigned int frame;
	bool drawn;
};

void output_init(struct output *out);
/* Escape sequence that begins STYLE, "" without colour; STYLE_NONE ends it. */
const char *output_style(const struct output *out, enum output_style style);
/* "✓", "!", "✗", "-" in colour, or plain letters where the locale has no UTF-8. */
const char *output_mark(const struct output *out, enum output_mark mark);
/* Foreign text made safe, in DST. Return: DST. */
const char *output_safe(char *dst, size_t size, const char *text);
/* "caisson: <text>" on stderr; TEXT is escaped after formatting. */
void output_error(const struct output *out, const char *format, ...) _printf_(2, 3);
void output_note(const struct output *out, const char *format, ...) _printf_(2, 3);

/* A stage is going on since ELAPSED_US: redraws the one line on a terminal, otherwise nothing. */
void output_progress(struct output *out, const char *stage, uint64_t elapsed_us);
/* A stage ended: removes the progress line and prints "✓ stage   1.2 s". */
void output_stage_done(struct output *out, const char *stage, uint64_t elapsed_us);
/* Removes the progress line, before anything else is printed. */
void output_clear(struct output *out);
/* Flushes stdout. Return: CLI exit code: what CODE says, or 1 with a sentence when the output could not be written. */
int output_finish(const struct output *out, int code);
