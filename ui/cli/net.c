/* SPDX-License-Identifier: Apache-2.0 */
/* net: what the network process knows, for people and programs; and packets into a file. */
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/text.h"
#include "ui/cli/api.h"

enum { FLOWS_STANDARD = 20, FLOWS_MAX = 20000, SECONDS_MAX = 3600 };
#define CAPTURE_SIZE_MAX (1ull << 30)

static int not_running(const struct cli *cli)
{
	output_error(&cli->out, "The desktop is not running; '%s start' starts it.", cli->program);
	return CLI_NOT_RUNNING;
}

static void heading(const struct cli *cli, const char *text)
{
	printf("\n%s%s%s\n", output_style(&cli->out, STYLE_BOLD), text, output_style(&cli->out, STYLE_NONE));
}

static void print_stats(const struct cli *cli, const json_t *s)
{
#define N(key) ((long long)json_number(s, key, 0))
	char rx[32], tx[32];

	if (!json_is_object(s))
		return;
	text_format_size(rx, sizeof(rx), (uint64_t)N("rx_bytes"));
	text_format_size(tx, sizeof(tx), (uint64_t)N("tx_bytes"));
	printf("%-13s %s to the VM in %lld packets, %s from it in %lld packets\n", "Traffic", rx, N("rx_packets"), tx, N("tx_packets"));
	printf("%-13s TCP %lld now, %lld in all, %lld refused for want of room; UDP %lld now, %lld in all; echo %lld\n", "Connections",
	       N("tcp_now"), N("tcp_total"), N("tcp_refused"), N("udp_now"), N("udp_total"), N("echo_now"));
	printf("%-13s %lld dropped, %lld retransmitted, %lld malformed, %lld ignored, %lld refused by rules\n", "Packets", N("drops"),
	       N("retransmits"), N("bad_frames"), N("ignored"), N("rule_refused"));
	printf("%-13s to the VM %lld of %lld free, empty %lld times; %lld wake-ups of the VM, %lld by it\n", "Queues",
	       N("rx_queue_free"), N("rx_queue_size"), N("rx_starved"), N("calls"), N("kicks"));
	printf("%-13s %lld queries, %lld from the cache, %lld failed, %lld answers not ours\n", "DNS", N("dns_queries"), N("dns_hits"),
	       N("dns_failures"), N("dns_refused_answers"));
#undef N
}

static void print_rules(const struct cli *cli, const json_t *rules)
{
	const json_t *r;
	char safe[64];
	size_t i;

	if (!json_array_size(rules))
		return;
	heading(cli, "RULE                             ALLOWED   REFUSED");
	json_array_foreach(rules, i, r)
		printf("%-28s %11lld %9lld\n", output_safe(safe, sizeof(safe), json_text(r, "name", "?")),
		       (long long)json_number(r, "allowed", 0), (long long)json_number(r, "refused", 0));
}

static const char *endpoint(char *dst, size_t size, const json_t *flow, const char *who)
{
	char safe[64], key[32];
	const char *addr = json_text(flow, who, "?");

	snprintf(key, sizeof(key), "%s_port", who);
	output_safe(safe, sizeof(safe), addr);
	if (strchr(addr, ':'))
		snprintf(dst, size, "[%s]:%lld", safe, (long long)json_number(flow, key, 0));
	else
		snprintf(dst, size, "%s:%lld", safe, (long long)json_number(flow, key, 0));
	return dst;
}

static void print_flows(const struct cli *cli, const json_t *flows, uint64_t max)
{
	char guest[80], host[80], rx[32], tx[32], safe[16];
	const json_t *f;
	size_t i;

	if (!json_array_size(flows))
		return;
	heading(cli, "CONNECTION");
	json_array_foreach(flows, i, f) {
		if (i == max)
			break;
		text_format_size(rx, sizeof(rx), (uint64_t)json_number(f, "rx_bytes", 0));
		text_format_size(tx, sizeof(tx), (uint64_t)json_number(f, "tx_bytes", 0));
		printf("%-5s %s %s %s  in %s, out %s, idle %lld s\n", output_safe(safe, sizeof(safe), json_text(f, "protocol", "?")),
		       endpoint(guest, sizeof(guest), f, "guest"), json_flag(f, "inbound") ? "<-" : "->",
		       endpoint(host, sizeof(host), f, "host"), rx, tx, (long long)json_number(f, "idle_ms", 0) / 1000);
	}
	if (json_array_size(flows) >= max)
		printf("... (--flows shows more)\n");
}

