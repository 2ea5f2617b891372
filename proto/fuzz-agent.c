/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-agent: the agent codec on arbitrary bytes, in both directions.
 *
 * What decodes must encode to the same bytes again; a frame may never claim more bytes than it was given;
 * a shorter prefix of a good frame must ask for more. Never part of a product.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_frame(const struct agent_message *m, const uint8_t *frame, int len, enum agent_direction direction)
{
	uint8_t again[AGENT_FRAME_MAX];
	struct agent_message other;

	if (len < AGENT_HEADER_SIZE || len > AGENT_FRAME_MAX)
		abort();
	if (agent_encode(m, again) != len || memcmp(again, frame, (size_t)len) != 0)
		abort();
	if (agent_decode(&other, direction, frame, (size_t)len - 1) != 0)
		abort();
	if (agent_decode(&other, direction == AGENT_TO_GUEST ? AGENT_TO_MACHINE : AGENT_TO_GUEST, frame,
			 (size_t)len) >= 0)
		abort();
	if (m->type == AGENT_STAGE && strcmp(agent_stage_name(m->stage.stage), "unknown") == 0)
		abort();
	if (m->type == AGENT_FAILED && !agent_cause_text(m->failed.cause))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int direction = AGENT_TO_MACHINE; direction <= AGENT_TO_GUEST; direction++) {
		struct agent_message m;
		size_t off = 0;

		for (;;) {
			int r = agent_decode(&m, (enum agent_direction)direction, data + off, size - off);

			if (r <= 0)
				break;
			if ((size_t)r > size - off)
				abort();
			check_frame(&m, data + off, r, (enum agent_direction)direction);
			off += (size_t)r;
		}
	}
	return 0;
}
