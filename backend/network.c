/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network: theory of operation.
 *
 * Each source (settings, host-net, resolver, machine) makes one netctl message; net-client keeps it and tells it to every network
 * process that comes, and the proxy process is told the same. Ports go from the machine to ports, and from there with their
 * sockets to the network process; the answer goes back at once.
 */
#include "backend/network.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "backend/host-net.h"
#include "backend/net-json.h"
#include "backend/net-settings.h"
#include "backend/proxy-process.h"
#include "backend/resolver.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "proto/data-card.h"

struct network {
	struct network_config config;
	struct view *view;
	struct port_names *names;
	struct ports *ports;
	struct net_client *client;
	struct net_query *query;
	struct host_net *host;
	struct resolver *resolver;
	struct proxy_process *proxy;
	struct rules rules; /* names of the user's rules, for reports */
	uint64_t hash_key[2];
	struct netctl_message out; /* scratch: too large for a stack that callbacks share */
};

static struct netctl_message *fresh(struct network *n, enum netctl_type type)
{
	memset(&n->out, 0, sizeof(n->out));
	n->out.type = type;
	return &n->out;
}

/* Tells n->out to both processes. */
static void tell(struct network *n)
{
	int r = net_client_set(n->client, &n->out);

	if (r < 0)
		log_warning("net: message %u could not be told: %s", n->out.type, strerror(-r));
	r = n->proxy ? proxy_process_tell(n->proxy, &n->out) : 0;
	if (r < 0)
		log_warning("proxy: message %u could not be told: %s", n->out.type, strerror(-r));
}

static void tell_config(struct network *n)
{
	const struct config *c = &n->view->in_force;
	struct netctl_config *out = &fresh(n, NETCTL_CONFIG)->config;

	out->subnet = n->view->network.subnet;
	out->mtu = (uint16_t)c->value[CONFIG_NETWORK_MTU];
	out->ipv6 = c->value[CONFIG_IPV6] == CONFIG_ON;
	out->dns_filter = (enum netctl_dns_filter)c->value[CONFIG_DNS_FILTER];
	memcpy(out->hash_key, n->hash_key, sizeof(n->hash_key));
	tell(n);
}

static void tell_rules(struct network *n)
{
	struct netctl_rules *out = &fresh(n, NETCTL_RULES)->rules;

	net_settings_rules(&n->view->in_force, out);
	n->rules.n_user = out->n_user;
	memcpy(n->rules.user, out->user, sizeof(n->rules.user));
	tell(n);
}

static void tell_host_addrs(struct network *n, const struct host_net_state *state)
{
	struct netctl_message *m = fresh(n, NETCTL_HOST_ADDRS);

	m->host_addrs.n = state->n_addrs;
	memcpy(m->host_addrs.addr, state->addrs, sizeof(m->host_addrs.addr));
	tell(n);
}

static void on_resolvers(void *data, const struct netctl_resolvers *resolvers)
{
	struct network *n = data;

	fresh(n, NETCTL_RESOLVERS)->resolvers = *resolvers;
	tell(n);
}

static void on_hosts(void *data, const struct netctl_hosts *pieces, size_t n_pieces)
{
	struct network *n = data;
	int r = net_client_set_hosts(n->client, pieces, n_pieces);

	if (r < 0)
		log_warning("net: the hosts file could not be told: %s", strerror(-r));
	r = 0;
	for (size_t i = 0; i < n_pieces && n->proxy && r >= 0; i++) {
		fresh(n, NETCTL_HOSTS)->hosts = pieces[i];
		r = proxy_process_tell(n->proxy, &n->out);
	}
	if (r < 0)
		log_warning("proxy: the hosts file could not be told: %s", strerror(-r));
}

