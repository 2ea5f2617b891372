/* SPDX-License-Identifier: Apache-2.0 */
/* guest-map: see the header. Maps what the front-end describes, never more than the file behind it holds. */
#include "devices/vhost/guest-map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

enum { LOG_PAGE = 4096 };

/* [A, A + A_LEN) and [B, B + B_LEN) share a byte; both are non-empty and do not wrap. */
static bool ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a <= b ? b - a < a_len : a - b < b_len;
}

/*
 * Maps [OFFSET, OFFSET + SIZE) of FD. The mapping begins at a multiple of the file's block size, because a
 * memfd of huge pages cannot be mapped elsewhere. *RET_HOST is the address of OFFSET.
 */
static int map_file(int fd, uint64_t offset, uint64_t size, void **ret_map, size_t *ret_map_len,
		    uint8_t **ret_host)
{
	struct stat st;
	uint64_t align, front;
	int seals;
	void *p;

	if (fstat(fd, &st) < 0)
		return trace(error_errno());
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return trace(-EPERM);
	if (!size || st.st_size < 0 || offset > (uint64_t)st.st_size || size > (uint64_t)st.st_size - offset)
		return trace(-EINVAL);
	align = st.st_blksize > 0 ? (uint64_t)st.st_blksize : 4096;
	if (align & (align - 1))
		return trace(-EINVAL);
	front = offset & (align - 1);
	if (size > SIZE_MAX - front)
		return trace(-EINVAL);
	p = mmap(NULL, size + front, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		 (off_t)(offset - front));
	if (p == MAP_FAILED)
		return trace(error_errno());
	*ret_map = p;
	*ret_map_len = size + front;
	*ret_host = (uint8_t *)p + front;
	return 0;
}

void guest_map_trim(const struct guest_map *map)
{
	/* On a shared file mapping this only unmaps (madvise(2)); a failure costs nothing but the saving. */
	for (unsigned int i = 0; i < map->n; i++)
		(void)madvise(map->regions[i].map, map->regions[i].map_len, MADV_DONTNEED);
}

void guest_map_clear(struct guest_map *map)
{
	while (map->n)
		guest_map_remove(map, map->n - 1);
	guest_log_clear(map);
}

int guest_map_add(struct guest_map *map, const struct vhost_user_region *region, int fd)
{
	struct guest_region fresh = {
		.guest_addr = region->guest_addr,
		.size = region->size,
		.user_addr = region->user_addr,
	};
	int r;

	if (map->n >= GUEST_REGIONS_MAX)
		return trace(-ENOSPC);
	for (unsigned int i = 0; i < map->n; i++) {
		const struct guest_region *old = &map->regions[i];

		if (ranges_overlap(old->guest_addr, old->size, region->guest_addr, region->size) ||
		    ranges_overlap(old->user_addr, old->size, region->user_addr, region->size))
			return trace(-EEXIST);
	}
	r = map_file(fd, region->mmap_offset, region->size, &fresh.map, &fresh.map_len, &fresh.host);
	if (r < 0)
		return trace(r);
	map->regions[map->n++] = fresh;
	return 0;
}

int guest_map_find(const struct guest_map *map, const struct vhost_user_region *region)
{
	for (unsigned int i = 0; i < map->n; i++) {
		const struct guest_region *have = &map->regions[i];

		if (have->guest_addr == region->guest_addr && have->user_addr == region->user_addr &&
		    have->size == region->size)
			return (int)i;
	}
	return -ENOENT;
}

void guest_map_remove(struct guest_map *map, unsigned int index)
{
	munmap(map->regions[index].map, map->regions[index].map_len);
	map->regions[index] = map->regions[--map->n];
	memset(&map->regions[map->n], 0, sizeof(map->regions[0]));
}

void guest_map_replace(struct guest_map *map, struct guest_map *fresh)
{
	while (map->n)
		guest_map_remove(map, map->n - 1);
	memcpy(map->regions, fresh->regions, sizeof(map->regions));
	map->n = fresh->n;
	fresh->n = 0;
}

void *guest_map_gpa(const struct guest_map *map, uint64_t addr, uint64_t len, uint64_t *ret_len)
{
	for (unsigned int i = 0; i < map->n; i++) {
		const struct guest_region *r = &map->regions[i];
		uint64_t off = addr - r->guest_addr;

		if (addr < r->guest_addr || off >= r->size)
			continue;
		*ret_len = len <= r->size - off ? len : r->size - off;
		return r->host + off;
	}
	return NULL;
}

void *guest_map_uva(const struct guest_map *map, uint64_t addr, uint64_t len)
{
	for (unsigned int i = 0; i < map->n; i++) {
		const struct guest_region *r = &map->regions[i];
		uint64_t off = addr - r->user_addr;

		if (addr < r->user_addr || off >= r->size)
			continue;
		return len <= r->size - off ? r->host + off : NULL;
	}
	return NULL;
}

int guest_log_set(struct guest_map *map, int fd, uint64_t size, uint64_t offset)
{
	size_t map_len = 0;
	uint8_t *host = NULL;
	void *p = NULL;
	int r;

	r = map_file(fd, offset, size, &p, &map_len, &host);
	if (r < 0)
		return trace(r);
	guest_log_clear(map);
	map->log_map = p;
	map->log_map_len = map_len;
	map->log = host;
	map->log_size = size;
	return 0;
}

void guest_log_clear(struct guest_map *map)
{
	if (map->log_map)
		munmap(map->log_map, map->log_map_len);
	map->log_map = NULL;
	map->log = NULL;
	map->log_size = 0;
	map->log_map_len = 0;
}

void guest_log_mark(struct guest_map *map, uint64_t addr, uint64_t len)
{
	uint64_t first, last;

	if (!guest_log_active(map) || !len)
		return;
	first = addr / LOG_PAGE;
	last = len - 1 > UINT64_MAX - addr ? UINT64_MAX / LOG_PAGE : (addr + (len - 1)) / LOG_PAGE;
	for (uint64_t page = first; page <= last && page / 8 < map->log_size; page++)
		__atomic_fetch_or(&map->log[page / 8], (uint8_t)(1u << (page % 8)), __ATOMIC_RELEASE);
}

void guest_log_mark_iov(struct guest_map *map, const struct iovec *iov, size_t n_iov, uint64_t len)
{
	if (!guest_log_active(map))
		return;
	for (size_t i = 0; i < n_iov && len; i++) {
		uint64_t part = iov[i].iov_len < len ? iov[i].iov_len : len;

		for (unsigned int k = 0; k < map->n; k++) {
			const struct guest_region *r = &map->regions[k];
			uint64_t off = (uint64_t)((uintptr_t)iov[i].iov_base - (uintptr_t)r->host);

			if ((uintptr_t)iov[i].iov_base >= (uintptr_t)r->host && off < r->size)
				guest_log_mark(map, r->guest_addr + off, part);
		}
		len -= part;
	}
}
