/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image-files: the sealed image's files, opened read-only and compared with image.json.
 *
 * At a start only sizes are compared: the root is covered by dm-verity, whose root hash is on the kernel command
 * line, and reading 100 MiB each time would cost more than it tells. The digests are for `caisson check`.
 * Who may call it: machine.c and check.c.
 */
#pragma once

#include "base/error.h"
#include "proto/image.h"

struct image_files {
	struct image image;
	int fds[IMAGE_FILE_MAX]; /* read-only; -EBADF or owned */
};
#define IMAGE_FILES_INIT {.fds = {-EBADF, -EBADF, -EBADF}}

/* Return: 0; -errno with FAULT. */
int image_files_open(struct image_files *files, const char *dir, struct fault *fault);
void image_files_done(struct image_files *files);
/* Reads every file and compares its SHA-256. Return: 0; -EBADMSG or -errno with FAULT. */
int image_files_verify(const struct image_files *files, struct fault *fault);
