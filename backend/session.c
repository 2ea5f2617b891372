/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: theory of operation.
 *
 * Open: directories, lock, log files, settings, sockets; whatever fails here fails in front of the user (stderr).
 * Launch: if a machine of an earlier, killed backend still lives, its lock (run/machine.lock, held as the machine's
 * stdin) is waited for; then the machine is started. From then on the machine's messages move the view, the gate of
 * the engine proxy and the event streams. The end has one path, finish(), reached through a timer so that nobody's
 * connection is freed under him: context back, sockets gone, fault remembered, streams closed, loop left.
 */
#include "backend/session.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "backend/api-server.h"
#include "backend/engine-proxy.h"
#include "backend/log-file.h"
#include "backend/machine-client.h"
#include "backend/network.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/sock.h"

enum {
	LOCK_WAIT_MS = 5000, LOCK_STEP_US = 50000,
	EARLIER_WAIT_US = 60000000, EARLIER_STEP_US = 100000,
	KILL_MARGIN_US = 15000000, FORCE_KILL_US = 8000000, DRAIN_US = 2000000,
	FILES_WANTED = 65536, BACKLOG = 1024,
};
#define MACHINE_LOCK_FILE "machine.lock"

struct session {
	struct loop *loop;
	struct state_dir dir;
	struct view view;
	int lock_fd, machine_lock_fd;
	int log_fd, machine_log_fd, proxy_log_fd; /* borrowed from logs */
	struct log_files logs;
	char *engine_path, *program, *proxy_program, *image;
	struct docker_context context;
	struct engine_proxy *proxy;
	struct api_server *api;
	struct machine_client *machine;
	struct network *network;
	struct loop_source *earlier_timer, *kill_timer, *finish_timer;
	uint64_t earlier_since_us;
	bool stopping, finished;
};

static void set_fault(struct session *s, const char *code, const char *text)
{
	/* The first one is the cause. */
	if (s->view.fault_code[0])
		return;
	snprintf(s->view.fault_code, sizeof(s->view.fault_code), "%s", code);
	snprintf(s->view.fault_text, sizeof(s->view.fault_text), "%s", text);
	log_error("fault %s: %s", code, text);
	api_server_event(s->api, view_event_fault(&s->view));
}

static void set_gate(struct session *s)
{
	char reason[FAULT_TEXT_MAX];

	switch (s->view.state) {
	case MACHINE_RUNNING:
		engine_proxy_set(s->proxy, ENGINE_PASS, "");
		return;
	case MACHINE_STARTING:
		engine_proxy_set(s->proxy, ENGINE_WAIT, "");
		return;
	default:
		break;
	}
	if (s->view.fault_code[0])
		snprintf(reason, sizeof(reason), "Caisson: the engine is not running: %.450s", s->view.fault_text);
	else
		snprintf(reason, sizeof(reason), "Caisson: the engine is stopping.");
	engine_proxy_set(s->proxy, ENGINE_REFUSE, reason);
}

static void set_state(struct session *s, enum machine_state state)
{
	if (s->view.state != state)
		log_info("state %s -> %s", machine_state_name(s->view.state), machine_state_name(state));
	s->view.state = state;
	api_server_event(s->api, view_event_state(&s->view));
	set_gate(s);
}

static void on_stage(struct session *s, const char *name, uint64_t elapsed_us)
{
	struct view_stage *stage;

	if (s->view.n_stages == VIEW_STAGES_MAX)
		return;
	stage = &s->view.stage[s->view.n_stages++];
	snprintf(stage->name, sizeof(stage->name), "%s", name);
	stage->elapsed_us = elapsed_us;
	log_info("stage %s after %llu ms", name, (unsigned long long)(elapsed_us / 1000));
	api_server_event(s->api, view_event_stage(stage));
}

