/* SPDX-License-Identifier: Apache-2.0 */
/* ports: every port of this computer that leads into the VM, with the container behind it. */
#include <string.h>

#include "base/text.h"
#include "ui/cli/api.h"

/* Does container C have the address TARGET, or the port itself? */
static bool owns(const json_t *c, const char *target, const char *protocol, int64_t port)
{
	const json_t *networks = json_object_get(json_object_get(c, "NetworkSettings"), "Networks"), *n, *p;
	const char *name;
	size_t i;

	json_object_foreach((json_t *)networks, name, n)
		if (!strcmp(json_text(n, "IPAddress", ""), target) || !strcmp(json_text(n, "GlobalIPv6Address", ""), target))
			return true;
	json_array_foreach(json_object_get(c, "Ports"), i, p)
		if (json_number(p, "PublicPort", 0) == port && !strcmp(json_text(p, "Type", ""), protocol))
			return true;
	return false;
}

/* Name of the container behind PORT, from the engine's list; "-" when nobody knows. */
static const char *container_of(const json_t *containers, const json_t *port)
{
	const json_t *c;
	size_t i;

	json_array_foreach(containers, i, c) {
		const char *name = json_string_value(json_array_get(json_object_get(c, "Names"), 0));

		if (name && owns(c, json_text(port, "target", ""), json_text(port, "protocol", ""), json_number(port, "port", 0)))
			return *name == '/' ? name + 1 : name;
	}
	return "-";
}

static json_t *ask_engine(const struct cli *cli)
{
	struct fault fault = FAULT_INIT;
	struct api api = API_INIT;
	json_t *list = NULL;

	if (api_open_engine(cli, &api, &fault) == 0 && api_call(&api, "GET", "/containers/json", NULL, &list, &fault) != 0) {
		json_decref(list);
		list = NULL;
	}
	api_close(&api);
	return list;
}

static void print_port(const struct cli *cli, const json_t *p)
{
	char address[80], target[80], name[128], safe[64], rx[32] = "-", tx[32] = "-", count[48] = "-";
	bool v6 = strchr(json_text(p, "address", ""), ':');

	output_safe(safe, sizeof(safe), json_text(p, "address", "?"));
	snprintf(address, sizeof(address), "%s%s%s:%lld/%s", v6 ? "[" : "", safe, v6 ? "]" : "",
		 (long long)json_number(p, "port", 0), !strcmp(json_text(p, "protocol", ""), "udp") ? "udp" : "tcp");
	output_safe(safe, sizeof(safe), json_text(p, "target", "?"));
	snprintf(target, sizeof(target), "%s:%lld", safe, (long long)json_number(p, "target_port", 0));
	if (json_number(p, "connections", -1) >= 0) {
		snprintf(count, sizeof(count), "%lld/%lld", (long long)json_number(p, "now", 0),
			 (long long)json_number(p, "connections", 0));
		text_format_size(rx, sizeof(rx), (uint64_t)json_number(p, "rx_bytes", 0));
		text_format_size(tx, sizeof(tx), (uint64_t)json_number(p, "tx_bytes", 0));
	}
	printf("%s%-28s%s %-22s %-24s %-10s %-10s %s\n", output_style(&cli->out, STYLE_BOLD), address,
	       output_style(&cli->out, STYLE_NONE), target, output_safe(name, sizeof(name), json_text(p, "container", "-")), count, rx, tx);
}

int run_ports(struct cli *cli, const struct invocation *inv)
{
	struct fault fault = FAULT_INIT;
	struct api api = API_INIT;
	_cleanup_json_ json_t *answer = NULL, *containers = NULL;
	json_t *ports, *p;
	size_t i;
	int r = api_open(cli, &api, &fault);

	if (r == -ENOENT) {
		output_error(&cli->out, "The desktop is not running; '%s start' starts it.", cli->program);
		return CLI_NOT_RUNNING;
	}
	if (r == 0)
		r = api_call(&api, "GET", "/v1/ports", NULL, &answer, &fault);
	api_close(&api);
	if (r != 0)
		return cli_failed(cli, &fault, r);
	ports = json_object_get(answer, "ports");
	containers = json_array_size(ports) ? ask_engine(cli) : NULL;
	json_array_foreach(ports, i, p)
		(void)json_object_set_new(p, "container", json_string(container_of(containers, p)));
	if (option_wants_json(inv)) {
		json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
		return CLI_OK;
	}
	if (!json_array_size(ports)) {
		printf("No port is published.\n");
		return CLI_OK;
	}
	printf("%-28s %-22s %-24s %-10s %-10s %s\n", "ADDRESS", "TARGET", "CONTAINER", "NOW/ALL", "IN", "OUT");
	json_array_foreach(ports, i, p)
		print_port(cli, p);
	if (!json_flag(answer, "linked"))
		output_note(&cli->out, "The network process does not run at the moment: nothing answers on these ports.");
	return CLI_OK;
}
