/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd: descriptors and whole small files.
 *
 * _borrow_ leaves a descriptor with the caller, _consume_ takes it even on failure, _dup_ copies.
 * All descriptors made here are close-on-exec. Nothing here follows a symbolic link in the last
 * component. Who may call it: every room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes FD if >= 0, keeps errno. Return: -EBADF, so that `fd = fd_close(fd)` empties the variable. */
int fd_close(int fd);
/* Start of main(): descriptors 0 to 2 exist (opened on /dev/null where missing). Return: 0 or -errno. */
int fd_populate_std(void);
/* Closes every descriptor above 2 that is not in KEEP[0..N_KEEP). Return: 0 or -errno. */
int fd_close_others(const int *keep, size_t n_keep);
int fd_set_nonblock(int fd, bool on);
int fd_set_cloexec(int fd, bool on);
/* Copy of FD with close-on-exec, number 3 or above. Return: descriptor (caller owns) or -errno. */
int fd_dup(int fd);
/* Writes all of BUF, retries EINTR and, on a blocking descriptor, short writes. Return: 0 or -errno. */
int fd_write_all(int fd, const void *buf, size_t len);
/* Reads a regular file NAME beneath DIR_FD of at most MAX bytes; *RET is malloc'ed and NUL-terminated
 * (caller frees). Return: 0; -EFBIG when larger; -EINVAL when not regular; -errno. */
int fd_read_file(int dir_fd, const char *name, size_t max, char **ret, size_t *ret_len);
/* Replaces NAME beneath DIR_FD by a new file with that content (temporary file, fsync, rename): old or
 * new after a crash, never a mix. Writers of one file take turns (the callers' locks see to it). Return: 0 or -errno. */
int fd_replace_file(int dir_fd, const char *name, const void *buf, size_t len, mode_t mode);
/* Opens (making it 0700 when missing) directory NAME beneath DIR_FD (AT_FDCWD allowed), refuses links
 * and foreign owners. Return: descriptor or -errno (-EPERM: other owner or writable by others). */
int fd_open_dir(int dir_fd, const char *name, bool create);
/* As fd_open_dir for an absolute path, making missing parents (0700). Return: descriptor or -errno. */
int fd_open_dir_path(const char *path, bool create);
/* Takes an exclusive flock on NAME beneath DIR_FD (made 0600). Return: descriptor that holds it;
 * -EWOULDBLOCK: held by another process; -errno. */
int fd_lock_file(int dir_fd, const char *name);