static void on_state(struct session *s, const struct machine_message *m)
{
	const char *name;

	s->view.accel = m->state.accel;
	snprintf(s->view.accel_reason, sizeof(s->view.accel_reason), "%s", m->state.accel_reason);
	if (m->state.fault.code) {
		name = strerrorname_np(-m->state.fault.code);
		set_fault(s, name ? name : "UNKNOWN", m->state.fault.text);
	}
	/* A stop asked for while it was starting: what it says until it has heard that is history. */
	if (s->stopping && (m->state.state == MACHINE_STARTING || m->state.state == MACHINE_RUNNING))
		return;
	/* OFF is ours to say, when the process has gone. */
	if (m->state.state != MACHINE_OFF)
		set_state(s, m->state.state);
}

static void on_message(void *data, const struct machine_message *m, int consume_fd)
{
	struct session *s = data;
	struct view *v = &s->view;

	switch (m->type) {
	case MACHINE_STATE_IS:
		on_state(s, m);
		break;
	case MACHINE_STAGE:
		on_stage(s, m->stage.name, m->stage.elapsed_us);
		break;
	case MACHINE_STATS:
		v->has_stats = true;
		v->mem_total = m->stats.mem_total;
		v->mem_available = m->stats.mem_available;
		v->net_flows = m->stats.net_flows;
		v->net_rx_bytes = m->stats.net_rx_bytes;
		v->net_tx_bytes = m->stats.net_tx_bytes;
		v->qemu_pid = m->stats.qemu_pid;
		v->net_pid = m->stats.net_pid;
		v->data_net_pid = m->stats.data_net_pid;
		api_server_have_stats(s->api);
		break;
	case MACHINE_NET_LINK:
	case MACHINE_PORT_OPEN:
	case MACHINE_PORT_CLOSE:
	case MACHINE_PORT_RESET:
	case MACHINE_GUEST_NETS:
		network_message(s->network, m, take_fd(consume_fd));
		break;
	default:
		log_warning("machine: a message of the wrong direction");
	}
	fd_close(consume_fd);
}

static void on_machine_end(void *data, int status)
{
	struct session *s = data;
	char text[FAULT_TEXT_MAX];

	log_info("machine process %d ended: %d", (int)machine_client_pid(s->machine), status);
	if (status < 0 && !s->stopping)
		snprintf(text, sizeof(text), "The machine process was ended by signal %d; see %s/machine.log.", -status,
			 s->dir.log);
	else
		snprintf(text, sizeof(text), "The machine process ended by itself (exit code %d); see %s/machine.log.", status,
			 s->dir.log);
	if (!s->stopping)
		set_fault(s, "MACHINE_EXIT", text);
	s->view.machine_pid = 0;
	s->view.has_stats = false;
	if (s->view.fault_code[0] && s->view.state != MACHINE_FAILED)
		set_state(s, MACHINE_FAILED);
	s->machine = machine_client_free(s->machine);
	network_stop(s->network);
	(void)loop_timer_set(s->finish_timer, 0);
}

/* Remembers the fault for `caisson status` after we are gone. */
static void store_fault(struct session *s)
{
	_cleanup_free_ char *text = NULL;
	json_t *fault;

	if (!s->view.fault_code[0]) {
		(void)unlinkat(s->dir.run_fd, STATE_FAULT_FILE, 0);
		return;
	}
	fault = view_fault(&s->view);
	text = fault ? json_dumps(fault, JSON_COMPACT) : NULL;
	json_decref(fault);
	if (text)
		(void)fd_replace_file(s->dir.run_fd, STATE_FAULT_FILE, text, strlen(text), 0600);
}

static int exit_code(const struct session *s)
{
	return s->view.fault_code[0] ? SESSION_EXIT_FAULT : SESSION_EXIT_OFF;
}

static void finish(struct session *s)
{
	_cleanup_free_ char *resting = NULL;

	s->finished = true;
	if (path_join(s->dir.desktop, STATE_ENGINE_SOCKET, &resting) >= 0)
		docker_context_leave(&s->context, resting);
	store_fault(s);
	s->view.state = MACHINE_OFF;
	api_server_event(s->api, view_event_state(&s->view));
	api_server_event(s->api, json_pack("{s:s, s:s, s:i}", "event", "end", "state", "off", "exit_code", exit_code(s)));
	/* Nobody finds us any more: a client that reads the end may start the next one. */
	(void)unlinkat(s->dir.desktop_fd, STATE_ENGINE_SOCKET, 0);
	(void)unlinkat(s->dir.run_fd, STATE_API_SOCKET, 0);
	state_dir_drop_short(&s->dir);
	s->proxy = engine_proxy_free(s->proxy);
	api_server_finish(s->api);
}

