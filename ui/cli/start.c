/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start: brings the desktop up and shows how far it is.
 *
 * Whoever launched the backend may cancel: Ctrl-C stops the desktop again in order, a second Ctrl-C at once. A start
 * that somebody else began is only watched, and goes on when the watching ends.
 */
#include <string.h>

#include "ui/cli/launch.h"
#include "ui/cli/lifecycle.h"

struct start {
	struct cli *cli;
	struct follow *follow;
	struct api api; /* the event stream */
	bool ours;
	uint64_t started_us;
	uint64_t stage_ms;   /* when the last stage ended, since launch */
	uint64_t stage_us;   /* the same, our clock */
	char next[32];	     /* the stage going on */
	struct fault fault;
};

/* The order stages come in; only for naming what is going on. */
static const char *const order[] = {"accelerator", "kernel", "root", "data", "link", "engine"};

static const char *stage_after(const char *name)
{
	for (size_t i = 0; i + 1 < ARRAY_SIZE(order); i++)
		if (!strcmp(order[i], name))
			return order[i + 1];
	return "engine";
}

static void print_accelerator(struct cli *cli, const json_t *status)
{
	const json_t *accel = json_object_get(status, "accelerator");
	const char *reason = json_text(accel, "reason", "");
	char safe[512], safe_isolation[256];

	if (strcmp(json_text(accel, "used", ""), "tcg") != 0)
		return;
	printf("%s Software emulation: slower, %s%s%s.\n", output_mark(&cli->out, MARK_WARN),
	       output_safe(safe_isolation, sizeof(safe_isolation),
			   json_text(status, "isolation", "no isolation guarantee (software emulation)")),
	       reason[0] ? "; " : "", output_safe(safe, sizeof(safe), reason));
}

static void print_context(struct cli *cli, const json_t *status)
{
	const json_t *context = json_object_get(status, "context");
	const char *warning = json_text(context, "warning", NULL);
	char safe[512];

	if (warning)
		output_note(&cli->out, "%s", warning);
	if (json_flag(context, "current"))
		printf("Docker context: %s.\n",
		       output_safe(safe, sizeof(safe), json_text(context, "name", "desktop-linux")));
	else
		printf("Docker context: not changed; use: docker --context %s ...\n",
		       output_safe(safe, sizeof(safe), json_text(context, "name", "desktop-linux")));
}

static int print_summary(struct start *s)
{
	struct cli *cli = s->cli;
	struct api api = API_INIT;
	_cleanup_json_ json_t *status = NULL;
	int r;

	output_clear(&cli->out);
	printf("%sEngine ready in %.1f s.%s\n", output_style(&cli->out, STYLE_BOLD),
	       (double)(cli_now_us() - s->started_us) / 1e6, output_style(&cli->out, STYLE_NONE));
	r = api_open(cli, &api, &s->fault);
	if (r == 0)
		r = api_call(&api, "GET", "/v1/status", NULL, &status, &s->fault);
	api_close(&api);
	if (r != 0)
		return cli_failed(cli, &s->fault, r);
	print_context(cli, status);
	print_accelerator(cli, status);
	return CLI_OK;
}

static int start_failed(struct start *s)
{
	struct cli *cli = s->cli;

	output_clear(&cli->out);
	if (s->fault.text[0]) {
		output_error(&cli->out, "%s", s->fault.text);
	} else {
		output_error(&cli->out, "The backend ended before the engine was ready, without saying why.");
		launch_print_log_end(cli, "backend.log", 10);
	}
	fprintf(stderr, "Logs: %s/log (shown by '%s logs')\n", cli->state, cli->program);
	return CLI_FAILED;
}

static int timed_out(struct start *s)
{
	output_clear(&s->cli->out);
	output_error(&s->cli->out,
		     "The engine is not ready after %.0f s. The start goes on in the background: '%s status' shows how far it "
		     "is, '%s stop' ends it.", (double)(cli_now_us() - s->started_us) / 1e6, s->cli->program,
		     s->cli->program);
	return CLI_TIMED_OUT;
}

static int cancel(struct start *s)
{
	struct cli *cli = s->cli;
	struct fault fault = FAULT_INIT;
	int r;

	output_clear(&cli->out);
	if (!s->ours) {
		output_note(&cli->out, "No longer watching. The start goes on in the background; '%s stop' ends it.",
			    cli->program);
		return CLI_CANCELLED;
	}
	output_note(&cli->out, "Cancelled: stopping the desktop. Press Ctrl-C again to end it at once.");
	s->follow->deadline_us = cli_now_us() + 2 * CANCEL_TIMEOUT_S * 1000000ULL;
	r = lifecycle_ask_stop(cli, false, CANCEL_TIMEOUT_S, &fault);
	if (r < 0 && r != -ENOENT)
		(void)cli_failed(cli, &fault, r);
	else if (r == 0)
		(void)lifecycle_wait_end(cli, s->follow, &s->api, true);
	return CLI_CANCELLED;
}

static void on_stage(struct start *s, const json_t *event)
{
	const char *name = json_text(event, "name", "?");
	int64_t ms = json_number(event, "elapsed_ms", 0);
	uint64_t elapsed = ms > 0 ? (uint64_t)ms : 0;

	output_stage_done(&s->cli->out, name, elapsed > s->stage_ms ? (elapsed - s->stage_ms) * 1000 : 0);
	s->stage_ms = elapsed;
	s->stage_us = cli_now_us();
	snprintf(s->next, sizeof(s->next), "%s", stage_after(name));
}

