/* SPDX-License-Identifier: Apache-2.0 */
/* logs: filters, prints and follows the merged lines. */
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>

#include "base/fd.h"
#include "base/text.h"
#include "ui/cli/cli.h"
#include "ui/cli/log-source.h"
#include "ui/cli/when.h"

enum { UNITS_MAX = 16, PRINT_MAX = 8192, FOLLOW_LINES = 10, SETTLE_MS = 50 };

/* Units of the guest that may not have written anything yet. */
static const char *const guest_units[] = {"init", "agent", "containerd", "dockerd"};

struct logs {
	struct cli *cli;
	struct log_sources sources;
	struct log_merge merge;
	uint64_t since_us, until_us;
	char units_text[256];
	const char *units[UNITS_MAX];
	size_t n_units;
	uint64_t lines; /* UINT64_MAX: all */
	bool follow;
};

static int parse_time(struct cli *cli, const struct invocation *inv, const char *name, uint64_t *ret)
{
	const struct option_value *v = option_value(inv, name);
	int r = v->set ? when_parse(v->text, cli_wall_us(), ret) : 0;

	if (r >= 0)
		return CLI_OK;
	output_error(&cli->out, "--%s cannot be '%s'; write 10m, 2h, 1d, today, yesterday, 2026-11-22, '2026-11-22 10:00' or "
		     "2026-11-22T10:00:00Z.", name, v->text);
	return CLI_USAGE;
}

static int parse_units(struct logs *l, const struct invocation *inv)
{
	const struct option_value *v = option_value(inv, "unit");
	char *save = NULL;

	if (!v->set)
		return CLI_OK;
	if (strlen(v->text) >= sizeof(l->units_text)) {
		output_error(&l->cli->out, "--unit is too long.");
		return CLI_USAGE;
	}
	memcpy(l->units_text, v->text, strlen(v->text) + 1);
	for (char *p = strtok_r(l->units_text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		if (l->n_units == UNITS_MAX) {
			output_error(&l->cli->out, "--unit takes at most %d units.", UNITS_MAX);
			return CLI_USAGE;
		}
		l->units[l->n_units++] = p;
	}
	if (l->n_units)
		return CLI_OK;
	output_error(&l->cli->out, "--unit names no unit.");
	return CLI_USAGE;
}

static int parse(struct logs *l, const struct invocation *inv)
{
	const struct option_value *lines = option_value(inv, "lines");
	int code = parse_time(l->cli, inv, "since", &l->since_us);

	l->follow = option_is(inv, "follow");
	l->lines = lines->set ? lines->number : l->follow && !option_is(inv, "since") ? FOLLOW_LINES : UINT64_MAX;
	if (code == CLI_OK)
		code = parse_time(l->cli, inv, "until", &l->until_us);
	return code == CLI_OK ? parse_units(l, inv) : code;
}

static bool wanted(const struct logs *l, const struct log_line *line)
{
	if (line->time_us < l->since_us || line->time_us >= l->until_us)
		return false;
	for (size_t i = 0; i < l->n_units; i++)
		if (log_line_is_unit(line, log_source_names[line->source], l->units[i]))
			return true;
	return !l->n_units;
}

static bool is_known_unit(const struct logs *l, const char *name)
{
	for (size_t i = 0; i < LOG_SOURCES; i++)
		if (!strcmp(log_source_names[i], name))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(guest_units); i++)
		if (!strcmp(guest_units[i], name))
			return true;
	for (size_t i = 0; i < l->merge.n; i++)
		if (log_line_is_unit(&l->merge.lines[i], "", name))
			return true;
	return false;
}

static int check_units(const struct logs *l)
{
	const char *names[LOG_SOURCES + ARRAY_SIZE(guest_units)], *near;
	size_t n = 0;

	for (size_t i = 0; i < LOG_SOURCES; i++)
		names[n++] = log_source_names[i];
	for (size_t i = 0; i < ARRAY_SIZE(guest_units); i++)
		names[n++] = guest_units[i];
	for (size_t i = 0; i < l->n_units; i++) {
		if (is_known_unit(l, l->units[i]))
			continue;
		near = text_nearest(l->units[i], names, n);
		if (near)
			output_error(&l->cli->out, "There is no unit '%s'; did you mean '%s'?", l->units[i], near);
		else
			output_error(&l->cli->out, "There is no unit '%s'; units are: backend machine net qemu console vm, "
				     "and init agent containerd dockerd in vm.", l->units[i]);
		return CLI_USAGE;
	}
	return CLI_OK;
}

