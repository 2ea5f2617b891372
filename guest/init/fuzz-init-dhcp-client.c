/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-init-dhcp-client: any bytes as an answer to either question. A lease has what network.c relies on. Never part of a product. */
#include <stdlib.h>
#include <string.h>

#include "guest/init/dhcp-client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dhcp_client_question question = {.type = DHCP_CLIENT_DISCOVER, .xid = 0x12345678,
						.mac = {0x02, 0xca, 0x15, 0x50, 0x01, 0x02}};
	struct dhcp_client_lease lease;

	for (int i = 0; i < 2; i++) {
		if (dhcp_client_decode(&lease, &question, data, size) == 0 && lease.type != DHCP_CLIENT_NAK &&
		    (!lease.address || !lease.router || lease.prefix_len < 8 || lease.prefix_len > 30 ||
		     strnlen(lease.search, sizeof(lease.search)) == sizeof(lease.search)))
			abort();
		question.type = DHCP_CLIENT_REQUEST;
		question.requested = 0xc0a84103;
	}
	return 0;
}
