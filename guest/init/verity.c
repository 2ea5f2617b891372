/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verity: see verity.h. Three ioctls make a device (include/uapi/linux/dm-ioctl.h): DEV_CREATE gives it a
 * name and a number, TABLE_LOAD its (inactive) table, DEV_SUSPEND without the suspend flag makes that table
 * live. The error behaviour stays the default: a bad block fails its read with EIO and is reported by a
 * uevent, so that init can name the block to the host before it powers off; "panic_on_corruption" would
 * stop sooner and say nothing.
 */
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "guest/init/verity.h"

#define VERITY_KEY "caisson.verity="
enum { SECTORS_PER_BLOCK = VERITY_BLOCK_SIZE / 512, DM_BUFFER_SIZE = 4096 };

/* Copies the field up to ':' or the end into DST. Return: pointer behind it (":" consumed), NULL when too
 * long. */
static const char *field(const char *p, const char *end, char *dst, size_t size)
{
	const char *stop = memchr(p, ':', (size_t)(end - p));
	size_t n = (size_t)((stop ? stop : end) - p);

	if (n == 0 || n >= size)
		return NULL;
	memcpy(dst, p, n);
	dst[n] = '\0';
	return stop ? stop + 1 : end;
}

static int check_hex(const char *s)
{
	size_t len = strlen(s);

	return len % 2 == 0 && strspn(s, "0123456789abcdef") == len ? 0 : -EINVAL;
}

static int parse_value(struct verity_params *v, const char *p, const char *end)
{
	char number[24];

	p = field(p, end, number, sizeof(number));
	if (!p || text_parse_u64(number, UINT32_MAX, &v->data_blocks) < 0 || v->data_blocks == 0)
		return -EINVAL;
	p = field(p, end, number, sizeof(number));
	if (!p || text_parse_u64(number, UINT32_MAX, &v->hash_start_block) < 0 ||
	    v->hash_start_block < v->data_blocks)
		return -EINVAL;
	p = field(p, end, v->salt, sizeof(v->salt));
	if (!p || (strcmp(v->salt, "-") != 0 && check_hex(v->salt) < 0))
		return -EINVAL;
	p = field(p, end, v->root_hash, sizeof(v->root_hash));
	if (p != end || end[-1] == ':' || check_hex(v->root_hash) < 0)
		return -EINVAL;
	return strlen(v->root_hash) == 64 || strlen(v->root_hash) == 128 ? 0 : -EINVAL;
}

int verity_parse_cmdline(struct verity_params *ret, const char *cmdline)
{
	struct verity_params found = {0};
	const char *p = cmdline, *value;
	int n_found = 0;

	while (*p) {
		size_t len = strcspn(p, " \t\n");

		value = text_after(p, VERITY_KEY);
		if (value && len >= strlen(VERITY_KEY)) {
			if (n_found++ > 0 || parse_value(&found, value, p + len) < 0)
				return -EINVAL;
		}
		p += len;
		p += strspn(p, " \t\n");
	}
	if (n_found == 0)
		return -ENOENT;
	*ret = found;
	return 0;
}

int verity_table(char *dst, size_t size, const struct verity_params *v, unsigned int major,
		 unsigned int minor)
{
	const char *algorithm = strlen(v->root_hash) == 64 ? "sha256" : "sha512";
	int n;

	n = snprintf(dst, size, "1 %u:%u %u:%u %u %u %llu %llu %s %s %s", major, minor, major, minor,
		     VERITY_BLOCK_SIZE, VERITY_BLOCK_SIZE, (unsigned long long)v->data_blocks,
		     (unsigned long long)v->hash_start_block, algorithm, v->root_hash, v->salt);
	return n < 0 || (size_t)n >= size ? -E2BIG : n;
}

static struct dm_ioctl *request(void *buf, const char *name, uint32_t flags)
{
	struct dm_ioctl *dm = buf;

	memset(buf, 0, DM_BUFFER_SIZE);
	dm->version[0] = DM_VERSION_MAJOR;
	dm->data_size = DM_BUFFER_SIZE;
	dm->data_start = sizeof(*dm);
	dm->flags = flags;
	snprintf(dm->name, sizeof(dm->name), "%s", name);
	return dm;
}

int verity_activate(const char *name, const struct verity_params *params, unsigned int major,
		    unsigned int minor, uint64_t *ret_dev)
{
	_Alignas(struct dm_ioctl) char buf[DM_BUFFER_SIZE];
	_cleanup_close_ int fd = -EBADF;
	struct dm_target_spec *spec;
	struct dm_ioctl *dm;
	int r;

	fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return trace(error_errno());
	dm = request(buf, name, 0);
	if (ioctl(fd, DM_DEV_CREATE, dm) < 0)
		return trace(error_errno());

	dm = request(buf, name, DM_READONLY_FLAG);
	dm->target_count = 1;
	spec = (struct dm_target_spec *)(buf + sizeof(*dm));
	spec->length = params->data_blocks * SECTORS_PER_BLOCK;
	snprintf(spec->target_type, sizeof(spec->target_type), "verity");
	r = verity_table((char *)(spec + 1), VERITY_TABLE_MAX, params, major, minor);
	if (r < 0)
		return trace(r);
	if (ioctl(fd, DM_TABLE_LOAD, dm) < 0)
		return trace(error_errno());

	dm = request(buf, name, DM_READONLY_FLAG);
	if (ioctl(fd, DM_DEV_SUSPEND, dm) < 0)
		return trace(error_errno());
	*ret_dev = dm->dev;
	return 0;
}
