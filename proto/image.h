/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image: image.json, the description that is shipped beside the sealed image.
 *
 * Bounded and strict: unknown keys, missing keys, wrong types and values out of range are refused, because
 * the root hash in it decides what the machine boots. Pure codec (jansson). Used by machine; written by
 * guest/image.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
	IMAGE_JSON_MAX = 16384,
	IMAGE_NAME_MAX = 64,
	IMAGE_SALT_MAX = 128, /* hexadecimal digits */
	IMAGE_HASH_LEN = 64,  /* hexadecimal digits of a SHA-256 */
	IMAGE_BLOCK = 4096,
	IMAGE_CMDLINE_MAX = 1024,
};
enum image_file_id { IMAGE_VMLINUX, IMAGE_INITRD, IMAGE_ROOT, IMAGE_FILE_MAX };

struct image_file {
	uint64_t size;
	uint8_t sha256[32];
};
struct image {
	char recipe[IMAGE_NAME_MAX + 1]; /* digest of the recipe it was built from */
	char kernel_release[IMAGE_NAME_MAX + 1];
	char engine[IMAGE_NAME_MAX + 1];
	char cmdline[IMAGE_CMDLINE_MAX + 1]; /* fixed kernel parameters; the verity parameter follows them */
	uint64_t data_blocks, hash_start_block; /* blocks of IMAGE_BLOCK bytes */
	char salt[IMAGE_SALT_MAX + 1];		/* may be empty */
	char root_hash[IMAGE_HASH_LEN + 1];
	uint32_t modules;
	struct image_file files[IMAGE_FILE_MAX];
};

/* Return: 0; -EBADMSG with FAULT (may be NULL) naming the key. */
int image_decode(struct image *ret, const char *src, size_t len, struct fault *fault);
/* "vmlinux", "initrd.cpio", "root.img". */
const char *image_file_name(enum image_file_id id);
/* Kernel parameter "caisson.verity=..." into DST. Return: length; -EMSGSIZE. */
int image_verity_parameter(const struct image *image, char *dst, size_t size);
