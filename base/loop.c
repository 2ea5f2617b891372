/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: theory of operation.
 *
 * epoll data holds the source's pointer. A source removed while its own or another event of the same batch is
 * being handled must not be touched again: removal marks it dead and moves it to a graveyard that is emptied
 * after the batch. All timers share one timerfd, armed for the earliest deadline only; the list is short (a
 * handful per process; per-flow timers live in devices/net). Signals arrive by one signalfd per source,
 * children by pidfd.
 */
#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNAL, SOURCE_CHILD };
enum { EVENTS_MAX = 64 };

struct loop_source {
	enum source_kind kind;
	bool dead;
	struct loop *loop;
	struct loop_source *next;
	struct loop_source **link; /* what points at this source: removal costs the same with 10,000 sources */
	void *data;
	int fd; /* FD, CHILD: borrowed; SIGNAL: owned signalfd */
	union {
		loop_fd_fn fd_fn;
		loop_timer_fn timer_fn;
		loop_signal_fn signal_fn;
		loop_child_fn child_fn;
	};
	uint64_t deadline_us; /* TIMER */
	pid_t pid;	      /* CHILD */
};

struct loop {
	int epoll_fd;
	int timer_fd;
	bool exiting;
	int exit_code;
	unsigned int depth; /* > 0 while a batch is handled: the graveyard waits */
	struct loop_source *timers;
	struct loop_source *others;
	struct loop_source *graveyard;
};

uint64_t loop_now_us(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int loop_new(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};

	if (!loop)
		return trace(-ENOMEM);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->timer_fd < 0 ||
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &ev) < 0) {
		int r = error_errno();

		loop_free(loop);
		return trace(r);
	}
	*ret = loop;
	return 0;
}

static void free_list(struct loop_source *s)
{
	while (s) {
		struct loop_source *next = s->next;

		if (s->kind == SOURCE_SIGNAL)
			fd_close(s->fd);
		free(s);
		s = next;
	}
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	free_list(loop->timers);
	free_list(loop->others);
	free_list(loop->graveyard);
	fd_close(loop->timer_fd);
	fd_close(loop->epoll_fd);
	free(loop);
	return NULL;
}

/* The armed timer that is due first, NULL when none is armed. */
static struct loop_source *earliest_timer(const struct loop *loop)
{
	struct loop_source *first = NULL;

	for (struct loop_source *s = loop->timers; s; s = s->next)
		if (s->deadline_us != UINT64_MAX && (!first || s->deadline_us < first->deadline_us))
			first = s;
	return first;
}

