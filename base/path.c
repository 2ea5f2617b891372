/* SPDX-License-Identifier: Apache-2.0 */
/* path: string checks only; nothing here opens a file but /proc/self/exe. */
#include "base/path.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

bool path_is_name(const char *name)
{
	size_t len = strnlen(name, NAME_MAX + 1);

	return len > 0 && len <= NAME_MAX && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

bool path_is_clean_absolute(const char *path)
{
	size_t len = strnlen(path, PATH_MAX);
	const char *p = path;

	if (len == 0 || len >= PATH_MAX || path[0] != '/')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f)
			return false;
	while (*p) {
		size_t n = strcspn(++p, "/");

		if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n;
	}
	return true;
}

int path_join(const char *dir, const char *name, char **ret)
{
	size_t len = strlen(dir);
	char *s;

	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (asprintf(&s, "%.*s%s%s", (int)len, dir, len == 1 && dir[0] == '/' ? "" : "/", name) < 0)
		return trace(-ENOMEM);
	*ret = s;
	return 0;
}

bool path_is_below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	while (len > 1 && prefix[len - 1] == '/')
		len--;
	if (len == 1 && prefix[0] == '/')
		return path[0] == '/';
	return !strncmp(path, prefix, len) && (path[len] == '\0' || path[len] == '/');
}

int path_beside_self(const char *rel, char **ret)
{
	char exe[PATH_MAX], resolved[PATH_MAX];
	_cleanup_free_ char *joined = NULL;
	char *slash, *copy;
	ssize_t n;
	int r;

	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n < 0)
		return trace(error_errno());
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (!slash)
		return trace(-EINVAL);
	slash[slash == exe ? 1 : 0] = '\0';
	r = path_join(exe, rel, &joined);
	if (r < 0)
		return r;
	/* Without ".." the result is what users see in messages and process lists. */
	if (!realpath(joined, resolved))
		return error_errno();
	copy = strdup(resolved);
	if (!copy)
		return trace(-ENOMEM);
	*ret = copy;
	return 0;
}
