/* SPDX-License-Identifier: Apache-2.0 */
/* state-dir: see the header. The only place where the environment names a directory. */
#include "backend/state-dir.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/path.h"
#include "base/text.h"

#define SHORT_LINK "short" /* in run/: link to the directory in /tmp, for whoever has to remove it after a kill */
#define SHORT_PREFIX "/tmp/caisson-%u-"
enum { SHORT_NAME_SIZE = 64 };

static bool is_own_directory(const char *path)
{
	struct stat st;

	return path && path_is_clean_absolute(path) && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid();
}

int state_dir_find_home(char **ret, struct fault *fault)
{
	const char *home = getenv("HOME");
	struct passwd *pw;

	if (!is_own_directory(home)) {
		pw = getpwuid(geteuid());
		home = pw ? pw->pw_dir : NULL;
		if (!is_own_directory(home))
			return fault_set(fault, -ENOENT, "There is no home directory that belongs to user %d: "
					 "set HOME to one.", (int)geteuid());
	}
	*ret = strdup(home);
	return *ret ? 0 : trace(-ENOMEM);
}

/* Opens NAME beneath PARENT, private to us; *RET_PATH becomes its path. Return: descriptor or -errno with FAULT. */
static int open_private(int parent_fd, const char *parent, const char *name, char **ret_path, struct fault *fault)
{
	_cleanup_free_ char *path = NULL;
	int fd, r;

	r = path_join(parent, name, &path);
	if (r < 0)
		return r;
	fd = fd_open_dir(parent_fd, name, true);
	if (fd == -EPERM)
		return fault_set(fault, fd, "%s belongs to another user or others can write to it: give it back "
				 "(chown, chmod go-w) or move it away.", path);
	if (fd == -ELOOP || fd == -ENOTDIR)
		return fault_set(fault, fd, "%s is not a directory (links are not followed): move it away.", path);
	if (fd < 0)
		return fault_set(fault, fd, "%s cannot be opened or made: %s.", path, strerror(-fd));
	*ret_path = take_ptr(path);
	return fd;
}

/* As open_private, and nobody else may look inside. */
static int open_sealed(int parent_fd, const char *parent, const char *name, char **ret_path, struct fault *fault)
{
	int fd = open_private(parent_fd, parent, name, ret_path, fault);

	if (fd >= 0 && fchmod(fd, 0700) < 0) {
		int r = error_errno();

		fd_close(fd);
		return fault_set(fault, r, "%s/%s cannot be made private: %s.", parent, name, strerror(-r));
	}
	return fd;
}

static int open_data(struct state_dir *dir, struct fault *fault)
{
	_cleanup_free_ char *vms = NULL, *vm = NULL;
	_cleanup_close_ int vms_fd = -EBADF, vm_fd = -EBADF;

	vms_fd = open_sealed(dir->desktop_fd, dir->desktop, "vms", &vms, fault);
	if (vms_fd < 0)
		return vms_fd;
	vm_fd = open_sealed(vms_fd, vms, "0", &vm, fault);
	if (vm_fd < 0)
		return vm_fd;
	dir->data_fd = open_sealed(vm_fd, vm, "data", &dir->data, fault);
	return dir->data_fd < 0 ? dir->data_fd : 0;
}

int state_dir_open(struct state_dir *dir, struct fault *fault)
{
	_cleanup_free_ char *docker = NULL;
	_cleanup_close_ int docker_fd = -EBADF;
	int r;

	r = state_dir_find_home(&dir->home, fault);
	if (r < 0)
		return r;
	dir->home_fd = open(dir->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->home_fd < 0)
		return fault_set(fault, error_errno(), "%s cannot be opened: %s.", dir->home, strerror(errno));
	docker_fd = open_private(dir->home_fd, dir->home, ".docker", &docker, fault);
	if (docker_fd < 0)
		return docker_fd;
	dir->desktop_fd = open_sealed(docker_fd, docker, "desktop", &dir->desktop, fault);
	if (dir->desktop_fd < 0)
		return dir->desktop_fd;
	dir->run_fd = open_sealed(dir->desktop_fd, dir->desktop, "run", &dir->run, fault);
	if (dir->run_fd < 0)
		return dir->run_fd;
	dir->log_fd = open_sealed(dir->desktop_fd, dir->desktop, "log", &dir->log, fault);
	if (dir->log_fd < 0)
		return dir->log_fd;
	dir->cache_fd = open_sealed(dir->desktop_fd, dir->desktop, "cache", &dir->cache, fault);
	if (dir->cache_fd < 0)
		return dir->cache_fd;
	return open_data(dir, fault);
}