/* Points the shared timerfd at the earliest armed deadline, or disarms it. */
static void rearm(struct loop *loop)
{
	const struct loop_source *first = earliest_timer(loop);
	struct itimerspec its = {0};

	if (first) {
		its.it_value.tv_sec = (time_t)(first->deadline_us / 1000000);
		its.it_value.tv_nsec = (long)(first->deadline_us % 1000000) * 1000;
	}
	/* Only a bad argument can fail here. */
	(void)timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* Fires what was due when it began, in the order of the deadlines. Callbacks may remove and arm any timer. */
static int run_timers(struct loop *loop)
{
	uint64_t expirations, now = loop_now_us();
	struct loop_source *s;
	int r = 0;

	if (read(loop->timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		return trace(error_errno());
	while (r >= 0 && !loop->exiting && (s = earliest_timer(loop)) && s->deadline_us <= now) {
		s->deadline_us = UINT64_MAX;
		r = s->timer_fn(s->data);
	}
	rearm(loop);
	return r;
}

static int run_signal(struct loop_source *s)
{
	struct signalfd_siginfo info;
	ssize_t n = read(s->fd, &info, sizeof(info));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : trace(error_errno());
	return s->signal_fn(s->data, (int)info.ssi_signo);
}

static int run_child(struct loop_source *s)
{
	siginfo_t info = {0};
	int status;

	if (waitid(P_PIDFD, (id_t)s->fd, &info, WEXITED | WNOHANG) < 0)
		return trace(error_errno());
	if (!info.si_pid)
		return 0;
	status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
	/* An ended child stays readable: watch it no more. */
	(void)epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	return s->child_fn(s->data, s->pid, status);
}

static int dispatch(struct loop *loop, const struct epoll_event *ev)
{
	struct loop_source *s = ev->data.ptr;

	if (!s)
		return run_timers(loop);
	if (s->dead)
		return 0;
	switch (s->kind) {
	case SOURCE_FD:
		return s->fd_fn(s->data, s->fd, ev->events);
	case SOURCE_SIGNAL:
		return run_signal(s);
	case SOURCE_CHILD:
		return run_child(s);
	case SOURCE_TIMER:
		break;
	}
	return trace(-EINVAL);
}

int loop_step(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int n, r = 0;

	n = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, timeout_ms);
	if (n < 0)
		return errno == EINTR ? 1 : trace(error_errno());
	loop->depth++;
	for (int i = 0; i < n && r >= 0 && !loop->exiting; i++)
		r = dispatch(loop, &events[i]);
	loop->depth--;
	if (!loop->depth) {
		free_list(loop->graveyard);
		loop->graveyard = NULL;
	}
	if (r < 0)
		return r;
	return n > 0 ? 1 : 0;
}

int loop_run(struct loop *loop)
{
	while (!loop->exiting) {
		int r = loop_step(loop, -1);

		if (r < 0)
			return r;
	}
	return loop->exit_code;
}

void loop_exit(struct loop *loop, int code)
{
	loop->exiting = true;
	loop->exit_code = code;
}

static void list_push(struct loop_source **head, struct loop_source *s)
{
	s->next = *head;
	s->link = head;
	if (s->next)
		s->next->link = &s->next;
	*head = s;
}

static void list_remove(struct loop_source *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
}

static struct loop_source *source_new(struct loop *loop, enum source_kind kind, int fd, void *data)
{
	struct loop_source *s = calloc(1, sizeof(*s));

	if (s)
		*s = (struct loop_source){.kind = kind, .loop = loop, .fd = fd, .data = data, .deadline_us = UINT64_MAX};
	return s;
}

/* Adds S to epoll and to the list; frees it on failure. */
static int source_watch(struct loop_source *s, uint32_t events, struct loop_source **ret)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	if (epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) < 0) {
		int r = error_errno();

		if (s->kind == SOURCE_SIGNAL)
			fd_close(s->fd);
		free(s);
		return trace(r);
	}
	list_push(&s->loop->others, s);
	if (ret)
		*ret = s;
	return 0;
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *data, struct loop_source **ret)
{
	struct loop_source *s = source_new(loop, SOURCE_FD, fd, data);

	if (!s)
		return trace(-ENOMEM);
	s->fd_fn = fn;
	return source_watch(s, events, ret);
}

int loop_source_set_events(struct loop_source *source, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = source};

	if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &ev) < 0)
		return trace(error_errno());
	return 0;
}

int loop_add_timer(struct loop *loop, loop_timer_fn fn, void *data, struct loop_source **ret)
{
	struct loop_source *s = source_new(loop, SOURCE_TIMER, -EBADF, data);

	if (!s)
		return trace(-ENOMEM);
	s->timer_fn = fn;
	list_push(&loop->timers, s);
	*ret = s;
	return 0;
}

int loop_timer_set(struct loop_source *source, uint64_t us)
{
	uint64_t now = loop_now_us();

	source->deadline_us = us > UINT64_MAX - now ? UINT64_MAX : now + us;
	rearm(source->loop);
	return 0;
}

int loop_add_signal(struct loop *loop, int signo, loop_signal_fn fn, void *data, struct loop_source **ret)
{
	struct loop_source *s;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, signo);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return trace(error_errno());
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return trace(error_errno());
	s = source_new(loop, SOURCE_SIGNAL, fd, data);
	if (!s) {
		fd_close(fd);
		return trace(-ENOMEM);
	}
	s->signal_fn = fn;
	return source_watch(s, EPOLLIN, ret);
}

int loop_add_child(struct loop *loop, int pidfd, pid_t pid, loop_child_fn fn, void *data, struct loop_source **ret)
{
	struct loop_source *s = source_new(loop, SOURCE_CHILD, pidfd, data);

	if (!s)
		return trace(-ENOMEM);
	s->child_fn = fn;
	s->pid = pid;
	return source_watch(s, EPOLLIN, ret);
}

struct loop_source *loop_source_free(struct loop_source *source)
{
	struct loop *loop;

	if (!source || source->dead)
		return NULL;
	loop = source->loop;
	list_remove(source);
	if (source->kind != SOURCE_TIMER)
		(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	if (source->kind == SOURCE_TIMER)
		rearm(loop);
	source->dead = true;
	source->next = loop->graveyard;
	loop->graveyard = source;
	if (!loop->depth) {
		free_list(loop->graveyard);
		loop->graveyard = NULL;
	}
	return NULL;
}