/* Notes whether a route overlaps the subnet in use; says it when that is new. */
static void check_overlap(struct network *n, const struct host_net_state *state)
{
	const struct subnet_route *route = subnet_conflict(n->view->network.subnet, state->routes, state->n_routes);
	char text[SUBNET_TEXT_MAX] = "", subnet[SUBNET_TEXT_MAX];
	json_t *sentence;

	if (route)
		subnet_text(text, route->addr, route->prefix_len);
	if (!strcmp(text, n->view->network.overlaps))
		return;
	memcpy(n->view->network.overlaps, text, sizeof(text));
	if (!route)
		return;
	sentence = json_sprintf("The network of the VM, %s, overlaps this computer's route to %s: containers cannot reach what lies "
				"there. A restart moves the VM's network.",
				subnet_text(subnet, n->view->network.subnet, DATA_PREFIX_LEN), text);
	log_warning("%s", json_string_value(sentence) ? json_string_value(sentence) : "the network overlaps a route");
	n->config.event(n->config.data, json_pack("{s:s, s:o}", "event", "warning", "message", sentence));
}

static void on_host_changed(void *data, const struct host_net_state *state)
{
	struct network *n = data;

	tell_host_addrs(n, state);
	check_overlap(n, state);
}

/* Chooses the subnet for this run. */
static void choose_subnet(struct network *n)
{
	static const struct host_net_state nothing;
	const struct host_net_state *state = n->host ? host_net_state(n->host) : &nothing;
	struct view_network *v = &n->view->network;
	char wanted[SUBNET_TEXT_MAX], subnet[SUBNET_TEXT_MAX], route[SUBNET_TEXT_MAX];
	const struct subnet_route *conflict;
	const char *reason;

	if (net_settings_subnet(config_text(&n->view->in_force, CONFIG_NETWORK_SUBNET), &v->wanted, &reason) < 0)
		v->wanted = DATA_SUBNET_DEFAULT;
	v->subnet = subnet_choose(v->wanted, state->routes, state->n_routes);
	conflict = subnet_conflict(v->wanted, state->routes, state->n_routes);
	subnet_text(subnet, v->subnet, DATA_PREFIX_LEN);
	if (v->subnet != v->wanted)
		log_warning("the VM's network is %s instead of %s, which overlaps this computer's route to %s", subnet,
			    subnet_text(wanted, v->wanted, DATA_PREFIX_LEN), subnet_text(route, conflict->addr, conflict->prefix_len));
	else
		log_info("the VM's network is %s", subnet);
	check_overlap(n, state);
}

static void on_proxy_link(void *data, int consume_fd)
{
	struct network *n = data;

	net_client_set_proxy_consume(n->client, consume_fd);
}

static void on_proxy_described(void *data, const char *text)
{
	struct network *n = data;

	snprintf(n->view->network.proxy, sizeof(n->view->network.proxy), "%s", text);
	log_info("proxy: %s", text);
}

static void set_proxy(struct network *n)
{
	struct fault fault = FAULT_INIT;
	struct proxy_settings settings;

	net_settings_proxy(&n->view->in_force, &settings);
	if (n->proxy && proxy_process_set(n->proxy, &settings, &fault) < 0)
		log_warning("proxy: the settings cannot be used: %s", fault.text);
}

static void start_proxy(struct network *n)
{
	struct proxy_process_config config = {
		.program = n->config.proxy_program, .log_fd = n->config.proxy_log_fd,
		.hooks = {.link = on_proxy_link, .described = on_proxy_described, .data = n},
	};
	int r = config.program ? proxy_process_new(n->config.loop, &config, &n->proxy) : -ENOENT;

	if (r < 0)
		log_warning("the proxy process cannot be started: %s; pulls and builds go without it", strerror(-r));
}

/* The settings that stand in the view. */
static void refresh_words(struct network *n)
{
	static const char *const modes[] = {"system", "manual", "none"};
	const struct config *c = &n->view->in_force;

	n->view->network.ipv6 = c->value[CONFIG_IPV6] == CONFIG_ON;
	n->view->network.egress = c->value[CONFIG_EGRESS] == CONFIG_EGRESS_ALLOW ? "allow" : "deny";
	n->view->network.proxy_mode = modes[c->value[CONFIG_PROXY_MODE] % ARRAY_SIZE(modes)];
}

