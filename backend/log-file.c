/* SPDX-License-Identifier: Apache-2.0 */
/* log-file: see the header. */
#include "backend/log-file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fd.h"

int log_files_add(struct log_files *files, int dir_fd, const char *name)
{
	int fd;

	if (files->n == LOG_FILES_MAX)
		return trace(-ENOSPC);
	fd = openat(dir_fd, name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd < 0)
		return trace(error_errno());
	files->dir_fd = dir_fd;
	files->file[files->n].name = name;
	files->file[files->n].fd = fd;
	files->file[files->n].watch = -1;
	files->n++;
	return fd;
}

/* Copies the last LOG_FILE_MAX bytes to NAME.1, then empties the file. */
static int rotate(int dir_fd, const char *name, int fd, off_t size)
{
	_cleanup_close_ int old_fd = -EBADF;
	off_t at = size > LOG_FILE_MAX ? size - LOG_FILE_MAX : 0;
	char old[64];
	ssize_t n;

	snprintf(old, sizeof(old), "%s.1", name);
	if (unlinkat(dir_fd, old, 0) < 0 && errno != ENOENT)
		return trace(error_errno());
	old_fd = openat(dir_fd, old, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* A full disk must not keep the log from being bounded: cut it whatever happens. */
	do {
		n = old_fd >= 0 ? sendfile(old_fd, fd, &at, LOG_FILE_MAX) : 0;
	} while (n > 0);
	if (ftruncate(fd, 0) < 0)
		return trace(error_errno());
	return 0;
}

void log_files_check(struct log_files *files)
{
	struct stat st;

	for (unsigned int i = 0; i < files->n; i++)
		if (fstat(files->file[i].fd, &st) == 0 && st.st_size > LOG_FILE_MAX)
			(void)rotate(files->dir_fd, files->file[i].name, files->file[i].fd, st.st_size);
}

static int on_change(void *data, int fd, uint32_t events)
{
	char buf[4096] __attribute__((aligned(8)));

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	log_files_check(data);
	return 0;
}

int log_files_watch(struct log_files *files, struct loop *loop)
{
	char path[64];

	files->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (files->inotify_fd < 0)
		return trace(error_errno());
	for (unsigned int i = 0; i < files->n; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", files->file[i].fd);
		files->file[i].watch = inotify_add_watch(files->inotify_fd, path, IN_MODIFY);
		if (files->file[i].watch < 0)
			return trace(error_errno());
	}
	return loop_add_fd(loop, files->inotify_fd, EPOLLIN, on_change, files, &files->source);
}

void log_files_done(struct log_files *files)
{
	files->source = loop_source_free(files->source);
	files->inotify_fd = fd_close(files->inotify_fd);
	for (unsigned int i = 0; i < files->n; i++)
		files->file[i].fd = fd_close(files->file[i].fd);
	files->n = 0;
}
