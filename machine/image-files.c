/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image-files: see image-files.h.
 */
#include "machine/image-files.h"

#include <fcntl.h>
#include <sodium/crypto_hash_sha256.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

enum { READ_SIZE = 1 << 18 };

void image_files_done(struct image_files *files)
{
	for (int i = 0; i < IMAGE_FILE_MAX; i++)
		files->fds[i] = fd_close(files->fds[i]);
}

static int open_file(struct image_files *files, int dir_fd, enum image_file_id id, struct fault *fault)
{
	const char *name = image_file_name(id);
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return trace(fault_set(fault, error_errno(),
				       "The VM image's file %s cannot be opened: %s. Build or install the image again.",
				       name, strerror(errno)));
	files->fds[id] = fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != files->image.files[id].size)
		return trace(fault_set(fault, -EBADMSG,
				       "The VM image's file %s does not have the size that image.json gives. Build or "
				       "install the image again.",
				       name));
	return 0;
}

int image_files_open(struct image_files *files, const char *dir, struct fault *fault)
{
	_cleanup_close_ int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *json = NULL;
	size_t len;
	int r;

	if (dir_fd < 0)
		return trace(fault_set(fault, error_errno(), "No VM image in %s: %s. Build or install it.", dir,
				       strerror(errno)));
	r = fd_read_file(dir_fd, "image.json", IMAGE_JSON_MAX, &json, &len);
	if (r)
		return trace(fault_set(fault, r, "No VM image in %s: image.json: %s. Build or install it.", dir,
				       strerror(-r)));
	r = image_decode(&files->image, json, len, fault);
	for (int i = 0; i < IMAGE_FILE_MAX && !r; i++)
		r = open_file(files, dir_fd, (enum image_file_id)i, fault);
	if (r)
		image_files_done(files);
	return r;
}

static int digest(int fd, uint8_t ret[static crypto_hash_sha256_BYTES])
{
	_cleanup_free_ uint8_t *buf = malloc(READ_SIZE);
	crypto_hash_sha256_state state;
	off_t off = 0;
	ssize_t n;

	if (!buf)
		return trace(-ENOMEM);
	crypto_hash_sha256_init(&state);
	while ((n = pread(fd, buf, READ_SIZE, off)) > 0) {
		crypto_hash_sha256_update(&state, buf, (unsigned long long)n);
		off += n;
	}
	if (n < 0)
		return trace(error_errno());
	crypto_hash_sha256_final(&state, ret);
	return 0;
}

int image_files_verify(const struct image_files *files, struct fault *fault)
{
	for (int i = 0; i < IMAGE_FILE_MAX; i++) {
		const char *name = image_file_name((enum image_file_id)i);
		uint8_t sha256[crypto_hash_sha256_BYTES];
		int r = digest(files->fds[i], sha256);

		if (r)
			return trace(fault_set(fault, r, "The VM image's file %s cannot be read: %s.", name, strerror(-r)));
		if (memcmp(sha256, files->image.files[i].sha256, sizeof(sha256)) != 0)
			return trace(fault_set(fault, -EBADMSG,
					       "The VM image's file %s was changed: its digest is not the one in image.json.",
					       name));
	}
	return 0;
}