static void print_dns(const struct cli *cli, const json_t *dns)
{
	const json_t *e;
	char safe[300];
	size_t i;

	if (!json_array_size(dns))
		return;
	heading(cli, "DNS CACHE                                          TYPE  CODE  ANSWERS   TTL  HITS");
	json_array_foreach(dns, i, e)
		printf("%-50s %4lld %5lld %8lld %5lld %5lld\n", output_safe(safe, sizeof(safe), json_text(e, "name", "?")),
		       (long long)json_number(e, "type", 0), (long long)json_number(e, "rcode", 0),
		       (long long)json_number(e, "answers", 0), (long long)json_number(e, "ttl_s", 0),
		       (long long)json_number(e, "hits", 0));
}

int run_net(struct cli *cli, const struct invocation *inv)
{
	const struct option_value *flows = option_value(inv, "flows");
	uint64_t max = flows->set ? flows->number : FLOWS_STANDARD;
	struct fault fault = FAULT_INIT;
	struct api api = API_INIT;
	_cleanup_json_ json_t *answer = NULL;
	char path[64];
	int r;

	if (max > FLOWS_MAX)
		max = FLOWS_MAX;
	snprintf(path, sizeof(path), "/v1/net?flows=%llu", (unsigned long long)max);
	r = api_open(cli, &api, &fault);
	if (r == -ENOENT)
		return not_running(cli);
	if (r == 0)
		r = api_call(&api, "GET", path, NULL, &answer, &fault);
	api_close(&api);
	if (r != 0)
		return cli_failed(cli, &fault, r);
	if (option_wants_json(inv)) {
		json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
		return CLI_OK;
	}
	if (!json_flag(answer, "linked"))
		output_note(&cli->out, "The network process does not run at the moment.");
	else if (!json_flag(answer, "complete"))
		output_note(&cli->out, "The network process did not answer everything in time.");
	print_stats(cli, json_object_get(answer, "stats"));
	print_rules(cli, json_object_get(answer, "rules"));
	print_flows(cli, json_object_get(answer, "flows"), max);
	print_dns(cli, json_object_get(answer, "dns"));
	return CLI_OK;
}

/* Where a capture goes. */
struct target {
	const struct cli *cli;
	const char *name;
	int fd;
};

/* Only when the stream has begun: a refusal leaves an existing file alone. */
static int open_target(void *data, struct fault *fault)
{
	struct target *t = data;

	if (!strcmp(t->name, "-")) {
		t->fd = fd_dup(STDOUT_FILENO);
	} else {
		t->fd = open(t->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (t->fd < 0)
			t->fd = error_errno();
	}
	if (t->fd < 0)
		return fault_set(fault, t->fd, "%s cannot be written: %s.", t->name, strerror(-t->fd));
	if (strcmp(t->name, "-"))
		output_note(&t->cli->out, "Recording to %s; Ctrl-C ends it.", t->name);
	return t->fd;
}

int run_net_capture(struct cli *cli, const struct invocation *inv)
{
	const struct option_value *size = option_value(inv, "max-size"), *time = option_value(inv, "time");
	const struct option_value *snap = option_value(inv, "snap");
	struct target target = {cli, inv->words[0], -EBADF};
	uint64_t bytes = 64u << 20, seconds = time->set ? time->number : 60, written = 0;
	struct fault fault = FAULT_INIT;
	struct api api = API_INIT;
	char path[128], human[32];
	int r;

	if (size->set && (text_parse_size(size->text, &bytes) < 0 || bytes == 0 || bytes > CAPTURE_SIZE_MAX)) {
		output_error(&cli->out, "--max-size is a size up to 1G, like 64M.");
		return CLI_USAGE;
	}
	if (seconds < 1 || seconds > SECONDS_MAX) {
		output_error(&cli->out, "--time is from 1 to %d seconds.", SECONDS_MAX);
		return CLI_USAGE;
	}
	snprintf(path, sizeof(path), "/v1/net/capture?max_bytes=%llu&max_ms=%llu&snap_len=%llu", (unsigned long long)bytes,
		 (unsigned long long)seconds * 1000, (unsigned long long)(snap->set ? snap->number : 65535));
	r = api_open(cli, &api, &fault);
	if (r == -ENOENT)
		return not_running(cli);
	if (r == 0)
		r = api_download(&api, path, open_target, &target, &written, &fault);
	api_close(&api);
	fd_close(target.fd);
	if (r != 0)
		return cli_failed(cli, &fault, r);
	output_note(&cli->out, "%s written.", text_format_size(human, sizeof(human), written));
	return CLI_OK;
}