void network_start(struct network *n)
{
	static const struct host_net_state nothing;
	const struct host_net_hooks host_hooks = {on_host_changed, n};
	const struct resolver_hooks resolver_hooks = {on_resolvers, on_hosts, n};
	struct resolver_override override;
	int r = host_net_new(n->config.loop, &host_hooks, &n->host);

	if (r < 0)
		log_warning("the host's addresses and routes are not known: %s", strerror(-r));
	refresh_words(n);
	choose_subnet(n);
	n->view->network.known = true;
	start_proxy(n);
	tell_config(n);
	tell_rules(n);
	/* Also when they are not known: the proxy waits for them before it serves. */
	tell_host_addrs(n, n->host ? host_net_state(n->host) : &nothing);
	net_settings_override(&n->view->in_force, &override);
	r = resolver_new(n->config.loop, &resolver_hooks, &override, &n->resolver);
	if (r < 0)
		log_warning("the host's resolvers are not known: %s", strerror(-r));
	set_proxy(n);
	ports_set_binding(n->ports, (enum config_binding)n->view->in_force.value[CONFIG_PORT_BINDING]);
}

void network_stop(struct network *n)
{
	ports_reset(n->ports);
	net_client_unlink(n->client);
	n->proxy = proxy_process_free(n->proxy);
	n->resolver = resolver_free(n->resolver);
	n->host = host_net_free(n->host);
	n->view->network.known = false;
}

void network_settings(struct network *n, const struct config *stored)
{
	struct resolver_override override;

	for (unsigned int i = 0; i < CONFIG_KEY_MAX; i++)
		if (config_specs[i].live)
			config_copy(&n->view->in_force, stored, (enum config_key)i);
	if (!n->view->network.known)
		return;
	refresh_words(n);
	tell_config(n);
	tell_rules(n);
	net_settings_override(&n->view->in_force, &override);
	if (n->resolver)
		resolver_set_override(n->resolver, &override);
	set_proxy(n);
	ports_set_binding(n->ports, (enum config_binding)n->view->in_force.value[CONFIG_PORT_BINDING]);
	log_info("settings: what can change at once is in force");
}

static void open_port(struct network *n, const struct machine_message *m)
{
	const struct port_request request = {
		.id = m->port_open.id, .udp = m->port_open.udp, .host = m->port_open.host, .target = m->port_open.target,
		.host_port = m->port_open.host_port, .target_port = m->port_open.target_port,
	};

	ports_open(n->ports, &request);
}

void network_message(struct network *n, const struct machine_message *m, int consume_fd)
{
	struct netctl_message *out;

	switch (m->type) {
	case MACHINE_NET_LINK:
		net_client_link_consume(n->client, consume_fd);
		return;
	case MACHINE_PORT_OPEN:
		open_port(n, m);
		break;
	case MACHINE_PORT_CLOSE:
		ports_close(n->ports, m->port_close.id);
		break;
	case MACHINE_PORT_RESET:
		ports_reset(n->ports);
		break;
	case MACHINE_GUEST_NETS:
		out = fresh(n, NETCTL_GUEST_NETS);
		out->guest_nets.n = m->guest_nets.n;
		memcpy(out->guest_nets.net, m->guest_nets.net, sizeof(out->guest_nets.net));
		(void)net_client_set(n->client, out);
		break;
	default:
		break;
	}
	fd_close(consume_fd);
}

static void on_port_result(void *data, uint32_t id, enum agent_port_status status)
{
	struct network *n = data;

	n->config.port_result(n->config.data, id, status);
}

static void on_port_added(void *data, const struct netctl_port *port, int fd)
{
	struct network *n = data;

	if (fd < 0)
		return;
	fresh(n, NETCTL_PORT_ADD)->port = *port;
	(void)net_client_send(n->client, &n->out, fd);
}

static void on_port_removed(void *data, uint32_t id)
{
	struct network *n = data;

	fresh(n, NETCTL_PORT_REMOVE)->port_remove.id = id;
	(void)net_client_send(n->client, &n->out, -EBADF);
}

static void on_linked(void *data)
{
	struct network *n = data;

	n->view->network.linked = true;
	log_info("net: linked; %zu published ports are handed over", ports_count(n->ports));
	ports_again(n->ports);
}

static void on_lost(void *data)
{
	struct network *n = data;

	n->view->network.linked = false;
	log_info("net: the link has ended");
	net_query_lost(n->query);
}

