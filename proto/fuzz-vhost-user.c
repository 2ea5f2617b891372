/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-vhost-user: byte 0: owned, running; byte 1: number of descriptors; then a header and a body of the front-end.
 * What the decoder accepts must lie within the bounds that handlers rely on.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/vhost-user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct vhost_user_message *m, const struct vhost_user_rule *rule, unsigned int n_queues)
{
	if (m->n_regions > VHOST_USER_TABLE_REGIONS_MAX || !rule->name)
		abort();
	for (uint32_t i = 0; i < m->n_regions; i++) {
		const struct vhost_user_region *r = &m->regions[i];

		if (!r->size || r->guest_addr + (r->size - 1) < r->guest_addr ||
		    r->user_addr + (r->size - 1) < r->user_addr || r->mmap_offset + r->size < r->mmap_offset)
			abort();
	}
	if (m->index >= n_queues || m->config_offset + m->config_size > VHOST_USER_CONFIG_MAX)
		abort();
	if (m->request == VHOST_USER_SET_VRING_NUM && (!m->num || m->num > 32768 || m->num & (m->num - 1)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_user_phase phase = {.n_queues = 2, .protocol_features = UINT64_MAX};
	struct vhost_user_message m;
	struct vhost_user_header h;
	const char *reason = NULL;

	if (size < 2 + VHOST_USER_HEADER_SIZE)
		return 0;
	phase.owned = data[0] & 1;
	phase.running = data[0] & 2;
	h.request = le32_load(data + 2);
	h.flags = le32_load(data + 6);
	h.size = le32_load(data + 10);
	if (vhost_user_check_header(&h, &phase, &reason) < 0) {
		if (!reason)
			abort();
		return 0;
	}
	if (h.size > VHOST_USER_BODY_MAX)
		abort();
	if (size - 2 - VHOST_USER_HEADER_SIZE < h.size)
		return 0;
	if (vhost_user_decode(&h, data + 2 + VHOST_USER_HEADER_SIZE, data[1] % 10, &phase, &m, &reason) == 0)
		check(&m, &vhost_user_rules[m.request], phase.n_queues);
	else if (!reason)
		abort();
	return 0;
}
