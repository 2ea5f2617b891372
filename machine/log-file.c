/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log-file: see log-file.h.
 */
#include "machine/log-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

enum { NAME_SIZE = 64, READ_SIZE = 4096, LAST_SIZE = 200, SECOND_US = 1000000 };

struct log_file {
	int dir_fd; /* borrowed */
	int fd;
	char name[NAME_SIZE];
	uint64_t size;
	uint64_t allowance, last_us; /* token bucket of bytes */
	uint64_t dropped, reported, notice_us; /* at most one notice of drops a second */
	char last[LAST_SIZE];
};

struct log_stream {
	struct log_file *file;
	const char *source;
	int fd;
	struct loop_source *fd_source, *timer;
	log_stream_end_fn fn;
	void *data;
	uint64_t window_us, window_bytes;
	size_t len;
	bool cut; /* the rest of a line that was too long is skipped */
	char line[LOG_FILE_LINE_MAX];
};

static int open_append(int dir_fd, const char *name, uint64_t *ret_size)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0)
		return trace(error_errno());
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return trace(-EINVAL);
	}
	*ret_size = (uint64_t)st.st_size;
	return fd;
}

int log_file_open(int dir_fd, const char *name, struct log_file **ret)
{
	struct log_file *file = calloc(1, sizeof(*file));

	if (!file)
		return trace(-ENOMEM);
	file->dir_fd = dir_fd;
	file->allowance = LOG_FILE_BURST;
	file->last_us = loop_now_us();
	snprintf(file->name, sizeof(file->name), "%s", name);
	file->fd = open_append(dir_fd, name, &file->size);
	if (file->fd < 0) {
		int r = file->fd;

		free(file);
		return trace(r);
	}
	*ret = file;
	return 0;
}

struct log_file *log_file_free(struct log_file *file)
{
	if (!file)
		return NULL;
	fd_close(file->fd);
	free(file);
	return NULL;
}

const char *log_file_last(const struct log_file *file)
{
	return file->last;
}

uint64_t log_file_dropped(const struct log_file *file)
{
	return file->dropped;
}

static void rotate(struct log_file *file)
{
	char older[NAME_SIZE + 2];
	int fd;

	snprintf(older, sizeof(older), "%s.1", file->name);
	if (renameat(file->dir_fd, file->name, file->dir_fd, older) < 0)
		return;
	fd = open_append(file->dir_fd, file->name, &file->size);
	if (fd < 0)
		return;
	fd_close(file->fd);
	file->fd = fd;
}

static void refill(struct log_file *file)
{
	uint64_t now = loop_now_us(), past = now - file->last_us;

	if (past > 60ull * SECOND_US)
		past = 60ull * SECOND_US;
	file->allowance += past * LOG_FILE_RATE / SECOND_US;
	if (file->allowance > LOG_FILE_BURST)
		file->allowance = LOG_FILE_BURST;
	file->last_us = now;
}

static void put(struct log_file *file, const char *buf, size_t len)
{
	if (file->size + len > LOG_FILE_MAX)
		rotate(file);
	if (file->size + len > LOG_FILE_MAX || write(file->fd, buf, len) != (ssize_t)len) {
		file->dropped += len;
		return;
	}
	file->size += len;
}

static size_t stamp(char *dst, size_t size, const char *source)
{
	struct timespec ts;
	struct tm tm;
	size_t n;
	int m;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(dst, size, "%Y-%m-%dT%H:%M:%S", &tm);
	m = snprintf(dst + n, size - n, ".%03ldZ %s%s", ts.tv_nsec / 1000000, source ? source : "",
		     source ? ": " : "");
	return n + (size_t)m;
}

/* Length of a stamp of ours ("2026-11-22T01:25:45.343Z ") at TEXT, or of a "time=..." as dockerd and containerd write
 * it; 0 for anything else. */
static size_t inner_stamp(const char *text, size_t len)
{
	static const char ours[] = "0000-00-00T00:00:00.000Z ", theirs[] = "time=\"0000-00-00T00:00:00.";
	const char *pattern = len && text[0] == 't' ? theirs : ours;
	size_t n = strlen(pattern);

	if (len < n)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (pattern[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != pattern[i])
			return 0;
	if (pattern == ours)
		return n;
	while (n < len && text[n] >= '0' && text[n] <= '9')
		n++;
	return len - n >= 3 && !memcmp(text + n, "Z\" ", 3) ? n + 3 : 0;
}

/* Length of "name: " at TEXT, as the agent puts it before the lines of a program in the VM. */
static size_t name_prefix(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && n < NAME_SIZE && ((text[n] >= 'a' && text[n] <= 'z') || text[n] == '-'))
		n++;
	return n && len - n >= 2 && text[n] == ':' && text[n + 1] == ' ' ? n + 2 : 0;
}

