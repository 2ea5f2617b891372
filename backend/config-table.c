/* SPDX-License-Identifier: Apache-2.0 */
/* config-table: THE table of settings; order as enum config_key. See config.h and docs/protocol/backend-api.md. */
#include "backend/config.h"

/* Order as enum machine_accel. */
static const char *const accelerators[] = {"auto", "kvm", "tcg", NULL};
/* Orders as enum config_switch, config_egress, config_binding, netctl_dns_filter, proxy_mode. The first is the default. */
static const char *const switches[] = {"on", "off", NULL};
static const char *const egresses[] = {"allow", "deny", NULL};
static const char *const bindings[] = {"all", "local-default", "local-only", NULL};
static const char *const filters[] = {"none", "no-ipv4", "no-ipv6", NULL};
static const char *const proxies[] = {"system", "manual", "none", NULL};

#define LIVE .live = true
const struct config_spec config_specs[CONFIG_KEY_MAX] = {
	[CONFIG_CPUS] = {"Cpus", "cpus", CONFIG_INTEGER, "CPUs", NULL, "Processors of the VM"},
	[CONFIG_MEMORY_MIB] = {"MemoryMiB", "memory", CONFIG_INTEGER, "MiB", NULL, "Memory of the VM"},
	[CONFIG_DISK_MIB] = {"DiskSizeMiB", "disk-size", CONFIG_INTEGER, "MiB", NULL,
			     "Largest size of the data disk; the file takes only what is used"},
	[CONFIG_ACCELERATOR] = {"Accelerator", "accelerator", CONFIG_CHOICE, NULL, accelerators,
				"How the VM's processors run: auto proves that KVM works and falls back to tcg"},
	[CONFIG_NETWORK_MTU] = {"NetworkMtu", "network-mtu", CONFIG_INTEGER, "bytes", NULL, "Largest packet of the VM's network"},
	[CONFIG_IPV6] = {"Ipv6", "ipv6", CONFIG_CHOICE, NULL, switches, "IPv6 in the VM's network"},
	[CONFIG_EGRESS] = {"Egress", "egress", CONFIG_CHOICE, NULL, egresses,
			   "What happens to connections of containers that no rule names", LIVE},
	[CONFIG_PORT_BINDING] = {"PortBindingBehavior", "port-binding", CONFIG_CHOICE, NULL, bindings,
				 "Where published ports listen: all addresses; this computer unless an address is given; only this "
				 "computer", LIVE},
	[CONFIG_DNS_FILTER] = {"DnsFilter", "dns-filter", CONFIG_CHOICE, NULL, filters,
			       "Addresses that the VM's DNS keeps back", LIVE},
	[CONFIG_PROXY_MODE] = {"ProxyMode", "proxy", CONFIG_CHOICE, NULL, proxies,
			       "Where the HTTP proxy for containers and pulls goes on to: the session's proxy, the ones below, nowhere",
			       LIVE},
	[CONFIG_NETWORK_SUBNET] = {"NetworkSubnet", "network-subnet", CONFIG_STRING, NULL, NULL,
				   "Network of the VM; another one is taken while a route of this computer overlaps it"},
	[CONFIG_HOST_ACCESS] = {"HostAccess", "host-access", CONFIG_STRING, NULL, NULL,
				"Ports of this computer that containers reach as host.docker.internal: all, none, or 5432,8000-8100",
				LIVE},
	[CONFIG_NETWORK_RULES] = {"NetworkRules", "network-rules", CONFIG_LIST, NULL, NULL,
				  "Where containers may connect to, the first that fits decides: deny tcp 10.0.0.0/8 22 name=no-ssh", LIVE},
	[CONFIG_DNS_SERVERS] = {"DnsServers", "dns-servers", CONFIG_LIST, NULL, NULL,
				"Resolvers instead of this computer's: 10.0.0.53 or 10.0.0.53:5353", LIVE},
	[CONFIG_DNS_DOMAINS] = {"DnsDomains", "dns-domains", CONFIG_LIST, NULL, NULL,
				"Resolvers of one domain: corp.example=10.0.0.1,10.0.0.2:5353", LIVE},
	[CONFIG_PROXY_HTTP] = {"ProxyHttp", "proxy-http", CONFIG_STRING, NULL, NULL,
			       "With proxy manual: the proxy for http, as http://[user:password@]host:port or socks5://...", LIVE,
			       .secret = true},
	[CONFIG_PROXY_HTTPS] = {"ProxyHttps", "proxy-https", CONFIG_STRING, NULL, NULL,
				"With proxy manual: the proxy for https", LIVE, .secret = true},
	[CONFIG_PROXY_EXCLUDE] = {"ProxyExclude", "proxy-exclude", CONFIG_STRING, NULL, NULL,
				  "With proxy manual: names, globs and networks that are reached directly: *.corp.example,10.0.0.0/8",
				  LIVE},
};
