/* SPDX-License-Identifier: Apache-2.0 */
/* classify: see classify.h. */
#include "guest/iptables/classify.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define CHAIN "DOCKER-INGRESS"

static bool port_ok(const char *port)
{
	unsigned int v = 0;
	size_t i = 0;

	for (; port[i] >= '0' && port[i] <= '9' && i < 5; i++)
		v = v * 10 + (unsigned int)(port[i] - '0');
	return i > 0 && !port[i] && port[0] != '0' && v <= 65535;
}

void classify(struct classify *ret, int argc, char *const argv[])
{
	const char *table = "", *protocol = "", *port = "", *jump = "";
	enum classify_kind kind = CLASSIFY_NOTHING;

	*ret = (struct classify){CLASSIFY_NOTHING, NULL, NULL};
	for (int i = 1; i + 1 < argc; i++) {
		const char *value = argv[i + 1];

		if (!strcmp(argv[i], "-t"))
			table = value;
		else if (!strcmp(argv[i], "-p"))
			protocol = value;
		else if (!strcmp(argv[i], "--dport"))
			port = value;
		else if (!strcmp(argv[i], "-j"))
			jump = value;
		else if (strcmp(value, CHAIN) != 0)
			continue;
		else if (!strcmp(argv[i], "-I") || !strcmp(argv[i], "-A"))
			kind = CLASSIFY_BEGIN;
		else if (!strcmp(argv[i], "-D"))
			kind = CLASSIFY_END;
		else if (!strcmp(argv[i], "-F") || !strcmp(argv[i], "-X"))
			kind = CLASSIFY_END_ALL;
	}
	if (kind == CLASSIFY_NOTHING || strcmp(table, "nat") != 0)
		return;
	if (kind != CLASSIFY_END_ALL &&
	    (strcmp(jump, "DNAT") != 0 || (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0) || !port_ok(port)))
		return;
	*ret = (struct classify){kind, protocol, port};
}