static enum output_style line_style(const struct log_line *line)
{
	switch (line->level) {
	case 'E':
		return STYLE_RED;
	case 'W':
		return STYLE_YELLOW;
	case 'D':
		return STYLE_DIM;
	default:
		return STYLE_NONE;
	}
}

/* A line without a unit of its own is given the name of its file. */
static void print_line(const struct logs *l, const struct log_line *line)
{
	enum output_style style = line_style(line);
	char safe[PRINT_MAX];
	size_t rest = line->stamp_len;

	text_escape(safe, sizeof(safe), line->text, line->len);
	if (style != STYLE_NONE)
		fputs(output_style(&l->cli->out, style), stdout);
	if (line->stamp_len && line->unit)
		fputs(safe, stdout);
	else
		printf("%.*s%s%s:%s%s", (int)rest, safe, rest ? " " : "", log_source_names[line->source],
		       safe[rest] == ' ' ? "" : " ", safe + rest);
	if (style != STYLE_NONE)
		fputs(output_style(&l->cli->out, STYLE_NONE), stdout);
	putchar('\n');
}

static void print_batch(const struct logs *l, uint64_t last)
{
	size_t start = l->merge.n;
	uint64_t n = 0;

	while (start && n < last)
		if (wanted(l, &l->merge.lines[--start]))
			n++;
	for (size_t i = start; i < l->merge.n && n; i++)
		if (wanted(l, &l->merge.lines[i]))
			print_line(l, &l->merge.lines[i]);
}

static int watch_dir(int dir_fd)
{
	_cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
	if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
		return trace(error_errno());
	return take_fd(fd);
}

/* Until a signal ends the program, or the reader of a pipe goes away. */
static int follow(struct logs *l, int watch_fd)
{
	char events[4096];

	for (;;) {
		struct pollfd p[] = {{.fd = watch_fd, .events = POLLIN}, {.fd = STDOUT_FILENO, .events = 0}};
		int r;

		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return cli_failed(l->cli, NULL, error_errno());
		if (p[1].revents & (POLLERR | POLLNVAL))
			return CLI_OK;
		/* Lines of one moment arrive in several files: let them settle, so that they are put in order. */
		(void)poll(NULL, 0, SETTLE_MS);
		while (read(watch_fd, events, sizeof(events)) > 0)
			;
		r = log_sources_read(&l->sources, &l->merge, true);
		if (r < 0)
			return cli_failed(l->cli, NULL, r);
		print_batch(l, UINT64_MAX);
		if (fflush(stdout) != 0 || ferror(stdout))
			return CLI_FAILED;
		if (cli_wall_us() >= l->until_us)
			return CLI_OK;
	}
}

static int show(struct logs *l)
{
	_cleanup_close_ int watch_fd = -EBADF;
	int code, r, dir_fd = cli_open_dir(l->cli, "log", l->follow);

	if (dir_fd == -ENOENT) {
		output_note(&l->cli->out, "There are no logs yet; '%s start' makes them.", l->cli->program);
		return CLI_OK;
	}
	if (dir_fd < 0) {
		output_error(&l->cli->out, "The directory %s/log cannot be read (%s).", l->cli->state, strerror(-dir_fd));
		return CLI_FAILED;
	}
	log_sources_init(&l->sources, dir_fd);
	if (l->follow) {
		watch_fd = watch_dir(dir_fd); /* before the first read: nothing is missed in between */
		if (watch_fd < 0)
			return cli_failed(l->cli, NULL, watch_fd);
	} else {
		setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	}
	r = log_sources_read(&l->sources, &l->merge, l->follow);
	if (r < 0)
		return cli_failed(l->cli, NULL, r);
	code = check_units(l);
	if (code != CLI_OK)
		return code;
	print_batch(l, l->lines);
	fflush(stdout);
	return l->follow ? follow(l, watch_fd) : CLI_OK;
}

int run_logs(struct cli *cli, const struct invocation *inv)
{
	struct logs l = {.cli = cli, .until_us = UINT64_MAX};
	int code = parse(&l, inv);

	if (code != CLI_OK)
		return code;
	log_sources_init(&l.sources, -EBADF);
	code = show(&l);
	log_merge_done(&l.merge);
	log_sources_done(&l.sources);
	return code;
}
