/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: one epoll loop per process: descriptors, timers, signals, children.
 *
 * States: a loop is IDLE, RUNNING (inside loop_run) or ENDED (loop_exit called). Sources may be added
 * and removed in any state, also from inside a callback, also their own. A source never owns its
 * descriptor. No wake-up happens without an armed timer or a ready descriptor.
 * Who may call it: every process's main and its parts; never a codec.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
struct loop_source;

/* EVENTS is the epoll set that is ready. A negative return ends loop_run with that code. */
typedef int (*loop_fd_fn)(void *data, int fd, uint32_t events);
typedef int (*loop_timer_fn)(void *data);
typedef int (*loop_signal_fn)(void *data, int signo);
/* STATUS is as from waitid: >= 0 exit code, < 0 minus the signal number. */
typedef int (*loop_child_fn)(void *data, pid_t pid, int status);

int loop_new(struct loop **ret);
struct loop *loop_free(struct loop *loop);
/* Runs until loop_exit. Return: the code given to loop_exit, or the negative code of a callback. */
int loop_run(struct loop *loop);
/* One round: waits at most TIMEOUT_MS (-1 for ever). Return: 1 after events, 0 on time-out, -errno. */
int loop_step(struct loop *loop, int timeout_ms);
void loop_exit(struct loop *loop, int code);

/* Watches FD (borrowed) for EVENTS (EPOLLIN, EPOLLOUT, EPOLLET ...). Return: 0 or -errno. */
int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *data,
		struct loop_source **ret);
int loop_source_set_events(struct loop_source *source, uint32_t events);
/* One-shot timer, disarmed at first. */
int loop_add_timer(struct loop *loop, loop_timer_fn fn, void *data, struct loop_source **ret);
/* Arms at now + US microseconds (CLOCK_MONOTONIC); UINT64_MAX disarms. */
int loop_timer_set(struct loop_source *source, uint64_t us);
/* Blocks SIGNO in this thread and delivers it in the loop. */
int loop_add_signal(struct loop *loop, int signo, loop_signal_fn fn, void *data,
		    struct loop_source **ret);
/* Reaps the child behind PIDFD (borrowed, kept open by the caller until the callback or the source's end). */
int loop_add_child(struct loop *loop, int pidfd, pid_t pid, loop_child_fn fn, void *data,
		   struct loop_source **ret);
/* Removes and frees SOURCE (NULL allowed). Return: NULL. */
struct loop_source *loop_source_free(struct loop_source *source);
uint64_t loop_now_us(void);