/* Return: -1 to go on, otherwise enum cli_exit. */
static int on_event(struct start *s, const json_t *event)
{
	const char *kind = json_text(event, "event", "");
	const char *state = json_text(event, "state", "");

	if (!strcmp(kind, "stage")) {
		on_stage(s, event);
	} else if (!strcmp(kind, "warning")) {
		output_clear(&s->cli->out);
		output_note(&s->cli->out, "%s", json_text(event, "message", ""));
	} else if (!strcmp(kind, "fault")) {
		fault_set(&s->fault, -EIO, "%s", json_text(event, "message", "The start failed."));
	} else if (!strcmp(kind, "state") && !strcmp(state, "running")) {
		return print_summary(s);
	} else if (!strcmp(kind, "state") && !strcmp(state, "stopping") && !s->fault.text[0]) {
		fault_set(&s->fault, -ECANCELED, "The desktop was asked to stop while it was starting.");
	} else if (!strcmp(kind, "end")) {
		return start_failed(s);
	}
	return -1;
}

static int watch(struct start *s)
{
	int code = -1;

	snprintf(s->next, sizeof(s->next), "%s", order[0]);
	s->stage_us = cli_now_us();
	while (code < 0) {
		_cleanup_json_ json_t *event = NULL;

		switch (follow_next(s->follow, &s->api, &event)) {
		case FOLLOW_EVENT:
			code = on_event(s, event);
			break;
		case FOLLOW_TICK:
			output_progress(&s->cli->out, s->next, cli_now_us() - s->stage_us);
			break;
		case FOLLOW_SIGNAL:
			return cancel(s);
		case FOLLOW_DEADLINE:
			return timed_out(s);
		case FOLLOW_ENDED:
			return start_failed(s);
		}
	}
	return code;
}

/* What to do about a backend that is already there. Return: -1: nothing, it is gone: launch; -2: watch its start;
 * otherwise enum cli_exit. */
static int look(struct start *s)
{
	struct api api = API_INIT;
	_cleanup_json_ json_t *status = NULL;
	const char *state;
	int r = api_open(s->cli, &api, &s->fault);

	if (r == 0)
		r = api_call(&api, "GET", "/v1/status", NULL, &status, &s->fault);
	api_close(&api);
	if (r == -ENOENT || r == -ECONNRESET) {
		s->fault = (struct fault)FAULT_INIT;
		return -1;
	}
	if (r != 0)
		return cli_failed(s->cli, &s->fault, r);
	state = json_text(status, "state", "");
	if (!strcmp(state, "running")) {
		printf("The desktop is already running.\n");
		return CLI_OK;
	}
	r = follow_open(s->cli, &s->api, &s->fault);
	if (r == -ENOENT)
		return -1;
	if (r < 0)
		return cli_failed(s->cli, &s->fault, r);
	if (!strcmp(state, "starting"))
		return -2;
	r = lifecycle_wait_end(s->cli, s->follow, &s->api, false);
	api_close(&s->api);
	s->api = (struct api)API_INIT;
	return r == CLI_OK ? -1 : r;
}

static int launch(struct start *s)
{
	switch (launch_backend(s->cli, s->follow, &s->fault)) {
	case LAUNCH_STARTED:
		s->ours = true;
		return -2;
	case LAUNCH_OTHER: /* one that is just ending, or just beginning: look again */
		return -1;
	case LAUNCH_SIGNAL:
		output_note(&s->cli->out, "Cancelled.");
		return CLI_CANCELLED;
	case LAUNCH_DEADLINE:
		output_error(&s->cli->out, "The backend did not come up in time; it was ended again.");
		return CLI_TIMED_OUT;
	default:
		return start_failed(s);
	}
}

static int begin(struct start *s)
{
	int code = -1;

	for (int i = 0; i < 50 && code == -1; i++) {
		enum follow_result w = i ? follow_sleep(s->follow) : FOLLOW_TICK;

		if (w == FOLLOW_SIGNAL)
			return CLI_CANCELLED;
		if (w == FOLLOW_DEADLINE)
			return timed_out(s);
		code = look(s);
		if (code == -1)
			code = launch(s);
	}
	return code == -1 ? start_failed(s) : code;
}

int lifecycle_start(struct cli *cli, struct follow *follow, bool detach)
{
	struct start s = {.cli = cli, .follow = follow, .api = API_INIT, .fault = FAULT_INIT,
			  .started_us = cli_now_us()};
	int code = begin(&s), r;

	if (code == -2 && detach) {
		printf("The desktop is starting in the background; '%s status' shows how far it is.\n", cli->program);
		code = CLI_OK;
	} else if (code == -2) {
		r = s.api.fd >= 0 ? 0 : follow_open(cli, &s.api, &s.fault);
		code = r < 0 ? start_failed(&s) : watch(&s);
	}
	api_close(&s.api);
	return code;
}

int run_start(struct cli *cli, const struct invocation *inv)
{
	const struct option_value *timeout = option_value(inv, "timeout");
	struct follow follow;
	int code, r = follow_init(&follow, timeout->set ? timeout->number : START_TIMEOUT_S);

	if (r < 0)
		return cli_failed(cli, NULL, r);
	cli_install_plugin(cli);
	code = lifecycle_start(cli, &follow, option_is(inv, "detach"));
	follow_done(&follow);
	return code;
}
