/* SPDX-License-Identifier: Apache-2.0 */
/* api: see api.h. */
#include "ui/cli/api.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/sock.h"
#include "base/spawn.h"

enum { ONESHOT_END_MS = 5000 };

extern char **environ;

static int prepare(struct api *api, int fd, struct fault *fault)
{
	struct sock_peer peer;

	api->fd = fd;
	if (sock_peer(fd, &peer) < 0 || peer.uid != geteuid())
		return fault_set(fault, -EPERM, "The program behind backend.sock belongs to another user; it is not used.");
	api->in = malloc(API_IN_MAX);
	api->body = malloc(API_BODY_MAX);
	if (!api->in || !api->body)
		return fault_set(fault, -ENOMEM, "There is not enough memory.");
	return fd_set_nonblock(fd, true);
}

/* Connects to the socket NAME in STATE/DIR. */
static int open_socket(const struct cli *cli, const char *dir, const char *name, struct api *ret, struct fault *fault)
{
	_cleanup_close_ int dir_fd = cli_open_dir(cli, dir, false);
	struct api api = API_INIT;
	int fd, r;

	if (dir_fd == -ENOENT)
		return -ENOENT;
	if (dir_fd < 0)
		return fault_set(fault, dir_fd, "The directory %s/%s cannot be used (%s); it must belong to you alone.",
				 cli->state, dir, strerror(-dir_fd));
	fd = sock_connect_at(dir_fd, name, SOCK_STREAM);
	if (fd == -ENOENT || fd == -ECONNREFUSED || fd == -ENOTSOCK)
		return -ENOENT;
	if (fd < 0)
		return fault_set(fault, fd, "The backend cannot be reached (%s).", strerror(-fd));
	r = prepare(&api, fd, fault);
	if (r < 0) {
		api_close(&api);
		return r;
	}
	*ret = api;
	return 0;
}

int api_open(const struct cli *cli, struct api *ret, struct fault *fault)
{
	return open_socket(cli, "run", "backend.sock", ret, fault);
}

int api_open_engine(const struct cli *cli, struct api *ret, struct fault *fault)
{
	return open_socket(cli, "", "docker.sock", ret, fault);
}

int api_open_oneshot(const struct cli *cli, struct api *ret, struct fault *fault)
{
	_cleanup_free_ char *program = NULL;
	static char name[] = "caisson-backend", mode[] = "--oneshot-api";
	char *argv[] = {name, mode, NULL};
	_cleanup_close_ int theirs = -EBADF;
	struct api api = API_INIT;
	int fds[2], r = cli_program(name, &program);
	pid_t pid;

	if (r < 0)
		return fault_set(fault, r, "The program caisson-backend was not found beside this one.");
	r = sock_pair(SOCK_STREAM, fds);
	if (r < 0)
		return fault_set(fault, r, "No socket could be made (%s).", strerror(-r));
	theirs = fds[1];
	r = prepare(&api, fds[0], fault);
	if (r >= 0) {
		struct spawn_plan plan = {.program = program, .argv = argv, .envp = environ, .stdin_fd = -EBADF,
					  .stdout_fd = -EBADF, .stderr_fd = STDERR_FILENO, .fds = &theirs, .n_fds = 1};

		r = spawn_start(&plan, &pid, &api.pidfd);
		if (r < 0)
			fault_set(fault, r, "%s could not be started (%s); is the installation complete?", program,
				  strerror(-r));
	}
	if (r < 0) {
		api_close(&api);
		return r;
	}
	*ret = api;
	return 0;
}

int api_open_any(const struct cli *cli, struct api *ret, bool *ret_running, struct fault *fault)
{
	int r = api_open(cli, ret, fault);

	*ret_running = r == 0;
	return r == -ENOENT ? api_open_oneshot(cli, ret, fault) : r;
}

void api_close(struct api *api)
{
	siginfo_t info;

	api->fd = fd_close(api->fd);
	if (api->pidfd >= 0) {
		struct pollfd p = {.fd = api->pidfd, .events = POLLIN};

		/* It has answered, or never will: its end is not waited for without end. */
		if (poll(&p, 1, ONESHOT_END_MS) == 0)
			(void)spawn_kill(api->pidfd, SIGKILL);
		while (waitid(P_PIDFD, (id_t)api->pidfd, &info, WEXITED) < 0 && errno == EINTR)
			;
		api->pidfd = fd_close(api->pidfd);
	}
	free(api->in);
	free(api->body);
	api->in = api->body = NULL;
}

