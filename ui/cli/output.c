/* SPDX-License-Identifier: Apache-2.0 */
/* output: see output.h. */
#include "ui/cli/output.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/text.h"

static const char *const styles[STYLE_MAX] = {
	[STYLE_NONE] = "\033[0m",    [STYLE_BOLD] = "\033[1m",	   [STYLE_DIM] = "\033[2m",
	[STYLE_GREEN] = "\033[32m",  [STYLE_YELLOW] = "\033[33m", [STYLE_RED] = "\033[31m",
};

/* [mark][utf8][colour] */
static const char *const marks[MARK_MAX][2][2] = {
	[MARK_OK] = {{"ok  ", "\033[32mok  \033[0m"}, {"✓", "\033[32m✓\033[0m"}},
	[MARK_WARN] = {{"warn", "\033[33mwarn\033[0m"}, {"!", "\033[33m!\033[0m"}},
	[MARK_FAIL] = {{"FAIL", "\033[31mFAIL\033[0m"}, {"✗", "\033[31m✗\033[0m"}},
	[MARK_SKIP] = {{"-   ", "-   "}, {"-", "-"}},
};

static bool locale_is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *v = getenv(names[i]);

		if (v && v[0])
			return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
	}
	return false;
}

void output_init(struct output *out)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
	bool able = term && term[0] && strcmp(term, "dumb");
	bool colour = able && !(no_color && no_color[0]);
	struct winsize size = {0};

	*out = (struct output){
		.terminal = able && isatty(STDOUT_FILENO),
		.colour = colour && isatty(STDOUT_FILENO),
		.err_colour = colour && isatty(STDERR_FILENO),
		.utf8 = locale_is_utf8(),
		.columns = 80,
	};
	if (out->terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
		out->columns = size.ws_col;
	/* Without a terminal a line is still shown when it happens: scripts and CI logs read along. */
	setvbuf(stdout, NULL, _IOLBF, 0);
}

const char *output_style(const struct output *out, enum output_style style)
{
	return out->colour ? styles[style] : "";
}

const char *output_mark(const struct output *out, enum output_mark mark)
{
	return marks[mark][out->utf8][out->colour];
}

const char *output_safe(char *dst, size_t size, const char *text)
{
	text_escape(dst, size, text ? text : "", text ? strlen(text) : 0);
	return dst;
}

static _printf_(3, 0) void print_line(const struct output *out, enum output_style style, const char *format, va_list args)
{
	char raw[OUTPUT_TEXT_MAX], safe[OUTPUT_TEXT_MAX * 2];

	vsnprintf(raw, sizeof(raw), format, args);
	output_safe(safe, sizeof(safe), raw);
	fflush(stdout);
	fprintf(stderr, "%scaisson:%s %s\n", out->err_colour ? styles[style] : "",
		out->err_colour ? styles[STYLE_NONE] : "", safe);
}

void output_error(const struct output *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(out, STYLE_RED, format, args);
	va_end(args);
}

void output_note(const struct output *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(out, STYLE_YELLOW, format, args);
	va_end(args);
}

void output_clear(struct output *out)
{
	if (out->drawn)
		fputs("\r\033[K", stdout);
	out->drawn = false;
	fflush(stdout);
}

void output_progress(struct output *out, const char *stage, uint64_t elapsed_us)
{
	static const char *const spin[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
	static const char *const ascii[] = {"|", "/", "-", "\\"};
	char safe[64], line[160];

	if (!out->terminal)
		return;
	snprintf(line, sizeof(line), " %-12s %5.1f s", output_safe(safe, sizeof(safe), stage),
		 (double)elapsed_us / 1e6);
	fprintf(stdout, "\r\033[K%s%.*s", out->utf8 ? spin[out->frame % ARRAY_SIZE(spin)] : ascii[out->frame % 4],
		(int)out->columns - 3, line);
	out->frame++;
	out->drawn = true;
	fflush(stdout);
}

void output_stage_done(struct output *out, const char *stage, uint64_t elapsed_us)
{
	char safe[64];

	output_clear(out);
	printf("%s %-12s %5.1f s\n", output_mark(out, MARK_OK), output_safe(safe, sizeof(safe), stage),
	       (double)elapsed_us / 1e6);
	fflush(stdout);
}

int output_finish(const struct output *out, int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	output_error(out, "The output could not be written (%s).", strerror(errno));
	return code ? code : 1;
}
