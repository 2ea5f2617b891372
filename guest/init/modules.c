/* SPDX-License-Identifier: Apache-2.0 */
/* modules: see modules.h. */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "guest/init/modules.h"

static const char *const stage_names[] = {
	[MODULES_STAGE1] = "stage1", [MODULES_BOOT] = "boot", [MODULES_LATER] = "later",
};
_Static_assert(ARRAY_SIZE(stage_names) == MODULES_STAGE_MAX, "one name per stage");

static int parse_stage(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < MODULES_STAGE_MAX; i++)
		if (strlen(stage_names[i]) == len && memcmp(stage_names[i], word, len) == 0)
			return (int)i;
	return -EINVAL;
}

static int parse_line(struct modules *m, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);
	size_t name_len;
	int stage;

	if (!space)
		return -EINVAL;
	stage = parse_stage(line, (size_t)(space - line));
	if (stage < 0 || (m->n > 0 && stage < m->entries[m->n - 1].stage))
		return -EINVAL;
	name_len = len - (size_t)(space + 1 - line);
	if (name_len == 0 || name_len >= MODULES_NAME_MAX || space[1] == '.' ||
	    memchr(space + 1, '/', name_len) || memchr(space + 1, ' ', name_len) ||
	    memchr(space + 1, '\0', name_len))
		return -EINVAL;
	if (m->n == MODULES_MAX)
		return -E2BIG;
	m->entries[m->n].stage = (uint8_t)stage;
	memcpy(m->entries[m->n].file, space + 1, name_len);
	m->entries[m->n].file[name_len] = '\0';
	m->n++;
	return 0;
}

int modules_parse(struct modules *ret, const char *text, size_t len)
{
	size_t off = 0;
	int r;

	memset(ret, 0, sizeof(*ret));
	while (off < len) {
		const char *end = memchr(text + off, '\n', len - off);
		size_t n = end ? (size_t)(end - (text + off)) : len - off;

		r = parse_line(ret, text + off, n);
		if (r < 0)
			return trace(r);
		off += n + 1;
	}
	return 0;
}

int modules_read(struct modules *ret, const char *dir)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int dir_fd = -EBADF;
	size_t len;
	int r;

	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return trace(error_errno());
	r = fd_read_file(dir_fd, "modules.list", MODULES_LIST_MAX, &text, &len);
	if (r < 0)
		return trace(r);
	return trace(modules_parse(ret, text, len));
}

static int load_file(const char *dir, const char *file)
{
	_cleanup_close_ int dir_fd = -EBADF, fd = -EBADF;

	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return error_errno();
	fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_errno();
	if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST && errno != ENODEV)
		return error_errno();
	return 0;
}

int modules_load_next(struct modules *modules, enum modules_stage stage, const char *dir, uint32_t *ret_index)
{
	uint32_t i;
	int r;

	while (modules->next < modules->n && modules->entries[modules->next].stage < (uint8_t)stage)
		modules->next++;
	i = modules->next;
	if (i >= modules->n || modules->entries[i].stage != (uint8_t)stage)
		return MODULES_E_DONE;
	modules->next++;
	*ret_index = i;
	r = load_file(dir, modules->entries[i].file);
	return trace(r);
}
