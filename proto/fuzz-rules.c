/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-rules: the parser of the user's rules on arbitrary text, and the verdict on an address taken from the same bytes.
 *
 * What parses must be a rule the codec would carry; a verdict has a name, and nothing but the alias' loopback is dialled
 * that is not what was asked for. Never part of a product.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decide(const struct rules *rules, const uint8_t *data, size_t size)
{
	struct rules_verdict verdict;
	struct net_addr addr = {{0}};

	memcpy(addr.byte, data, size < sizeof(addr.byte) ? size : sizeof(addr.byte));
	rules_decide(rules, RULES_TCP, &addr, 80, &verdict);
	if (verdict.rule >= RULES_MAX || !*rules_name(rules, verdict.rule))
		abort();
	if (!net_addr_equal(&verdict.dial, &addr) && verdict.rule != RULE_HOST_ALIAS)
		abort();
	if (verdict.allow && verdict.rule < RULES_USER && verdict.rule != RULE_EGRESS && !verdict.to_host)
		abort();
	rules_resolver(rules, &addr, 53);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rules rules = {
		.gateway4 = net_addr4(0xc0a84101), .alias4 = net_addr4(0xc0a841fe), .subnet4 = net_addr4(0xc0a84100),
		.gateway6 = {{0xfd, 0xca, [15] = 1}}, .alias6 = {{0xfd, 0xca, [15] = 0xfe}}, .host = RULES_HOST_ALL, .egress = true,
	};
	const char *reason = NULL;
	char *text = malloc(size + 1);
	int r;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	r = rules_parse(&rules.user[0], text, 1, &reason);
	free(text);
	if ((r == 0) == (reason != NULL))
		abort();
	if (r == 0 && !rules_user_ok(&rules.user[0]))
		abort();
	rules.n_user = r == 0;
	decide(&rules, data, size);
	return 0;
}
