/* SPDX-License-Identifier: Apache-2.0 */
/* test-loop: unit tests of base/loop. Run by meson; needs no network and no root. */
#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/spawn.h"
#include "base/test.h"

struct seen {
	struct loop *loop;
	struct loop_source *a, *b;
	int n_a, n_b;
	int status;
};

static int on_a(void *data, int fd, uint32_t events)
{
	struct seen *s = data;

	s->n_a++;
	s->b = loop_source_free(s->b); /* both are ready: B's event of this batch must not be delivered */
	s->a = loop_source_free(s->a);
	return 0;
}

static int on_b(void *data, int fd, uint32_t events)
{
	struct seen *s = data;

	s->n_b++;
	s->a = loop_source_free(s->a);
	s->b = loop_source_free(s->b);
	return 0;
}

static void test_remove_within_batch(void **state)
{
	struct seen s = {0};
	int p[2], q[2];

	assert_int_equal(loop_new(&s.loop), 0);
	assert_int_equal(pipe(p) | pipe(q), 0);
	assert_int_equal(write(p[1], "x", 1) + write(q[1], "x", 1), 2);
	assert_int_equal(loop_add_fd(s.loop, p[0], EPOLLIN, on_a, &s, &s.a), 0);
	assert_int_equal(loop_add_fd(s.loop, q[0], EPOLLIN, on_b, &s, &s.b), 0);
	assert_int_equal(loop_step(s.loop, 1000), 1);
	assert_int_equal(s.n_a + s.n_b, 1);
	assert_int_equal(loop_step(s.loop, 0), 0);
	loop_free(s.loop);
	close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

static int on_timer_a(void *data)
{
	struct seen *s = data;

	s->n_a++;
	s->b = loop_source_free(s->b);
	return 0;
}

static int on_timer_exit(void *data)
{
	struct seen *s = data;

	s->n_b++;
	loop_exit(s->loop, 42);
	return 0;
}

static void test_timers(void **state)
{
	struct loop_source *end = NULL;
	struct seen s = {0};

	assert_int_equal(loop_new(&s.loop), 0);
	assert_int_equal(loop_add_timer(s.loop, on_timer_a, &s, &s.a), 0);
	assert_int_equal(loop_add_timer(s.loop, on_timer_exit, &s, &s.b), 0);
	assert_int_equal(loop_add_timer(s.loop, on_timer_exit, &s, &end), 0);
	assert_int_equal(loop_step(s.loop, 0), 0); /* nothing armed, nothing happens */
	loop_timer_set(s.a, 1000);
	loop_timer_set(s.b, 3000);
	loop_timer_set(end, 20000);
	assert_int_equal(loop_run(s.loop), 42);
	assert_int_equal(s.n_a, 1);
	assert_int_equal(s.n_b, 1); /* b was removed by a, end fired */
	loop_free(s.loop);
}

static int on_signal(void *data, int signo)
{
	struct seen *s = data;

	s->status = signo;
	loop_exit(s->loop, 0);
	return 0;
}

static void test_signal(void **state)
{
	struct loop_source *source;
	struct seen s = {0};

	assert_int_equal(loop_new(&s.loop), 0);
	assert_int_equal(loop_add_signal(s.loop, SIGUSR1, on_signal, &s, &source), 0);
	kill(getpid(), SIGUSR1);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.status, SIGUSR1);
	loop_free(s.loop);
}

static int on_child(void *data, pid_t pid, int status)
{
	struct seen *s = data;

	s->status = status;
	loop_exit(s->loop, 0);
	return 0;
}

static int run_child(const char *script, char *const *envp, const int *fds, size_t n_fds, int out_fd)
{
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL};
	struct spawn_plan plan = {.program = "/bin/sh", .argv = argv, .envp = envp, .stdin_fd = -1,
				  .stdout_fd = out_fd, .stderr_fd = -1, .fds = fds, .n_fds = n_fds};
	struct loop_source *source;
	struct seen s = {.status = -1000};
	int pidfd;
	pid_t pid;

	assert_int_equal(loop_new(&s.loop), 0);
	assert_int_equal(spawn_start(&plan, &pid, &pidfd), 0);
	assert_int_equal(loop_add_child(s.loop, pidfd, pid, on_child, &s, &source), 0);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(spawn_kill(pidfd, SIGTERM), -ESRCH);
	loop_free(s.loop);
	close(pidfd);
	return s.status;
}

static void test_spawn_status(void **state)
{
	assert_int_equal(run_child("exit 7", NULL, NULL, 0, -1), 7);
	assert_int_equal(run_child("kill -9 $$", NULL, NULL, 0, -1), -9);
}

static void test_spawn_descriptors_and_environment(void **state)
{
	char *const envp[] = {(char *)"ONE=1", NULL};
	char buf[128] = "";
	int p[2], q[2], fds[2];
	ssize_t n;

	assert_int_equal(pipe(p) | pipe(q), 0);
	fds[0] = q[1]; /* becomes 3 */
	fds[1] = p[1]; /* becomes 4: numbers overlap with the sources */
	assert_int_equal(run_child("[ \"$ONE\" = 1 ] && echo three >&3 && echo four >&4 && exec ls /proc/self/fd | tr '\\n' ' '",
				   envp, fds, 2, p[1]), 0);
	n = read(q[0], buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = '\0';
	assert_string_equal(buf, "three\n");
	n = read(p[0], buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = '\0';
	assert_string_equal(buf, "four\n0 1 2 3 4 5 "); /* 5: ls's own open directory */
	close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

static void test_spawn_failure_is_named(void **state)
{
	char *const argv[] = {(char *)"x", NULL};
	struct spawn_plan plan = {.program = "/no/such/program", .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
	int pidfd = -1;
	pid_t pid = -1;

	assert_int_equal(spawn_start(&plan, &pid, &pidfd), -ENOENT);
	plan.program = "/etc";
	assert_int_equal(spawn_start(&plan, &pid, &pidfd), -EACCES);
	plan.program = "sh";
	assert_int_equal(spawn_start(&plan, &pid, &pidfd), -EINVAL);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
	assert_int_equal(errno, ECHILD);
}

/* The grandchild must be gone once its parent was killed. */
static void test_spawn_dies_with_parent(void **state)
{
	int p[2], pidfd;
	pid_t child, pid;
	char c;

	assert_int_equal(pipe(p), 0);
	child = fork();
	if (child == 0) {
		char *const argv[] = {(char *)"sleep", (char *)"60", NULL};
		struct spawn_plan plan = {.program = "/bin/sleep", .argv = argv, .stdin_fd = -1, .stdout_fd = p[1], .stderr_fd = -1};

		_exit(spawn_start(&plan, &pid, &pidfd) == 0 ? (kill(getpid(), SIGKILL), 0) : 1);
	}
	close(p[1]);
	waitpid(child, NULL, 0);
	assert_int_equal(read(p[0], &c, 1), 0); /* the write end is closed: sleep is dead */
	close(p[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remove_within_batch),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_spawn_status),
		cmocka_unit_test(test_spawn_descriptors_and_environment),
		cmocka_unit_test(test_spawn_failure_is_named),
		cmocka_unit_test(test_spawn_dies_with_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