/* Waits until the socket is ready. Return: 0, -ETIMEDOUT, -errno. */
static int wait_ready(const struct api *api, short events)
{
	struct pollfd p = {.fd = api->fd, .events = events};
	uint64_t end = cli_now_us() + API_TIMEOUT_MS * 1000ULL;

	for (;;) {
		uint64_t now = cli_now_us();
		int r = now < end ? poll(&p, 1, (int)((end - now) / 1000) + 1) : 0;

		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return error_errno();
	}
}

static int send_all(const struct api *api, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(api->fd, p, len, MSG_NOSIGNAL);
		int r = n < 0 ? error_errno() : 0;

		if (r == -EAGAIN)
			r = wait_ready(api, POLLOUT);
		if (r < 0 && r != -EINTR)
			return r;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int send_request(struct api *api, const char *method, const char *path, const json_t *body)
{
	_cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	char head[2048];
	struct bytes_writer w = bytes_writer(head, sizeof(head));
	int r;

	if (body && !text)
		return -ENOMEM;
	http_put_request(&w, method, path);
	http_put_field(&w, "Host", "localhost");
	http_put_field(&w, "User-Agent", "caisson/" CAISSON_VERSION);
	if (text) {
		http_put_field(&w, "Content-Type", "application/json");
		http_put_field_u64(&w, "Content-Length", strlen(text));
	}
	http_put_end(&w);
	if (!w.ok)
		return -EINVAL;
	r = send_all(api, head, w.off);
	return r < 0 || !text ? r : send_all(api, text, strlen(text));
}

/* Reads what is there behind api->in. Return: 1 after bytes, 0 when the peer closed, -EAGAIN, -errno. */
static int fill(struct api *api)
{
	ssize_t n;

	if (api->in_len == API_IN_MAX)
		return -EMSGSIZE;
	n = recv(api->fd, api->in + api->in_len, API_IN_MAX - api->in_len, 0);
	if (n < 0)
		return errno == EINTR ? 1 : error_errno();
	api->in_len += (size_t)n;
	return n > 0;
}

static int fill_wait(struct api *api)
{
	int r = fill(api);

	if (r != -EAGAIN)
		return r == 0 ? -ECONNRESET : r;
	r = wait_ready(api, POLLIN);
	return r < 0 ? r : 1;
}

static void drop_in(struct api *api, size_t n)
{
	memmove(api->in, api->in + n, api->in_len - n);
	api->in_len -= n;
}

/* Moves decodable payload from api->in to api->body. Return: 0 or -errno. */
static int decode_body(struct api *api)
{
	size_t off = 0;
	int r = 0;

	while (r == 0 && !api->state.done) {
		struct http_slice data;
		ssize_t n = http_body_decode(&api->state, api->in + off, api->in_len - off, &data);

		if (n < 0)
			r = (int)n;
		else if (data.len > API_BODY_MAX - api->body_len)
			r = -EMSGSIZE;
		if (r < 0 || (n == 0 && !data.len))
			break;
		if (data.len)
			memcpy(api->body + api->body_len, data.p, data.len);
		api->body_len += data.len;
		off += (size_t)n;
	}
	drop_in(api, off);
	return r;
}

static int read_head(struct api *api, unsigned int *ret_status)
{
	struct http_head head;
	ssize_t n;

	while ((n = http_response_decode(&head, api->in, api->in_len, false, NULL)) == 0) {
		int r = fill_wait(api);

		if (r < 0)
			return r;
	}
	if (n < 0)
		return (int)n;
	*ret_status = head.status;
	http_body_start(&api->state, &head);
	api->body_len = 0;
	drop_in(api, (size_t)n);
	return 0;
}

static int read_body(struct api *api)
{
	int r = decode_body(api);

	while (r == 0 && !api->state.done) {
		int k = fill_wait(api);

		if (k == -ECONNRESET && api->state.framing == HTTP_BODY_TO_END)
			return 0;
		if (k < 0)
			return k;
		r = decode_body(api);
	}
	return r;
}

static int call_fault(struct fault *fault, int r)
{
	if (r == -ETIMEDOUT)
		return fault_set(fault, r, "The backend does not answer; 'caisson stop --force' ends it.");
	if (r == -ECONNRESET || r == -EPIPE)
		return fault_set(fault, r, "The backend went away before it answered; its log is shown by 'caisson logs -u backend'.");
	return fault_set(fault, r, "The backend's answer could not be understood (%s).", strerror(-r));
}

static int refusal(const json_t *json, struct fault *fault)
{
	fault_set(fault, -EREMOTEIO, "%s", json_text(json_object_get(json, "error"), "message",
						    "The backend refused without a reason."));
	return API_E_REFUSED;
}

int api_call(struct api *api, const char *method, const char *path, const json_t *body, json_t **ret,
	     struct fault *fault)
{
	unsigned int status = 0;
	_cleanup_json_ json_t *json = NULL;
	int r = send_request(api, method, path, body);

	/* A refusal sent before the request was read whole is still worth reading. */
	if (r >= 0 || r == -EPIPE)
		r = read_head(api, &status);
	if (r >= 0)
		r = read_body(api);
	if (r < 0)
		return call_fault(fault, r);
	json = json_loadb(api->body, api->body_len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(json) && !json_is_array(json))
		return call_fault(fault, -EBADMSG);
	r = status >= 400 ? refusal(json, fault) : 0;
	if (ret)
		*ret = take_ptr(json);
	return r;
}

/* Writes what has come and what comes to FD. Return: 0 or -errno. */
static int pour(struct api *api, int fd, uint64_t *ret_bytes)
{
	for (;;) {
		struct pollfd p = {.fd = api->fd, .events = POLLIN};
		int r = fd_write_all(fd, api->in, api->in_len);

		if (r < 0)
			return r;
		*ret_bytes += api->in_len;
		api->in_len = 0;
		r = fill(api);
		if (r == 0)
			return 0;
		if (r < 0 && r != -EAGAIN)
			return r;
		if (r == -EAGAIN)
			(void)poll(&p, 1, -1);
	}
}

int api_download(struct api *api, const char *path, api_open_fn open, void *data, uint64_t *ret_bytes, struct fault *fault)
{
	_cleanup_json_ json_t *json = NULL;
	unsigned int status = 0;
	int fd, r = send_request(api, "GET", path, NULL);

	if (r >= 0)
		r = read_head(api, &status);
	if (r >= 0 && status >= 400)
		r = read_body(api);
	if (r < 0)
		return call_fault(fault, r);
	if (status >= 400) {
		json = json_loadb(api->body, api->body_len, JSON_REJECT_DUPLICATES, NULL);
		return refusal(json, fault);
	}
	fd = open(data, fault);
	if (fd < 0)
		return fd;
	*ret_bytes = 0;
	r = pour(api, fd, ret_bytes);
	return r < 0 ? fault_set(fault, r, "The stream ended early (%s).", strerror(-r)) : 0;
}

int api_events(struct api *api, struct fault *fault)
{
	unsigned int status = 0;
	int r = send_request(api, "GET", "/v1/events", NULL);

	if (r >= 0)
		r = read_head(api, &status);
	if (r >= 0 && status != 200)
		r = -EBADMSG;
	return r < 0 ? call_fault(fault, r) : 0;
}

/* Takes one line off api->body. Return: 1, 0 when none is whole, -EBADMSG. */
static int take_line(struct api *api, json_t **ret)
{
	char *nl = memchr(api->body, '\n', api->body_len);
	size_t len = nl ? (size_t)(nl - api->body) : 0;
	json_t *json;

	if (!nl)
		return 0;
	json = json_loadb(api->body, len, JSON_REJECT_DUPLICATES, NULL);
	memmove(api->body, nl + 1, api->body_len - len - 1);
	api->body_len -= len + 1;
	if (!json_is_object(json)) {
		json_decref(json);
		return -EBADMSG;
	}
	*ret = json;
	return 1;
}

int api_event(struct api *api, json_t **ret)
{
	for (;;) {
		int r = decode_body(api);

		if (r == 0)
			r = take_line(api, ret);
		if (r != 0)
			return r;
		if (api->state.done)
			return -ECONNRESET;
		r = fill(api);
		if (r == -EAGAIN)
			return 0;
		if (r <= 0)
			return r == 0 ? -ECONNRESET : r;
	}
}

const char *json_text(const json_t *object, const char *key, const char *fallback)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : fallback;
}

int64_t json_number(const json_t *object, const char *key, int64_t fallback)
{
	const json_t *v = json_object_get(object, key);

	return json_is_integer(v) ? json_integer_value(v) : fallback;
}

bool json_flag(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}
