/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image: decoder of image.json, see image.h.
 */
#include "proto/image.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Largest files that are believed; they bound what --check reads. */
#define FILE_SIZE_MAX ((json_int_t)8 << 30)

static const char *const file_names[IMAGE_FILE_MAX] = {
	[IMAGE_VMLINUX] = "vmlinux",
	[IMAGE_INITRD] = "initrd.cpio",
	[IMAGE_ROOT] = "root.img",
};

static void json_freep(json_t **json)
{
	json_decref(*json);
}

const char *image_file_name(enum image_file_id id)
{
	return (unsigned int)id < IMAGE_FILE_MAX ? file_names[id] : "unknown";
}

static int refuse(struct fault *fault, const char *key, const char *why)
{
	return trace(fault_set(fault, -EBADMSG, "image.json: \"%s\" %s.", key, why));
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Lower-case hexadecimal, MIN to MAX digits, an even number of them. */
static int take_hex(struct fault *fault, const char *key, const char *v, size_t min, size_t max, char *dst)
{
	size_t n = strlen(v);

	if (n < min || n > max || n % 2)
		return refuse(fault, key, "has a wrong length");
	for (size_t i = 0; i < n; i++)
		if (digit(v[i]) < 0)
			return refuse(fault, key, "is not lower-case hexadecimal");
	memcpy(dst, v, n + 1);
	return 0;
}

/* A version or release: letters, digits, and a few marks. */
static int take_name(struct fault *fault, const char *key, const char *v, char *dst)
{
	size_t n = strlen(v);

	if (n == 0 || n > IMAGE_NAME_MAX)
		return refuse(fault, key, "has a wrong length");
	if (strspn(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-~_:") != n)
		return refuse(fault, key, "has a character that no version has");
	memcpy(dst, v, n + 1);
	return 0;
}

/* Kernel parameters: words of harmless characters. The verity parameter is ours to add, never the file's. */
static int take_cmdline(struct fault *fault, const char *v, char *dst)
{
	size_t n = strlen(v);

	if (n == 0 || n > IMAGE_CMDLINE_MAX)
		return refuse(fault, "cmdline", "has a wrong length");
	if (strspn(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=._,/:+- ") != n)
		return refuse(fault, "cmdline", "has a character that no parameter needs");
	if (strstr(v, "caisson.verity"))
		return refuse(fault, "cmdline", "has a caisson.verity of its own");
	memcpy(dst, v, n + 1);
	return 0;
}

static int take_file(struct fault *fault, json_t *files, enum image_file_id id, struct image_file *ret)
{
	char hex[IMAGE_HASH_LEN + 1];
	json_error_t error;
	const char *sha256;
	json_int_t size;
	int r;

	if (json_unpack_ex(json_object_get(files, file_names[id]), &error, JSON_STRICT, "{s:I, s:s}", "size", &size,
			   "sha256", &sha256) < 0)
		return refuse(fault, file_names[id], error.text);
	if (size < 1 || size > FILE_SIZE_MAX)
		return refuse(fault, file_names[id], "has a size out of range");
	r = take_hex(fault, file_names[id], sha256, IMAGE_HASH_LEN, IMAGE_HASH_LEN, hex);
	if (r)
		return r;
	ret->size = (uint64_t)size;
	for (size_t i = 0; i < sizeof(ret->sha256); i++)
		ret->sha256[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
	return 0;
}

/* The hash tree lies behind the data, and both inside the file. */
static int check_verity(struct fault *fault, const struct image *image, json_int_t data, json_int_t hash)
{
	uint64_t blocks = image->files[IMAGE_ROOT].size / IMAGE_BLOCK;

	if (data < 1 || (uint64_t)data > blocks)
		return refuse(fault, "data_blocks", "does not fit root.img");
	if (hash < data || (uint64_t)hash >= blocks)
		return refuse(fault, "hash_start_block", "does not fit root.img");
	return 0;
}

int image_decode(struct image *ret, const char *src, size_t len, struct fault *fault)
{
	const char *recipe, *release, *salt, *root_hash, *engine, *cmdline;
	json_int_t format, data, hash, modules;
	_cleanup_(json_freep) json_t *json = NULL;
	struct image image = {0};
	json_error_t error;
	json_t *files;
	int r = 0;

	if (len > IMAGE_JSON_MAX)
		return refuse(fault, "file", "is too long");
	json = json_loadb(src, len, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		return refuse(fault, "file", error.text);
	if (json_unpack_ex(json, &error, JSON_STRICT,
			   "{s:I, s:s, s:s, s:s, s:{s:I, s:I, s:s, s:s}, s:o, s:s, s:I}", "format", &format, "recipe",
			   &recipe, "kernel_release", &release, "cmdline", &cmdline, "verity", "data_blocks", &data,
			   "hash_start_block", &hash, "salt", &salt, "root_hash", &root_hash, "files", &files,
			   "engine", &engine, "modules", &modules) < 0)
		return refuse(fault, "file", error.text);
	if (format != 1)
		return refuse(fault, "format", "is not 1: the image is of another version of Caisson");
	if (modules < 0 || modules > 65535)
		return refuse(fault, "modules", "is out of range");
	if (json_object_size(files) != IMAGE_FILE_MAX)
		return refuse(fault, "files", "does not name exactly vmlinux, initrd.cpio and root.img");
	for (int i = 0; i < IMAGE_FILE_MAX && !r; i++)
		r = take_file(fault, files, (enum image_file_id)i, &image.files[i]);
	if (!r)
		r = take_hex(fault, "recipe", recipe, 8, IMAGE_NAME_MAX, image.recipe);
	if (!r)
		r = take_hex(fault, "salt", strcmp(salt, "-") ? salt : "", 0, IMAGE_SALT_MAX, image.salt);
	if (!r)
		r = take_hex(fault, "root_hash", root_hash, IMAGE_HASH_LEN, IMAGE_HASH_LEN, image.root_hash);
	if (!r)
		r = take_name(fault, "kernel_release", release, image.kernel_release);
	if (!r)
		r = take_name(fault, "engine", engine, image.engine);
	if (!r)
		r = take_cmdline(fault, cmdline, image.cmdline);
	if (!r)
		r = check_verity(fault, &image, data, hash);
	if (r)
		return r;
	image.data_blocks = (uint64_t)data;
	image.hash_start_block = (uint64_t)hash;
	image.modules = (uint32_t)modules;
	*ret = image;
	return 0;
}

int image_verity_parameter(const struct image *image, char *dst, size_t size)
{
	int n = snprintf(dst, size, "caisson.verity=%llu:%llu:%s:%s", (unsigned long long)image->data_blocks,
			 (unsigned long long)image->hash_start_block, image->salt[0] ? image->salt : "-",
			 image->root_hash);

	return n < 0 || (size_t)n >= size ? trace(-EMSGSIZE) : n;
}