static void on_net_message(void *data, const struct netctl_message *m)
{
	static const char *const ends[] = {"?", "its size is reached", "its time is over", "its reader has gone", "it was stopped"};
	struct network *n = data;

	if (m->type == NETCTL_CAPTURE_END)
		log_limited(LOG_INFO, "net: a capture has ended after %llu bytes: %s", (unsigned long long)m->capture_end.bytes,
			 ends[m->capture_end.why % ARRAY_SIZE(ends)]);
	net_query_message(n->query, m);
}

struct list_state {
	json_t *list, *counts;
};

static void add_port(void *data, const struct netctl_port *port, const struct net_addr *asked)
{
	struct list_state *s = data;
	char id[16];
	json_t *counts, *o;

	snprintf(id, sizeof(id), "%u", port->id);
	o = json_pack("{s:I, s:s, s:o, s:i, s:o, s:o, s:i}", "id", (json_int_t)port->id, "protocol", port->udp ? "udp" : "tcp",
		      "address", net_json_addr(&port->bound), "port", port->bound_port, "asked", net_json_addr(asked), "target",
		      net_json_addr(&port->target), "target_port", port->target_port);
	counts = json_object_get(s->counts, id);
	for (size_t i = 0; o && i < 5; i++) {
		static const char *const names[] = {"connections", "now", "rx_bytes", "tx_bytes", "refused"};
		json_t *value = json_object_get(counts, names[i]);

		(void)json_object_set_new(o, names[i], value ? json_incref(value) : json_null());
	}
	(void)json_array_append_new(s->list, o);
}

static void on_answer(void *data, void *token, const struct net_query_request *request, json_t *result)
{
	struct network *n = data;
	struct list_state s = {json_array(), json_object_get(result, "port_counts")};

	(void)json_object_set_new(result, "linked", json_boolean(n->view->network.linked));
	if (request->parts & NET_PART_PORTS) {
		ports_each(n->ports, add_port, &s);
		(void)json_object_set(result, "ports", s.list);
	}
	json_decref(s.list);
	(void)json_object_del(result, "port_counts");
	n->config.answered(n->config.data, token, result);
}

void network_refresh(struct network *n)
{
	n->view->network.n_ports = ports_count(n->ports);
	n->view->proxy_pid = n->proxy ? proxy_process_pid(n->proxy) : 0;
}

void network_named(void *data, const struct port_name *name)
{
	struct network *n = data;

	port_names_add(n->names, name);
}

int network_query(struct network *n, const struct net_query_request *request, void *token)
{
	return net_query_ask(n->query, request, token);
}

void network_forget(struct network *n, const void *token)
{
	net_query_forget(n->query, token);
}

void network_capture(struct network *n, const struct netctl_capture *capture, int fd)
{
	fresh(n, NETCTL_CAPTURE)->capture = *capture;
	if (net_client_send(n->client, &n->out, fd) < 0)
		log_limited(LOG_WARNING, "net: a capture could not be started");
}

int network_new(const struct network_config *config, struct network **ret)
{
	struct network *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return trace(-ENOMEM);
	n->config = *config;
	n->view = config->view;
	r = getrandom(n->hash_key, sizeof(n->hash_key), 0) == sizeof(n->hash_key) ? 0 : -EIO;
	if (r >= 0)
		r = port_names_new(config->loop, n->view->dir->desktop_fd, STATE_PORTS_FILE, &n->names);
	if (r >= 0)
		r = ports_new(config->loop, n->names, &(struct ports_hooks){on_port_result, on_port_added, on_port_removed, n},
			      &n->ports);
	if (r >= 0)
		r = net_client_new(config->loop, &(struct net_client_hooks){on_linked, on_net_message, on_lost, n}, &n->client);
	if (r >= 0)
		r = net_query_new(config->loop, n->client, &n->rules, on_answer, n, &n->query);
	if (r < 0) {
		network_free(n);
		return trace(r);
	}
	*ret = n;
	return 0;
}

struct network *network_free(struct network *n)
{
	if (!n)
		return NULL;
	proxy_process_free(n->proxy);
	resolver_free(n->resolver);
	host_net_free(n->host);
	net_query_free(n->query);
	net_client_free(n->client);
	ports_free(n->ports);
	port_names_free(n->names);
	free(n);
	return NULL;
}