static int on_finish(void *data)
{
	struct session *s = data;

	if (!s->finished) {
		finish(s);
		/* Slow readers of the last events get a moment. */
		if (api_server_is_draining(s->api)) {
			(void)loop_timer_set(s->finish_timer, DRAIN_US);
			return 0;
		}
	}
	log_info("ended with exit code %d", exit_code(s));
	loop_exit(s->loop, exit_code(s));
	return 0;
}

static int on_kill(void *data)
{
	struct session *s = data;

	log_warning("the machine did not stop in time; it is killed");
	if (s->machine)
		machine_client_kill(s->machine);
	return 0;
}

void session_stop(struct session *s, bool force, uint32_t timeout_s)
{
	if (s->finished)
		return;
	log_info("stop asked for%s, %u s", force ? " by force" : "", timeout_s);
	s->stopping = true;
	if (!s->machine) {
		s->earlier_timer = loop_source_free(s->earlier_timer);
		(void)loop_timer_set(s->finish_timer, 0);
		return;
	}
	if (s->view.state != MACHINE_FAILED)
		set_state(s, MACHINE_STOPPING);
	if (machine_client_shutdown(s->machine, timeout_s * 1000, force) < 0)
		machine_client_kill(s->machine);
	(void)loop_timer_set(s->kill_timer, force ? FORCE_KILL_US : (uint64_t)timeout_s * 1000000 + KILL_MARGIN_US);
}

bool session_is_stopping(const struct session *s)
{
	return s->stopping;
}

static void hook_stop(void *data, bool force, uint32_t timeout_s)
{
	session_stop(data, force, timeout_s);
}

static bool hook_want_stats(void *data)
{
	struct session *s = data;

	return s->machine && machine_client_ask_stats(s->machine) >= 0;
}

static void hook_refresh(void *data)
{
	struct session *s = data;

	s->view.n_engine_clients = s->proxy ? engine_proxy_count(s->proxy) : 0;
	network_refresh(s->network);
}

static void hook_settings(void *data)
{
	struct session *s = data;
	_cleanup_free_ struct config *stored = calloc(1, sizeof(*stored));
	struct fault fault = FAULT_INIT;

	if (stored && view_load_stored(&s->view, stored, &fault) >= 0)
		network_settings(s->network, stored);
	else
		log_warning("settings: %s", fault.text);
}

static int hook_query(void *data, const struct net_query_request *request, void *token)
{
	struct session *s = data;

	return network_query(s->network, request, token);
}

static void hook_forget(void *data, const void *token)
{
	struct session *s = data;

	network_forget(s->network, token);
}

static void hook_capture(void *data, const struct netctl_capture *capture, int fd)
{
	struct session *s = data;

	network_capture(s->network, capture, fd);
}

static void on_port_result(void *data, uint32_t id, enum agent_port_status status)
{
	struct session *s = data;

	if (s->machine && machine_client_port_result(s->machine, id, status) < 0)
		log_limited(LOG_WARNING, "machine: the answer about a port could not be sent");
}

static void on_network_event(void *data, json_t *event)
{
	struct session *s = data;

	api_server_event(s->api, event);
}

static void on_network_answer(void *data, void *token, json_t *body)
{
	struct session *s = data;

	api_server_answer(s->api, token, body);
}

static int open_network(struct session *s, struct fault *fault)
{
	const struct network_config config = {
		.loop = s->loop, .view = &s->view, .proxy_program = s->proxy_program, .proxy_log_fd = s->proxy_log_fd,
		.port_result = on_port_result, .event = on_network_event, .answered = on_network_answer, .data = s,
	};
	int r = network_new(&config, &s->network);

	if (r < 0)
		return fault_set(fault, r, "The network cannot be prepared: %s.", strerror(-r));
	engine_proxy_watch(s->proxy, network_named, s->network);
	return 0;
}

