/* SPDX-License-Identifier: Apache-2.0 */
/* table: free slots form a list threaded through the slots; never-used slots start at `fresh`. */
#include "base/table.h"

void table_init(struct table *t, struct table_slot *slots, uint32_t n)
{
	*t = (struct table){.slots = slots, .n_slots = n};
}

static uint64_t make_handle(const struct table *t, uint32_t index)
{
	return (uint64_t)t->slots[index].generation << 32 | (index + 1);
}

bool table_take(struct table *t, uint64_t *ret_handle)
{
	uint32_t index;

	if (t->free_head) {
		index = t->free_head - 1;
		t->free_head = t->slots[index].next_free;
	} else if (t->fresh < t->n_slots) {
		index = t->fresh++;
	} else {
		return false;
	}
	t->slots[index].next_free = 0;
	t->slots[index].generation++; /* even to odd: in use; wraps after 2^31 uses of one slot */
	t->n_used++;
	*ret_handle = make_handle(t, index);
	return true;
}

bool table_find(const struct table *t, uint64_t handle, uint32_t *ret_index)
{
	uint32_t number = (uint32_t)handle;

	if (!number || number > t->fresh)
		return false;
	if (t->slots[number - 1].generation != (uint32_t)(handle >> 32) ||
	    !(t->slots[number - 1].generation & 1))
		return false;
	*ret_index = number - 1;
	return true;
}

bool table_put(struct table *t, uint64_t handle)
{
	uint32_t index;

	if (!table_find(t, handle, &index))
		return false;
	t->slots[index].generation++;
	t->slots[index].next_free = t->free_head;
	t->free_head = index + 1;
	t->n_used--;
	return true;
}

uint64_t table_handle(const struct table *t, uint32_t index)
{
	if (index >= t->fresh || !(t->slots[index].generation & 1))
		return 0;
	return make_handle(t, index);
}
