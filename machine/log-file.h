/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log-file: bounded logs of what others write: console, VM, QEMU, net.
 *
 * A log_file is at most LOG_FILE_MAX bytes and one older generation NAME.1. A log_stream reads a descriptor and
 * writes its lines: escaped, cut at LOG_FILE_LINE_MAX, with the time in front, a source name where several share a
 * file. Flood: above LOG_FILE_RATE bytes a second the text is dropped and counted; above LOG_STREAM_READ_MAX
 * bytes a second the stream is not even read until the next second, which stops the writer.
 * Who may call it: machine.c and net-process.c. No timer is armed while nothing is written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"

enum {
	LOG_FILE_MAX = 4 << 20,
	LOG_FILE_LINE_MAX = 1024,
	LOG_FILE_RATE = 128 << 10,
	LOG_FILE_BURST = 1 << 20,
	LOG_STREAM_READ_MAX = 8 << 20,
};

struct log_file;
struct log_stream;
/* The stream ended (end of file or error) and is about to be freed by log_file itself. */
typedef void (*log_stream_end_fn)(void *data, struct log_stream *stream);

/* Opens (appends to) NAME beneath DIR_FD (borrowed, must outlive the file). Return: 0 or -errno. */
int log_file_open(int dir_fd, const char *name, struct log_file **ret);
struct log_file *log_file_free(struct log_file *file);
/* Writes one line of foreign text. Errors are counted, never returned: a full host disk must not stop a VM. */
void log_file_line(struct log_file *file, const char *source, const char *text, size_t len);
/* The last line that was written, escaped and cut; "" when none was since opening. */
const char *log_file_last(const struct log_file *file);
uint64_t log_file_dropped(const struct log_file *file);
/* Reads FD (taken, even on failure) into FILE. SOURCE is a static string or NULL. FN may be NULL. */
int log_stream_new(struct loop *loop, int consume_fd, struct log_file *file, const char *source,
		   log_stream_end_fn fn, void *data, struct log_stream **ret);
/* Reads what is there without waiting, then frees. Return: NULL. */
struct log_stream *log_stream_free(struct log_stream *stream);
