/* SPDX-License-Identifier: Apache-2.0 */
/* oneshot: one API connection without a session, for settings and the last fault while nothing runs. */
#include "backend/oneshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/api-server.h"
#include "base/fd.h"
#include "base/path.h"

enum { FAULT_FILE_MAX = 4096 };

/* The fault of the last run, for a status without one. */
static void load_fault(struct view *view, int run_fd)
{
	_cleanup_free_ char *text = NULL;
	const char *code, *message;
	json_t *fault;
	size_t len;

	if (fd_read_file(run_fd, STATE_FAULT_FILE, FAULT_FILE_MAX, &text, &len) < 0)
		return;
	fault = json_loadb(text, len, 0, NULL);
	if (json_unpack(fault, "{s:s, s:s}", "code", &code, "message", &message) == 0) {
		snprintf(view->fault_code, sizeof(view->fault_code), "%s", code);
		snprintf(view->fault_text, sizeof(view->fault_text), "%s", message);
	}
	json_decref(fault);
}

static void unlink_socket(int dir_fd, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode))
		(void)unlinkat(dir_fd, name, 0);
}

/* A backend that was killed could not give the docker context back, nor take its sockets away: whoever asks next does it.
 * Under its lock, so that a backend that is just starting keeps what it makes. */
static void tidy_after_kill(struct state_dir *dir, const char *engine_path)
{
	struct docker_context context = DOCKER_CONTEXT_INIT;
	_cleanup_close_ int lock_fd = -EBADF;
	struct stat st;

	if (fstatat(dir->run_fd, STATE_CONTEXT_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	lock_fd = fd_lock_file(dir->run_fd, STATE_LOCK_FILE);
	if (lock_fd < 0)
		return;
	docker_context_open(&context, dir->home, dir->run_fd);
	docker_context_recover(&context, engine_path);
	docker_context_done(&context);
	unlink_socket(dir->desktop_fd, STATE_ENGINE_SOCKET);
	unlink_socket(dir->run_fd, STATE_API_SOCKET);
	state_dir_drop_earlier(dir);
}

static void hook_ended(void *data)
{
	loop_exit(data, 0);
}

int oneshot_serve_consume(struct loop *loop, int fd, struct fault *fault)
{
	struct api_hooks hooks = {.ended = hook_ended, .data = loop};
	struct state_dir dir = STATE_DIR_INIT;
	struct view view = {.oneshot = true, .dir = &dir, .state = MACHINE_OFF};
	_cleanup_free_ char *engine_path = NULL;
	struct api_server *server = NULL;
	int r;

	r = state_dir_open(&dir, fault);
	if (r >= 0)
		r = path_join(dir.desktop, STATE_ENGINE_SOCKET, &engine_path);
	if (r >= 0) {
		view.engine_path = engine_path;
		tidy_after_kill(&dir, engine_path);
		config_host(&view.host, dir.data_fd, STATE_DISK_FILE);
		if (view_load_stored(&view, &view.in_force, NULL) < 0)
			config_set_defaults(&view.in_force, &view.host);
		load_fault(&view, dir.run_fd);
		r = api_server_new(loop, &view, &hooks, &server);
	}
	if (r >= 0)
		r = fd_set_nonblock(fd, true);
	if (r >= 0)
		r = api_server_serve_consume(server, fd);
	else
		fd_close(fd);
	if (r >= 0)
		r = loop_run(loop);
	if (r < 0 && !fault->code)
		fault_set(fault, r, "The request cannot be served: %s.", strerror(-r));
	api_server_free(server);
	state_dir_done(&dir);
	return r;
}
