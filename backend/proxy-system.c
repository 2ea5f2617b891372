/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy-system: see the header. A change of the watched folders starts a short timer, its end a new question; so a burst of
 * writes is one question. What is asked of gsettings comes by a pipe, at most PROXY_DESKTOP_TEXT_MAX bytes within 5 s; a program
 * that does not keep to that is killed and counts as "no proxy set".
 *
 * Called by backend/proxy-process. Never blocks, never logs; runs no other program.
 */
#include "backend/proxy-system.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/proxy-desktop.h"
#include "backend/proxy-settings.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/spawn.h"

enum { ASK_US = 5000000, SETTLE_US = 500000, ENV_MAX = 8 };

struct proxy_system {
	struct loop *loop;
	char gsettings[PATH_MAX];
	proxy_system_fn on_change;
	void *data;
	int inotify_fd, pipe_fd, pidfd;
	struct loop_source *watch, *output, *child, *timer;
	bool asking, again; /* again: something changed while it was asked */
	size_t len;
	char text[PROXY_DESKTOP_TEXT_MAX];
};

static const char *from_environment(void *data, const char *name)
{
	return getenv(name);
}

static void tell(struct proxy_system *s, const struct proxyctl_settings *settings, const struct fault *fault)
{
	s->on_change(s->data, settings, fault);
}

static void tell_gnome(struct proxy_system *s)
{
	struct proxyctl_settings settings;
	struct fault fault = FAULT_INIT;

	s->text[s->len] = '\0';
	proxy_desktop_gnome(&settings, s->text, &fault);
	tell(s, &settings, &fault);
	explicit_bzero(&settings, sizeof(settings));
	explicit_bzero(s->text, sizeof(s->text));
}

/* Ends and reaps what still runs: SIGKILL needs no patience. */
static void kill_child(struct proxy_system *s)
{
	siginfo_t info;

	s->child = loop_source_free(s->child);
	if (s->pidfd < 0)
		return;
	(void)spawn_kill(s->pidfd, SIGKILL);
	(void)waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED);
	s->pidfd = fd_close(s->pidfd);
}

static void end_asking(struct proxy_system *s)
{
	if (s->child && s->pidfd >= 0)
		(void)spawn_kill(s->pidfd, SIGKILL);
	s->output = loop_source_free(s->output);
	s->pipe_fd = fd_close(s->pipe_fd);
	(void)loop_timer_set(s->timer, UINT64_MAX);
	if (s->asking)
		tell_gnome(s);
	if (s->asking && s->again)
		(void)loop_timer_set(s->timer, SETTLE_US);
	s->asking = s->again = false;
}

static int on_output(void *data, int fd, uint32_t events)
{
	struct proxy_system *s = data;
	ssize_t n = read(fd, s->text + s->len, sizeof(s->text) - 1 - s->len);

	if (n > 0)
		s->len += (size_t)n;
	if ((n < 0 && errno != EAGAIN && errno != EINTR) || s->len == sizeof(s->text) - 1)
		s->len = 0;
	else if (n != 0)
		return 0;
	end_asking(s);
	return 0;
}

static int on_child(void *data, pid_t pid, int status)
{
	struct proxy_system *s = data;

	s->child = loop_source_free(s->child);
	s->pidfd = fd_close(s->pidfd);
	return 0;
}

/* Return: 1: gsettings was started. */
static int ask_gnome(struct proxy_system *s)
{
	static const char *const names[] = {"HOME", "PATH", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_DIRS",
					    "DBUS_SESSION_BUS_ADDRESS"};
	char *const argv[] = {s->gsettings, (char *)"list-recursively", (char *)"org.gnome.system.proxy", NULL};
	char env[ENV_MAX][512], *envp[ENV_MAX + 1] = {NULL};
	_cleanup_close_ int write_fd = -EBADF;
	size_t n = 0;
	int fds[2];
	pid_t pid;

	if (s->child || (!getenv("DBUS_SESSION_BUS_ADDRESS") && !getenv("XDG_RUNTIME_DIR")) || access(s->gsettings, X_OK) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names) && n < ENV_MAX; i++) {
		const char *value = getenv(names[i]);

		if (!value || snprintf(env[n], sizeof(env[n]), "%s=%s", names[i], value) >= (int)sizeof(env[n]))
			continue;
		envp[n] = env[n];
		n++;
	}
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return 0;
	s->pipe_fd = fds[0];
	write_fd = fds[1];
	(void)fd_set_nonblock(write_fd, false);
	const struct spawn_plan plan = {.program = s->gsettings, .argv = argv, .envp = envp, .stdin_fd = -1, .stdout_fd = write_fd,
					.stderr_fd = -1, .flags = SPAWN_SETSID | SPAWN_NODUMP};
	if (spawn_start(&plan, &pid, &s->pidfd) < 0 ||
	    loop_add_child(s->loop, s->pidfd, pid, on_child, s, &s->child) < 0 ||
	    loop_add_fd(s->loop, s->pipe_fd, EPOLLIN, on_output, s, &s->output) < 0) {
		kill_child(s);
		s->pipe_fd = fd_close(s->pipe_fd);
		return 0;
	}
	s->len = 0;
	s->asking = true;
	(void)loop_timer_set(s->timer, ASK_US);
	return 1;
}

