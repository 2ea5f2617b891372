/* SPDX-License-Identifier: Apache-2.0 */
/* cli: see cli.h. */
#include "ui/cli/cli.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fd.h"
#include "base/path.h"

static bool is_own_dir(const char *path)
{
	struct stat st;

	return path && path_is_clean_absolute(path) && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid();
}

int cli_home(char **ret, struct fault *fault)
{
	const char *home = getenv("HOME");
	char *copy;

	if (!is_own_dir(home)) {
		const struct passwd *pw = getpwuid(geteuid());

		home = pw ? pw->pw_dir : NULL;
	}
	if (!is_own_dir(home))
		return fault_set(fault, -ENOENT,
				 "No home directory of the user with id %u was found; set HOME to a directory that belongs to it.",
				 (unsigned int)geteuid());
	copy = strdup(home);
	if (!copy)
		return trace(-ENOMEM);
	*ret = copy;
	return 0;
}

int cli_open_dir(const struct cli *cli, const char *name, bool create)
{
	_cleanup_free_ char *path = NULL;
	int r = *name ? path_join(cli->state, name, &path) : 0;

	return r < 0 ? trace(r) : fd_open_dir_path(*name ? path : cli->state, create);
}

int cli_program(const char *name, char **ret)
{
	char rel[128];

	snprintf(rel, sizeof(rel), "../libexec/caisson/%s", name);
	return trace(path_beside_self(rel, ret));
}

int cli_failed(const struct cli *cli, const struct fault *fault, int r)
{
	if (fault && fault->text[0])
		output_error(&cli->out, "%s", fault->text);
	else
		output_error(&cli->out, "This failed: %s.", strerror(-r));
	return CLI_FAILED;
}

/* The plug-in directory of the docker CLI: below $DOCKER_CONFIG, else ~/.docker. */
static int open_plugin_dir(const struct cli *cli)
{
	const char *config = getenv("DOCKER_CONFIG");
	_cleanup_free_ char *base = NULL, *path = NULL;
	int r;

	if (config && path_is_clean_absolute(config))
		base = strdup(config);
	else if (path_join(cli->home, ".docker", &base) < 0)
		base = NULL;
	if (!base)
		return -ENOMEM;
	r = path_join(base, "cli-plugins", &path);
	return r < 0 ? r : fd_open_dir_path(path, true);
}

void cli_install_plugin(const struct cli *cli)
{
	static const char name[] = "docker-desktop", temp[] = ".docker-desktop.new";
	_cleanup_free_ char *self = NULL;
	_cleanup_close_ int dir_fd = open_plugin_dir(cli);
	char old[PATH_MAX];
	ssize_t n;

	if (dir_fd < 0 || path_beside_self("caisson", &self) < 0)
		return;
	n = readlinkat(dir_fd, name, old, sizeof(old) - 1);
	if (n < 0 && errno != ENOENT)
		return; /* not a link: somebody else's plug-in */
	if (n >= 0) {
		const char *base;

		old[n] = '\0';
		base = strrchr(old, '/');
		/* Ours from another installation or a dangling one is renewed; a link to anything else stays. */
		if (!strcmp(old, self) || !base || strcmp(base, "/caisson") != 0)
			return;
	}
	(void)unlinkat(dir_fd, temp, 0);
	if (symlinkat(self, dir_fd, temp) == 0 && renameat(dir_fd, temp, dir_fd, name) < 0)
		(void)unlinkat(dir_fd, temp, 0);
}

static uint64_t clock_us(clockid_t id)
{
	struct timespec ts = {0};

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t cli_now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t cli_wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}