void log_file_line(struct log_file *file, const char *source, const char *text, size_t len)
{
	/* Escaping can make four bytes of one. */
	char buf[LOG_FILE_LINE_MAX * 4 + 128];
	size_t n, head, skip;

	if (len > LOG_FILE_LINE_MAX)
		len = LOG_FILE_LINE_MAX;
	/* The line's own time would only say again, by a clock we do not trust, what our stamp says. */
	head = name_prefix(text, len);
	skip = inner_stamp(text + head, len - head);
	head = skip ? head : 0;
	skip += head;
	refill(file);
	if (file->dropped > file->reported && file->last_us - file->notice_us >= SECOND_US) {
		file->notice_us = file->last_us;
		n = stamp(buf, sizeof(buf), source);
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "[%llu bytes dropped, too much text]\n",
				      (unsigned long long)(file->dropped - file->reported));
		file->reported = file->dropped;
		put(file, buf, n);
	}
	text_escape(file->last, sizeof(file->last), text + skip, len - skip);
	n = stamp(buf, sizeof(buf), source);
	n += text_escape(buf + n, sizeof(buf) - n - 1, text, head);
	n += text_escape(buf + n, sizeof(buf) - n - 1, text + skip, len - skip);
	buf[n++] = '\n';
	if (n > file->allowance) {
		file->dropped += n;
		return;
	}
	file->allowance -= n;
	put(file, buf, n);
}

static void feed(struct log_stream *stream, const char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (buf[i] == '\n') {
			size_t n = stream->len;

			if (n && stream->line[n - 1] == '\r')
				n--;
			if (n)
				log_file_line(stream->file, stream->source, stream->line, n);
			stream->len = 0;
			stream->cut = false;
		} else if (!stream->cut) {
			stream->line[stream->len++] = buf[i];
			if (stream->len == LOG_FILE_LINE_MAX) {
				log_file_line(stream->file, stream->source, stream->line, stream->len);
				stream->len = 0;
				stream->cut = true;
			}
		}
	}
}

/* Return: bytes read; 0: end; -EAGAIN; -errno. */
static ssize_t take(struct log_stream *stream)
{
	char buf[READ_SIZE];
	ssize_t n = read(stream->fd, buf, sizeof(buf));

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	feed(stream, buf, (size_t)n);
	return n;
}

struct log_stream *log_stream_free(struct log_stream *stream)
{
	if (!stream)
		return NULL;
	/* The last words of a process that just ended: at most what a pipe holds. */
	for (int i = 0; i < 32 && stream->fd >= 0; i++)
		if (take(stream) <= 0)
			break;
	if (stream->len)
		log_file_line(stream->file, stream->source, stream->line, stream->len);
	loop_source_free(stream->fd_source);
	loop_source_free(stream->timer);
	fd_close(stream->fd);
	free(stream);
	return NULL;
}

static int on_window(void *data)
{
	struct log_stream *stream = data;

	return loop_source_set_events(stream->fd_source, EPOLLIN);
}

static int on_ready(void *data, int fd, uint32_t events)
{
	struct log_stream *stream = data;
	uint64_t now = loop_now_us();
	ssize_t n = take(stream);

	if (n == -EAGAIN)
		return 0;
	if (n <= 0) {
		if (stream->fn)
			stream->fn(stream->data, stream);
		log_stream_free(stream);
		return 0;
	}
	if (now - stream->window_us >= SECOND_US) {
		stream->window_us = now;
		stream->window_bytes = 0;
	}
	stream->window_bytes += (uint64_t)n;
	if (stream->window_bytes < LOG_STREAM_READ_MAX)
		return 0;
	loop_timer_set(stream->timer, SECOND_US);
	return loop_source_set_events(stream->fd_source, 0);
}

int log_stream_new(struct loop *loop, int consume_fd, struct log_file *file, const char *source,
		   log_stream_end_fn fn, void *data, struct log_stream **ret)
{
	struct log_stream *stream = calloc(1, sizeof(*stream));
	int r;

	if (!stream) {
		fd_close(consume_fd);
		return trace(-ENOMEM);
	}
	stream->file = file;
	stream->source = source;
	stream->fd = consume_fd;
	stream->fn = fn;
	stream->data = data;
	r = fd_set_nonblock(stream->fd, true);
	if (!r)
		r = loop_add_timer(loop, on_window, stream, &stream->timer);
	if (!r)
		r = loop_add_fd(loop, stream->fd, EPOLLIN, on_ready, stream, &stream->fd_source);
	if (r) {
		log_stream_free(stream);
		return trace(r);
	}
	*ret = stream;
	return 0;
}