/* "$XDG_CONFIG_HOME/NAME" or "$HOME/.config/NAME". */
static bool config_path(char dst[static PATH_MAX], const char *name)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n = -1;

	if (config && *config == '/')
		n = snprintf(dst, PATH_MAX, "%s/%s", config, name);
	else if (home && *home == '/')
		n = snprintf(dst, PATH_MAX, "%s/.config/%s", home, name);
	return n > 0 && n < PATH_MAX;
}

/* Return: 1: KDE's file was there and has been told. */
static int ask_kde(struct proxy_system *s)
{
	const char *desktop = getenv("XDG_CURRENT_DESKTOP");
	_cleanup_free_ char *text = NULL;
	struct proxyctl_settings settings;
	struct fault fault = FAULT_INIT;
	char path[PATH_MAX];
	size_t len;

	if (!desktop || !strstr(desktop, "KDE") || !config_path(path, "kioslaverc"))
		return 0;
	if (fd_read_file(AT_FDCWD, path, PROXY_DESKTOP_TEXT_MAX, &text, &len) < 0)
		return 0;
	proxy_desktop_kde(&settings, text, &fault);
	tell(s, &settings, &fault);
	explicit_bzero(&settings, sizeof(settings));
	return 1;
}

static void ask(struct proxy_system *s)
{
	struct proxyctl_settings settings;
	struct fault fault = FAULT_INIT;

	if (!proxy_settings_environment(&settings, from_environment, NULL, &fault) && !fault.text[0] &&
	    (ask_kde(s) || ask_gnome(s)))
		return;
	tell(s, &settings, &fault);
	explicit_bzero(&settings, sizeof(settings));
}

static int on_timer(void *data)
{
	struct proxy_system *s = data;

	if (s->asking) {
		s->len = 0;
		end_asking(s);
	} else {
		ask(s);
	}
	return 0;
}

static int on_watch(void *data, int fd, uint32_t events)
{
	_Alignas(struct inotify_event) char buf[4096];
	struct proxy_system *s = data;
	ssize_t n = read(fd, buf, sizeof(buf));
	bool ours = false;

	for (ssize_t at = 0; n > 0 && at + (ssize_t)sizeof(struct inotify_event) <= n;) {
		const struct inotify_event *e = (const struct inotify_event *)(buf + at);

		/* dconf's file, KDE's file */
		if (e->len && (!strcmp(e->name, "user") || !strcmp(e->name, "kioslaverc")))
			ours = true;
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	if (ours && s->asking)
		s->again = true;
	else if (ours)
		(void)loop_timer_set(s->timer, SETTLE_US);
	return 0;
}

static void start_watch(struct proxy_system *s)
{
	static const char *const folders[] = {"", "dconf"};
	char path[PATH_MAX];

	s->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->inotify_fd < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (config_path(path, folders[i]))
			(void)inotify_add_watch(s->inotify_fd, path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR);
	if (loop_add_fd(s->loop, s->inotify_fd, EPOLLIN, on_watch, s, &s->watch) < 0)
		s->inotify_fd = fd_close(s->inotify_fd);
}

int proxy_system_new(struct loop *loop, const char *gsettings, proxy_system_fn on_change, void *data, struct proxy_system **ret)
{
	struct proxy_system *s;
	int r;

	if (strlen(gsettings) >= PATH_MAX)
		return trace(-EINVAL);
	s = calloc(1, sizeof(*s));
	if (!s)
		return trace(-ENOMEM);
	s->loop = loop;
	memcpy(s->gsettings, gsettings, strlen(gsettings) + 1);
	s->on_change = on_change;
	s->data = data;
	s->inotify_fd = s->pipe_fd = s->pidfd = -EBADF;
	r = loop_add_timer(loop, on_timer, s, &s->timer);
	if (r < 0) {
		free(s);
		return trace(r);
	}
	/* Without the watch the settings of this start hold. */
	start_watch(s);
	*ret = s;
	ask(s);
	return 0;
}

struct proxy_system *proxy_system_free(struct proxy_system *s)
{
	if (!s)
		return NULL;
	s->asking = false;
	end_asking(s);
	kill_child(s);
	s->watch = loop_source_free(s->watch);
	s->timer = loop_source_free(s->timer);
	fd_close(s->inotify_fd);
	explicit_bzero(s->text, sizeof(s->text));
	free(s);
	return NULL;
}