/* The last reader of the last events has gone. */
static void hook_conn_ended(void *data)
{
	struct session *s = data;

	if (s->finished && !api_server_is_draining(s->api))
		(void)loop_timer_set(s->finish_timer, 0);
}

/* One descriptor per client and one per connection to the engine: as many as we may have. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_cur < FILES_WANTED) {
		limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Takes the lock; a backend that is just ending is waited for. Return: 0; SESSION_EXIT_RUNS; -errno; both with FAULT. */
static int take_lock(struct session *s, struct fault *fault)
{
	for (unsigned int waited = 0;; waited += LOCK_STEP_US / 1000) {
		_cleanup_close_ int probe_fd = -EBADF;

		s->lock_fd = fd_lock_file(s->dir.run_fd, STATE_LOCK_FILE);
		if (s->lock_fd >= 0)
			return 0;
		if (s->lock_fd != -EWOULDBLOCK)
			return fault_set(fault, s->lock_fd, "%s/" STATE_LOCK_FILE " cannot be locked: %s.", s->dir.run,
					 strerror(-s->lock_fd));
		probe_fd = sock_connect_at(s->dir.run_fd, STATE_API_SOCKET, SOCK_STREAM | SOCK_NONBLOCK);
		if (probe_fd >= 0 || probe_fd == -EAGAIN || waited >= LOCK_WAIT_MS) {
			fault_set(fault, -EBUSY, "The desktop of this user already runs (another caisson-backend holds %s/"
				  STATE_LOCK_FILE ").", s->dir.run);
			return SESSION_EXIT_RUNS;
		}
		usleep(LOCK_STEP_US);
	}
}

static int open_settings(struct session *s, struct fault *fault)
{
	int r;

	config_host(&s->view.host, s->dir.data_fd, STATE_DISK_FILE);
	r = view_load_stored(&s->view, &s->view.in_force, fault);
	return r < 0 ? SESSION_EXIT_SETTINGS : 0;
}

static int open_logs(struct session *s, struct fault *fault)
{
	int r;

	s->log_fd = log_files_add(&s->logs, s->dir.log_fd, "backend.log");
	s->machine_log_fd = log_files_add(&s->logs, s->dir.log_fd, "machine.log");
	s->proxy_log_fd = log_files_add(&s->logs, s->dir.log_fd, "proxy.log");
	if (s->log_fd < 0 || s->machine_log_fd < 0)
		return fault_set(fault, s->log_fd < 0 ? s->log_fd : s->machine_log_fd, "The logs in %s cannot be opened: %s.",
				 s->dir.log, strerror(s->log_fd < 0 ? -s->log_fd : -s->machine_log_fd));
	log_files_check(&s->logs);
	r = log_files_watch(&s->logs, s->loop);
	/* Without inotify (its limits are per user) the logs are still cut at every start. */
	if (r < 0)
		log_warning("the log files cannot be watched: %s", strerror(-r));
	return 0;
}

/* Listens on NAME beneath DIR_FD for CONSUME. */
static int listen_for_engine(struct session *s, int dir_fd)
{
	int fd = sock_listen_at(dir_fd, STATE_ENGINE_SOCKET, SOCK_STREAM | SOCK_NONBLOCK, BACKLOG);

	return fd < 0 ? fd : engine_proxy_listen_consume(s->proxy, fd);
}

static int open_sockets(struct session *s, struct fault *fault)
{
	struct api_hooks hooks = {
		.stop = hook_stop, .want_stats = hook_want_stats, .refresh = hook_refresh, .settings = hook_settings,
		.query = hook_query, .forget = hook_forget, .capture = hook_capture, .ended = hook_conn_ended, .data = s,
	};
	int fd, r;

	r = engine_proxy_new(s->loop, s->dir.run_fd, STATE_LINK_SOCKET, &s->proxy);
	if (r >= 0)
		r = api_server_new(s->loop, &s->view, &hooks, &s->api);
	if (r >= 0)
		r = listen_for_engine(s, s->dir.desktop_fd);
	if (r >= 0 && s->dir.short_fd >= 0)
		r = listen_for_engine(s, s->dir.short_fd);
	if (r >= 0) {
		fd = sock_listen_at(s->dir.run_fd, STATE_API_SOCKET, SOCK_STREAM | SOCK_NONBLOCK, BACKLOG);
		r = fd < 0 ? fd : api_server_listen_consume(s->api, fd);
	}
	if (r == -EEXIST)
		return fault_set(fault, r, "Something that is not a socket lies at %s/docker.sock or %s/backend.sock: move it "
				 "away.", s->dir.desktop, s->dir.run);
	if (r < 0)
		return fault_set(fault, r, "The sockets in %s cannot be made: %s.", s->dir.desktop, strerror(-r));
	return 0;
}

