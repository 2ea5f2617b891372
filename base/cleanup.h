/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup: scope-bound release of resources, and hand-over of ownership.
 *
 * Every resource type T has a T_free() that accepts NULL; declare its cleanup function once with
 * DEFINE_CLEANUP(T *, T_free) and use it as _cleanup_(T_freep). Descriptors are -EBADF or owned.
 * Who may call it: every room. It never allocates.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(x) __attribute__((__cleanup__(x)))
#define _unused_ __attribute__((__unused__))
#define _printf_(a, b) __attribute__((__format__(printf, a, b)))
#define _pure_ __attribute__((__pure__))
#define _noreturn_ __attribute__((__noreturn__))

#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))

#define DEFINE_CLEANUP(type, func)                                                                \
	static inline _unused_ void func##p(type *p)                                              \
	{                                                                                         \
		if (*p)                                                                           \
			func(*p);                                                                 \
	}

/* Release for _cleanup_free_: frees what the pointer behind P points to. */
static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

/* Release for _cleanup_close_: closes *FD when it is owned, keeps errno. */
static inline void cleanup_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define _cleanup_free_ _cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)

/* Hand a pointer or a descriptor over: yields the value, leaves NULL or -EBADF behind. */
#define take_ptr(p)                                                                               \
	({                                                                                        \
		__typeof__(p) taken_ = (p);                                                       \
		(p) = NULL;                                                                       \
		taken_;                                                                           \
	})

static inline int take_fd_(int *fd)
{
	int taken = *fd;

	*fd = -EBADF;
	return taken;
}
#define take_fd(fd) take_fd_(&(fd))
