/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table: a fixed table of slots with generations: index bounds, use after free and exhaustion are decided here.
 *
 * Storage is the caller's array of struct table_slot; a handle is generation << 32 | index + 1, never 0. No allocation.
 * Who may call it: every room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
	uint32_t generation; /* odd: in use */
	uint32_t next_free;
};
struct table {
	struct table_slot *slots;
	uint32_t n_slots;
	uint32_t n_used;
	uint32_t free_head; /* index + 1, 0: none returned yet */
	uint32_t fresh;	    /* slots never used start here, so that untouched memory stays untouched */
};

/* SLOTS is zeroed storage of N entries, N < UINT32_MAX. */
void table_init(struct table *t, struct table_slot *slots, uint32_t n);
/* Return: true with a handle; false when full. */
bool table_take(struct table *t, uint64_t *ret_handle);
/* Return: true with the index when HANDLE is live. */
bool table_find(const struct table *t, uint64_t handle, uint32_t *ret_index);
/* Return: true when HANDLE was live and is free now. */
bool table_put(struct table *t, uint64_t handle);
/* Handle of a live slot INDEX, 0 when free or out of range. */
uint64_t table_handle(const struct table *t, uint32_t index);