/* Finds the machine program beside us and the image in the same tree. */
static int find_programs(struct session *s, struct fault *fault)
{
	int r = path_beside_self("caisson-machine", &s->program);

	if (r < 0)
		return fault_set(fault, r, "The program caisson-machine is not beside caisson-backend: the installation is "
				 "incomplete.");
	/* Without it containers run, and pulls go straight out. */
	(void)path_beside_self("caisson-proxy", &s->proxy_program);
	r = path_beside_self("../../share/caisson/image", &s->image);
	if (r < 0)
		return fault_set(fault, r, "There is no VM image (share/caisson/image beside libexec): build it with "
				 "\"make image\".");
	return 0;
}

static int open_parts(struct session *s, struct fault *fault)
{
	int r = state_dir_open(&s->dir, fault);

	if (r >= 0)
		r = take_lock(s, fault);
	if (r == 0)
		r = open_logs(s, fault);
	if (r == 0)
		r = open_settings(s, fault);
	if (r == 0)
		r = find_programs(s, fault);
	if (r == 0)
		r = state_dir_open_short(&s->dir, fault);
	if (r == 0)
		r = state_dir_engine_path(&s->dir, &s->engine_path);
	if (r == 0)
		r = open_sockets(s, fault);
	if (r == 0)
		r = open_network(s, fault);
	return r;
}

static int on_earlier(void *data);

int session_open(struct loop *loop, struct session **ret, struct fault *fault)
{
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return fault_set(fault, -ENOMEM, "There is no memory.");
	*s = (struct session){.loop = loop, .dir = STATE_DIR_INIT, .lock_fd = -EBADF, .machine_lock_fd = -EBADF,
			      .log_fd = -EBADF, .machine_log_fd = -EBADF, .proxy_log_fd = -EBADF, .logs = LOG_FILES_INIT,
			      .context = DOCKER_CONTEXT_INIT};
	s->view.dir = &s->dir;
	s->view.context = &s->context;
	s->view.state = MACHINE_STARTING;
	raise_file_limit();
	r = open_parts(s, fault);
	if (r == 0)
		r = loop_add_timer(loop, on_earlier, s, &s->earlier_timer);
	if (r == 0)
		r = loop_add_timer(loop, on_kill, s, &s->kill_timer);
	if (r == 0)
		r = loop_add_timer(loop, on_finish, s, &s->finish_timer);
	if (r != 0) {
		if (r < 0 && !fault->code)
			fault_set(fault, r, "The backend cannot start: %s.", strerror(-r));
		session_free(s);
		return r;
	}
	s->view.engine_path = s->engine_path;
	(void)unlinkat(s->dir.run_fd, STATE_FAULT_FILE, 0);
	*ret = s;
	return 0;
}

static int fill_plan(const struct session *s, struct machine_plan *plan)
{
	const struct { char *dst; const char *src; } paths[] = {
		{plan->image_dir, s->image}, {plan->data_dir, s->dir.data}, {plan->run_dir, s->dir.run},
		{plan->log_dir, s->dir.log}, {plan->cache_dir, s->dir.cache},
	};

	plan->cpus = (uint32_t)s->view.in_force.value[CONFIG_CPUS];
	plan->memory_mib = (uint32_t)s->view.in_force.value[CONFIG_MEMORY_MIB];
	plan->disk_mib = s->view.in_force.value[CONFIG_DISK_MIB];
	plan->mtu = (uint16_t)s->view.in_force.value[CONFIG_NETWORK_MTU];
	plan->accel = (enum machine_accel)s->view.in_force.value[CONFIG_ACCELERATOR];
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (strlen(paths[i].src) >= PATH_MAX)
			return trace(-ENAMETOOLONG);
		memcpy(paths[i].dst, paths[i].src, strlen(paths[i].src) + 1);
	}
	return 0;
}