/* $XDG_RUNTIME_DIR/caisson when that is private to us and short enough. Return: 0 with short_fd; -errno. */
static int open_runtime_dir(struct state_dir *dir)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	_cleanup_close_ int parent_fd = -EBADF;
	_cleanup_free_ char *path = NULL;
	int r;

	if (!is_own_directory(runtime))
		return -ENOENT;
	r = path_join(runtime, "caisson", &path);
	if (r < 0)
		return r;
	if (strlen(path) + sizeof("/" STATE_ENGINE_SOCKET) > sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	parent_fd = fd_open_dir_path(runtime, false);
	if (parent_fd < 0)
		return parent_fd;
	r = fd_open_dir(parent_fd, "caisson", true);
	if (r < 0)
		return r;
	dir->short_fd = r;
	dir->short_dir = take_ptr(path);
	return 0;
}

/* The link's text is believed only if it is a name of ours. */
void state_dir_drop_earlier(struct state_dir *dir)
{
	char path[SHORT_NAME_SIZE], prefix[SHORT_NAME_SIZE];
	ssize_t n = readlinkat(dir->run_fd, SHORT_LINK, path, sizeof(path) - 1);
	const char *rest;
	int fd;

	if (n < 0)
		return;
	path[n] = '\0';
	(void)unlinkat(dir->run_fd, SHORT_LINK, 0);
	snprintf(prefix, sizeof(prefix), SHORT_PREFIX, (unsigned int)geteuid());
	rest = text_after(path, prefix);
	if (!rest || strchr(rest, '/'))
		return;
	fd = fd_open_dir_path(path, false); /* refuses what is not ours */
	if (fd < 0)
		return;
	(void)unlinkat(fd, STATE_ENGINE_SOCKET, 0);
	fd_close(fd);
	(void)rmdir(path);
}

/* Makes /tmp/caisson-UID-RANDOM. The link to it comes first, so that no kill leaves a directory nobody knows. */
static int make_short(struct state_dir *dir)
{
	char path[SHORT_NAME_SIZE];
	uint64_t random;
	int n, r;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return trace(-EIO);
	n = snprintf(path, sizeof(path), SHORT_PREFIX, (unsigned int)geteuid());
	snprintf(path + n, sizeof(path) - (size_t)n, "%016llx", (unsigned long long)random);
	dir->short_dir = strdup(path);
	if (!dir->short_dir)
		return trace(-ENOMEM);
	if (symlinkat(path, dir->run_fd, SHORT_LINK) < 0)
		return trace(error_errno());
	if (mkdir(path, 0700) < 0) {
		r = error_errno();
		(void)unlinkat(dir->run_fd, SHORT_LINK, 0);
		return trace(r);
	}
	dir->short_made = true;
	dir->short_fd = fd_open_dir_path(path, false);
	return dir->short_fd < 0 ? dir->short_fd : 0;
}

int state_dir_open_short(struct state_dir *dir, struct fault *fault)
{
	int r;

	state_dir_drop_earlier(dir);
	if (strlen(dir->desktop) + sizeof("/" STATE_ENGINE_SOCKET) <= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return 0;
	if (open_runtime_dir(dir) >= 0)
		return 0;
	r = make_short(dir);
	if (r < 0)
		return fault_set(fault, r, "%s/" STATE_ENGINE_SOCKET " is too long for a socket address, and no short "
				 "directory can be made in /tmp: %s. Set XDG_RUNTIME_DIR to a short directory of your own.",
				 dir->desktop, strerror(-r));
	return 0;
}

void state_dir_drop_short(struct state_dir *dir)
{
	if (dir->short_fd >= 0)
		(void)unlinkat(dir->short_fd, STATE_ENGINE_SOCKET, 0);
	if (dir->short_made) {
		(void)rmdir(dir->short_dir);
		(void)unlinkat(dir->run_fd, SHORT_LINK, 0);
	}
	dir->short_made = false;
	dir->short_fd = fd_close(dir->short_fd);
	free(take_ptr(dir->short_dir));
}

int state_dir_engine_path(const struct state_dir *dir, char **ret)
{
	return path_join(dir->short_dir ? dir->short_dir : dir->desktop, STATE_ENGINE_SOCKET, ret);
}

void state_dir_done(struct state_dir *dir)
{
	state_dir_drop_short(dir);
	fd_close(dir->home_fd);
	fd_close(dir->desktop_fd);
	fd_close(dir->run_fd);
	fd_close(dir->data_fd);
	fd_close(dir->log_fd);
	fd_close(dir->cache_fd);
	free(dir->home);
	free(dir->desktop);
	free(dir->run);
	free(dir->data);
	free(dir->log);
	free(dir->cache);
	*dir = (struct state_dir)STATE_DIR_INIT;
}
