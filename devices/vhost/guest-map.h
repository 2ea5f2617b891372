/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest-map: the table of guest memory regions of one connection and its dirty log. Private to devices/vhost.
 *
 * Only memfds sealed against shrinking are mapped (QEMU seals its own): otherwise the front-end could cut the
 * file under our mapping and every access would raise SIGBUS. All checks subtract, none adds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/vhost-user.h"

enum { GUEST_REGIONS_MAX = 32 };

struct guest_region {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr;
	uint8_t *host; /* host address of guest_addr */
	void *map;
	size_t map_len;
};

struct guest_map {
	unsigned int n;
	struct guest_region regions[GUEST_REGIONS_MAX];
	/* Dirty log: one bit per 4096 bytes, from guest address 0. Active when log and logging are set. */
	bool logging;
	uint8_t *log;
	uint64_t log_size;
	void *log_map;
	size_t log_map_len;
};

/* Unmaps everything. */
void guest_map_clear(struct guest_map *map);
/* Adds a mapping of FD (borrowed) to MAP. Return: 0; -ENOSPC: table full; -EEXIST: overlaps; -EPERM: not
 * sealed against shrinking; -EINVAL: not inside the file; -errno. MAP is untouched on failure. */
int guest_map_add(struct guest_map *map, const struct vhost_user_region *region, int fd);
/* Return: index of exactly this region (offset ignored), or -ENOENT. */
int guest_map_find(const struct guest_map *map, const struct vhost_user_region *region);
/* Unmaps the region at INDEX. */
void guest_map_remove(struct guest_map *map, unsigned int index);
/* Takes the pages this process has touched out of its page tables. Their content is the memfd's and stays; the next
 * touch finds it again by a minor fault. */
void guest_map_trim(const struct guest_map *map);
/* Replaces all regions of MAP by those of FRESH, which becomes empty; the log stays. */
void guest_map_replace(struct guest_map *map, struct guest_map *fresh);

/* Host address of guest address ADDR and in *RET_LEN how many bytes (at most LEN) follow it in the same
 * region. Return: NULL when ADDR is nowhere. */
void *guest_map_gpa(const struct guest_map *map, uint64_t addr, uint64_t len, uint64_t *ret_len);
/* Host address of [ADDR, ADDR + LEN), an address range of the front-end, in one region; NULL otherwise. */
void *guest_map_uva(const struct guest_map *map, uint64_t addr, uint64_t len);

/* Maps the log FD (borrowed) at OFFSET, SIZE bytes, instead of the one before. Return: as guest_map_add. */
int guest_log_set(struct guest_map *map, int fd, uint64_t size, uint64_t offset);
void guest_log_clear(struct guest_map *map);
/* Marks the pages of guest range [ADDR, ADDR + LEN); pages the log does not cover are skipped. */
void guest_log_mark(struct guest_map *map, uint64_t addr, uint64_t len);
/* Marks the first LEN bytes of segments that lie in mapped guest memory. */
void guest_log_mark_iov(struct guest_map *map, const struct iovec *iov, size_t n_iov, uint64_t len);

static inline bool guest_log_active(const struct guest_map *map)
{
	return map->logging && map->log;
}