static void launch_failed(struct session *s, const struct fault *fault)
{
	const char *name = strerrorname_np(-fault->code);

	set_fault(s, name ? name : "UNKNOWN", fault->text);
	set_state(s, MACHINE_FAILED);
	(void)loop_timer_set(s->finish_timer, 0);
}

static void start_machine(struct session *s)
{
	struct machine_hooks hooks = {on_message, on_machine_end, s};
	_cleanup_free_ struct machine_plan *plan = calloc(1, sizeof(*plan));
	struct fault fault = FAULT_INIT;
	int r = plan ? fill_plan(s, plan) : -ENOMEM;

	s->view.launched_us = loop_now_us();
	network_start(s->network);
	if (r < 0)
		fault_set(&fault, r, "The machine cannot be described: %s.", strerror(-r));
	else
		r = machine_client_start(s->loop, s->program, s->dir.home, s->machine_log_fd, s->machine_lock_fd, plan,
					 &hooks, &s->machine, &fault);
	/* From here the machine alone holds it. */
	s->machine_lock_fd = fd_close(s->machine_lock_fd);
	if (r < 0) {
		launch_failed(s, &fault);
		return;
	}
	s->view.machine_pid = machine_client_pid(s->machine);
	log_info("machine process %d started", (int)s->view.machine_pid);
}

/* Starts the machine as soon as none of an earlier backend lives. */
static int on_earlier(void *data)
{
	struct session *s = data;
	struct fault fault = FAULT_INIT;

	if (s->stopping)
		return 0;
	s->machine_lock_fd = fd_lock_file(s->dir.run_fd, MACHINE_LOCK_FILE);
	if (s->machine_lock_fd >= 0) {
		start_machine(s);
		return 0;
	}
	if (s->machine_lock_fd == -EWOULDBLOCK && loop_now_us() - s->earlier_since_us < EARLIER_WAIT_US) {
		(void)loop_timer_set(s->earlier_timer, EARLIER_STEP_US);
		return 0;
	}
	fault_set(&fault, s->machine_lock_fd, "The machine of an earlier start does not end (%s/" MACHINE_LOCK_FILE " is held).",
		  s->dir.run);
	launch_failed(s, &fault);
	return 0;
}

int session_launch(struct session *s, bool keep_stderr)
{
	if (!keep_stderr && dup2(s->log_fd, STDERR_FILENO) < 0)
		return trace(error_errno());
	log_info("caisson-backend " CAISSON_VERSION " started, %u CPUs, %llu MiB",
		 (unsigned int)s->view.in_force.value[CONFIG_CPUS],
		 (unsigned long long)s->view.in_force.value[CONFIG_MEMORY_MIB]);
	docker_context_open(&s->context, s->dir.home, s->dir.run_fd);
	docker_context_enter(&s->context, s->engine_path);
	if (s->context.warning[0]) {
		log_warning("%s", s->context.warning);
		api_server_event(s->api, json_pack("{s:s, s:s}", "event", "warning", "message", s->context.warning));
	}
	s->earlier_since_us = loop_now_us();
	return loop_timer_set(s->earlier_timer, 0);
}

struct session *session_free(struct session *s)
{
	if (!s)
		return NULL;
	machine_client_free(s->machine);
	engine_proxy_free(s->proxy);
	api_server_free(s->api);
	network_free(s->network);
	docker_context_done(&s->context);
	loop_source_free(s->earlier_timer);
	loop_source_free(s->kill_timer);
	loop_source_free(s->finish_timer);
	log_files_done(&s->logs);
	state_dir_done(&s->dir);
	fd_close(s->machine_lock_fd);
	fd_close(s->lock_fd);
	free(s->engine_path);
	free(s->program);
	free(s->proxy_program);
	free(s->image);
	free(s);
	return NULL;
}
